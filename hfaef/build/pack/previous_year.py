"""The column of pooled vectors that says how alike a patch is to itself in its year before.

It needs the vectors of several partitions, so it is put into their tables once all are written.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.build.pack.parquet import PooledShard
from hfaef.catalog.patch import Patch
from hfaef.core.files import folder_errors
from hfaef.release.format.manifest import File, file_entry
from hfaef.release.format.paths import PREVIOUS_YEAR, ROW_GROUPS
from hfaef.release.format.rows import previous_year_cosines
from hfaef.release.format.schema import vectors_of


def in_several_years(patches: Collection[Patch]) -> bool:
    """Whether any patch is there in several years."""
    return len({patch.id for patch in patches}) < len(patches)


def add_previous_year(folder: Path, files: Sequence[File], schema: pa.Schema) -> Iterator[File]:
    """Write tables of pooled vectors again, with `PREVIOUS_YEAR`; gives their new entries.

    Args:
        folder: of the release.
        files: all its tables of pooled vectors.
        schema: of such a table, with the column.

    Raises:
        FolderError: if the disk is full.
    """
    keys: list[tuple[int, str]] = []
    means = []
    for file in files:
        table = pq.read_table(folder / file.path, columns=["year", "id", "mean"], partitioning=None)
        keys += zip(table["year"].to_pylist(), table["id"].to_pylist(), strict=True)
        means.append(vectors_of(table["mean"]))
    cosines = previous_year_cosines(keys, np.concatenate(means))
    first = 0
    for file in files:
        path = folder / file.path
        with folder_errors(path):
            _rewrite(path, schema, cosines[first : first + file.rows])
        first += file.rows
        yield file_entry(folder, path, file.rows)


def _rewrite(path: Path, schema: pa.Schema, cosines: npt.NDArray[np.float32]) -> None:
    """Put the cosines of its rows into a table of pooled vectors."""
    with pq.ParquetFile(path) as old, PooledShard(path.parent, schema) as new:
        groups = json.loads(old.metadata.metadata[ROW_GROUPS.encode()])
        first = 0
        for number in range(old.num_row_groups):
            table = old.read_row_group(number)
            some = cosines[first : first + len(table)]
            first += len(table)
            columns = [
                pa.array(some, pa.float32(), from_pandas=True)  # NaN becomes null
                if name == PREVIOUS_YEAR
                else table[name].combine_chunks()
                for name in schema.names
            ]
            new.copy_shard(pa.Table.from_arrays(columns, schema=schema), groups[number])
    new.path.replace(path)
