"""Releases of real codes in every form, Array3D and GeoTIFFs of the same, for `load.py`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

SHARED = Path(os.environ.get("HFAEF_SHARED", Path(__file__).parents[3] / "shared")) / "data/aef"
SIZE = 64
OURS = {
    "PNG sheets": ("parquet", "png"),
    "raw": ("parquet", "raw"),
    "WebDataset": ("webdataset", "png"),
}
ARRAY3D, GEOTIFFS = "Array3D, zstd 3", "GeoTIFFs, deflate"


def codes(count: int) -> Iterator[np.ndarray]:
    """Real codes, int8 (64, 64, 64): the 16 bands of the 10 km raster four times, shifted."""
    import rasterio
    from units import as_units

    with rasterio.open(SHARED / "wisconsin_2024_utm16n_16band_10km.tif") as dataset:
        bands = dataset.read()
    random = np.random.default_rng(0)
    limit = np.array(bands.shape[1:]) - SIZE
    for _ in range(count):
        corners = [random.integers(0, limit + 1) for _ in range(4)]
        yield as_units(np.concatenate([bands[:, y : y + SIZE, x : x + SIZE] for y, x in corners]))


def write_ours(folder: Path, count: int) -> None:
    """Releases in every form, all from one staging."""
    from hfaef.build.pack.rows import pack
    from hfaef.build.staging.ledger import Outcome
    from hfaef.build.staging.store import Store
    from hfaef.catalog.patch import Catalog, Patch, sort_patches
    from hfaef.core.grid import Grid
    from hfaef.core.workers import core_count, ordered_map
    from hfaef.release.card.render import CARD, render_card
    from hfaef.release.format.manifest import (
        FORMAT,
        Manifest,
        make_configs,
        manifest_bytes,
        package_versions,
    )
    from hfaef.release.format.paths import StorageFormat
    from hfaef.sources.base import Pixels

    with Store(folder / "staged") as store:
        patches = []
        for number, pixels in enumerate(codes(count)):
            place = (10.0, 0.0, 3e5 + number * 640, 0.0, -10.0, 5e6)
            patch = Patch(f"p{number}", Grid("EPSG:32616", place, SIZE, SIZE), "x", {}, 2024)
            patches.append(patch)
            store.pixels.write(patch, Pixels(pixels, (), resampled=False))
            store.record(Outcome(2024, patch.id, fetched=True))
        catalog = Catalog(sort_patches(patches), ("x",), ())
        for name, (form, codec) in OURS.items():
            target = folder / name
            target.mkdir()
            packed = pack(
                catalog,
                store,
                target,
                shard_bytes=256_000_000,
                parallel_map=partial(ordered_map, threads=core_count()),
                advance=lambda _: None,
                storage=StorageFormat(form, codec),
            )
            manifest = Manifest(
                format=FORMAT,
                name="bench",
                recipe={"pack": {"format": form, "codec": codec}, "source": {"kind": "cog"}},
                recipe_sha256="0" * 64,
                packages=package_versions(),
                years=(2024,),
                schemes=(),
                label_names=("x",),
                rows=count,
                rows_by_label={"x": count},
                configs=make_configs(packed.files, (2024,), ()),
                files=packed.files,
                missing=(),
                preview=packed.basis,
            )
            (target / "release.json").write_bytes(manifest_bytes(manifest))
            (target / CARD).write_text(render_card(manifest))
    shutil.rmtree(folder / "staged")


def write_peers(folder: Path, count: int) -> None:
    """What `datasets` writes of arrays, with zstd, and the first release's GeoTIFFs."""
    import pyarrow.parquet as pq
    import rasterio
    from datasets import Array3D, Dataset, Features, Value

    columns = Features({"embedding": Array3D((64, SIZE, SIZE), "uint8"), "label": Value("int64")})
    (folder / ARRAY3D).mkdir()
    (folder / GEOTIFFS).mkdir()
    writers: dict[str, pq.ParquetWriter] = {}
    settings = {"train-00000-of-00001.parquet": False, "../with-dictionary.parquet": True}
    for start in range(0, count, 50):
        arrays = [pixels.view(np.uint8) + np.uint8(127) for pixels in part(count, start)]
        batch = Dataset.from_dict({"embedding": arrays, "label": [0] * len(arrays)}, columns)
        table = batch.data.table
        for name, dictionary in settings.items():
            if name not in writers:
                writers[name] = pq.ParquetWriter(
                    folder / ARRAY3D / name,
                    table.schema,
                    compression="zstd",
                    compression_level=3,
                    use_dictionary=dictionary,
                )
            writers[name].write_table(table)
        for number, stored in enumerate(arrays, start):
            with rasterio.open(
                folder / GEOTIFFS / f"p{number}.tif",
                "w",
                driver="GTiff",
                width=SIZE,
                height=SIZE,
                count=64,
                dtype="uint8",
                crs="EPSG:32616",
                transform=rasterio.Affine(10, 0, 3e5, 0, -10, 5e6),
                compress="deflate",
            ) as dataset:
                dataset.write(stored)
    for writer in writers.values():
        writer.close()


def part(count: int, start: int) -> list[np.ndarray]:
    """Fifty patches; all of them are made once, and kept."""
    made = _MADE.setdefault(count, list(codes(count)))
    return made[start : start + 50]


_MADE: dict[int, list[np.ndarray]] = {}
