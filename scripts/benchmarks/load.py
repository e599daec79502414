"""What a release costs to keep and to read: ours, Array3D and a folder of GeoTIFFs, in one run.

    uv run --all-extras --group dev scripts/benchmarks/load.py

Needs the real AEF raster that the tests use too (HFAEF_SHARED names its folder). Each way is
written, then read by processes of its own, so that caches and memory are not shared. Memory is
watched in runs that are not timed, as looking takes time. "asked for uint8" is the same Array3D
with ``with_format("torch", dtype=torch.uint8)``, which turns labels into uint8 as well.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

SHARED = Path(os.environ.get("HFAEF_SHARED", Path(__file__).parents[3] / "shared")) / "data/aef"
SIZE = 64
OURS = {
    "PNG sheets": ("parquet", "png"),
    "raw": ("parquet", "raw"),
    "WebDataset": ("webdataset", "png"),
}
ARRAY3D, GEOTIFFS = "Array3D, zstd 3", "GeoTIFFs, deflate"
ASKED = "asked for uint8"
WAYS = (*OURS, ARRAY3D, GEOTIFFS)
READS = 400
"""Rows of a measurement by number."""


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


class Files:
    """A folder of GeoTIFFs as a data set of PyTorch."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.tif"))

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, number: int) -> np.ndarray:
        """Stored values, uint8 (64, H, W)."""
        import rasterio

        with rasterio.open(self.paths[number]) as dataset:
            return dataset.read()

    def __getitem__(self, number: int) -> dict[str, Any]:
        import torch

        return {"embedding": torch.from_numpy(self.read(number)), "label": 0}


def open_rows(way: str, folder: Path, cache: Path, *, streaming: bool = False) -> Any:
    """The rows of a way by number or as a stream."""
    from datasets import config, load_dataset

    config.HF_DATASETS_CACHE = cache
    if way in OURS:
        import hfaef

        columns = ["embedding", "label"]
        return hfaef.load(folder, "train", streaming=streaming, columns=columns)
    if way == ARRAY3D:
        loaded = load_dataset(str(folder), split="train", streaming=streaming, cache_dir=str(cache))
        return loaded.with_format("numpy")
    return Files(folder)


def first_load(way: str, folder: Path, cache: Path) -> dict[str, float]:
    """Seconds until the rows are there, and what they take in the cache."""
    # The first time also imports half of SciPy, which is not what is measured.
    open_rows(way, folder, cache)
    shutil.rmtree(cache, ignore_errors=True)
    started = time.perf_counter()
    open_rows(way, folder, cache)
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    return {"first": seconds, "cache": size}


def random_rows(way: str, folder: Path, cache: Path) -> dict[str, float]:
    """Arrays a second by number."""
    rows = open_rows(way, folder, cache)
    numbers = np.random.default_rng(1).integers(0, len(rows), READS).tolist()
    get: Callable[[int], Any] = (
        rows.read if isinstance(rows, Files) else lambda number: rows[number]["embedding"]
    )
    get(0)
    started = time.perf_counter()
    for number in numbers:
        assert np.asarray(get(number)).shape == (64, SIZE, SIZE)  # noqa: S101
    return {"random": READS / (time.perf_counter() - started)}


def stream_rows(way: str, folder: Path, cache: Path) -> dict[str, float]:
    """Arrays a second one after the other, without a cache."""
    rows = open_rows(way, folder, cache, streaming=True)
    source = map(rows.read, range(len(rows))) if isinstance(rows, Files) else iter(rows)
    next(source)
    started = time.perf_counter()
    count = sum(1 for _ in source)
    return {"stream": count / (time.perf_counter() - started)}


def torch_rows(way: str, folder: Path, cache: Path, workers: int) -> dict[str, float]:
    """Tensors a second from a shuffling loader whose workers are at work, and the bytes of one."""
    import torch

    rows = open_rows(way, folder, cache)
    if way in OURS:
        from hfaef.torch import Patches

        data: Any = Patches(rows)
    else:
        data = rows.with_format("torch") if way == ARRAY3D else rows
    torch.set_num_threads(1)

    def run(data: Any) -> tuple[float, int]:
        loader = torch.utils.data.DataLoader(
            data, batch_size=32, shuffle=True, num_workers=workers, persistent_workers=True
        )
        sizes = [batch["embedding"][0].nbytes for batch in loader]
        started = time.perf_counter()
        count = sum(len(batch["embedding"]) for _ in range(2) for batch in loader)
        return count / (time.perf_counter() - started), sizes[0]

    rate, size = run(data)
    found = {f"torch{workers}": rate, "tensor": size}
    if way == ARRAY3D:
        found[f"asked{workers}"], _ = run(rows.with_format("torch", dtype=torch.uint8))
    return found


MEASURES = {
    "first": first_load,
    "random": random_rows,
    "stream": stream_rows,
    "torch1": lambda *place: torch_rows(*place, workers=1),
    "torch2": lambda *place: torch_rows(*place, workers=2),
}


