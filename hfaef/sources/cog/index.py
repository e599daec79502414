"""The index of AEF's tiles: which files may hold pixels within some bounds in a year."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from hfaef.core.grid import Grid, box_words, canonical_crs, outlines
from hfaef.core.names import require_path
from hfaef.core.net.text import clean_text
from hfaef.errors import InputError

NAME = "aef_index.parquet"

TILE_PATH = r"(?:^|/)(?P<path>\d{4}/\d{1,2}[NS]/[A-Za-z0-9_-]{1,200}\.tiff?)$"
"""A tile from the year folder on; what stands before it, such as a bucket's address, is cut off."""

_LEADS_OUT = r"(?:^|/)\.\.(?:/|$)|[\\\x00-\x1f\x7f]"
"""In the path of a tile: a step upwards, a backslash, or a control character."""

_COLUMNS = {
    "path": r"path|location|href|assets\.(.+\.)?href",
    "year": r"year|datetime",
    "crs": r"crs|proj:epsg|proj:code|proj_epsg|epsg",
    "wgs84_west": r"wgs84_west|bbox\.xmin|west",
    "wgs84_south": r"wgs84_south|bbox\.ymin|south",
    "wgs84_east": r"wgs84_east|bbox\.xmax|east",
    "wgs84_north": r"wgs84_north|bbox\.ymax|north",
}
"""Columns of the published index, with the names that they have in others, such as those made by
stac-geoparquet: https://github.com/stac-utils/stac-geoparquet"""

_PAD = 0.001
"""Degrees; a tile's lon/lat box in the index is rounded."""


@dataclass(frozen=True, order=True)
class Entry:
    """A tile in the index."""

    name: str
    """The same on every mirror and in Earth Engine; decides which of two tiles counts."""
    path: str
    """From the year folder on."""
    crs: str


@dataclass(frozen=True)
class _Year:
    """The tiles of a year."""

    tree: shapely.STRtree
    """Of their boxes; a box across the antimeridian is two."""
    rows: npt.NDArray[np.intp]
    """For each box, the row of its tile."""


class TileIndex:
    """Tiles by year and bounds.

    Args:
        paths: of the tiles, from the year folder on.
        years: of the tiles.
        crs: of the tiles.
        boxes: west, south, east and north in degrees, float64 (tiles, 4).
    """

    def __init__(
        self,
        paths: pa.StringArray,
        years: Iterable[int],
        crs: Iterable[str],
        boxes: npt.NDArray[np.float64],
    ) -> None:
        self._paths = paths
        self._crs = list(crs)
        self._entries: dict[int, Entry] = {}
        """By row, as far as they were asked for."""
        self._of_year = np.asarray(list(years), np.int64)
        self._boxes = boxes
        self._years = {
            year: _make_year(np.flatnonzero(self._of_year == year), boxes)
            for year in set(self._of_year.tolist())
        }

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def years(self) -> list[int]:
        """Years of which there are tiles."""
        return sorted(self._years)

    def near(self, year: int, bounds: tuple[float, float, float, float]) -> list[Entry]:
        """Tiles whose box meets these bounds in degrees; a box is larger than its tile."""
        if year not in self._years:
            return []
        west, south, east, north = bounds
        tiles = self._years[year]
        around = shapely.box(west - _PAD, south - _PAD, east + _PAD, north + _PAD)
        return [self._entry(row) for row in np.unique(tiles.rows[tiles.tree.query(around)])]

    def outside(self, patches: Sequence[tuple[Grid, int]]) -> list[int]:
        """Numbers of the grids, each with its year, that no tile of that year may meet."""
        boxes = np.array([outline.bounds for outline in outlines(grid for grid, _ in patches)])
        years = np.array([year for _, year in patches])
        held: set[int] = set()
        for year in self.years:
            rows = np.flatnonzero(years == year)
            west, south, east, north = boxes[rows].T if len(rows) else np.empty((4, 0))
            around = shapely.box(west - _PAD, south - _PAD, east + _PAD, north + _PAD)
            held.update(rows[self._years[year].tree.query(around)[0]].tolist())
        return [number for number in range(len(patches)) if number not in held]

    def where(self, grid: Grid, year: int) -> str:
        """Where the tiles of a year are, and where a grid is, in words."""
        held = f"there is no tile of {year}"
        if year in self._years:
            boxes = self._boxes[self._of_year == year]
            held = f"the tiles lie at {box_words([*boxes[:, :2].min(0), *boxes[:, 2:].max(0)])}"
        return f"{held}, the patch at {box_words(grid.bounds())}"

    def of_year(self, year: int) -> tuple[list[Entry], npt.NDArray[np.float64]]:
        """All tiles of a year, and their boxes."""
        rows = np.flatnonzero(self._of_year == year)
        return [self._entry(row) for row in rows.tolist()], self._boxes[rows]

    def _entry(self, row: int) -> Entry:
        row = int(row)
        if row not in self._entries:
            path = self._paths[row].as_py()
            self._entries[row] = Entry(path.rsplit("/", 1)[1], path, self._crs[row])
        return self._entries[row]


