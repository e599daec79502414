"""Where each row of an earlier release lies, in a folder or on the Hub.

Only the tables of pooled vectors are read: they hold the rows of a partition in the order of its
data shards, and the sizes of the row groups of those.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from hfaef.core.names import require_id
from hfaef.errors import ReleaseError, command_line
from hfaef.release.format.manifest import File
from hfaef.release.format.paths import KINDS, ROW_GROUPS
from hfaef.release.format.preview import PreviewBasis
from hfaef.release.handle import Release

_NUMBER = re.compile(r"[-/]\d+(-of-\d+)?\.[a-z]+$")
"""What the names of a partition's shards differ in."""


@dataclass(frozen=True, slots=True)
class RowLocation:
    """Where a row lies in a release."""

    splits: Mapping[str, str]
    """Of its partition, by scheme."""
    path: str
    """Its shard of ``data``; shards of a partition sort by path."""
    group: int
    """Its row group in the shard, from 0."""
    position: int
    """In the row group, from 0."""


@dataclass(frozen=True)
class RowPlacement:
    """Where the rows of a release lie, and what colours their previews; the next one keeps both."""

    rows: Mapping[tuple[int, str], RowLocation] = field(default_factory=dict)
    """By year and id."""
    basis: PreviewBasis | None = None
    """Of its previews: with another, every row would be another."""


def read_placement(release: Release) -> RowPlacement:
    """Where the rows of a release lie.

    Raises:
        ReleaseError: if its files are not what its manifest says.
    """
    partitions: dict[str, dict[str, list[File]]] = {kind: defaultdict(list) for kind in KINDS}
    for file in sorted(release.manifest.files, key=lambda file: file.path):
        kind, _, rest = file.path.partition("/")
        if kind in partitions:
            partitions[kind][_NUMBER.sub("", rest)].append(file)
    rows: dict[tuple[int, str], RowLocation] = {}
    for partition, shards in partitions["data"].items():
        rows |= _locate(release, shards, partitions["pooled"][partition])
    return RowPlacement(rows, release.manifest.preview)


def _locate(
    release: Release, shards: Sequence[File], tables: Sequence[File]
) -> dict[tuple[int, str], RowLocation]:
    """Locations of a partition's rows, from its shards of data and its tables of pooled vectors."""
    schemes = release.manifest.schemes
    groups: list[list[int]] = []
    rows: list[dict[str, Any]] = []
    for table in tables:
        found, more = _read(release, table, ["id", "year", *schemes])
        groups += found
        rows += more
    if [sum(shard) for shard in groups] != [file.rows for file in shards]:
        raise ReleaseError(
            f"{release.name}: {shards[0].path} and its pooled vectors differ in their rows",
            f"{command_line('hfaef', 'check', release.name)}, or build without --from",
        )
    left = iter(rows)
    return {
        (row["year"], row["id"]): RowLocation(
            {scheme: row[scheme] for scheme in schemes}, file.path, group, position
        )
        for file, shard in zip(shards, groups, strict=True)
        for group, count in enumerate(shard)
        for position, row in enumerate(islice(left, count))
    }


def _read(
    release: Release, file: File, columns: list[str]
) -> tuple[list[list[int]], list[dict[str, Any]]]:
    """Rows of each row group of each data shard, as a table of pooled vectors says, and its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(release.fetch(file.path)) as table:
            groups = (table.metadata.metadata or {}).get(ROW_GROUPS.encode(), b"[]")
            rows = table.read(columns=columns).to_pylist()
            for row in rows:
                require_id(row["id"])
            return json.loads(groups), rows
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ReleaseError(
            f"{release.name}: {file.path} cannot be read: {error}",
            command_line("hfaef", "check", release.name),
        ) from error
