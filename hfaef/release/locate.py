"""The layout of a release that was built before, in a folder or on the Hub.

Only the tables of pooled vectors are read: they hold the rows of a cell in the order of its data
shards, and tell the row groups of those.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from hfaef.core.preview import Basis
from hfaef.errors import ReleaseError
from hfaef.release.format.manifest import File
from hfaef.release.format.paths import ROW_GROUPS
from hfaef.release.handle import Release

_NUMBER = re.compile(r"[-/]\d+(-of-\d+)?\.[a-z]+$")


def layout_of(release: Release) -> RowPlacement:
    """The layout of a release.

    Raises:
        ReleaseError: if its files are not what its manifest says.
    """
    shards: dict[str, dict[str, list[File]]] = {
        "data": defaultdict(list),
        "pooled": defaultdict(list),
    }
    for file in sorted(release.manifest.files, key=lambda file: file.path):
        kind, _, rest = file.path.partition("/")
        if kind in shards:
            shards[kind][_NUMBER.sub("", rest)].append(file)
    places: dict[tuple[int, str], RowLocation] = {}
    for cell, files in shards["data"].items():
        places |= _places(release, files, shards["pooled"][cell])
    basis = release.manifest.preview
    return RowPlacement(places, Basis(basis.components, basis.low, basis.high))


def _places(
    release: Release, files: Sequence[File], tables: Sequence[File]
) -> dict[tuple[int, str], RowLocation]:
    """Places of the rows of a cell, given its shards of data and its table of pooled vectors."""
    schemes = release.manifest.schemes
    groups: list[list[int]] = []
    rows: list[dict[str, Any]] = []
    for file in tables:
        found, more = _read(release, file, ["id", "year", *schemes])
        groups += found
        rows += more
    if [sum(shard) for shard in groups] != [file.rows for file in files]:
        raise ReleaseError(
            f"{release.name}: {files[0].path} and its pooled vectors differ in their rows",
            f"hfaef check {release.name}, or build without --from",
        )
    left = iter(rows)
    return {
        (row["year"], row["id"]): RowLocation(
            {scheme: row[scheme] for scheme in schemes}, file.path, group, position
        )
        for file, shard in zip(files, groups, strict=True)
        for group, count in enumerate(shard)
        for position, row in enumerate(islice(left, count))
    }


def _read(
    release: Release, file: File, columns: list[str]
) -> tuple[list[list[int]], list[dict[str, Any]]]:
    """What a table of pooled vectors says of the row groups of its cell's data, and its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(release.fetch(file.path)) as table:
            said = (table.metadata.metadata or {}).get(ROW_GROUPS.encode(), b"[]")
            return json.loads(said), table.read(columns=columns).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ReleaseError(
            f"{release.name}: {file.path} cannot be read: {error}", f"hfaef check {release.name}"
        ) from error


@dataclass(frozen=True, slots=True)
class RowLocation:
    """Where a row lies in a release."""

    splits: Mapping[str, str]
    """The splits of its cell by scheme."""
    path: str
    """Its shard of ``data``; shards of a cell sort by path."""
    group: int
    """Its row group in the shard, from 0."""
    position: int
    """In the row group, from 0."""


@dataclass(frozen=True)
class RowPlacement:
    """A release, as far as the next one keeps to it."""

    places: Mapping[tuple[int, str], RowLocation] = field(default_factory=dict)
    """Of all rows, by year and id."""
    basis: Basis | None = None
    """Of its previews: with another, every row would be another."""
