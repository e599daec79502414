"""A patch's embedding as bytes in a row: a PNG sheet, or raw bands.

`png` takes half of the bytes that `raw` takes, and everything reads it; `raw` is read many times
faster, and needs the patch's height and width beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.core import sheet
from hfaef.core.quantize import BANDS, from_stored, pool

FORMAT = 1
"""Version of the rows' schema and of the meaning of their values."""


def encode_raw(stored: npt.NDArray[np.uint8]) -> bytes:
    """Bytes of stored values, uint8 (64, H, W): band after band, row after row."""
    if stored.dtype != np.uint8 or stored.ndim != 3 or stored.shape[0] != BANDS:
        raise ValueError(f"raw takes uint8 (64, H, W), not {stored.dtype} {stored.shape}")
    return stored.tobytes()


def decode_row(row: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """Stored values, uint8 (64, H, W), of a row; may be read-only.

    Args:
        row: `embedding` is a sheet as `datasets.Image` holds it, or raw bytes, which need `height`
            and `width` beside them.

    Raises:
        ValueError: if the bytes are not what they should be.
    """
    value = row["embedding"]
    if isinstance(value, dict):
        return sheet.decode(value["bytes"])
    if "height" not in row or "width" not in row:
        raise ValueError("raw bytes need the columns height and width beside them")
    shape = (BANDS, row["height"], row["width"])
    if len(value) != math.prod(shape):
        raise ValueError(f"{len(value):,} bytes are not {' x '.join(map(str, shape))} pixels")
    return np.frombuffer(value, np.uint8).reshape(shape)


def embedding_problem(row: Mapping[str, Any]) -> str:
    """What is wrong with a row's embedding, in words; empty if nothing is.

    Args:
        row: as of `decode_row`, with its `valid_fraction`.
    """
    try:
        pooled = pool(from_stored(decode_row(row)))
    except ValueError as error:
        return f"cannot be decoded: {error}"
    if abs(pooled.valid_fraction - row["valid_fraction"]) > 1e-6:
        return "has another valid_fraction than its pixels"
    return ""
