"""The made-up Earth that the service shows: images in UTM zones, with borders, holes and years."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import shapely

from hfaef.core.aef import ZONE_OVERLAP
from hfaef.core.grid import WGS84, Grid, project
from hfaef.core.quantize import BANDS, dequantize
from hfaef.sources.demo.field import Field
from hfaef.sources.demo.tiles import image_name

COLLECTION = "GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL"

IMAGE_SIZE = 163_840.0
"""Metres a side of an image; squares are counted from easting 500,000 and the equator."""

PIXEL = 10.0
_ANCHOR_EAST = 500_000.0
_FALSE_NORTH = 10_000_000.0

Box = tuple[float, float, float, float]
"""West, south, east, north."""


def zone_crs(zone: str) -> str:
    """``EPSG:32632`` of ``32N``."""
    return f"EPSG:{(32600 if zone[-1] == 'N' else 32700) + int(zone[:-1])}"


def crs_zone(crs: str) -> str | None:
    """``32N`` of ``EPSG:32632``; None of other reference systems."""
    code = int(crs.removeprefix("EPSG:")) if crs.startswith("EPSG:") else 0
    if 32601 <= code <= 32660:
        return f"{code - 32600}N"
    return f"{code - 32700}S" if 32701 <= code <= 32760 else None


@dataclass(frozen=True)
class Tile:
    """A square of embeddings, all its years alike but for their values."""

    index: str
    """Of two that hold a pixel, the one with the higher index lies on top."""
    zone: str
    """``32N``."""
    west: float
    """Metres in the zone's CRS, a multiple of 10, as is `south`."""
    south: float
    years: tuple[int, ...]
    size: float = IMAGE_SIZE
    """Metres a side."""
    holes: tuple[Box, ...] = ()
    """Boxes in the zone's CRS; pixels with their centre in one are masked."""

    @property
    def crs(self) -> str:
        return zone_crs(self.zone)

    @property
    def meridian(self) -> float:
        """Longitude of the zone's middle."""
        return int(self.zone[:-1]) * 6.0 - 183

    @cached_property
    def footprint(self) -> shapely.Polygon:
        """In lon/lat."""
        along = np.linspace(0, self.size, 9)
        zero, full = np.zeros_like(along), np.full_like(along, self.size)
        x = self.west + np.concatenate([along, full, along[::-1], zero])
        y = self.south + np.concatenate([zero, along, full, along[::-1]])
        return shapely.Polygon(np.stack(project(x, y, self.crs, WGS84), axis=1))

    def pixels(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Centres of the pixels that hold places of the zone's CRS, and which hold data."""
        count = round(self.size / PIXEL)
        with np.errstate(invalid="ignore"):
            column = np.floor((x - self.west) / PIXEL)
            row = np.floor((y - self.south) / PIXEL)
            inside = (column >= 0) & (column < count) & (row >= 0) & (row < count)
        centre_x = self.west + (column + 0.5) * PIXEL
        centre_y = self.south + (row + 0.5) * PIXEL
        for west, south, east, north in self.holes:
            inside &= ~(
                (centre_x > west) & (centre_x < east) & (centre_y > south) & (centre_y < north)
            )
        return centre_x, centre_y, inside


@dataclass(frozen=True)
class World:
    """All tiles, and the closed form that fills them."""

    tiles: tuple[Tile, ...]
    field: Field = field(default_factory=Field)
    collection: str = COLLECTION
    zone_overlap: float = ZONE_OVERLAP
    """Degrees that the data of a UTM zone reach beyond it."""

    def footprint(self, tile: Tile) -> shapely.Geometry:
        """Where a tile may have data, in lon/lat."""
        west, east = (tile.meridian + side * (3 + self.zone_overlap) for side in (-1, 1))
        return tile.footprint.intersection(shapely.box(west, -90, east, 90))

    def sample(
        self, tile: Tile, year: int, grid: Grid
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Dequantized embeddings (64, H, W), 0 where masked, and the mask (H, W) of a grid."""
        values = np.zeros((BANDS, grid.height, grid.width))
        codes, inside = _codes(self.field, self.zone_overlap, tile, year, grid)
        values[:, inside] = dequantize(codes)
        return values, inside


@lru_cache(maxsize=128)
def _codes(
    field: Field, overlap: float, tile: Tile, year: int, grid: Grid
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
    """Codes (64, n) of the pixels of a grid that a tile has, and which (H, W) they are.

    The plain way asks for the same pixels 64 times, a band at a time.
    """
    x, y, inside = tile.pixels(*project(*grid.centres(), grid.crs, tile.crs))
    longitude, latitude = project(x, y, tile.crs, WGS84)
    inside &= np.abs(longitude - tile.meridian) <= 3 + overlap
    return field.codes(longitude[inside], latitude[inside], year), inside


def tiles_around(
    grids: Iterable[Grid], years: tuple[int, ...], holes: tuple[tuple[str, Box], ...] = ()
) -> tuple[Tile, ...]:
    """The image squares that hold any pixel of the grids, in every zone that reaches there.

    A zone's squares are those that touch its six degrees of longitude, so near a border two
    zones overlap, as they do in the real collection.

    Args:
        grids: in any CRS.
        years: of all tiles.
        holes: pairs of a zone and a box in its CRS.
    """
    squares: set[tuple[str, int, int]] = set()
    for grid in grids:
        own = crs_zone(grid.crs)
        along = np.linspace(0, 1, 5)
        sides = np.concatenate([along, along, 0 * along, 0 * along + 1])
        ends = np.concatenate([0 * along, 0 * along + 1, along, along])
        edge = grid.at(sides * grid.width, ends * grid.height)
        west, south, east, north = grid.bounds()
        middle = math.floor((west + east) / 12 + 30) + 1
        hemisphere = "N" if (south + north) >= 0 else "S"
        zones = {f"{(middle + step - 1) % 60 + 1}{hemisphere}" for step in (-1, 0, 1)}
        for zone in zones | ({own} if own else set()):
            x, y = project(*edge, grid.crs, zone_crs(zone))
            origin = 0.0 if zone[-1] == "N" else _FALSE_NORTH
            columns = np.floor((x - _ANCHOR_EAST) / IMAGE_SIZE)
            rows = np.floor((y - origin) / IMAGE_SIZE)
            if not (np.isfinite(columns).all() and np.isfinite(rows).all()):
                continue
            across = range(int(columns.min()), int(columns.max()) + 1)
            up = range(int(rows.min()), int(rows.max()) + 1)
            squares |= {(zone, column, row) for column in across for row in up}
    tiles = (_square(zone, column, row, years, holes) for zone, column, row in sorted(squares))
    return tuple(tile for tile in tiles if _touches_zone(tile))


def _square(
    zone: str, column: int, row: int, years: tuple[int, ...], holes: tuple[tuple[str, Box], ...]
) -> Tile:
    origin = 0.0 if zone[-1] == "N" else _FALSE_NORTH
    return Tile(
        index=image_name(f"{zone}/{column}/{row}"),
        zone=zone,
        west=_ANCHOR_EAST + column * IMAGE_SIZE,
        south=origin + row * IMAGE_SIZE,
        years=years,
        holes=tuple(box for of_zone, box in holes if of_zone == zone),
    )


def _touches_zone(tile: Tile) -> bool:
    west, _, east, _ = tile.footprint.bounds
    return bool(west <= tile.meridian + 3 and east >= tile.meridian - 3)
