"""The NPY file of a response, read in place: `numpy.load` would parse its header each time."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from hfaef.core.grid import Grid
from hfaef.core.quantize import BAND_NAMES, BANDS

_PREFIX = 12
"""Bytes of a header's magic, version and length, at most: https://numpy.org/neps/nep-0001-npy-format.html"""


_MOST_HEADER = 1 << 16
"""Bytes of a header; that of 1,024 bands has 20,000."""


def codes_of(
    body: bytes, grid: Grid, names: tuple[str, ...] = BAND_NAMES
) -> list[npt.NDArray[np.int8]]:
    """Codes of patches, int8 (64, H, W), of an NPY file of shape (H, W) with one int8 field a band.

    Args:
        body: the file.
        grid: that was asked for.
        names: of the fields, 64 for each patch.

    Raises:
        ValueError: if it is anything else, or not as long as it says.
    """
    start, shape, dtype = _layout(_header(body))
    if dtype != _codes(names) or shape != (grid.height, grid.width):
        raise ValueError(f"{shape} of {str(dtype)[:40]}, not the bands and grid asked for")
    if len(body) - start != grid.height * grid.width * len(names):
        raise ValueError(f"{len(body) - start:,} bytes of pixels, not as many as the grid has")
    flat = np.frombuffer(body, np.int8, offset=start).reshape(grid.height, grid.width, len(names))
    return [_bands_first(flat[:, :, at : at + BANDS]) for at in range(0, len(names), BANDS)]


def _bands_first(pixels: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Codes (64, H, W) of (H, W, 64), which is copied first if it is part of a larger array.

    To turn such a part round as it lies there takes eight times as long.
    """
    return np.ascontiguousarray(np.ascontiguousarray(pixels).transpose(2, 0, 1))


@lru_cache(maxsize=32)
def _codes(names: tuple[str, ...]) -> np.dtype[Any]:
    return np.dtype([(name, np.int8) for name in names])


def _header(body: bytes) -> bytes:
    """The bytes before the pixels."""
    wide = body[6:7] > b"\x01"
    length = int.from_bytes(body[8 : _PREFIX if wide else 10], "little")
    return body[: length + (_PREFIX if wide else 10)]


@lru_cache(maxsize=64)
def _layout(header: bytes) -> tuple[int, tuple[int, ...], np.dtype[Any]]:
    """Where the pixels start, their shape and type."""
    stream = io.BytesIO(header)
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream, max_header_size=_MOST_HEADER)
    if fortran:
        raise ValueError("columns first, not rows")
    return len(header), shape, dtype
