"""A store of AEF tiles, filled from a closed-form field where patches lie; the rest is nodata."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from rasterio.windows import Window

from hfaef.core.aef import LATTICE, TILE, TILE_METRES, ZONE_OVERLAP, Tile
from hfaef.core.grid import WGS84, Grid, project, utm_epsg, utm_meridian, utm_number, utm_origin
from hfaef.core.quantize import BANDS, NODATA
from hfaef.sources.demo.bigtiff import CELL, write_tiff
from hfaef.sources.demo.field import Field
from hfaef.sources.demo.overviews import overviews

IMAGE_TILES = 2
"""Tiles a side of the Earth Engine image that a tile is cut from."""

MARGIN = 3
"""Pixels written round what is asked for."""


def tile_name(tile: Tile) -> str:
    """The image's name and the tile's pixel offset in it, as published files are named."""
    image = f"{tile.zone}/{tile.column // IMAGE_TILES}/{tile.row // IMAGE_TILES}"
    row, column = (TILE * (number % IMAGE_TILES) for number in (tile.row, tile.column))
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
            _write_tile(root / str(year) / tile.zone / tile_name(tile), tile, windows, field, year)
            entries.append((year, tile))
    write_index(root, entries)


def write_index(root: Path, entries: Iterable[tuple[int, Tile]]) -> None:
    """Write ``aef_index.parquet`` with the columns of the published one."""
    rows = []
    for number, (year, tile) in enumerate(entries):
        grid = tile.grid
        west, south, east, north = grid.bounds()
        rows.append(
            {
                "fid": number,
                "geom": shapely.to_wkb(shapely.Polygon(grid.ring())),
                "crs": tile.crs,
                "year": year,
                "utm_zone": tile.zone,
                "utm_west": tile.west,
                "utm_south": tile.south,
                "utm_east": tile.west + TILE_METRES,
                "utm_north": tile.south + TILE_METRES,
                "wgs84_west": west,
                "wgs84_south": south,
                "wgs84_east": east,
                "wgs84_north": north,
                "path": "s3://us-west-2.opendata.source.coop/tge-labs/aef/v1/annual/"
                f"{year}/{tile.zone}/{tile_name(tile)}",
            }
        )
    root.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), root / "aef_index.parquet")


def _parts(grid: Grid) -> Iterable[tuple[Tile, Window]]:
    """The tiles that hold a grid's pixels, with the window of each that they need."""
    x, y = grid.centres()
    lon, lat = project(x, y, grid.crs, WGS84)
    first, last = utm_number(lon.min() - ZONE_OVERLAP), utm_number(lon.max() + ZONE_OVERLAP)
    for zone in range(first, last + 1):
        crs = utm_epsg(zone, north=bool(lat.mean() >= 0))
        easting, northing = utm_origin(crs)
        east, up = project(x, y, grid.crs, crs)
        columns = np.floor((east - easting) / LATTICE).astype(int)
        rows = np.floor((up - northing) / LATTICE).astype(int)
        left, right = int(columns.min()) - MARGIN, int(columns.max()) + MARGIN + 1
        bottom, top = int(rows.min()) - MARGIN, int(rows.max()) + MARGIN + 1
        needed = Window(left, bottom, right - left, top - bottom)
        for row in range(bottom // TILE, (top - 1) // TILE + 1):
            for column in range(left // TILE, (right - 1) // TILE + 1):
                west, south = column * TILE, row * TILE
                part = needed.intersection(Window(west, south, TILE, TILE))
                inside = Window(part.col_off - west, part.row_off - south, part.width, part.height)
                yield Tile(crs, column, row), inside


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
        [cells, *overviews(cells)],
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
    codes[:, np.abs(lon - utm_meridian(tile.zone)) > 3 + ZONE_OVERLAP] = NODATA
    return codes
