"""The fixed layout of AlphaEarth's files: pixels, blocks and tiles on the lattice of a UTM zone.

Pixels are 10 m. Tiles are 8,192 pixels a side, anchored at easting 500,000 and the equator, and
stored from south to north in blocks of 1,024 pixels, as are their overviews, of which the smaller
ones are one block. A block is the least that can be read: 64 chunks, one a band.
https://source.coop/tge-labs/aef
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hfaef.core.grid import EASTING, Grid, is_geographic, utm_origin, utm_zone

LATTICE = 10.0
"""Metres a side of a pixel; edges lie on multiples of it."""

BLOCK = 1024
"""Pixels a side of a block."""

TILE_BLOCKS = 8
"""Blocks a side of a tile."""

TILE = BLOCK * TILE_BLOCKS
"""Pixels a side of a tile."""

_METRES_A_DEGREE = 111_195
"""Of a great circle on a sphere of 6,371 km."""

BLOCK_METRES = BLOCK * LATTICE
TILE_METRES = TILE * LATTICE

ZONE_OVERLAP = 0.05
"""Degrees that the data of a UTM zone reach beyond the zone."""

MOST_HALVINGS = 6
"""Of the coarsest overview that is used: larger pixels do not fit between the equator and the
origin of northings in the south."""


@dataclass(frozen=True, order=True)
class Tile:
    """One tile of the grid that all years share."""

    crs: str
    """``EPSG:32632``; a UTM zone."""
    column: int
    """Tiles east of easting 500,000."""
    row: int
    """Tiles north of the equator."""

    @property
    def zone(self) -> str:
        """As in the name of its folder: ``32N``."""
        return str(utm_zone(self.crs))

    @property
    def west(self) -> float:
        """Easting of its western edge."""
        return utm_origin(self.crs)[0] + self.column * TILE_METRES

    @property
    def south(self) -> float:
        """Northing of its southern edge."""
        return utm_origin(self.crs)[1] + self.row * TILE_METRES

    @property
    def grid(self) -> Grid:
        """Its pixels in the order of the file: the first row is the southernmost."""
        return Grid(self.crs, (LATTICE, 0.0, self.west, 0.0, LATTICE, self.south), TILE, TILE)


def on_lattice(grid: Grid) -> bool:
    """Whether the pixels are 10 m, north-up, with edges on multiples of 10 m."""
    a, b, c, d, e, f = grid.transform
    square = (a, b, d, e) == (LATTICE, 0, 0, -LATTICE)
    return square and c % LATTICE == 0 and f % LATTICE == 0


def is_coarse(grid: Grid) -> bool:
    """Whether a pixel is so much larger than AEF's that a service may give means of several."""
    a, b, _, d, e, _ = grid.transform
    side = math.sqrt(abs(a * e - b * d)) * (_METRES_A_DEGREE if is_geographic(grid.crs) else 1)
    return side > 1.5 * LATTICE


def overview_level(grid: Grid) -> int:
    """How often AEF's pixels are halved to give a grid's: 0 for 10 m, 1 for 20 m, and so on.

    Only for upright pixels of just such a size on the lattice of AEF's own overviews, which is
    counted from easting 500,000 and the equator; 0 for all others.
    """
    a, b, c, d, e, f = grid.transform
    level = max(0, round(math.log2(abs(a) / LATTICE))) if a else 0
    side = LATTICE * 2**level
    upright = (a, b, d, abs(e)) == (side, 0, 0, side) and level <= MOST_HALVINGS
    along = (c - EASTING) % side == 0 and f % side == 0
    return level if upright and along else 0
