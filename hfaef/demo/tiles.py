"""A store of AEF tiles in the format of the published ones, filled from a closed-form field.

Format: https://source.coop/tge-labs/aef. BigTIFF, int8, zstd, planar separate, 1024 x 1024
internal tiles, rows from south to north, overviews. Only what is asked for is written; the rest of
a tile is sparse, which reads as nodata.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from rasterio.windows import Window

from hfaef.core.grid import LATTICE, WGS84, Grid, project
from hfaef.core.quantize import BANDS, NODATA
from hfaef.demo.bigtiff import CELL, write_tiff
from hfaef.demo.field import Field
from hfaef.demo.overviews import overviews

TILE = 8192
"""Pixels a side of a tile."""

IMAGE_TILES = 2
"""Tiles a side of the Earth Engine image that a tile is cut from."""

ZONE_OVERLAP = 0.05
"""Degrees that the data of a UTM zone reach beyond the zone."""

MARGIN = 3
"""Pixels written round what is asked for."""

_EASTING = 500_000.0
_SOUTHERN_NORTHING = 10_000_000.0


@dataclass(frozen=True, order=True)
class Tile:
    """One tile of the grid that all years share."""

    zone: int
    """UTM zone, 1 to 60."""
    north: bool
    """Whether it lies on the northern hemisphere."""
    column: int
    """Tiles east of easting 500,000."""
    row: int
    """Tiles north of the equator."""

    @property
    def crs(self) -> str:
        """The CRS of its zone."""
        return f"EPSG:{(32600 if self.north else 32700) + self.zone}"

    @property
    def zone_name(self) -> str:
        """As in the folder's name: ``32N``."""
        return f"{self.zone}{'N' if self.north else 'S'}"

    @property
    def west(self) -> float:
        """Easting of its western edge."""
        return _EASTING + self.column * TILE * LATTICE

    @property
    def south(self) -> float:
        """Northing of its southern edge."""
        return (0.0 if self.north else _SOUTHERN_NORTHING) + self.row * TILE * LATTICE

    @property
    def grid(self) -> Grid:
        """Its pixels in the order of the file: the first row is the southernmost."""
        return Grid(self.crs, (LATTICE, 0.0, self.west, 0.0, LATTICE, self.south), TILE, TILE)

    @property
    def name(self) -> str:
        """The image's name and the tile's pixel offset in it, as published files are named."""
        image = f"{self.zone_name}/{self.column // IMAGE_TILES}/{self.row // IMAGE_TILES}"
        row, column = (TILE * (place % IMAGE_TILES) for place in (self.row, self.column))
        return f"{image_name(image)}-{row:010d}-{column:010d}.tiff"


def image_name(image: str) -> str:
    """A name like those of the published images, for any text that tells images apart."""
    return "x" + hashlib.sha256(image.encode()).hexdigest()[:16]


def write_store(root: Path, field: Field, areas: Mapping[int, Iterable[Grid]]) -> None:
    """Write tiles that cover these grids, for each year, and their index.

    Args:
        root: a folder; gets ``aef_index.parquet`` and ``YEAR/ZONE/NAME.tiff``.
        field: gives the value of each pixel at its centre.
        areas: for each year the grids to cover.
    """
    entries: list[tuple[int, Tile]] = []
    for year, grids in sorted(areas.items()):
        parts: dict[Tile, list[Window]] = defaultdict(list)
        for grid in grids:
            for tile, window in _parts(grid):
                parts[tile].append(window)
        for tile, windows in sorted(parts.items()):
            _write_tile(root / str(year) / tile.zone_name / tile.name, tile, windows, field, year)
            entries.append((year, tile))
    write_index(root, entries)