def measure(name: str, way: str, folder: Path, cache: Path, *, watch: bool) -> dict[str, float]:
    """One measurement in processes of their own: what it found, or their peak memory."""
    words = [sys.executable, __file__, "--measure", name, way, str(folder), str(cache)]
    process = psutil.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = [0]

    def look() -> None:
        while watch and process.poll() is None:
            try:
                family = [process, *process.children(recursive=True)]
                # What is shared between processes, such as mapped files, counts once.
                peak[0] = max(peak[0], sum(member.memory_full_info().uss for member in family))
            except psutil.Error:
                pass
            time.sleep(0.05)

    watcher = threading.Thread(target=look)
    watcher.start()
    output, errors = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{way}, {name}:\n{errors}")
    return {"memory": peak[0]} if watch else dict(json.loads(output.splitlines()[-1]))


def measure_all(folder: Path, ways: list[str]) -> dict[str, dict[str, float]]:
    """All measurements, one way after the other in each, so that a busy minute hits all."""
    found: dict[str, dict[str, float]] = {way: {} for way in ways}
    for way in ways:
        files = [path for path in (folder / way).rglob("*") if path.suffix != ".json"]
        # The pooled vectors are an addition of ours.
        found[way]["bytes"] = sum(
            path.stat().st_size for path in files if path.is_file() and "pooled" not in path.parts
        )
    for name in MEASURES:
        for way in ways:
            place = (name, way, folder / way, folder / f"cache {way}")
            found[way] |= measure(*place, watch=False)
    for name in ("first", "stream", "torch2"):
        for way in ways:
            place = (name, way, folder / way, folder / f"cache {way}")
            peak = measure(*place, watch=True)["memory"]
            found[way]["memory"] = max(found[way].get("memory", 0), peak)
    return found


def table(found: dict[str, dict[str, float]], count: int) -> list[str]:
    """The Markdown table, and ratios to Array3D."""
    columns = ("MB on disk", "first load, s", "cache, MB", "random rows/s", "stream rows/s")
    columns += ("torch rows/s, 1 worker", "2 workers", "bytes a tensor", "peak memory, MB")
    lines = [f"| {count:,} patches | " + " | ".join(columns) + " |"]
    lines.append("| --- |" + " ---: |" * len(columns))
    for way, values in found.items():
        cells = [f"{values['bytes'] / 1e6:,.0f}"]
        cells += [f"{values['first']:.1f}", f"{values['cache'] / 1e6:,.0f}"]
        cells += [f"{values[key]:,.0f}" for key in ("random", "stream", "torch1", "torch2")]
        cells += [f"{values['tensor']:,.0f}", f"{values['memory'] / 1e6:,.0f}"]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
        if way == ARRAY3D:
            rates = [f"{values[key]:,.0f}" for key in ("asked1", "asked2")]
            cells = [*[""] * 5, *rates, f"{64 * SIZE**2:,}", ""]
            lines.append(f"| the same, {ASKED} | " + " | ".join(cells) + " |")
    return lines


def ratios(found: dict[str, dict[str, float]]) -> list[str]:
    """Ours beside Array3D, with what is to be reached."""
    base = found[ARRAY3D]
    lines = []
    for way in OURS:
        values = found.get(way)
        if values is None:
            continue
        speed = {"PNG sheets": "1", "raw": "5"}.get(way)
        goals = {
            "bytes": "at most 0.45" if way == "PNG sheets" else "",
            "first": "at most 0.2" if way == "PNG sheets" else "",
            "torch1": f"at least {speed}" if speed else "",
            "torch2": f"at least {speed}" if speed else "",
        }
        parts = [
            f"{key} {values[key] / base[key]:.2f}" + (f" (target {goal})" if goal else "")
            for key, goal in goals.items()
        ]
        lines.append(f"{way} / {ARRAY3D}: " + ", ".join(parts))
    return lines


def print_writers() -> None:
    """Why tar files are written by tarfile: the same bytes without importing torch."""
    code = (
        "import psutil, time; before = psutil.Process().memory_info().rss; "
        "started = time.perf_counter(); import {0}; seconds = time.perf_counter() - started; "
        "print('  import {0}:', round(seconds, 2), 's,', "
        "(psutil.Process().memory_info().rss - before) // 1_000_000, 'MB')"
    )
    print("writers of tar files (the same bytes, as a test shows)")
    for name in ("tarfile", "webdataset"):
        subprocess.run([sys.executable, "-c", code.format(name)], check=True)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=2000)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        name, way, folder, cache = arguments.measure
        print(json.dumps(MEASURES[name](way, Path(folder), Path(cache))))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_ours(folder, arguments.patches)
        if {ARRAY3D, GEOTIFFS} & set(arguments.ways):
            write_peers(folder, arguments.patches)
        found = measure_all(folder, arguments.ways)
        print("\n".join(table(found, arguments.patches)))
        if ARRAY3D in found:
            print("\n".join(["", *ratios(found)]))
            other = (folder / "with-dictionary.parquet").stat().st_size
            ours = found.get("PNG sheets", found[ARRAY3D])["bytes"]
            print(
                f"Array3D with a dictionary of its values too: {other / 1e6:,.0f} MB; "
                f"PNG sheets / that: {ours / other:.2f}"
            )
    print_writers()


if __name__ == "__main__":
    main()
