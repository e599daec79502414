"""Where the rows of the release before lie, so that the next one leaves them there.

A row that stays in its shard and row group is sent only once, whatever happens to the others.
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
class Arrangement:
    """The patches of a cell in the order in which they are written."""

    kept: tuple[tuple[tuple[Patch, ...], ...], ...]
    """Shards of row groups that were there before; none is empty."""
    fresh: tuple[Patch, ...]
    """For shards of their own, after those."""

    @property
    def order(self) -> tuple[Patch, ...]:
        """All of them."""
        return (*(patch for shard in self.kept for group in shard for patch in group), *self.fresh)


def place_rows(patches: Iterable[Patch], layout: RowPlacement) -> Arrangement:
    """Patches of one cell: those that were in it stay where they were, others come after them.

    Args:
        patches: of one year, and of the same splits.
        layout: of the release before; an empty one, if there is none.
    """
    kept: list[tuple[RowLocation, Patch]] = []
    fresh: list[Patch] = []
    for patch in patches:
        place = layout.places.get((patch.year, patch.id))
        if place is not None and place.splits == patch.splits:
            kept.append((place, patch))
        else:
            fresh.append(patch)
    kept.sort(key=lambda pair: (pair[0].path, pair[0].group, pair[0].position))
    shards: dict[str, list[tuple[Patch, ...]]] = defaultdict(list)
    for (path, _), rows in groupby(kept, key=lambda pair: (pair[0].path, pair[0].group)):
        shards[path].append(tuple(patch for _, patch in rows))
    return Arrangement(
        tuple(tuple(groups) for groups in shards.values()),
        tuple(sorted(fresh, key=lambda patch: shuffled(patch.id))),
    )
