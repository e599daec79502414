"""One vector a patch: pooled from a release, or read from a table; never all in memory at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hfaef.core.progress import Advance
from hfaef.core.quantize import Array
from hfaef.core.workers import core_count, ordered_map
from hfaef.errors import InputError, ReleaseError, command_line
from hfaef.evaluation.pooling import (
    DIMENSIONS,
    PAIRED,
    POOLINGS,
    On,
    join_stats,
    patch_stats,
    pool_stats,
)
from hfaef.release.format import rows
from hfaef.release.format.manifest import Manifest

_BATCH = 32
"""Rows that one thread pools in one go."""

BATCHES_AHEAD = 2
"""Batches a thread that are read before their turn; they are large."""

_DECODED = 2 << 20
"""Bytes of decoded patches above which a thread pools them before it decodes more."""

_BLOCK = 1024
"""Rows of a file of vectors that are in memory at a time."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


class Vectors(Protocol):
    """Vectors of all rows of a release."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""

    def take(self, rows: Int64) -> Float32:
        """The vectors (len(rows), dimensions) of some rows, in their order."""


@dataclass(frozen=True)
class Rows:
    """Ids, labels, years and splits of a release's rows, in the order of its files."""

    ids: tuple[str, ...]
    labels: Int64
    years: Int64
    splits: dict[str, tuple[str, ...]]
    """By scheme."""

    def of_split(self, scheme: str, year: int | None, split: str) -> Int64:
        """Numbers of the rows of a split, sorted by id; of all years for None."""
        wanted = np.array([name == split for name in self.splits[scheme]])
        if year is not None:
            wanted &= self.years == year
        return np.array(sorted(np.flatnonzero(wanted), key=self.ids.__getitem__), np.int64)


