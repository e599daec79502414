"""The layout of a release that was built before, in a folder or on the Hub.

Only the tables of pooled vectors are read: they hold the rows of a cell in the order of its data
shards, and in the same row groups.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any

from hfaef.diff import Release
from hfaef.errors import ReleaseError
from hfaef.layout import Layout, Place
from hfaef.preview import Basis
from hfaef.published import open_release
from hfaef.release import File

_NUMBER = re.compile(r"\d+(-of-\d+)?\.[a-z0-9]+$")


def read_previous(target: str) -> Layout:
    """The layout of the release that a folder or ``OWNER/NAME[@VERSION]`` names.

    Raises:
        InputError: if it is neither.
        HubError: if the Hub has no such version.
        ReleaseError: if it holds no release, or one that is not what its manifest says.
    """
    return layout_of(open_release(target))


def layout_of(release: Release) -> Layout:
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
    places: dict[tuple[int, str], Place] = {}
    for cell, files in shards["data"].items():
        groups = list(
            chain.from_iterable(_groups(release, file) for file in shards["pooled"][cell])
        )
        if sum(map(len, groups)) != sum(file.rows for file in files):
            raise ReleaseError(
                f"{release.name}: {files[0].path} and its pooled vectors differ in their rows",
                f"hfaef check {release.name}",
            )
        places |= _places(files, groups, release.manifest.schemes)
    basis = release.manifest.preview
    return Layout(places, Basis(basis.components, basis.low, basis.high))


def _groups(release: Release, file: File) -> Iterator[list[dict[str, Any]]]:
    """Rows of a table of pooled vectors, by row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = ["id", "year", *release.manifest.schemes]
    try:
        with pq.ParquetFile(release.fetch(file.path)) as table:
            for number in range(table.num_row_groups):
                yield table.read_row_group(number, columns=columns).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise ReleaseError(
            f"{release.name}: {file.path} cannot be read: {error}", f"hfaef check {release.name}"
        ) from error


def _places(
    files: Sequence[File], groups: Sequence[list[dict[str, Any]]], schemes: Sequence[str]
) -> dict[tuple[int, str], Place]:
    """Places of the rows of a cell, given its shards and its row groups."""
    places: dict[tuple[int, str], Place] = {}
    rows = ((number, row) for number, group in enumerate(groups) for row in group)
    for file in files:
        own = islice(rows, file.rows)
        for group, (_, members) in enumerate(groupby(own, key=itemgetter(0))):
            for position, (_, row) in enumerate(members):
                splits = {scheme: row[scheme] for scheme in schemes}
                places[row["year"], row["id"]] = Place(splits, file.path, group, position)
    return places
