"""Codes of unit vectors, as a source gives no others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hfaef.core.quantize import dequantize, quantize


def as_units(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Codes of the same directions, int8 (64, H, W), row by row as floats take room."""
    made = np.empty_like(codes)
    for row in range(codes.shape[1]):
        vectors = dequantize(codes[:, row])
        made[:, row] = quantize(vectors / np.linalg.norm(vectors, axis=0))
    return made
