"""What a build will cost, before it costs anything: units of work, requests, bytes, time, disk."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hfaef.catalog import Patch
from hfaef.grid import Grid

BLOCK_METRES = 10_240.0
"""A side of an internal tile of AEF's files: 1,024 pixels of 10 m.
https://source.coop/tge-labs/aef"""


def block_of(grid: Grid) -> tuple[str, int, int]:
    """The internal tile that a grid's middle lies in, if its CRS is that of the tiles: CRS, column
    and row. Patches with the same one share what is read; no file is looked at.
    """
    x, y = grid.at(grid.width / 2, grid.height / 2)
    # Tiles are anchored at easting 500,000; y at the equator, in both hemispheres a whole number
    # of blocks from it only in the north, but neighbours are neighbours.
    column = math.floor((float(x) - 500_000.0) / BLOCK_METRES)
    return grid.crs, column, math.floor(float(y) / BLOCK_METRES)


def in_units(patches: Sequence[Patch]) -> list[Patch]:
    """Patches in the order in which they are best read: by year, then by internal tile."""
    return sorted(patches, key=lambda patch: (patch.year, block_of(patch.grid), patch.id))
