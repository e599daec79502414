"""A patch as one picture: its 64 bands as an 8 x 8 grid of tiles in one 8-bit grey PNG.

Band ``8 * i + j`` is the tile in row i, column j. Everything that reads PNG reads it, and it
takes about 1/2.5 of the bytes: the filters of PNG are a prediction from neighbouring pixels,
which is what embeddings of neighbouring places need.
"""

from __future__ import annotations

import io
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image

from hfaef.core.quantize import BANDS, MAX_SIDE

TILES = 8
"""Tiles in a row and in a column of a sheet."""


def encode(stored: npt.NDArray[np.uint8]) -> bytes:
    """PNG sheet of a patch: stored values, uint8 (64, H, W)."""
    bands, height, width = stored.shape
    if stored.dtype != np.uint8 or bands != BANDS:
        raise ValueError(f"a sheet takes uint8 (64, H, W), not {stored.dtype} {stored.shape}")
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise ValueError(f"a sheet takes 1 to {MAX_SIDE} pixels a side, not {height} x {width}")
    tiles = stored.reshape(TILES, TILES, height, width).swapaxes(1, 2)
    image = Image.fromarray(tiles.reshape(TILES * height, TILES * width))
    buffer = io.BytesIO()
    # After PNG's filters the bytes hold no repeats worth a search: Huffman alone is the best.
    image.save(buffer, "PNG", compress_type=zlib.Z_HUFFMAN_ONLY)
    return buffer.getvalue()


def decode(png: bytes) -> npt.NDArray[np.uint8]:
    """Stored values, uint8 (64, H, W), of a PNG sheet.

    Raises:
        ValueError: if the bytes are not a sheet.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            width, height = image.size
            if image.mode != "L" or width % TILES or height % TILES:
                raise ValueError(f"not a sheet: a {image.mode} picture of {width} x {height}")
            if max(width, height) > TILES * MAX_SIDE:
                raise ValueError(f"not a sheet: {width} x {height} is over the limit")
            return split(np.asarray(image))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a sheet: {error}") from error


def split(sheet: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Stored values, uint8 (64, H, W), of a sheet's grey values (8 H, 8 W)."""
    height, width = sheet.shape[0] // TILES, sheet.shape[1] // TILES
    tiles = sheet.reshape(TILES, height, TILES, width).swapaxes(1, 2)
    return np.ascontiguousarray(tiles.reshape(BANDS, height, width))
