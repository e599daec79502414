"""Releases of made-up rows for `atlas.py`: real schemas, folders and previews, sheets of no size.

The page reads points, pooled vectors and previews, never a sheet; so a release of 200,000 rows takes
seconds to make, and less than a gigabyte.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
from PIL import Image

from hfaef.build.pack.parquet import ParquetShard, PooledShard
from hfaef.core.quantize import BANDS
from hfaef.release.format.manifest import (
    FORMAT,
    File,
    Manifest,
    file_entry,
    make_configs,
    manifest_bytes,
    package_versions,
)
from hfaef.release.format.paths import KINDS, partition_folder
from hfaef.release.format.preview import PreviewBasis
from hfaef.release.format.schema import BOX, RowSchema, file_schema

YEAR = 2018
LABELS = (
    "Annual Crop",
    "Forest",
    "Herbaceous Vegetation",
    "Highway",
    "Industrial Buildings",
    "Pasture",
    "Permanent Crop",
    "Residential Buildings",
    "River",
    "Sea Lake",
)
SCHEMES = ("random", "spatial")
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
ROWS_OF_SHARD = 2600
"""As many sheets of 64 by 64 pixels make up the 256 MB of a shard."""
PLACES = 300
"""Around which patches lie, as those of EuroSAT around towns."""
PICTURES = 200
"""Previews that differ; a comment makes each row's its own."""


def write_world(folder: Path, rows: int) -> Manifest:
    """Write a release of so many patches; gives its manifest."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(LABELS), rows)
    splits = {name: rng.choice([*SHARES], rows, p=[*SHARES.values()]) for name in SCHEMES}
    means = _means(rng, labels)
    bounds = _bounds(rng, rows)
    pictures = _pictures(rng)
    schema = RowSchema("class", LABELS, SCHEMES)
    schemas = {kind: file_schema(kind, schema) for kind in KINDS}
    files: list[File] = []
    partitions = np.unique(np.stack([splits[name] for name in SCHEMES]), axis=1).T
    for partition in partitions.tolist():
        held = dict(zip(SCHEMES, partition, strict=True))
        inside = np.all([splits[name] == held[name] for name in SCHEMES], axis=0)
        wanted = np.flatnonzero(inside)
        data = folder / partition_folder("data", YEAR, held, (YEAR,), SCHEMES)
        pooled = folder / partition_folder("pooled", YEAR, held, (YEAR,), SCHEMES)
        with PooledShard(pooled, schemas["pooled"]) as vectors:
            for part, start in enumerate(range(0, len(wanted), ROWS_OF_SHARD)):
                numbers = wanted[start : start + ROWS_OF_SHARD]
                common = _common(numbers, labels, held, bounds)
                with ParquetShard(data, part, schemas["data"]) as shard:
                    shard.write_table(
                        _as_table(common | _data(numbers, bounds, pictures), schemas["data"])
                    )
                named = shard.path.with_suffix(".parquet")
                shard.path.replace(named)
                files.append(file_entry(folder, named, len(numbers)))
                vectors.copy_shard(
                    _as_table(common | _vectors(numbers, means, bounds), schemas["pooled"]),
                    [len(numbers)],
                )
        named = vectors.path.with_suffix(".parquet")
        vectors.path.replace(named)
        files.append(file_entry(folder, named, len(wanted)))
    files.sort(key=lambda file: file.path)
    manifest = Manifest(
        format=FORMAT,
        name="AlphaEarth-Benchmark",
        recipe={},
        recipe_sha256="",
        packages=package_versions(),
        years=(YEAR,),
        schemes=SCHEMES,
        target="class",
        label_names=LABELS,
        emb="0.0.1",
        rows=rows,
        rows_by_label={name: int((labels == number).sum()) for number, name in enumerate(LABELS)},
        configs=make_configs(files, (YEAR,), SCHEMES),
        files=tuple(files),
        missing=(),
        preview=PreviewBasis(components=(), low=(), high=()),
    )
    (folder / "release.json").write_bytes(manifest_bytes(manifest))
    return manifest


def _means(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Vectors (rows, 64), float32, about 0.9 long, in a cluster a label as AlphaEarth's."""
    centres = rng.normal(0, 1, (len(LABELS), BANDS))
    made = centres[labels] + rng.normal(0, 0.7, (len(labels), BANDS))
    made *= 0.9 / np.linalg.norm(made, axis=1, keepdims=True)
    return made.astype(np.float32)


