"""The rows of a release from its files, whatever their format, a few at a time."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hfaef import codec, webdataset
from hfaef.errors import ReleaseError
from hfaef.quantize import Array
from hfaef.release import Manifest

_BATCH = 16
"""Rows of a Parquet file that are in memory at a time."""


def read_rows(folder: Path, manifest: Manifest, kind: str = "data") -> Iterator[dict[str, Any]]:
    """All rows of a kind as dictionaries, in the order of the files.

    Raises:
        ReleaseError: naming the file that cannot be read.
    """
    for file in manifest.files:
        if not file.path.startswith(f"{kind}/"):
            continue
        path = folder / file.path
        try:
            if path.suffix == ".tar":
                yield from webdataset.read_rows(path)
            else:
                with pq.ParquetFile(path) as shard:
                    for batch in shard.iter_batches(_BATCH):
                        yield from batch.to_pylist()
        except (OSError, ValueError, pa.ArrowException, tarfile.TarError) as error:
            raise ReleaseError(f"cannot read {path}: {error}", f"hfaef check {folder}") from error


def stored_of(row: dict[str, Any]) -> Array:
    """Stored values, uint8 (64, H, W), of a row.

    Raises:
        ReleaseError: if they cannot be decoded.
    """
    shape = (row["height"], row["width"]) if "height" in row else None
    try:
        return codec.decode(row["embedding"], shape)
    except ValueError as error:
        raise ReleaseError(f"patch {row['id']} cannot be decoded: {error}") from error
