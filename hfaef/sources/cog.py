"""AEF's cloud-optimised GeoTIFFs as a source: each patch pixel is looked up, never warped.

A pixel's centre goes from the patch's CRS to the tile's, and the tile's pixel that holds it is
its value. That is nearest neighbour for any pair of grids, across tile borders and UTM zones,
and for tiles stored from south to north as AEF's are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from hfaef.errors import Hopeless
from hfaef.grid import Float64, Grid, canonical_crs, project
from hfaef.quantize import BANDS, NODATA
from hfaef.recipe import Cog
from hfaef.sources import Pixels
from hfaef.sources.blocks import block_bytes
from hfaef.sources.index import NAME, Entry, TileIndex, read_index
from hfaef.workers import core_count

_WINDOW = 1024
"""Pixels a side that are read at once: an internal tile, so 64 MiB bound what a read takes."""

_CACHE_MEGABYTES = 128
"""GDAL's own cache of internal tiles; its default is a share of the machine's memory."""


class CogSource:
    """Tiles in a folder. Opens a tile for each read, so threads share nothing."""

    def __init__(self, root: Path, index: TileIndex) -> None:
        # Decoding is what takes time and memory; more reads than this do not make it faster.
        self.max_requests = 2 * core_count()
        self._root = root
        self._index = index
        self._seen: set[tuple[str, int, int]] = set()
        """Internal tiles that were read before: the system keeps them in memory."""
        self._lock = threading.Lock()

    def read(self, grid: Grid, year: int) -> Pixels:
        """The embedding on this grid.

        Where several tiles hold a pixel, those in the grid's own CRS come first, then the one
        whose name is last in the alphabet; the first with data there counts.

        Raises:
            Hopeless: if no tile has data there, or a tile is missing or is not AEF's.
        """
        centres = {grid.crs: grid.centres()}
        codes = np.full((BANDS, grid.height, grid.width), NODATA, dtype=np.int8)
        origins: list[str] = []
        received: list[int] = []
        resampled = not grid.on_lattice()
        covered = False
        for entry in self._candidates(grid, year):
            empty = codes[0] == NODATA
            if not empty.any():
                break
            with self._open(entry) as tile:
                crs = canonical_crs(tile.crs.to_wkt())
                if crs not in centres:
                    centres[crs] = project(*centres[grid.crs], grid.crs, crs)
                rows, columns, inside = _locate(tile, *centres[crs])
                wanted = inside & empty
                covered |= bool(inside.any())
                if not wanted.any():
                    continue
                blocks = _fill(codes, tile, rows, columns, wanted)
                received += [self._count(tile, entry, *block) for block in blocks]
            if (codes[0] != NODATA)[wanted].any():
                origins.append(entry.path)
                resampled |= crs != grid.crs
        if not origins:
            reason = f"no data there in {year}" if covered else f"outside every tile of {year}"
            raise Hopeless(reason)
        try:
            return Pixels(
                codes,
                tuple(origins),
                resampled,
                requests=BANDS * sum(size > 0 for size in received),
                received=sum(received),
            )
        except ValueError as error:
            raise Hopeless(f"{' and '.join(origins)}: {error}") from error

    def close(self) -> None:
        """Nothing is kept open."""

    def _count(self, tile: Any, entry: Entry, row: int, column: int) -> int:
        """Bytes of an internal tile if it is read for the first time, else 0."""
        with self._lock:
            if (entry.path, row, column) in self._seen:
                return 0
            self._seen.add((entry.path, row, column))
        return block_bytes(tile, column, row)

    def _candidates(self, grid: Grid, year: int) -> list[Entry]:
        near = sorted(self._index.near(year, grid.bounds()), reverse=True)
        return sorted(near, key=lambda entry: entry.crs != grid.crs)

    @contextmanager
    def _open(self, entry: Entry) -> Iterator[Any]:
        path = self._root / entry.path
        if not path.is_file():
            raise Hopeless(f"the tile {entry.path}, which the index names, is not there")
        try:
            # GTiff only: other drivers, chosen by content, may follow names to other files.
            with (
                rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES, GDAL_DISABLE_READDIR_ON_OPEN=True),
                rasterio.open(path, driver="GTiff") as tile,
            ):
                _require_aef(tile, entry)
                yield tile
        except RasterioError as error:
            raise Hopeless(f"cannot read the tile {entry.path}: {error}") from error


def open_cog(section: Cog) -> CogSource:
    """The source that a recipe's section names.

    Raises:
        InputError: if there is no such folder or index.
    """
    root = Path(section.root)
    return CogSource(root, read_index(Path(section.index) if section.index else root / NAME))


def _require_aef(tile: Any, entry: Entry) -> None:
    """Raise Hopeless unless a tile has AEF's bands, dtype, nodata and an upright grid."""
    wrong = ""
    if tile.count != BANDS:
        wrong = f"{tile.count} bands, not {BANDS}"
    elif set(tile.dtypes) != {"int8"}:
        wrong = f"{tile.dtypes[0]} values, not int8"
    elif tile.nodata not in (None, NODATA):
        wrong = f"nodata {tile.nodata}, not {NODATA}"
    elif tile.crs is None or tile.transform.b or tile.transform.d or tile.transform.a <= 0:
        wrong = "no upright georeferencing"
    if wrong:
        raise Hopeless(f"the tile {entry.path} has {wrong}")


def _locate(
    tile: Any, x: Float64, y: Float64
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Rows and columns of the tile's pixels that hold places, and which places it holds."""
    with np.errstate(invalid="ignore"):
        across = np.floor((x - tile.bounds.left) / tile.transform.a)
        # Counted from the south in both orientations, so a place on an edge has one answer.
        south = min(tile.transform.f, tile.transform.f + tile.transform.e * tile.height)
        up = np.floor((y - south) / abs(tile.transform.e))
        inside = (across >= 0) & (across < tile.width) & (up >= 0) & (up < tile.height)
    columns = np.where(inside, across, 0).astype(np.intp)
    from_south = np.where(inside, up, 0).astype(np.intp)
    rows = from_south if tile.transform.e > 0 else tile.height - 1 - from_south
    return rows, columns, inside


def _fill(
    codes: npt.NDArray[np.int8],
    tile: Any,
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    wanted: npt.NDArray[np.bool_],
) -> list[tuple[int, int]]:
    """Put the tile's values into the wanted pixels of codes (64, H, W).

    Gives row and column of the internal tiles that were read.
    """
    target_rows, target_columns = np.nonzero(wanted)
    rows, columns = rows[wanted], columns[wanted]
    across = tile.width // _WINDOW + 1
    windows = rows // _WINDOW * across + columns // _WINDOW
    found = np.unique(windows)
    for window in found:
        these = windows == window
        row, column = rows[these], columns[these]
        top, left = int(row.min()), int(column.min())
        part = Window(left, top, int(column.max()) - left + 1, int(row.max()) - top + 1)
        values = tile.read(window=part)
        codes[:, target_rows[these], target_columns[these]] = values[:, row - top, column - left]
    return [(int(window) // across, int(window) % across) for window in found]
