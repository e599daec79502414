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
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from hfaef.core.aef import BLOCK, LATTICE
from hfaef.core.grid import Affine
from hfaef.core.net.text import clean_text
from hfaef.core.quantize import BANDS, NODATA
from hfaef.core.workers import core_count
from hfaef.errors import PermanentError
from hfaef.sources.cog.index import Entry
from hfaef.sources.cog.tile_store import Codes, Indices, Mask, PatchKey, Traffic
from hfaef.sources.cog.tiling import block_bytes

_CACHE_MEGABYTES = 128
"""GDAL's own cache of internal tiles; its default is a share of the machine's memory."""


class LocalTileStore:
    """Tiles in a folder. Opens a tile for each read, so threads share nothing."""

    def __init__(self, root: Path) -> None:
        # Decoding is what takes time and memory; more reads than this do not make it faster.
        self.max_requests = 2 * core_count()
        self._root = root
        self._lock = threading.Lock()
        self._seen: set[tuple[str, int, int, int]] = set()
        """Blocks that were read before: the system keeps them in memory."""
        self._traffic: defaultdict[PatchKey, Traffic] = defaultdict(Traffic)

    def prefetch(self, patch: PatchKey, entries: Sequence[Entry]) -> None:
        """Nothing: the system's own cache is shared."""

    @contextmanager
    def open(self, entry: Entry, overview: int) -> Iterator[LocalTile]:
        """The tile, which is checked to be AEF's."""
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
                crs, transform = tile.crs.to_wkt(), tuple(tile.transform)[:6]
                yield LocalTile(self, entry.path, tile, crs, transform, tile.width, tile.height)
        except RasterioError as error:
            raise PermanentError(
                f"cannot read the tile {entry.path}: {clean_text(error)}"
            ) from error

    def finish(self, patch: PatchKey) -> Traffic:
        """What was read for a patch, of blocks that no other had brought."""
        with self._lock:
            return self._traffic.pop(patch, Traffic())

    def count(self, tile: LocalTile, patch: PatchKey, row: int, column: int) -> None:
        """Count a block of a tile for a patch, if it is read for the first time."""
        block = (tile.path, tile.width, row, column)
        with self._lock:
            if block in self._seen:
                return
            self._seen.add(block)
        size = block_bytes(tile.dataset, column, row)
        with self._lock:
            self._traffic[patch] += Traffic(BANDS if size else 0, size)

    def drop_cache(self) -> None:
        """Nothing: each read opens the tile anew."""

    def close(self) -> None:
        """Nothing is kept open."""


@dataclass(frozen=True)
class LocalTile:
    """A tile that rasterio opened."""

    store: LocalTileStore
    path: str
    dataset: Any
    """Of rasterio."""
    crs: str
    transform: Affine
    width: int
    height: int
    version: str = ""

    def sample(self, patch: PatchKey, rows: Indices, columns: Indices, wanted: Mask) -> Codes:
        """Read block by block, so 64 MiB bound the memory of a read."""
        rows, columns = (np.broadcast_to(each, wanted.shape)[wanted] for each in (rows, columns))
        codes = np.empty((BANDS, rows.size), np.int8)
        across = self.width // BLOCK + 1
        blocks = rows // BLOCK * across + columns // BLOCK
        for block in np.unique(blocks):
            these = blocks == block
            row, column = rows[these], columns[these]
            top, left = int(row.min()), int(column.min())
            part = Window(left, top, int(column.max()) - left + 1, int(row.max()) - top + 1)
            values = self.dataset.read(window=part)
            codes[:, these] = values[:, row - top, column - left]
            self.store.count(self, patch, *divmod(int(block), across))
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
                wrong = f"no overview of {round(LATTICE * 2**overview)} m"
    if wrong:
        raise PermanentError(f"the tile {entry.path} has {wrong}")
