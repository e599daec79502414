"""Small pictures of embeddings: three principal components, one basis for a whole release.

The same colour means the same in every row, so pictures can be compared.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from hfaef.core.quantize import BANDS, SCALE, signed_squares, valid_mask

MAX_SIDE = 128
"""Pixels a side of the largest preview; larger patches are thinned out."""

_GREY = 128
"""Where there is no data."""

_STEPS = 512
"""The basis is rounded to this fraction, so that previews do not depend on the machine: projections
of vectors up to twice as long as AEF's are whole numbers below 2**24, exact in float32."""

_STRETCH = (2, 98)
"""Percentiles that become the darkest and the brightest value."""


@dataclass(frozen=True)
class PreviewBasis:
    """Three directions in the space of embeddings, and the range to show of each."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    """It stands in the manifest, which refuses what it does not know."""

    components: tuple[tuple[int, ...], ...]
    """3 x 64 whole numbers: unit vectors times 512."""
    low: tuple[float, ...]
    """Projection shown as 0, for each component."""
    high: tuple[float, ...]
    """Projection shown as 255."""


def fit_basis(squares: npt.NDArray[np.float64]) -> PreviewBasis:
    """Principal components of some pixels, and percentiles of their projections.

    Args:
        squares: `signed_squares` (64, pixels) of valid pixels.
    """
    count = squares.shape[1]
    total = squares.sum(axis=1)
    # Whole numbers, exact in any order of summation, up to this point.
    scatter = squares @ squares.T * count - np.outer(total, total)
    _, vectors = np.linalg.eigh(scatter / max(np.trace(scatter), 1.0))
    leading = vectors[:, ::-1][:, :3].T
    largest = np.take_along_axis(leading, np.abs(leading).argmax(axis=1)[:, None], axis=1)
    components = np.rint(leading * np.sign(largest) * _STEPS)
    projected = components @ squares / (_STEPS * SCALE**2)
    low, high = np.percentile(projected, _STRETCH, axis=1).round(4)
    return PreviewBasis(
        tuple(tuple(int(value) for value in row) for row in components),
        tuple(low.tolist()),
        tuple(np.maximum(high, low + 0.0001).tolist()),
    )


def render(
    codes: npt.NDArray[np.int8],
    basis: PreviewBasis,
    squares: npt.NDArray[np.int16] | None = None,
) -> bytes:
    """JPEG of codes (64, H, W).

    Args:
        codes: of a patch.
        basis: of its release.
        squares: the `signed_squares` of the codes, (64, H, W), where they are known already.
    """
    step = -(-max(codes.shape[1:]) // MAX_SIDE)
    codes = codes[:, ::step, ::step]
    shown = signed_squares(codes) if squares is None else squares[:, ::step, ::step]
    vectors = shown.reshape(BANDS, -1).astype(np.float32)
    projected = np.array(basis.components, np.float32) @ vectors / (_STEPS * SCALE**2)
    low, high = (np.array(edge, np.float32)[:, None] for edge in (basis.low, basis.high))
    colours = np.rint(np.clip((projected - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    picture = colours.reshape(3, *codes.shape[1:])
    valid = valid_mask(codes)
    if not valid.all():
        picture[:, ~valid] = _GREY
    buffer = io.BytesIO()
    image = Image.merge("RGB", [Image.fromarray(colour) for colour in picture])
    image.save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()