@dataclass(frozen=True)
class FileVectors:
    """Vectors in a file, row after row, float32."""

    path: Path
    dimensions: int

    def take(self, rows: Int64) -> Float32:
        """The vectors of some rows; a block of the file that holds any of them is read once."""
        taken = np.empty((len(rows), self.dimensions), np.float32)
        order = np.argsort(rows, kind="stable")
        placed = rows[order]
        size = self.dimensions * taken.itemsize
        with self.path.open("rb") as file:
            for first in np.unique(placed // _BLOCK).tolist():
                file.seek(first * _BLOCK * size)
                block = np.frombuffer(file.read(_BLOCK * size), np.float32)
                start, stop = np.searchsorted(placed, (first * _BLOCK, (first + 1) * _BLOCK))
                part = slice(start, stop)
                vectors = block.reshape(-1, self.dimensions)
                taken[order[part]] = vectors[placed[part] - first * _BLOCK]
        return taken


@dataclass(frozen=True)
class ArrayVectors:
    """Vectors in memory."""

    array: Float32
    """Shape (rows, dimensions)."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.array.shape[1])

    def take(self, rows: Int64) -> Float32:
        """The vectors of some rows."""
        return self.array[rows]


@dataclass(frozen=True)
class ChosenVectors:
    """The vectors of some rows, read a slice at a time."""

    vectors: Vectors
    rows: Int64

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Float32:
        return self.vectors.take(self.rows[part])


def read_rows(folder: Path, manifest: Manifest) -> Rows:
    """The rows of a release, without their pixels.

    Raises:
        ReleaseError: naming the file that cannot be read.
    """
    columns = ["id", "label", "year", *manifest.schemes]
    found = list(rows.read_rows(folder, manifest, columns=columns))
    return Rows(
        ids=tuple(row["id"] for row in found),
        labels=np.array([row["label"] for row in found], np.int64),
        years=np.array([row["year"] for row in found], np.int64),
        splits={scheme: tuple(row[scheme] for row in found) for scheme in manifest.schemes},
    )


def pool_release(
    folder: Path,
    manifest: Manifest,
    names: Sequence[str],
    on: On,
    scratch: Path,
    advance: Advance,
    threads: int | None = None,
) -> dict[str, FileVectors]:
    """Pool all patches of a release, decoding each once.

    Args:
        folder: of the release.
        manifest: the release's.
        names: of `POOLINGS`.
        on: what is pooled.
        scratch: folder for the vectors; some 13 KB a patch for all poolings.
        advance: called for each patch.
        threads: decoders at work.

    Raises:
        ReleaseError: naming the patch whose sheet cannot be decoded.
    """
    paired = not PAIRED.isdisjoint(names)

    def pool_batch(batch: list[dict[str, Any]]) -> dict[str, Float32]:
        parts = []
        for some in _decoded(batch):
            for identity, stored in some:
                try:
                    parts.append(patch_stats(stored, on, paired=paired))
                except ValueError as error:
                    raise ReleaseError(
                        f"patch {identity}: {error}", command_line("hfaef", "check", folder)
                    ) from error
        return pool_stats(join_stats(parts), names)

    vectors = {name: FileVectors(scratch / name, DIMENSIONS[name]) for name in names}
    files = {name: one.path.open("wb") for name, one in vectors.items()}
    try:
        batches = read_batches(folder, manifest)
        for batch in ordered_map(pool_batch, batches, threads or core_count(), BATCHES_AHEAD):
            for name, block in batch.items():
                files[name].write(block.data)
            for _ in next(iter(batch.values())):
                advance("")
    finally:
        for file in files.values():
            file.close()
    return vectors


def read_batches(folder: Path, manifest: Manifest) -> Iterator[list[dict[str, Any]]]:
    """The rows' ids and embeddings, in the order of `read_rows`, a few at a time."""
    found = rows.read_rows(folder, manifest, columns=["id", "embedding"])
    while batch := list(islice(found, _BATCH)):
        yield batch


def _decoded(batch: Iterable[dict[str, Any]]) -> Iterator[list[tuple[str, Array]]]:
    """Ids and stored values of rows, several at once: decoding and pooling in turn is slower, as
    each drives the other out of the core's caches.
    """
    some: list[tuple[str, Array]] = []
    for row in batch:
        some.append((row["id"], rows.stored_of(row)))
        if sum(stored.nbytes for _, stored in some) >= _DECODED:
            yield some
            some = []
    yield some


def read_features(argument: str, rows: Rows) -> tuple[str, ArrayVectors]:
    """Name and vectors of ``NAME=PATH``: a table with a vector for every patch.

    Parquet or CSV with a column ``id`` and either one column of lists or one number a column; a
    column ``year`` tells the years of a release apart. Rows of other patches are not used.

    Raises:
        InputError: naming the table and what is wrong with it.
    """
    name, separator, source = argument.partition("=")
    if not separator or not _NAME.fullmatch(name) or name in POOLINGS:
        raise InputError(
            f"--features {argument}: not NAME=PATH with a name of its own",
            "as in `--features tessera=tessera.parquet`",
        )
    table = _read_table(Path(source))
    keys = [key for key in ("id", "year") if key in table.column_names]
    if "id" not in keys:
        raise InputError(f"{source} has no column 'id'", "name the column of patch ids so")
    array = _matrix(table.drop_columns(keys), source)
    found = _numbered(table.select(keys).to_pylist(), source)
    wanted = [
        (identity, year) if "year" in keys else identity
        for identity, year in zip(rows.ids, rows.years.tolist(), strict=True)
    ]
    lacking = [key for key in wanted if key not in found]
    if lacking:
        raise InputError(
            f"{source} lacks {len(lacking):,} of {len(wanted):,} patches, the first: {lacking[0]}",
            "all feature sets are compared on the same patches: add their vectors",
        )
    return name, ArrayVectors(array[[found[key] for key in wanted]])


def _numbered(keys: Iterable[dict[str, Any]], source: str) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for number, key in enumerate(keys):
        identity = str(key["id"])
        one = (identity, key["year"]) if "year" in key else identity
        if one in found:
            raise InputError(f"{source} has the patch {one} twice", "keep one of the rows")
        found[one] = number
    return found


def _read_table(path: Path) -> pa.Table:
    readers: dict[str, Callable[[Path], pa.Table]] = {".parquet": pq.read_table, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is neither .parquet nor .csv", "write the vectors as one of them")
    if not path.is_file():
        raise InputError(f"there is no file {path}", "give a Parquet or CSV file")
    try:
        return reader(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}", "give a Parquet or CSV file") from error


def _read_csv(path: Path) -> pa.Table:
    from pyarrow import csv

    # Ids such as 007 are names, not numbers.
    options = csv.ConvertOptions(column_types={"id": pa.string()})
    return csv.read_csv(path, convert_options=options)


def _matrix(table: pa.Table, source: str) -> Float32:
    """Vectors (rows, dimensions): of the one column of lists, or of all columns of numbers."""
    is_list = [
        pa.types.is_list(f.type) or pa.types.is_fixed_size_list(f.type) for f in table.schema
    ]
    if any(is_list):
        if sum(is_list) > 1:
            raise InputError(f"{source} has several columns of lists", "keep one beside `id`")
        column = table.column(is_list.index(True)).combine_chunks()
        lengths = set(pc.list_value_length(column).to_pylist())
        if len(lengths) != 1 or lengths <= {None, 0}:
            raise InputError(f"{source} has vectors of different lengths", "give them one length")
        array = column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), -1)
    else:
        plain = [
            f.name
            for f in table.schema
            if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)
        ]
        if not plain:
            raise InputError(f"{source} has no numbers beside 'id'", "add the vectors")
        array = np.stack([table[name].to_numpy() for name in plain], axis=1)
    try:
        vectors = np.asarray(array, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: its vectors are not numbers", "give numbers") from error
    if not np.isfinite(vectors).all():
        raise InputError(f"{source} has values that are missing or not finite", "fill or drop them")
    return vectors
