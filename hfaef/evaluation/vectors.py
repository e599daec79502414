"""One vector a patch, pooled from a release; never all in memory at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.core.progress import Advance
from hfaef.core.quantize import Array
from hfaef.core.workers import core_count, ordered_map
from hfaef.errors import ReleaseError, command_line
from hfaef.evaluation.pooling import (
    DIMENSIONS,
    PAIRED,
    On,
    join_stats,
    patch_stats,
    pool_stats,
)
from hfaef.evaluation.rows import Float32, Int64, Rows
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


def read_rows(folder: Path, manifest: Manifest) -> Rows:
    """The rows of a release, without their pixels.

    Raises:
        ReleaseError: naming the file that cannot be read.
    """
    schemes = (*manifest.schemes, *manifest.folds)
    columns = ["id", "label", "year", *schemes]
    found = list(rows.read_rows(folder, manifest, columns=columns))
    return Rows(
        ids=tuple(row["id"] for row in found),
        labels=_labels([row["label"] for row in found], manifest),
        years=np.array([row["year"] for row in found], np.int64),
        splits={scheme: tuple(row[scheme] for row in found) for scheme in schemes},
        label_names=manifest.label_names,
    )


def _labels(values: Sequence[Any], manifest: Manifest) -> npt.NDArray[Any]:
    if manifest.labelling == "classes":
        several = np.zeros((len(values), len(manifest.label_names)), bool)
        for row, numbers in enumerate(values):
            several[row, numbers] = True
        return several
    return np.array(values, np.int64 if manifest.labelling == "class" else np.float64)


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
