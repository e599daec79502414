"""Tiles in a folder, read by rasterio: any GeoTIFF with AEF's bands, however it is laid out."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from hfaef.core.grid import Affine, Grid
from hfaef.core.quantize import BANDS, NODATA
from hfaef.core.workers import core_count
from hfaef.errors import PermanentError
from hfaef.sources.cog.index import Entry
from hfaef.sources.cog.tile_store import Cost
from hfaef.sources.cog.tiling import block_bytes

_WINDOW = 1024
"""Pixels a side that are read at once: an internal tile, so 64 MiB bound what a read takes."""

_CACHE_MEGABYTES = 128
"""GDAL's own cache of internal tiles; its default is a share of the machine's memory."""


class FolderTiles:
    """Tiles in a folder. Opens a tile for each read, so threads share nothing."""

    def __init__(self, root: Path) -> None:
        # Decoding is what takes time and memory; more reads than this do not make it faster.
        self.max_requests = 2 * core_count()
        self._root = root
        self._lock = threading.Lock()
        self._seen: set[tuple[str, int, int, int]] = set()
        """Internal tiles that were read before: the system keeps them in memory."""
        self._costs: defaultdict[tuple[Grid, int], Cost] = defaultdict(Cost)

    def expect(self, grid: Grid, year: int, entries: Sequence[Entry]) -> None:
        """As of `Tiles`; nothing is shared here."""

    @contextmanager
    def open(self, entry: Entry, overview: int) -> Iterator[FolderTile]:
        """As of `Tiles`.

        Raises:
            PermanentError: if the tile is not there, or is not AEF's.
        """
        path = self._root / entry.path
        if not path.is_file():
            raise PermanentError(f"the tile {entry.path}, which the index names, is not there")
        try:
            # GTiff only: other drivers, chosen by content, may follow names to other files.
            with (
                rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES, GDAL_DISABLE_READDIR_ON_OPEN=True),
                rasterio.open(path, driver="GTiff", **_level(overview)) as tile,
            ):
                _require_aef(tile, entry, path, overview)
                transform = tuple(tile.transform)[:6]
                yield FolderTile(
                    self,
                    entry.path,
                    tile,
                    tile.crs.to_wkt(),
                    transform,
                    tile.width,
                    tile.height,
                )
        except RasterioError as error:
            raise PermanentError(f"cannot read the tile {entry.path}: {error}") from error

    def finish(self, grid: Grid, year: int) -> Cost:
        """As of `Tiles`."""
        with self._lock:
            return self._costs.pop((grid, year), Cost())

    def count(self, tile: FolderTile, grid: Grid, year: int, row: int, column: int) -> None:
        """Take note of an internal tile that was read, if it is the first time."""
        block = (tile.path, tile.width, row, column)
        with self._lock:
            if block in self._seen:
                return
            self._seen.add(block)
        size = block_bytes(tile.dataset, column, row)
        with self._lock:
            more = Cost(BANDS if size else 0, size)
            self._costs[grid, year] = self._costs[grid, year].plus(more)

    def close(self) -> None:
        """Nothing is kept open."""


@dataclass(frozen=True)
class FolderTile:
    """As `lookup.Tile`."""

    tiles: FolderTiles
    path: str
    dataset: Any
    """Of rasterio."""
    crs: str
    transform: Affine
    width: int
    height: int
    version: str = ""

    def look_up(
        self,
        grid: Grid,
        year: int,
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
        wanted: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.int8]:
        """As of `lookup.Tile`."""
        rows, columns = (np.broadcast_to(each, wanted.shape)[wanted] for each in (rows, columns))
        codes = np.empty((BANDS, rows.size), np.int8)
        across = self.width // _WINDOW + 1
        windows = rows // _WINDOW * across + columns // _WINDOW
        for window in np.unique(windows):
            these = windows == window
            row, column = rows[these], columns[these]
            top, left = int(row.min()), int(column.min())
            part = Window(left, top, int(column.max()) - left + 1, int(row.max()) - top + 1)
            values = self.dataset.read(window=part)
            codes[:, these] = values[:, row - top, column - left]
            self.tiles.count(self, grid, year, *divmod(int(window), across))
        return codes


def _level(overview: int) -> dict[str, int]:
    return {"overview_level": overview - 1} if overview else {}


def _require_aef(tile: Any, entry: Entry, path: Path, overview: int) -> None:
    """Raise PermanentError unless a tile has AEF's bands, dtype, nodata and an upright grid."""
    wrong = ""
    if tile.count != BANDS:
        wrong = f"{tile.count} bands, not {BANDS}"
    elif set(tile.dtypes) != {"int8"}:
        wrong = f"{tile.dtypes[0]} values, not int8"
    elif tile.nodata not in (None, NODATA):
        wrong = f"nodata {tile.nodata}, not {NODATA}"
    elif tile.crs is None or tile.transform.b or tile.transform.d or tile.transform.a <= 0:
        wrong = "no upright georeferencing"
    elif overview:
        with rasterio.open(path, driver="GTiff") as whole:
            if tile.width != -(-whole.width // 2**overview):
                wrong = f"no overview of {10 * 2**overview} m"
    if wrong:
        raise PermanentError(f"the tile {entry.path} has {wrong}")