def _bounds(rng: np.random.Generator, rows: int) -> np.ndarray:
    """West, south, east and north (rows, 4) of patches of 640 m around places of Europe."""
    places = np.column_stack([rng.uniform(-9, 28, PLACES), rng.uniform(37, 60, PLACES)])
    middles = places[rng.integers(0, PLACES, rows)] + rng.normal(0, 0.2, (rows, 2))
    tall = 320 / 111_320
    wide = tall / np.cos(np.radians(middles[:, 1]))
    half = np.column_stack([wide, np.full(rows, tall)])
    return np.hstack([middles - half, middles + half])


def _pictures(rng: np.random.Generator) -> list[bytes]:
    """JPEGs of 64 by 64 pixels whose bytes are as many as a real preview's."""
    made = []
    for _ in range(PICTURES):
        buffer = io.BytesIO()
        coarse = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8))
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
        made.append(buffer.getvalue())
    return made


def _own(picture: bytes, identity: str) -> bytes:
    """A JPEG with a comment behind its first marker."""
    text = identity.encode()
    return picture[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + picture[2:]


def _identity(number: int) -> str:
    return f"patch_{number:06d}"


Columns = Mapping[str, pa.Array]


def _common(
    numbers: np.ndarray, labels: np.ndarray, held: Mapping[str, str], bounds: np.ndarray
) -> dict[str, pa.Array]:
    west, south, east, north = bounds[numbers].T
    return {
        "id": pa.array(map(_identity, numbers.tolist())),
        "label": pa.array(labels[numbers], pa.int64()),
        "year": pa.array(np.full(len(numbers), YEAR, np.int32)),
        **{name: pa.array([split] * len(numbers)) for name, split in held.items()},
        "valid_fraction": pa.array(np.ones(len(numbers), np.float32)),
        "geometry": pa.array(shapely.to_wkb(shapely.box(west, south, east, north)), pa.binary()),
    }


def _data(numbers: np.ndarray, bounds: np.ndarray, pictures: list[bytes]) -> dict[str, pa.Array]:
    """What rows of patches have besides; a sheet of no size."""
    ids = [_identity(number) for number in numbers.tolist()]
    count = len(ids)
    previews = [
        {"bytes": _own(pictures[number % PICTURES], one), "path": f"{one}.jpg"}
        for number, one in zip(numbers.tolist(), ids, strict=True)
    ]
    return {
        "embedding": pa.array([{"bytes": b"", "path": f"{one}.png"} for one in ids]),
        "crs": pa.array(["EPSG:32632"] * count),
        "transform": pa.array([[10.0, 0.0, 3e5, 0.0, -10.0, 5e6]] * count),
        "bounds": pa.array(bounds[numbers].tolist()),
        "resampled": pa.array([False] * count),
        "source": pa.array([["made up"]] * count),
        "preview": pa.array(previews),
    }


def _vectors(numbers: np.ndarray, means: np.ndarray, bounds: np.ndarray) -> dict[str, pa.Array]:
    mean = means[numbers]
    spread = np.full_like(mean, 0.05)
    made = {"mean": mean, "std": spread, "min": mean - spread, "max": mean + spread}
    return {
        **{
            name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), BANDS)
            for name, values in made.items()
        },
        "bbox": pa.array([dict(zip(BOX, row, strict=True)) for row in bounds[numbers].tolist()]),
    }


def _as_table(columns: Columns, schema: pa.Schema) -> pa.Table:
    """Columns in the order and of the types of a shard."""
    arrays = [columns[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
