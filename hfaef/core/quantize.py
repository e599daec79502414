"""AEF codes and what they stand for: three forms of one pixel, and means over many.

| form   | dtype   | nodata | what it is                                              |
| ------ | ------- | ------ | ------------------------------------------------------- |
| floats | float32 | NaN    | the embedding; unit length over the 64 bands            |
| codes  | int8    | -128   | what AEF stores: ``round(sign(x) sqrt(abs(x)) 127.5)``  |
| stored | uint8   | 255    | what a release stores: ``code + 127``                   |

The formula is the one of AEF's own COGs
(https://developers.google.com/earth-engine/guides/aef_on_gcs_readme).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BANDS = 64
"""Bands of an embedding, ``A00`` to ``A63``."""

BAND_NAMES = tuple(f"A{band:02d}" for band in range(BANDS))

MAX_SIDE = 4096
"""Pixels a side of the largest patch; bounds the memory that a sheet from elsewhere may claim."""

NODATA = -128
"""Code of a pixel without data, in all bands at once."""

STORED_NODATA = 255
"""Stored form of `NODATA`."""

OFFSET = 127
"""What is added to a code to store it."""

SCALE = 127.5
"""Code of the float 1.0, before it is rounded and clamped to 127."""

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

_CODES = np.arange(-128, 128)
_FLOAT_OF_CODE = (_CODES * np.abs(_CODES) / SCALE**2).astype(np.float32)
_FLOAT_OF_CODE[0] = np.nan

_AT_ONCE = 1024
"""Pixels whose lengths are summed at once: more do not fit into a core's caches."""


def quantize(floats: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Codes of floats, int8 of the same shape; NaN becomes `NODATA`.

    Exact on what AEF serves: its floats are dequantized codes already.
    """
    x = np.asarray(floats, dtype=np.float64)
    codes = np.clip(np.rint(np.sign(x) * np.sqrt(np.abs(x)) * SCALE), -127, 127)
    return np.where(np.isnan(x), NODATA, codes).astype(np.int8)


def dequantize(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Floats of a release's stored values (uint8) or of codes (int8), NaN where nodata.

    Raises:
        TypeError: for any other dtype, as its meaning would be a guess.
    """
    array = np.asarray(values)
    if array.dtype == np.uint8:
        array = from_stored(array)
    if array.dtype != np.int8:
        raise TypeError(f"dequantize takes uint8 (stored) or int8 (codes), not {array.dtype}")
    return _FLOAT_OF_CODE[array.astype(np.int16) + 128]


def to_stored(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Stored form (uint8, 0..254, 255 for nodata) of codes (int8) of any shape."""
    # -128 + 127 = -1, which wraps to 255: the nodata value needs no case of its own.
    return codes.view(np.uint8) + np.uint8(OFFSET)


def from_stored(stored: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """Codes (int8) of the stored form (uint8) of any shape."""
    return (stored - np.uint8(OFFSET)).view(np.int8)


def valid_mask(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Boolean (H, W), True where codes (64, H, W) hold data in every band."""
    if not _lacks_some(codes):
        return np.ones(codes.shape[1:], bool)
    return np.asarray((codes != NODATA).all(axis=0))


def _lacks_some(codes: npt.NDArray[np.int8]) -> bool:
    """Whether any code is nodata: it is the least of all, and a minimum is found fast."""
    return bool(codes.min(initial=NODATA + 1) == NODATA)


def signed_squares(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.int16]:
    """Integers ``sign(code) * code**2``, 0 where nodata: the floats times ``SCALE**2``.

    Sums of them are exact in any order, so what is made of such sums is the same on every machine.
    """
    wide = codes.astype(np.int16)
    if _lacks_some(codes):
        wide[codes == NODATA] = 0
    wide *= np.abs(wide)
    return wide


def squared_lengths(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """Squared lengths, float32 (H, W), of the floats of codes (64, H, W); nodata counts as -128."""
    flat = codes.reshape(BANDS, -1)
    lengths = np.empty(flat.shape[1], np.float32)
    for start in range(0, lengths.size, _AT_ONCE):
        part = flat[:, start : start + _AT_ONCE].astype(np.float32)
        part *= part
        np.einsum("bp,bp->p", part, part, out=lengths[start : start + _AT_ONCE])
    lengths /= np.float32(SCALE**4)
    return lengths.reshape(codes.shape[1:])


@dataclass(frozen=True)
class Pooled:
    """Vectors of a patch: statistics of each band's dequantized values over the valid pixels."""

    low: npt.NDArray[np.float32]
    """Minima, shape (64,), as are the others."""
    high: npt.NDArray[np.float32]
    """Maxima."""
    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]
    """Population standard deviations."""
    valid_fraction: float
    """Valid pixels by all pixels, 0 to 1."""


def pool(codes: npt.NDArray[np.int8], squares: npt.NDArray[np.int16] | None = None) -> Pooled:
    """Pooled vectors of codes (64, H, W).

    Args:
        codes: of a patch; a pixel is without data in all bands or in none.
        squares: their `signed_squares`, (64, H, W), where they are known already.

    Raises:
        ValueError: without one valid pixel.
    """
    valid = require_valid(codes)
    count = int(np.count_nonzero(valid))
    flat = codes.reshape(BANDS, -1)
    # Pixels without data add nothing to sums of squares.
    summed = (signed_squares(codes) if squares is None else squares).reshape(BANDS, -1)
    summed = summed.astype(np.float64)
    # A product with ones is their exact sum, in half of sum's time.
    mean, std = mean_and_std(summed @ np.ones(valid.size), np.vecdot(summed, summed), count)
    if count < valid.size:
        flat = flat[:, valid.ravel()]
    low, high = (_FLOAT_OF_CODE[edge.astype(np.int16) + 128] for edge in (flat.min(1), flat.max(1)))
    return Pooled(
        low=low,
        high=high,
        mean=mean.astype(np.float32),
        std=std.astype(np.float32),
        valid_fraction=count / valid.size,
    )


def require_valid(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """The `valid_mask` of codes (64, H, W).

    Raises:
        ValueError: without one valid pixel.
    """
    valid = valid_mask(codes)
    if not valid.any():
        raise ValueError("no valid pixel to pool over")
    return valid


def mean_and_std(
    total: Float64, squares: Float64, count: Float64 | int, scale: float = SCALE**2
) -> tuple[Float64, Float64]:
    """Means and population standard deviations of whole numbers, divided by `scale`.

    Args:
        total: their sums, below 2**53 and so exact.
        squares: sums of their squares, the same.
        count: how many they are.
        scale: the whole number that stands for 1.0; by default that of `signed_squares`.
    """
    variance = np.maximum(squares * count - total**2, 0) / count**2
    return total / count / scale, np.sqrt(variance) / scale