def write_index(root: Path, entries: Iterable[tuple[int, Tile]]) -> None:
    """Write ``aef_index.parquet`` with the columns of the published one."""
    rows = []
    for number, (year, tile) in enumerate(entries):
        grid = tile.grid
        west, south, east, north = grid.bounds()
        side = TILE * LATTICE
        rows.append(
            {
                "fid": number,
                "geom": shapely.to_wkb(shapely.Polygon(grid.ring())),
                "crs": tile.crs,
                "year": year,
                "utm_zone": tile.zone_name,
                "utm_west": tile.west,
                "utm_south": tile.south,
                "utm_east": tile.west + side,
                "utm_north": tile.south + side,
                "wgs84_west": west,
                "wgs84_south": south,
                "wgs84_east": east,
                "wgs84_north": north,
                "path": "s3://us-west-2.opendata.source.coop/tge-labs/aef/v1/annual/"
                f"{year}/{tile.zone_name}/{tile.name}",
            }
        )
    root.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), root / "aef_index.parquet")


def _parts(grid: Grid) -> Iterable[tuple[Tile, Window]]:
    """The tiles that hold a grid's pixels, with the window of each that they need."""
    x, y = grid.centres()
    lon, lat = project(x, y, grid.crs, WGS84)
    north = bool(lat.mean() >= 0)
    for zone in range(_zone(lon.min() - ZONE_OVERLAP), _zone(lon.max() + ZONE_OVERLAP) + 1):
        tile = Tile(zone, north, 0, 0)
        east, up = project(x, y, grid.crs, tile.crs)
        columns = np.floor((east - tile.west) / LATTICE).astype(int)
        rows = np.floor((up - tile.south) / LATTICE).astype(int)
        left, right = int(columns.min()) - MARGIN, int(columns.max()) + MARGIN + 1
        bottom, top = int(rows.min()) - MARGIN, int(rows.max()) + MARGIN + 1
        for row in range(bottom // TILE, (top - 1) // TILE + 1):
            for column in range(left // TILE, (right - 1) // TILE + 1):
                west, south = column * TILE, row * TILE
                first_column, first_row = max(left - west, 0), max(bottom - south, 0)
                yield (
                    Tile(zone, north, column, row),
                    Window(
                        first_column,
                        first_row,
                        min(right - west, TILE) - first_column,
                        min(top - south, TILE) - first_row,
                    ),
                )


def _zone(longitude: float) -> int:
    return math.floor((longitude + 180) / 6) + 1


def _write_tile(path: Path, tile: Tile, windows: list[Window], field: Field, year: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells: defaultdict[tuple[int, int], npt.NDArray[np.int8]] = defaultdict(
        lambda: np.full((BANDS, CELL, CELL), NODATA, np.int8)
    )
    for window in windows:
        rows = range(window.row_off // CELL, (window.row_off + window.height - 1) // CELL + 1)
        columns = range(window.col_off // CELL, (window.col_off + window.width - 1) // CELL + 1)
        for place in product(rows, columns):
            cell = Window(place[1] * CELL, place[0] * CELL, CELL, CELL)
            part = window.intersection(cell)
            top, left = part.row_off - cell.row_off, part.col_off - cell.col_off
            cells[place][:, top : top + part.height, left : left + part.width] = tile_codes(
                tile, part, field, year
            )
    write_tiff(
        path,
        [cells, *overviews(cells, TILE)],
        epsg=int(tile.crs.partition(":")[2]),
        transform=tile.grid.transform,
        side=TILE,
        order="bands",
    )


def tile_codes(tile: Tile, window: Window, field: Field, year: int) -> npt.NDArray[np.int8]:
    """What a tile holds in a window: codes, int8 (64, rows, columns), south row first."""
    columns = np.arange(window.width) + window.col_off + 0.5
    rows = np.arange(window.height) + window.row_off + 0.5
    x, y = tile.grid.at(*np.meshgrid(columns, rows))
    lon, lat = project(x, y, tile.crs, WGS84)
    codes = field.codes(lon, lat, year)
    middle = tile.zone * 6 - 183
    codes[:, np.abs(lon - middle) > 3 + ZONE_OVERLAP] = NODATA
    return codes
