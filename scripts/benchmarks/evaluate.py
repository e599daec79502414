#!/usr/bin/env python3
"""Time and memory of an evaluation: of all that is measured, of `--quick`, and of pooling.

`scripts/benchmarks/evaluate.py [--patches 27000] [--poolings NAME ...]`: made-up vectors of all
poolings, of ten classes, two split schemes, 60 % of the patches for training, 20 % for validation
and 20 % for testing. Everything, and `--quick`, are measured in processes of their own, beside the
same fits in scikit-learn's own words: a plain loop over a tenth of the patches, scaled.

`... --pool [--folder DIR]`: instead, made-up patches of 64 x 64 x 64 codes (kept in DIR if that is
given), read and decoded once, and pooled in all ways.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hfaef.build.pack.parquet import ParquetShard
from hfaef.core import sheet
from hfaef.core.quantize import BANDS, to_stored
from hfaef.core.workers import core_count, ordered_map
from hfaef.evaluation.fit import Method
from hfaef.evaluation.measure import Results, VectorSet, measure_all
from hfaef.evaluation.pooling import DIMENSIONS, POOLINGS
from hfaef.evaluation.probe.linear import MAX_ITERATIONS, PENALTIES
from hfaef.evaluation.probe.neighbours import NEIGHBOURS
from hfaef.evaluation.vectors import (
    BATCHES_AHEAD,
    FileVectors,
    Rows,
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
SCHEMES = ("random", "spatial")
PART = 10
"""Of the patches, this part is fit plainly."""


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
        pooled = spent_on(
            lambda: pool_release(
                folder, manifest, tuple(POOLINGS), "values", Path(scratch), lambda _: None
            )
        )
        tell("the same, and pool 11 ways", pooled, once)


def made_up(folder: Path, patches: int, names: Sequence[str]) -> tuple[dict[str, VectorSet], Rows]:
    """Vectors in files, as pooling leaves them, and the rows they are of."""
    rng = np.random.default_rng(0)
    labels = np.arange(patches) % len(LABELS)
    hidden = 0.45 * rng.normal(size=(len(LABELS), BANDS))[labels] + rng.normal(
        size=(patches, BANDS)
    )
    sets = {}
    for name in names:
        mixed = rng.normal(size=(BANDS, DIMENSIONS[name])) / np.sqrt(BANDS)
        vectors = FileVectors(folder / name, DIMENSIONS[name])
        with vectors.path.open("wb") as file:
            for first in range(0, patches, 1024):
                block = np.tanh(hidden[first : first + 1024] @ mixed)
                block += 0.2 * rng.normal(size=block.shape)
                file.write(block.astype(np.float32).data)
        sets[name] = VectorSet(vectors, "pooling")
    splits = {
        scheme: tuple(rng.choice([*SHARES], patches, p=[*SHARES.values()]).tolist())
        for scheme in SCHEMES
    }
    ids = tuple(f"p{number:06d}" for number in range(patches))
    return sets, Rows(ids, labels, np.full(patches, 2018), splits)


def probe(patches: int, names: Sequence[str], *, quick: bool) -> None:
    """Print the time and peak of all that is measured of made-up vectors, or of `--quick`."""
    manifest = Manifest.model_construct(
        years=(2018,), schemes=SCHEMES, folds=(), label_names=LABELS, config_years=(2018,)
    )
    with tempfile.TemporaryDirectory() as scratch:
        sets, rows = made_up(Path(scratch), patches, names)
        before = peak()
        found: list[Results] = []
        spent = spent_on(
            lambda: found.append(
                measure_all(
                    sets,
                    rows,
                    manifest,
                    ("knn", "linear"),
                    lambda _: None,
                    Method(quick=quick),
                )
            )
        )
        what = "--quick" if quick else f"everything of {len(sets)} poolings"
        tell(what, spent)
        counts = {name: len(many) for name, many in vars(found[0]).items() if many}
        print(
            f"  {', '.join(f'{count} {name}' for name, count in counts.items())}; before: {before:,.0f} MB"
        )
        warned = sum(bool(score.warnings) for score in found[0].scores)
        print(f"  scores whose solver warned: {warned}")


def plainly(patches: int, names: Sequence[str]) -> None:
    """Print the time that the same fits take in scikit-learn's own words, of a part and scaled."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    part = max(patches // PART, 200)
    linear, knn = np.zeros(2), np.zeros(2)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what does not converge is told of our own fits
        sets, rows = made_up(Path(scratch), part, names)
        for one, scheme in product(sets.values(), SCHEMES):
            data = [
                (one.vectors.take(numbers), rows.labels[numbers])
                for split in SHARES
                if len(numbers := rows.of_split(scheme, 2018, split))
            ]
            (train, truth), (held, held_truth), (test, test_truth) = data
            both = np.concatenate([train, held]), np.concatenate([truth, held_truth])

            def fits(models: Sequence[Any]) -> None:
                scores = [model.fit(train, truth).score(held, held_truth) for model in models]  # noqa: B023
                best = models[int(np.argmax(scores))]
                for given in ((train, truth), both):  # noqa: B023
                    best.fit(*given).score(test, test_truth)  # noqa: B023

            models = [
                make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=MAX_ITERATIONS))
                for c in PENALTIES
            ]
            linear += spent_on(partial(fits, models))
            counts = [KNeighborsClassifier(k, metric="cosine") for k in NEIGHBOURS]
            knn += spent_on(partial(fits, counts))
    factor = patches / part
    tell("scikit-learn plainly, scaled", linear * factor + knn * factor**2)
    tell(f"  linear, of {part:,} patches", linear)
    tell(f"  kNN, of {part:,} patches", knn)


