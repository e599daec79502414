"""Files in the layout of the published tiles, of which only some blocks are written.

BigTIFF, int8, zstd, planar separate, 1024 x 1024 internal tiles, all directories before all data,
overviews down to 1 x 1: https://source.coop/tge-labs/aef. Written byte by byte, as GDAL takes twice
as long for a tile that is nearly empty.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfaef.core.aef import BLOCK
from hfaef.core.grid import Affine
from hfaef.core.quantize import BANDS, NODATA
from hfaef.core.workers import core_count

CELL = 64
"""Pixels a side of the pieces that a level is given in, as most of it is empty."""

Cells = Mapping[tuple[int, int], npt.NDArray[np.int8]]
"""Pieces of a level by row and column, int8 (64, `CELL`, `CELL`); the rest is nodata."""

Order = Literal["bands", "blocks"]
"""What follows a chunk in the file: the next block of its band, or the next band of its block."""

_SHORT, _LONG, _DOUBLE, _LONG8, _ASCII = 3, 4, 12, 16, 2
_FORMATS = {_SHORT: "H", _LONG: "I", _DOUBLE: "d", _LONG8: "Q", _ASCII: "B"}

Chunk = tuple[int, int, int]
"""Band, block row and block column."""


def write_tiff(
    path: Path, levels: Iterable[Cells], *, epsg: int, transform: Affine, side: int, order: Order
) -> None:
    """Write a tile.

    Args:
        path: of the file; its folder is there.
        levels: the full image, then its overviews, each of half the size; may be fewer than
            there are, the rest is nodata.
        epsg: of the CRS.
        transform: from (column, row) to metres, in the order of the file's rows.
        side: pixels a side of the full image.
        order: of the chunks.
    """
    packed = [_compressed(cells) for cells in levels]
    write_chunks(path, packed, epsg=epsg, transform=transform, side=side, order=order)


def write_chunks(
    path: Path,
    levels: list[dict[Chunk, bytes]],
    *,
    epsg: int,
    transform: Affine,
    side: int,
    order: Order,
) -> None:
    """As `write_tiff`, of chunks that are compressed already."""
    sides = [side]
    while sides[-1] > 1:
        sides.append(-(-sides[-1] // 2))
    across = [-(-width // BLOCK) for width in sides]
    chunks = levels + [{}] * (len(sides) - len(levels))
    starts = [np.zeros(BANDS * count**2, np.uint64) for count in across]
    counts = [np.zeros(BANDS * count**2, np.uint32) for count in across]
    # The smallest overview comes first, as in every COG.
    place = len(_head(sides, starts, counts, epsg, transform))
    for level in reversed(range(len(sides))):
        for band, row, column in _in_order(chunks[level], order):
            number = (band * across[level] + row) * across[level] + column
            counts[level][number] = len(chunks[level][band, row, column])
            starts[level][number] = place
            place += int(counts[level][number])
    with path.open("wb") as file:
        file.write(_head(sides, starts, counts, epsg, transform))
        for level in reversed(range(len(sides))):
            for chunk in _in_order(chunks[level], order):
                file.write(chunks[level][chunk])


def _in_order(chunks: Iterable[Chunk], order: Order) -> list[Chunk]:
    if order == "bands":
        return sorted(chunks)
    return sorted(chunks, key=lambda chunk: (chunk[1], chunk[2], chunk[0]))


def _compressed(cells: Cells) -> dict[Chunk, bytes]:
    per_block = BLOCK // CELL
    blocks: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for row, column in cells:
        blocks[row // per_block, column // per_block].append((row, column))

    def compress(chunk: Chunk) -> bytes:
        band, *block = chunk
        pixels = np.full((BLOCK, BLOCK), NODATA, np.int8)
        for place in blocks[block[0], block[1]]:
            top, left = (CELL * (number % per_block) for number in place)
            pixels[top : top + CELL, left : left + CELL] = cells[place][band]
        return bytes(pa.Codec("zstd", compression_level=3).compress(pixels, asbytes=True))

    chunks = [(band, *block) for block in blocks for band in range(BANDS)]
    with ThreadPoolExecutor(core_count()) as pool:
        return dict(zip(chunks, pool.map(compress, chunks), strict=True))


def _head(
    sides: list[int],
    starts: list[npt.NDArray[np.uint64]],
    counts: list[npt.NDArray[np.uint32]],
    epsg: int,
    transform: Affine,
) -> bytes:
    """All directories, each followed by its values."""
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16)
    for level, side in enumerate(sides):
        tags = list(_tags(level, side, starts[level], counts[level], epsg, transform))
        values_at = len(head) + 8 + 20 * len(tags) + 8
        entries, values = b"", b""
        for tag, kind, content in tags:
            packed = struct.pack(f"<{len(content)}{_FORMATS[kind]}", *content)
            if len(packed) > 8:
                inline = struct.pack("<Q", values_at + len(values))
                values += packed + bytes(-len(packed) % 8)
            else:
                inline = packed.ljust(8, b"\0")
            entries += struct.pack("<HHQ", tag, kind, len(content)) + inline
        following = values_at + len(values) if level + 1 < len(sides) else 0
        head += struct.pack("<Q", len(tags)) + entries + struct.pack("<Q", following) + values
    return head


def _tags(
    level: int,
    side: int,
    starts: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.uint32],
    epsg: int,
    transform: Affine,
) -> Iterator[tuple[int, int, list[int] | list[float]]]:
    """Tags in the order of their numbers.

    https://gdal.org/en/stable/drivers/raster/gtiff.html
    """
    a, b, c, d, e, f = transform
    yield 254, _LONG, [1 if level else 0]
    yield 256, _LONG, [side]
    yield 257, _LONG, [side]
    yield 258, _SHORT, [8] * BANDS
    yield 259, _SHORT, [50000]
    yield 262, _SHORT, [1]
    yield 277, _SHORT, [BANDS]
    yield 284, _SHORT, [2]
    yield 322, _LONG, [BLOCK]
    yield 323, _LONG, [BLOCK]
    yield 324, _LONG8, starts.tolist()
    yield 325, _LONG, counts.tolist()
    yield 338, _SHORT, [0] * (BANDS - 1)
    yield 339, _SHORT, [2] * BANDS
    if not level:
        # The matrix of ModelTransformation, and GeoKeys: a projected CRS, places of corners.
        yield 34264, _DOUBLE, [a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
        yield 34735, _SHORT, [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, epsg]
    yield 42113, _ASCII, list(f"{NODATA}\0".encode())
