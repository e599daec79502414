"""Shards in Parquet: whole patches, and the table of a partition's pooled vectors.

A picture is a page of its own, and the embedding is the first column, so that a second release
shares all rows that did not change with the first one in the Hub's content-addressed storage.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.release.format.paths import PICTURES, ROW_GROUPS
from hfaef.release.format.schema import leaf_names

_PICTURE_PAGES = {"data_page_size": 1000, "write_batch_size": 1}
"""What makes the Parquet writer put each picture on a page of its own; small values share theirs,
as a page each would take more than they do."""

_FEW_VALUES = ("min", "max")
"""Vectors of dequantized codes, of which there are 255."""

_ANY_VALUES = ("mean", "std", "bbox")
"""Numbers that do not repeat; their first bytes are alike, so each byte goes apart."""


class ParquetShard:
    """A Parquet file that is being written."""

    def __init__(self, folder: Path, number: int, schema: pa.Schema) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{number:05d}.part"
        self.rows = 0
        self._schema = schema
        leaves = leaf_names(schema)
        raw = {"embedding"} & set(leaves)  # a sheet's leaves lie below its column
        packed = set(leaves) - set(_leaves_of(PICTURES, leaves)) | raw
        self._writer = pq.ParquetWriter(
            self.path,
            schema,
            compression={leaf: "zstd" if leaf in packed else "none" for leaf in leaves},
            # Level 3 makes a fifth less of raw codes than 1, and is read as fast.
            compression_level=dict.fromkeys(raw, 3) or None,
            use_dictionary=_leaves_of(_FEW_VALUES, leaves) or False,
            column_encoding=dict.fromkeys(_leaves_of(_ANY_VALUES, leaves), "BYTE_STREAM_SPLIT"),
            # Rows are shuffled, so a range tells nothing; and it would change with a single label.
            write_statistics=False,
            write_page_index=True,
            **(_PICTURE_PAGES if "embedding" in schema.names else {}),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add one row group."""
        columns = [_column([row[field.name] for row in rows], field.type) for field in self._schema]
        self.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def write_table(self, table: pa.Table) -> None:
        """Add one row group, of columns as the shard has them."""
        self._writer.write_table(table, row_group_size=max(len(table), 1))
        self.rows += len(table)


class PooledShard(ParquetShard):
    """The table of a partition's pooled vectors, a row group for each shard of its data.

    Its metadata (`ROW_GROUPS`) tell where the rows lie in the large files.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        super().__init__(folder, 0, schema)
        self._held: list[dict[str, Any]] = []
        self._groups: list[int] = []
        self._shards: list[list[int]] = []

    def __exit__(self, *error: object) -> None:
        self._writer.add_key_value_metadata({ROW_GROUPS: json.dumps(self._shards)})
        super().__exit__(*error)

    def hold(self, rows: list[dict[str, Any]]) -> None:
        """Add the rows of a row group of data."""
        self._held += rows
        self._groups.append(len(rows))

    def end_shard(self) -> None:
        """Write the held rows as one row group: a shard of data has ended."""
        self.write(self._held)
        self._shards.append(self._groups)
        self._held, self._groups = [], []

    def copy_shard(self, table: pa.Table, groups: list[int]) -> None:
        """Add the rows of a shard of data from another table, with the sizes of its row groups."""
        self.write_table(table)
        self._shards.append(groups)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """A column of a row group; vectors and pictures as blocks, not value by value."""
    if values and isinstance(values[0], np.ndarray):
        numbers = pa.array(np.concatenate(values), kind.value_type)
        return pa.FixedSizeListArray.from_arrays(numbers, type=kind)
    if pa.types.is_struct(kind) and "bytes" in kind.names:
        paths = pa.array([value["path"] for value in values], pa.string())
        content = _binary([value["bytes"] for value in values])
        return pa.StructArray.from_arrays([content, paths], fields=list(kind))
    if pa.types.is_binary(kind):
        return _binary(values)
    return pa.array(values, kind)


def _binary(values: list[bytes]) -> pa.Array:
    """A column of bytes, copied once; `pa.array` takes several times as long."""
    offsets = np.cumsum([0, *map(len, values)], dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)


def _leaves_of(columns: Sequence[str], leaves: Sequence[str]) -> list[str]:
    return [leaf for leaf in leaves if leaf.split(".")[0] in columns]