def _make_year(rows: npt.NDArray[np.intp], boxes: npt.NDArray[np.float64]) -> _Year:
    """Boxes across the antimeridian come as west > east, as more than 180 degrees, or beyond 180."""
    west, south, east, north = boxes[rows].T
    whole = east - west > 180
    west, east = np.where(whole, east, west), np.where(whole, west, east)
    east = np.where(west > east, east + 360, east)
    parts = [
        (west + turn, south, east + turn, north, rows)
        for turn in (-360, 0, 360)
        if ((west + turn < 180) & (east + turn > -180)).any()
    ]
    west, south, east, north, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    kept = (west < 180 + _PAD) & (east > -180 - _PAD)
    tree = shapely.STRtree(shapely.box(west[kept], south[kept], east[kept], north[kept]))
    return _Year(tree, rows[kept])


def read_index(path: Path) -> TileIndex:
    """The index in a Parquet file; reads only the columns that are needed.

    Raises:
        InputError: if it cannot be read, lacks a column, or names a file outside the store.
    """
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            names = _names([file.schema.column(n).path for n in range(len(file.schema))], path)
            table = file.read(columns=list(names.values())).flatten()
            while any(pa.types.is_struct(kind) for kind in table.schema.types):
                table = table.flatten()
    except FileNotFoundError as error:
        raise InputError(
            f"there is no index {path}",
            f"`source.root` must hold {NAME}, or name it in `source.index`",
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"cannot read the index {path}: {clean_text(error)}", "get it anew"
        ) from error
    columns = {wanted: table[name].combine_chunks() for wanted, name in names.items()}
    texts = columns["path"].cast(pa.string())
    paths = pc.struct_field(pc.extract_regex(texts, TILE_PATH), "path")
    leads_out = pc.match_substring_regex(texts, _LEADS_OUT).fill_null(True)
    if paths.null_count or pc.any(leads_out).as_py():
        wrong = pc.or_(paths.is_null(), leads_out).to_pylist().index(True)
        raise InputError(
            f"the index {path} names {str(texts[wrong].as_py())[:120]!r}, "
            "which is no YEAR/ZONE/NAME.tiff",
            "get it anew",
        )
    for name in paths.to_pylist():
        require_path(name)
    try:
        # Not `to_numpy`, `pa.array` or `pa.scalar`: they import pandas, which takes a second.
        sides = [columns[name].cast(pa.float64()) for name in _SIDES]
        boxes = np.stack([np.from_dlpack(side.drop_null()) for side in sides], axis=1)
        years = _whole_years(columns["year"])
        encoded = columns["crs"].dictionary_encode()
        crs_names = [_crs_name(value) for value in encoded.dictionary.to_pylist()]
        crs = [crs_names[number] for number in encoded.indices.to_pylist()]
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise InputError(
            f"cannot read the index {path}: {clean_text(error)}", "get it anew"
        ) from error
    if len(boxes) < len(paths) or not np.isfinite(boxes).all():
        raise InputError(f"the index {path} has a tile without bounds", "get it anew")
    return TileIndex(paths, years, crs, boxes)


_SIDES = ("wgs84_west", "wgs84_south", "wgs84_east", "wgs84_north")


def _names(present: list[str], path: Path) -> dict[str, str]:
    """The names that the columns have in a file."""
    names = {}
    for wanted, pattern in _COLUMNS.items():
        found = [name for name in present if re.fullmatch(pattern, name)]
        if not found:
            raise InputError(f"the index {path} has no column {wanted}", "get it anew")
        # The published name comes before the others.
        names[wanted] = min(found, key=lambda name: (name != wanted, name))
    return names


def _whole_years(column: pa.Array) -> list[int]:
    if pa.types.is_temporal(column.type):
        return list(pc.year(column).to_pylist())
    return [int(str(value)[:4]) for value in column.to_pylist()]


def _crs_name(value: Any) -> str:
    text = clean_text(value, 2000)
    return f"EPSG:{text}" if text.isdigit() else text


def index_of_headers(root: Path, tiles: list[Path]) -> TileIndex:
    """The index of the tiles in a folder, from their headers."""
    import rasterio
    from rasterio.errors import RasterioError

    grids = []
    for path in tiles:
        try:
            with rasterio.open(path, driver="GTiff") as tile:
                crs = canonical_crs(tile.crs.to_wkt()) if tile.crs else ""
                grid = Grid(crs, tuple(tile.transform)[:6], tile.height, tile.width)
            grids.append((require_path(path.relative_to(root).as_posix()), grid, grid.bounds()))
        except (RasterioError, ValueError) as error:
            raise InputError(
                f"cannot index the tile {path}: {clean_text(error)}", "remove it"
            ) from error
    return TileIndex(
        pa.array([path for path, _, _ in grids], pa.string()),
        [int(path[:4]) for path, _, _ in grids],
        [grid.crs for _, grid, _ in grids],
        np.array([bounds for _, _, bounds in grids], np.float64),
    )
