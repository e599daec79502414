"""Where the previews lie in the shards of a release: ranges of bytes that can be asked for alone."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from hfaef.release.format.sample import REST

UNKNOWN = -1
"""Offset of a preview whose bytes do not lie in its shard as they are."""

_LEAF = "preview.bytes"
"""Parquet's name of the column of previews."""

_MOST_JSON = 1 << 20
"""Bytes of the largest member of JSON that is read; hfaef's have some hundreds."""


@dataclass(frozen=True)
class ShardRows:
    """The rows of a shard of data."""

    keys: list[tuple[int, str]]
    """Year and id of each."""
    offsets: npt.NDArray[np.int64]
    """Bytes before each preview in the shard's file; `UNKNOWN` where it does not lie there plainly."""
    lengths: npt.NDArray[np.int32]
    """Bytes of each preview; 0 where its offset is unknown."""
    bounds: npt.NDArray[np.float64]
    """Shape (rows, 4): west, south, east and north in degrees; (0, 4) if not asked for."""


def read_shard(path: Path, *, bounds: bool) -> ShardRows:
    """The rows of a shard; a row group of it is in memory at a time.

    Args:
        path: of the shard.
        bounds: whether the bounds of its patches are wanted.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no shard of a release; or LookupError, TypeError, pyarrow's or tarfile's.
    """
    return _of_tar(path, bounds) if path.suffix == ".tar" else _of_parquet(path, bounds)


def _of_parquet(path: Path, bounds: bool) -> ShardRows:
    with path.open("rb") as file, pq.ParquetFile(path, pre_buffer=False) as shard:
        table = shard.read(columns=["year", "id", *(["bounds"] if bounds else [])])
        groups = range(shard.metadata.num_row_groups)
        found = list(chain.from_iterable(_in_group(file, shard, group) for group in groups))
    keys = list(zip(table["year"].to_pylist(), table["id"].to_pylist(), strict=True))
    boxes = table["bounds"].to_pylist() if bounds else []
    return _rows(keys, found, boxes)


def _in_group(file: BinaryIO, shard: pq.ParquetFile, group: int) -> Iterator[tuple[int, int]]:
    """Offset and length of each preview of a row group.

    Values of an uncompressed column lie in its bytes one after the other, with headers of pages
    between them; so each is looked for behind the one before.
    """
    about = shard.metadata.row_group(group)
    columns = (about.column(number) for number in range(about.num_columns))
    column = next((one for one in columns if one.path_in_schema == _LEAF), None)
    if column is None or column.compression != "UNCOMPRESSED":
        yield from [(UNKNOWN, 0)] * about.num_rows
        return
    first = column.data_page_offset
    if column.has_dictionary_page:
        first = min(first, column.dictionary_page_offset)
    file.seek(first)
    held = file.read(column.total_compressed_size)
    pictures = shard.read_row_group(group, columns=[_LEAF])["preview"].combine_chunks()
    behind = 0
    for picture in pictures.field("bytes").to_pylist():
        place = held.find(picture, behind) if picture and behind >= 0 else UNKNOWN
        if place >= 0:
            behind = place + len(picture)
            yield first + place, len(picture)
            continue
        if picture:  # another layout of the column: do not look through it for each of them
            behind = UNKNOWN
        yield UNKNOWN, 0


def _of_tar(path: Path, bounds: bool) -> ShardRows:
    """Rows of a WebDataset; of its members the headers and the JSON are read."""
    places: dict[str, tuple[int, int]] = {}
    rows: dict[str, dict[str, Any]] = {}
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            key, _, extension = member.name.partition(".")
            if extension == "jpg":
                places[key] = (member.offset_data, member.size)
            elif extension == REST:
                content = tar.extractfile(member)
                if content is None or member.size > _MOST_JSON:
                    raise ValueError(f"{member.name} holds no row")
                rows[key] = json.loads(content.read())
    keys = [(row["year"], row["id"]) for row in rows.values()]
    found = [places.get(key, (UNKNOWN, 0)) for key in rows]
    return _rows(keys, found, [row["bounds"] for row in rows.values()] if bounds else [])


def _rows(
    keys: list[tuple[int, str]], found: Sequence[tuple[int, int]], boxes: Sequence[Any]
) -> ShardRows:
    places = np.array(found, np.int64).reshape(-1, 2)
    return ShardRows(
        keys,
        np.ascontiguousarray(places[:, 0]),
        places[:, 1].astype(np.int32),
        np.array(boxes, np.float64).reshape(-1, 4),
    )
