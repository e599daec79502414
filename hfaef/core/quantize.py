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

NODATA = -128
"""Code of a pixel without data, in all bands at once."""

STORED_NODATA = 255
"""Stored form of `NODATA`."""

OFFSET = 127
"""What is added to a code to store it."""

SCALE = 127.5
"""Code of the float 1.0, before it is rounded and clamped to 127."""

Array = npt.NDArray[Any]


def _float_table() -> npt.NDArray[np.float32]:
    codes = np.arange(-128, 128)
    floats = (np.sign(codes) * (codes / SCALE) ** 2).astype(np.float32)
    floats[codes == NODATA] = np.nan
    return floats


_FLOAT_OF_CODE = _float_table()


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
    """Whether there is nodata; it is the least of all codes, which is found in no time."""
    return bool(codes.min(initial=NODATA + 1) == NODATA)


def signed_squares(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.int16]:
    """Integers ``sign(code) * code**2``, 0 where nodata: the floats times ``SCALE**2``.

    Sums of them are exact in any order, so whatever is made of such sums is the same on
    every machine.
    """
    wide = codes.astype(np.int16)
    if _lacks_some(codes):
        wide[codes == NODATA] = 0
    wide *= np.abs(wide)
    return wide


@dataclass(frozen=True)
class Pooled:
    """One vector for a patch, over its valid pixels, of dequantized values."""

    low: npt.NDArray[np.float32]
    """Minima, shape (64,), as are the others."""
    high: npt.NDArray[np.float32]
    """Maxima."""
    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]
    """Population standard deviations."""
    valid_fraction: float
    """Valid pixels by all pixels, 0 to 1."""

    @property
    def stats(self) -> npt.NDArray[np.float32]:
        """Shape (256,): minima, then maxima, means and standard deviations."""
        return np.concatenate([self.low, self.high, self.mean, self.std])


def pool(codes: npt.NDArray[np.int8], squares: npt.NDArray[np.int16] | None = None) -> Pooled:
    """Pooled vectors of codes (64, H, W).

    Args:
        codes: of a patch; a pixel is without data in all bands or in none.
        squares: their `signed_squares`, (64, H, W), where they are known already.

    Raises:
        ValueError: without one valid pixel.
    """
    valid = valid_mask(codes)
    count = np.count_nonzero(valid)
    if count == 0:
        raise ValueError("no valid pixel to pool over")
    flat = codes.reshape(BANDS, -1)
    # Pixels without data add nothing to sums of squares.
    summed = (signed_squares(codes) if squares is None else squares).reshape(BANDS, -1)
    summed = summed.astype(np.float64)
    # Whole numbers below 2**53: a product with ones is their exact sum, in half of sum's time.
    total = summed @ np.ones(valid.size)
    total_of_squares = np.vecdot(summed, summed)
    if count < valid.size:
        flat = flat[:, valid.ravel()]
    mean = total / count
    variance = np.maximum(total_of_squares * count - total**2, 0) / count**2
    low, high = (_FLOAT_OF_CODE[edge.astype(np.int16) + 128] for edge in (flat.min(1), flat.max(1)))
    return Pooled(
        low=low,
        high=high,
        mean=(mean / SCALE**2).astype(np.float32),
        std=(np.sqrt(variance) / SCALE**2).astype(np.float32),
        valid_fraction=count / valid.size,
    )
