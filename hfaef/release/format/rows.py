"""The rows of a release from its files, whatever their format, a few at a time."""

from __future__ import annotations

import math
import tarfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.core.codec import decode_row
from hfaef.core.names import require_id
from hfaef.core.quantize import Array
from hfaef.errors import ReleaseError, command_line
from hfaef.release.format import webdataset
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import PREVIOUS_YEAR
from hfaef.release.format.schema import label_problem, vectors_of

_BATCH = 16
"""Rows of a Parquet file that are in memory at a time."""


def read_rows(
    folder: Path, manifest: Manifest, kind: str = "data", columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """All rows of a kind as dictionaries, in the order of the files.

    Args:
        folder: of the release.
        manifest: the release's.
        kind: ``data`` or ``pooled``.
        columns: names of those to read, all by default; raw embeddings bring their height and
            width along.

    Raises:
        ReleaseError: naming the file that cannot be read, or holds a row with an id, year or label
            that no release has.
    """
    for file in manifest.files:
        if not file.path.startswith(f"{kind}/"):
            continue
        path = folder / file.path
        try:
            if path.suffix == ".tar":
                for row in webdataset.read_rows(path):
                    yield _checked(row, manifest)
            else:
                # Row by row from the file: a row group at once would be 32 MB.
                with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as shard:
                    for batch in shard.iter_batches(_BATCH, columns=_with_shape(shard, columns)):
                        for row in batch.to_pylist():
                            yield _checked(row, manifest)
        except (OSError, ValueError, KeyError, pa.ArrowException, tarfile.TarError) as error:
            raise ReleaseError(
                f"cannot read {path}: {error}", command_line("hfaef", "check", folder)
            ) from error


def _checked(row: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    """A row whose id, year and label, as far as they are there, are those of the manifest."""
    identity = require_id(row["id"]) if "id" in row else "of a row"
    if "year" in row and row["year"] not in manifest.years:
        raise ValueError(f"patch {identity} is of a year that is none of the release")
    if "label" in row and (problem := label_problem(row["label"], manifest)):
        raise ValueError(f"patch {identity} {problem}")
    return row


def _with_shape(shard: pq.ParquetFile, columns: Sequence[str] | None) -> list[str] | None:
    if columns is None or "embedding" not in columns:
        return None if columns is None else list(columns)
    return [*columns, *({"height", "width"} & set(shard.schema_arrow.names) - set(columns))]


def previous_year_cosines(
    keys: Sequence[tuple[int, str]], means: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Of each row the cosine of its mean vector with that of the same patch in the year before.

    That is the last year before its own of which there is a row; NaN for the first, and where a
    vector is zeros or not finite. Sums are exact, so the values are the same on every machine.

    Args:
        keys: year and id of each row, in any order.
        means: mean vectors (rows, 64).
    """
    found = np.full(len(keys), np.nan, np.float32)
    order = sorted(range(len(keys)), key=lambda row: (keys[row][1], keys[row][0]))
    for before, row in pairwise(order):
        if keys[before][1] == keys[row][1]:
            one, two = means[before].astype(np.float64), means[row].astype(np.float64)
            lengths = math.fsum(one * one) * math.fsum(two * two)
            if 0 < lengths < math.inf:
                found[row] = math.fsum(one * two) / math.sqrt(lengths)
    return found


def wrong_cosines(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Files and patches whose `PREVIOUS_YEAR` is not that of the mean vectors beside it."""
    keys: list[tuple[int, str]] = []
    means, told, paths = [], [], []
    for file in manifest.files:
        if file.path.startswith("pooled/"):
            columns = ["year", "id", "mean", PREVIOUS_YEAR]
            table = pq.read_table(folder / file.path, columns=columns, partitioning=None)
            keys += zip(table["year"].to_pylist(), table["id"].to_pylist(), strict=True)
            means.append(vectors_of(table["mean"]))
            told.append(table[PREVIOUS_YEAR].to_numpy())
            paths += [file.path] * len(table)
    if not keys:
        return
    expected = previous_year_cosines(keys, np.concatenate(means))
    same = (np.concatenate(told) == expected) | (
        np.isnan(np.concatenate(told)) & np.isnan(expected)
    )
    for row in np.flatnonzero(~same).tolist():
        year, identity = keys[row]
        yield paths[row], f"patch {identity} of {year} has another {PREVIOUS_YEAR} than its vectors"


def stored_of(row: dict[str, Any]) -> Array:
    """Stored values, uint8 (64, H, W), of a row.

    Raises:
        ReleaseError: naming the patch whose embedding cannot be decoded.
    """
    try:
        return decode_row(row)
    except ValueError as error:
        raise ReleaseError(f"patch {row['id']}: {error}", "hfaef check DIR") from error
