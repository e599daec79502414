"""Tiles in the format of the published ones, of which only some blocks are written.

BigTIFF, int8, zstd, one band after another, blocks of 1,024 x 1,024 pixels, sparse, with internal
overviews: https://source.coop/tge-labs/aef
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window

from hfaef.core.aef import BLOCK, LATTICE, MOST_HALVINGS, TILE, Tile
from hfaef.core.quantize import BANDS, NODATA

CELL = 64
"""Pixels a side of the pieces that a level is given in, as most of it is empty."""

Cells = Mapping[tuple[int, int], npt.NDArray[np.int8]]
"""Pieces of a level by row and column, int8 (64, `CELL`, `CELL`); the rest is nodata."""


def write_geotiff(path: Path, tile: Tile, levels: Iterable[Cells]) -> None:
    """Write a tile.

    Args:
        path: of the file; its folder is there.
        tile: says where it lies.
        levels: the full image, then its `MOST_HALVINGS` overviews, each of half the size.
    """
    path.write_bytes(_without_data())
    with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"):
        with rasterio.open(path, "r+") as file:
            file.crs, file.transform = tile.crs, rasterio.Affine(*tile.grid.transform)
        for number, cells in enumerate(levels):
            # GDAL writes to an overview as to any image, if it was opened by its number.
            level = {"overview_level": number - 1} if number else {}
            with rasterio.open(path, "r+", **level) as file:
                _write_blocks(file, cells)


@cache
def _without_data() -> bytes:
    """A tile of nodata; its overviews take seconds to make and are the same for all tiles."""
    options = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "band"}
    options |= {"compress": "zstd", "zstd_level": 3, "bigtiff": "yes", "sparse_ok": True}
    shape = {"width": TILE, "height": TILE, "count": BANDS, "dtype": "int8", "nodata": NODATA}
    place = {"crs": "EPSG:32601", "transform": rasterio.Affine(LATTICE, 0, 0, 0, LATTICE, 0)}
    with (
        rasterio.Env(SPARSE_OK_OVERVIEW=True, GDAL_TIFF_OVR_BLOCKSIZE=BLOCK),
        rasterio.MemoryFile() as memory,
    ):
        with memory.open(driver="GTiff", **shape, **place, **options) as file:
            file.build_overviews([2**n for n in range(1, MOST_HALVINGS + 1)], Resampling.nearest)
        return bytes(memory.read())


def _write_blocks(file: Any, cells: Cells) -> None:
    """Write the blocks of a level (an open dataset of rasterio) that hold any cell.

    Band after band, so that the chunks lie in the file as in the published ones.
    """
    side = min(BLOCK, file.width)
    blocks = [
        (block, list(inside)) for block, inside in groupby(sorted(cells, key=_block_of), _block_of)
    ]
    for band, ((row, column), inside) in product(range(BANDS), blocks):
        pixels = np.full((side, side), NODATA, np.int8)
        for place in inside:
            top, left = (CELL * number % BLOCK for number in place)
            pixels[top : top + CELL, left : left + CELL] = cells[place][band]
        file.write(pixels, band + 1, window=Window(column * BLOCK, row * BLOCK, side, side))


def _block_of(cell: tuple[int, int]) -> tuple[int, int]:
    return cell[0] * CELL // BLOCK, cell[1] * CELL // BLOCK
