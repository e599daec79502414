"""How the bytes of an embedding become an array again: a PNG sheet, or raw bands.

`png` takes less than half of the bytes, and everything reads it; `raw` is read ten times faster,
and needs the patch's height and width beside it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hfaef.core import sheet
from hfaef.core.quantize import BANDS

FORMAT = 1
"""Version of the rows' schema and of the meaning of their values."""


def encode_raw(stored: npt.NDArray[np.uint8]) -> bytes:
    """Bytes of stored values, uint8 (64, H, W): band after band, row after row."""
    if stored.dtype != np.uint8 or stored.ndim != 3 or stored.shape[0] != BANDS:
        raise ValueError(f"raw takes uint8 (64, H, W), not {stored.dtype} {stored.shape}")
    return stored.tobytes()


def decode_raw(content: bytes, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Stored values, uint8 (64, height, width), of raw bytes: where they lie, so only to be read.

    Raises:
        ValueError: if there are more or fewer bytes than pixels.
    """
    if len(content) != BANDS * height * width:
        raise ValueError(f"{len(content):,} bytes are not {BANDS} x {height} x {width} pixels")
    return np.frombuffer(content, np.uint8).reshape(BANDS, height, width)


def decode(
    value: bytes | dict[str, bytes], shape: tuple[int, int] | None = None
) -> npt.NDArray[np.uint8]:
    """Stored values, uint8 (64, H, W), of a cell of the column `embedding`; only to be read.

    Args:
        value: a sheet in the form of `datasets.Image`, or raw bytes.
        shape: height and width; raw bytes need it.

    Raises:
        ValueError: if the bytes are not what they should be.
    """
    if isinstance(value, dict):
        return sheet.decode(value["bytes"])
    if shape is None:
        raise ValueError("raw bytes need the columns height and width beside them")
    return decode_raw(value, *shape)
