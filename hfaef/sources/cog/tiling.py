"""The blocks of AEF's tiles that patches need, known from their grids without any file."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.core.aef import (
    BLOCK_METRES,
    TILE_BLOCKS,
    TILE_METRES,
    ZONE_OVERLAP,
    Tile,
    overview_level,
)
from hfaef.core.grid import (
    WGS84,
    Float64,
    Grid,
    points_on,
    project,
    utm_crs,
    utm_meridian,
    utm_origin,
    utm_zone,
)
from hfaef.sources.cog.index import TileIndex

_ZONE_REACH = 3 + ZONE_OVERLAP
"""Degrees from a zone's middle to the end of its data."""

Exists = Callable[[Tile], bool]


@dataclass(frozen=True, order=True)
class Block:
    """An internal tile."""

    tile: Tile
    column: int
    """Blocks from the tile's western edge, 0 to 7."""
    row: int
    """Blocks from its southern edge, which is where AEF's files begin."""
    overview: int = 0
    """How often the tile's pixels are halved; 0 for the full image."""

    @property
    def share(self) -> float:
        """Of the block's pixels that the tile's overview fills; the rest is nodata."""
        return min(1.0, TILE_BLOCKS**2 / 4.0**self.overview)


_IN_ORDER = attrgetter("tile.crs", "tile.column", "tile.row", "column", "row", "overview")
"""The order of blocks, as a key: a hundred thousand are sorted in half the time."""


def blocks_across(overview: int) -> int:
    """Blocks a side of a tile's overview."""
    return max(1, TILE_BLOCKS >> overview)


def block_of(grid: Grid) -> tuple[str, int, int]:
    """CRS, column and row of the block that a grid's middle lies in, if its CRS is a tile's.

    Patches with the same one share what is read; reading them one after another is best.
    """
    x, y = grid.at(grid.width / 2, grid.height / 2)
    return grid.crs, *_block_at(grid.crs, float(x), float(y))


def blocks_of(grids: Sequence[Grid], exists: Exists | None = None) -> list[Block]:
    """The distinct blocks that these grids need, sorted; time grows with the number of grids.

    A grid is read from its own zone as far as the zone's data reach, else from the zone that it
    lies in.

    Args:
        grids: in any CRS.
        exists: whether there is such a tile; all by default.
    """
    alike: dict[tuple[str, int], list[Grid]] = defaultdict(list)
    for grid in grids:
        alike[grid.crs, overview_level(grid)].append(grid)
    found: set[Block] = set()
    for (crs, overview), some in alike.items():
        x, y = points_on(some, [0, 1, 0, 1], [0, 0, 1, 1])
        lon, lat = project(x, y, crs, WGS84)
        for zone, rows in _zones(crs, lon, lat):
            found.update(_blocks(zone, *project(x[rows], y[rows], crs, zone), overview))
    there = [block for block in found if exists is None or exists(block.tile)]
    return sorted(there, key=_IN_ORDER)


def tiles_of(index: TileIndex, year: int) -> dict[Tile, str]:
    """The tiles of a year that an index names, with their paths from the year folder on."""
    by_crs: dict[str, list[int]] = defaultdict(list)
    entries, all_boxes = index.of_year(year)
    for number, entry in enumerate(entries):
        by_crs[entry.crs].append(number)
    tiles = {}
    for crs, numbers in by_crs.items():
        boxes = all_boxes[numbers]
        # The middle of the box round a tile lies in the tile.
        lon, lat = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        middles = zip(*project(lon, lat, WGS84, crs), strict=True)
        for number, (x, y) in zip(numbers, middles, strict=True):
            column, row = _block_at(crs, float(x), float(y))
            tile = Tile(crs, column // TILE_BLOCKS, row // TILE_BLOCKS)
            tiles[tile] = entries[number].path
    return tiles


def block_bytes(tile: Any, column: int, row: int) -> int:
    """Bytes that a block of an open file (rasterio) takes there, all bands; 0 if it is sparse.

    Args:
        tile: a GeoTIFF.
        column: of the block, in the order of the file.
        row: likewise.
    """
    name = f"BLOCK_SIZE_{column}_{row}"
    sizes = (tile.get_tag_item(name, "TIFF", bidx=band) for band in tile.indexes)
    return sum(int(size or 0) for size in sizes)


def _zones(crs: str, lon: Float64, lat: Float64) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
    """UTM zones, and the numbers of the grids that are read from each."""
    west, east, north = lon.min(axis=1), lon.max(axis=1), lat.mean(axis=1) >= 0
    inside = np.zeros(len(lon), dtype=bool)
    if own := utm_zone(crs):
        middle = utm_meridian(own)
        inside = (west >= middle - _ZONE_REACH) & (east <= middle + _ZONE_REACH)
        partly = (west <= middle + _ZONE_REACH) & (east >= middle - _ZONE_REACH)
        yield crs, np.flatnonzero(partly)
    others: dict[str, list[int]] = defaultdict(list)
    for number in np.flatnonzero(~inside & np.isfinite(lon).all(axis=1)):
        latitude = 1.0 if north[number] else -1.0
        for zone in {utm_crs(float(end), latitude) for end in (west[number], east[number])}:
            if zone != crs:
                others[zone].append(int(number))
    for zone, numbers in sorted(others.items()):
        yield zone, np.array(numbers)


def _blocks(crs: str, x: Float64, y: Float64, overview: int) -> Iterator[Block]:
    """The blocks under boxes round these corners, each (grids, 4)."""
    if not len(x):
        return
    (easting, northing), per_tile = utm_origin(crs), blocks_across(overview)
    metres = TILE_METRES / per_tile
    left, right = ((edge - easting) / metres for edge in (x.min(axis=1), x.max(axis=1)))
    low, high = ((edge - northing) / metres for edge in (y.min(axis=1), y.max(axis=1)))
    left, low = np.floor(left).astype(int), np.floor(low).astype(int)
    across = (np.ceil(right).astype(int) - left).max()
    up = (np.ceil(high).astype(int) - low).max()
    tiles: dict[tuple[int, int], Tile] = {}  # one object each
    for right_by in range(across):
        for up_by in range(up):
            columns, rows = left + right_by, low + up_by
            there = (columns < right) & (rows < high)
            pairs = np.unique(np.stack([columns[there], rows[there]], axis=1), axis=0)
            for column, row in pairs.tolist():
                place = column // per_tile, row // per_tile
                if (tile := tiles.get(place)) is None:
                    tile = tiles[place] = Tile(crs, *place)
                yield Block(tile, column % per_tile, row % per_tile, overview)


def _block_at(crs: str, x: float, y: float) -> tuple[int, int]:
    """Column and row of the block that holds a point, counted from the zone's origin."""
    easting, northing = utm_origin(crs)
    return math.floor((x - easting) / BLOCK_METRES), math.floor((y - northing) / BLOCK_METRES)
