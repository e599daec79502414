"""A patch as one picture: its 64 bands as an 8 x 8 grid of tiles in one 8-bit grey PNG.

Band ``8 * i + j`` is the tile in row i, column j. Everything that reads PNG reads it, and it
takes about 1/2.5 of the bytes: the filters of PNG are a prediction from neighbouring pixels,
which is what embeddings of neighbouring places need.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image

from hfaef.core.quantize import BANDS, MAX_SIDE

TILES = 8
"""Tiles in a row and in a column of a sheet."""

_HEAD = struct.Struct(">8s4x4sII")
"""What a PNG begins with: https://www.w3.org/TR/png-3/#11IHDR."""
HEAD = _HEAD.size
"""Bytes at the begin of a sheet that tell its shape."""


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


def shape(head: bytes) -> tuple[int, int]:
    """Height and width of the patch whose sheet begins with these bytes, `HEAD` of them.

    Raises:
        ValueError: if no sheet begins so.
    """
    if len(head) < HEAD:
        raise ValueError(f"not a sheet: {len(head)} bytes")
    signature, kind, width, height = _HEAD.unpack(head[:HEAD])
    if signature != b"\x89PNG\r\n\x1a\n" or kind != b"IHDR":
        raise ValueError("not a sheet: no PNG")
    _require_tiles(width, height)
    return height // TILES, width // TILES


def _require_tiles(width: int, height: int) -> None:
    """Raise ValueError if tiles of a patch do not make a picture of this size."""
    if not (width and height) or width % TILES or height % TILES:
        raise ValueError(f"not a sheet: a picture of {width} x {height}")
    if max(width, height) > TILES * MAX_SIDE:
        raise ValueError(f"not a sheet: {width} x {height} is over the limit")


def decode(png: bytes, out: npt.NDArray[np.uint8] | None = None) -> npt.NDArray[np.uint8]:
    """Stored values, uint8 (64, H, W), of a PNG sheet.

    Args:
        png: the bytes.
        out: an array of that shape, of any strides, to write them into; a new one by default.

    Raises:
        ValueError: if the bytes are not a sheet, or not one of a patch of the shape of `out`.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            width, height = image.size
            if image.mode != "L":
                raise ValueError(f"not a sheet: a {image.mode} picture of {width} x {height}")
            _require_tiles(width, height)
            return split(np.asarray(image), out)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a sheet: {error}") from error


def split(
    sheet: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """Stored values, uint8 (64, H, W), of a sheet's grey values (8 H, 8 W); `out` as of `decode`."""
    height, width = sheet.shape[0] // TILES, sheet.shape[1] // TILES
    tiles = sheet.reshape(TILES, height, TILES, width).swapaxes(1, 2)
    if out is None:
        out = np.empty((BANDS, height, width), np.uint8)
    if out.shape != (BANDS, height, width):
        raise ValueError(f"a sheet of {height} x {width} pixels for an array {out.shape}")
    out.reshape((TILES, TILES, *out.shape[1:]), copy=False)[:] = tiles
    return out