def spent_on(work: Callable[[], object]) -> np.ndarray:
    """Seconds on the clock and of all cores; on a busy machine the second tells more."""
    before = np.array([time.perf_counter(), time.process_time()])
    work()
    return np.array([time.perf_counter(), time.process_time()]) - before


def tell(what: str, spent: np.ndarray, once: np.ndarray | None = None) -> None:
    """A line, with the ratio to reading and decoding once where that is given."""
    ratios = [""] * 2 if once is None else [f" ({ratio:.2f})" for ratio in spent / once]
    print(
        f"{what:28} {spent[0]:7.1f} s{ratios[0]}  {spent[1]:7.1f} s of cores{ratios[1]}  "
        f"peak {peak():,.0f} MB",
        flush=True,
    )


def main() -> None:
    """Measure each in a process of its own, as its peak of memory counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=27_000)
    parser.add_argument("--poolings", nargs="+", default=[*POOLINGS], choices=[*POOLINGS])
    parser.add_argument("--pool", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    patches, names = arguments.patches, arguments.poolings
    if arguments.measure == "pool":
        measure(arguments.folder)
    elif arguments.measure == "plainly":
        plainly(patches, names)
    elif arguments.measure:
        quick = arguments.measure == "quick"
        probe(patches, ["mean"] if quick else names, quick=quick)
    elif arguments.pool:
        with tempfile.TemporaryDirectory() as scratch:
            folder = arguments.folder or Path(scratch)
            if not (folder / "release.json").exists():
                started = time.perf_counter()
                write_release(folder, patches)
                print(f"wrote the patches in {time.perf_counter() - started:,.0f} s")
            again("pool", "--folder", str(folder))
    else:
        print(f"{patches:,} patches, {core_count()} cores", flush=True)
        for what in ("quick", "everything", "plainly"):
            again(what, "--patches", str(patches), "--poolings", *names)


def again(what: str, *words: str) -> None:
    """Run this script in a new process."""
    subprocess.run([sys.executable, __file__, "--measure", what, *words], check=True)


if __name__ == "__main__":
    main()
