#!/usr/bin/env python3
"""Time and memory of pooling in all ways and of kNN, beside reading and decoding once.

`scripts/benchmarks/evaluate.py [--patches 27000] [--folder DIR]`: writes made-up patches of 64 x 64 x 64
codes (kept in DIR if that is given), then measures in a process of its own. One split scheme, 60 %
of the patches for training and 20 % for testing.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hfaef.build.pack.parquet import ParquetShard
from hfaef.core import sheet
from hfaef.core.quantize import BANDS, to_stored
from hfaef.core.workers import core_count, ordered_map
from hfaef.evaluation import probe
from hfaef.evaluation.pooling import POOLINGS
from hfaef.evaluation.vectors import (
    BATCHES_AHEAD,
    ChosenVectors,
    FileVectors,
    pool_release,
    read_batches,
    read_rows,
)
from hfaef.release.format.manifest import (
    FORMAT,
    Manifest,
    file_entry,
    make_configs,
    manifest_bytes,
    package_versions,
    read_manifest,
)
from hfaef.release.format.preview import PreviewBasis
from hfaef.release.format.rows import stored_of
from hfaef.release.format.schema import RowSchema, file_schema

LABELS = tuple(f"label{number}" for number in range(10))
SIDE = 64
ROWS_OF_GROUP = 640
ROWS_OF_SHARD = 2560
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def smooth(rng: np.random.Generator) -> np.ndarray:
    """Fields (64, 128, 128) whose neighbours are alike, as those of AlphaEarth."""
    waves = rng.normal(size=(BANDS, 128, 128))
    rows, columns = np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128), indexing="ij")
    damping = 1 / (0.02 + np.hypot(rows, columns)) ** 1.6
    fields = np.fft.ifft2(np.fft.fft2(waves) * damping).real
    return fields / fields.std(axis=(1, 2), keepdims=True)


def write_release(folder: Path, patches: int) -> None:
    """A release of made-up patches: all its shards, but neither card nor pooled vectors."""
    rng = np.random.default_rng(0)
    fields = [smooth(rng) for _ in range(4)]
    centres = rng.normal(0, 14, (len(LABELS), BANDS, 1, 1))

    def row(number: int) -> dict[str, object]:
        chance = np.random.default_rng(number)
        label = number % len(LABELS)
        top, left = chance.integers(0, 128 - SIDE, 2)
        field = fields[number % len(fields)][:, top : top + SIDE, left : left + SIDE]
        place = chance.normal(0, 9, (BANDS, 1, 1))
        codes = np.rint(centres[label] + place + 7 * field + chance.normal(0, 1.2, field.shape))
        png = sheet.encode(to_stored(np.clip(codes, -127, 127).astype(np.int8)))
        return {
            "embedding": {"bytes": png, "path": f"p{number}.png"},
            "preview": {"bytes": b"", "path": ""},
            "id": f"p{number:06d}",
            "label": label,
            "year": 2018,
            "random": split_of(number),
            "crs": "EPSG:32632",
            "transform": [10.0, 0, 0, 0, -10.0, 0],
            "bounds": [9.0, 48, 9.1, 48.1],
            "geometry": b"",
            "valid_fraction": 1.0,
            "resampled": False,
            "source": ["made up"],
        }

    def split_of(number: int) -> str:
        chance = int(hashlib.sha256(str(number).encode()).hexdigest()[:8], 16) / 2**32
        return "train" if chance < 0.6 else "validation" if chance < 0.8 else "test"

    schema = file_schema("data", RowSchema("class", LABELS, ("random",)))
    files = []
    for split in SHARES:
        wanted = [number for number in range(patches) if split_of(number) == split]
        for part in range(0, len(wanted), ROWS_OF_SHARD):
            numbers = wanted[part : part + ROWS_OF_SHARD]
            with ParquetShard(folder / "data", part, schema) as shard:
                for first in range(0, len(numbers), ROWS_OF_GROUP):
                    group = numbers[first : first + ROWS_OF_GROUP]
                    shard.write(list(ordered_map(row, group, core_count())))
            named = shard.path.with_name(f"{split}-{part:05d}.parquet")
            shard.path.replace(named)
            files.append(file_entry(folder, named, len(numbers)))
    manifest = Manifest(
        format=FORMAT,
        name="bench",
        recipe={},
        recipe_sha256="",
        packages=package_versions(),
        years=(2018,),
        schemes=("random",),
        label_names=LABELS,
        rows=patches,
        rows_by_label={},
        configs=make_configs(files, (2018,), ("random",)),
        files=tuple(files),
        missing=(),
        preview=PreviewBasis(components=(), low=(), high=()),
    )
    (folder / "release.json").write_bytes(manifest_bytes(manifest))


def peak() -> float:
    """Megabytes that this process has held at the most."""
    # Not `getrusage`, which counts the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(folder: Path) -> None:
    """Print times, ratios and peaks."""
    manifest = read_manifest(folder)
    rows = read_rows(folder, manifest)
    size = sum(file.bytes for file in manifest.files)
    print(f"{len(rows.ids):,} patches of 64 x 64 x 64, {size / 1e6:,.0f} MB, {core_count()} cores")

    def decode(batch: list[dict[str, Any]]) -> int:
        return sum(stored_of(row).nbytes for row in batch)

    def read_once() -> None:
        for _ in ordered_map(decode, read_batches(folder, manifest), core_count(), BATCHES_AHEAD):
            pass

    read_once()
    once = spent_on(read_once)
    tell("read and decode once", once, once)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        vectors = {}
        pooled = spent_on(
            lambda: vectors.update(
                pool_release(
                    folder, manifest, tuple(POOLINGS), "values", Path(scratch), lambda _: None
                )
            )
        )
        tell("the same, and pool 11 ways", pooled, once)
        train, test = (rows.of_split("random", 2018, split) for split in ("train", "test"))
        whole = pooled
        for name, one in vectors.items():
            spent = spent_on(partial(neighbours, one, rows.labels, train, test))
            whole += spent
            tell(f"  kNN of {name}", spent, once)
            if name == "mean":
                tell("all poolings, kNN of mean", pooled + spent, once)
    tell("all poolings and their kNN", whole, once)


def neighbours(
    vectors: FileVectors, labels: np.ndarray, train: np.ndarray, test: np.ndarray
) -> None:
    """One kNN, from the file of vectors on."""
    probe.knn(ChosenVectors(vectors, train), labels[train], vectors.take(test), len(LABELS))


def spent_on(work: Callable[[], object]) -> np.ndarray:
    """Seconds on the clock and of all cores; on a busy machine the second tells more."""
    before = np.array([time.perf_counter(), time.process_time()])
    work()
    return np.array([time.perf_counter(), time.process_time()]) - before


def tell(what: str, spent: np.ndarray, once: np.ndarray) -> None:
    """A line with the ratio to reading and decoding once."""
    clock, cores = spent / once
    print(
        f"{what:28} {spent[0]:7.1f} s ({clock:.2f})  {spent[1]:7.1f} s of cores ({cores:.2f})  "
        f"peak {peak():,.0f} MB",
        flush=True,
    )


def main() -> None:
    """Write patches if there are none, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=27_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        if not (folder / "release.json").exists():
            started = time.perf_counter()
            write_release(folder, arguments.patches)
            print(f"wrote the patches in {time.perf_counter() - started:,.0f} s")
        command = [sys.executable, __file__, "--measure", "--folder", str(folder)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
