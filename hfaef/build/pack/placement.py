"""Rows stay where the release before had them, so that they are sent only once.

A row that keeps its shard and row group is the same bytes, whatever happens to the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from hfaef.catalog.patch import Patch
from hfaef.release.format.paths import shuffled
from hfaef.release.locate import RowLocation, RowPlacement


@dataclass(frozen=True)
class PlacedRows:
    """The patches of a partition in the order in which they are written."""

    kept: tuple[tuple[tuple[Patch, ...], ...], ...]
    """Shards of row groups that were there before; none is empty."""
    fresh: tuple[Patch, ...]
    """For shards of their own, after those."""

    @property
    def order(self) -> tuple[Patch, ...]:
        """All of them."""
        return (*(patch for shard in self.kept for group in shard for patch in group), *self.fresh)


def place_rows(patches: Iterable[Patch], placement: RowPlacement) -> PlacedRows:
    """Order a partition: patches that were in it keep their places, others come after them.

    Args:
        patches: of one year, and of the same splits.
        placement: where the release before had its rows; empty, if there is none.
    """
    kept: list[tuple[RowLocation, Patch]] = []
    fresh: list[Patch] = []
    for patch in patches:
        location = placement.rows.get((patch.row_year, patch.id))
        if location is not None and location.splits.items() <= patch.splits.items():
            kept.append((location, patch))
        else:
            fresh.append(patch)
    kept.sort(key=lambda pair: (pair[0].path, pair[0].group, pair[0].position))
    shards: dict[str, list[tuple[Patch, ...]]] = defaultdict(list)
    for (path, _), rows in groupby(kept, key=lambda pair: (pair[0].path, pair[0].group)):
        shards[path].append(tuple(patch for _, patch in rows))
    return PlacedRows(
        tuple(tuple(groups) for groups in shards.values()),
        tuple(sorted(fresh, key=lambda patch: shuffled(patch.id))),
    )
