"""Ways to make one vector of a patch, each over its valid pixels.

A stored value (uint8) is one of 255, so most statistics need only how often each occurs in a band: their
sums are whole numbers, the same on every machine. The two that need to know which pixel is which
(`center_weighted`, `covariance`) are summed in float64.

What takes long is done a patch at a time (`patch_stats`), the rest for many at once (`pool_stats`).

The poolings, their order of values and their constants are those of Corley et al. 2026, "From
Pixels to Patches: Pooling Strategies for Earth Embeddings" (https://arxiv.org/abs/2603.02080).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from hfaef.core.quantize import (
    BANDS,
    SCALE,
    STORED_NODATA,
    Float64,
    from_stored,
    mean_and_std,
    require_valid,
    signed_squares,
)

On = Literal["values", "codes"]
"""What is pooled: dequantized values, or the stored values (uint8, 0 to 254) as they are. The study
calls those codes, and so do ``--on codes`` and the protocol of its scores."""

ON: tuple[On, ...] = get_args(On)

GENERALIZED_MEAN_P = 3
"""The exponent p, at the value that its authors begin with (https://arxiv.org/abs/1711.02512) and
that the study keeps. It is no setting: `gem` takes cube roots of exact sums of cubes."""

PERCENTILES = (10, 25, 50, 75, 90)
SIGMA = 0.25
"""Of the centre's Gaussian weight, in shorter sides of the patch."""

BLOCK = 4096
"""Pixels that are multiplied with each other at a time."""

_LEVELS = 256
_LOW_BITS = 24

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

_FIRST, _SECOND = np.triu_indices(BANDS)
_UPPER = _FIRST * BANDS + _SECOND


def _whole_numbers(on: On) -> Int64:
    """Shape (256,): the value of each stored value times `_SCALE`; 0 for nodata."""
    stored = np.arange(_LEVELS, dtype=np.uint8)
    if on == "codes":
        return np.where(stored == STORED_NODATA, 0, stored).astype(np.int64)
    return signed_squares(from_stored(stored)).astype(np.int64)


def _powers(whole: Int64) -> Float64:
    """Shape (256, 4): first and second power, and the third in two parts.

    Counted over up to 4096**2 pixels, each column has whole sums below 2**53: exact in float64.
    """
    cubes = whole**GENERALIZED_MEAN_P
    low = cubes & ((1 << _LOW_BITS) - 1)
    return np.stack([whole, whole**2, cubes >> _LOW_BITS, low], axis=1).astype(np.float64)


_WHOLE = {on: _whole_numbers(on) for on in ON}
_POWERS = {on: _powers(whole) for on, whole in _WHOLE.items()}
_SCALE: dict[On, float] = {"values": SCALE**2, "codes": 1.0}
"""The whole number that stands for 1.0."""


@dataclass(frozen=True)
class PatchStats:
    """Statistics of the valid pixels of n patches, from which all poolings follow.

    Sums are of whole numbers: values times `_SCALE`.
    """

    on: On
    pixels: Float64
    """Shape (n, 1): numbers of valid pixels."""
    ordered: UInt8
    """Shape (n, 12, 64): stored values of the `_ranks` of a band."""
    powers: Float64
    """Shape (n, 64, 4): exact sums of `_powers`."""
    products: Float64
    """Shape (n, 2080): exact sums of products of two bands, the upper triangle row by row; empty if
    not asked for."""
    centre: Float64
    """Shape (n, 64): means by Gaussian weight; empty if not asked for."""

    @property
    def sums(self) -> Float64:
        """Shape (n, 64): exact sums."""
        return self.powers[..., 0]

    @cached_property
    def mean_and_std(self) -> tuple[Float64, Float64]:
        """Shape (n, 64) each: means and population standard deviations."""
        return mean_and_std(self.sums, self.powers[..., 1], self.pixels, _SCALE[self.on])

    @property
    def mean(self) -> Float64:
        """Shape (n, 64)."""
        return self.mean_and_std[0]

    @property
    def std(self) -> Float64:
        """Shape (n, 64): population standard deviations."""
        return self.mean_and_std[1]

    @cached_property
    def ranked(self) -> Float64:
        """Shape (n, 12, 64): `ordered` as values."""
        return np.asarray(_WHOLE[self.on][self.ordered] / _SCALE[self.on])

    @property
    def low(self) -> Float64:
        """Shape (n, 64): minima."""
        return self.ranked[:, 0]

    @property
    def high(self) -> Float64:
        """Shape (n, 64): maxima."""
        return self.ranked[:, -1]

    @cached_property
    def percentiles(self) -> Float64:
        """Shape (n, 5, 64): of `PERCENTILES`, between order statistics as `numpy.percentile`."""
        ranks = _percentile_ranks(self.pixels)
        part = (ranks - np.floor(ranks))[..., None]
        first, second = np.split(self.ranked[:, 1:-1], 2, axis=1)
        gap = second - first
        return np.asarray(np.where(part < 0.5, first + gap * part, second - gap * (1 - part)))


def _percentile_ranks(pixels: Float64) -> Float64:
    """Shape (..., 5): ranks of `PERCENTILES` among pixels (..., 1), 0 for the smallest."""
    return np.array(PERCENTILES) / 100 * (pixels - 1)


@lru_cache(maxsize=64)
def _ranks(pixels: int) -> Int64:
    """Shape (12,): the smallest, those below and above each of `PERCENTILES`, the largest."""
    below = np.floor(_percentile_ranks(np.array([pixels], np.float64))).astype(np.int64)
    above = np.minimum(below + 1, pixels - 1)
    return np.concatenate([[0], below, above, [pixels - 1]])


def patch_stats(stored: UInt8, on: On = "values", *, paired: bool = True) -> PatchStats:
    """Statistics of one patch.

    Args:
        stored: stored values, uint8 (64, H, W), 255 where there is no data.
        on: what is pooled.
        paired: whether any of `PAIRED` is wanted, which take longest.

    Raises:
        ValueError: without one valid pixel.
    """
    flat = stored.reshape(BANDS, -1)
    weights = gaussian(*stored.shape[1:]).ravel()
    ordered = _sort(flat)
    if (ordered[:, -1] == STORED_NODATA).any():
        valid = require_valid(from_stored(stored)).ravel()
        flat, weights = flat[:, valid], weights[valid]
        ordered = _sort(flat)
    products, centre = np.empty(0), np.empty(0)
    if paired:
        products, centre = _pair(flat, weights, on)
    pixels = flat.shape[1]
    return PatchStats(
        on=on,
        pixels=np.array([[pixels]], np.float64),
        ordered=ordered[:, _ranks(pixels)].T[None],
        powers=(_count(ordered) @ _POWERS[on])[None],
        products=products[None],
        centre=centre[None],
    )


def join_stats(parts: Sequence[PatchStats]) -> PatchStats:
    """Statistics of the patches of all parts, in their order."""
    names = [one.name for one in fields(PatchStats) if one.name != "on"]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return PatchStats(parts[0].on, **joined)


def _sort(flat: UInt8) -> UInt8:
    # A stable sort of bytes counts them: numpy has nothing that ranks or counts them in less time.
    return np.sort(flat, axis=1, kind="stable")


def _count(ordered: UInt8) -> Float64:
    """Shape (64, 256): how often each stored value occurs in a band, of sorted ones."""
    flat, pixels = ordered.ravel(), ordered.shape[1]
    is_last = np.empty(flat.size, bool)
    np.not_equal(flat[1:], flat[:-1], out=is_last[:-1])
    is_last[pixels - 1 :: pixels] = True
    ends = np.flatnonzero(is_last)
    counts = np.zeros(BANDS * _LEVELS)
    counts[ends // pixels * _LEVELS + flat[ends]] = np.diff(ends, prepend=-1)
    return counts.reshape(BANDS, _LEVELS)


def _pair(flat: UInt8, weights: Float64, on: On) -> tuple[Float64, Float64]:
    """Products (2080,) and centre (64,) of `PatchStats`, of stored values (64, pixels)."""
    products, weighted = np.zeros((BANDS, BANDS)), np.zeros(BANDS)
    # Some pixels at a time: all those of a large patch would take much memory.
    for first in range(0, flat.shape[1], BLOCK):
        part = slice(first, first + BLOCK)
        whole = flat[:, part] if on == "codes" else signed_squares(from_stored(flat[:, part]))
        numbers = whole.astype(np.float64)
        # Whole numbers below 2**53, so exact in any order: 16129**2 times 4096**2 pixels.
        products += numbers @ numbers.T
        weighted += numbers @ weights[part]
    return np.take(products, _UPPER), weighted / weights.sum()


@lru_cache(maxsize=64)
def gaussian(height: int, width: int) -> Float64:
    """Weights (H, W) that fall off from the centre: sigma is a quarter of the shorter side."""
    rows = np.arange(height)[:, None] - (height - 1) / 2
    columns = np.arange(width) - (width - 1) / 2
    sigma = SIGMA * min(height, width)
    return np.asarray(np.exp(-(rows**2 + columns**2) / (2 * sigma**2)))


def gem(stats: PatchStats) -> Float64:
    """Generalized mean with its sign kept, power 3 (https://arxiv.org/abs/1711.02512)."""
    total = stats.powers[..., 2] * float(1 << _LOW_BITS) + stats.powers[..., 3]
    return np.asarray(np.cbrt(total / stats.pixels) / _SCALE[stats.on])


def center_weighted(stats: PatchStats) -> Float64:
    """Mean with Gaussian weights, 1 at the centre of the patch."""
    return stats.centre / _SCALE[stats.on]


def covariance(stats: PatchStats) -> Float64:
    """Upper triangle, row by row, of the sample covariance; zeros for a single pixel."""
    sums = stats.sums
    centred = np.take(sums, _FIRST, axis=1)
    centred *= np.take(sums, _SECOND, axis=1)
    centred /= stats.pixels
    np.subtract(stats.products, centred, out=centred)
    centred /= np.maximum(stats.pixels - 1, 1)
    centred /= _SCALE[stats.on] ** 2
    return centred


def median_iqr(stats: PatchStats) -> Float64:
    """Median, then the interquartile range."""
    _, lower, median, upper, _ = stats.percentiles.swapaxes(0, 1)
    return _joined(median, upper - lower)


def _joined(*parts: Float64) -> Float64:
    return np.concatenate(parts, axis=1)


POOLINGS: dict[str, Callable[[PatchStats], Float64]] = {
    "mean": lambda stats: stats.mean,
    "max": lambda stats: stats.high,
    "std": lambda stats: stats.std,
    "stats": lambda stats: _joined(stats.low, stats.high, stats.mean, stats.std),
    "mean_max": lambda stats: _joined(stats.mean, stats.high),
    "mean_std": lambda stats: _joined(stats.mean, stats.std),
    "median_iqr": median_iqr,
    "percentiles": lambda stats: stats.percentiles.reshape(len(stats.pixels), -1),
    "gem": gem,
    "center_weighted": center_weighted,
    "covariance": covariance,
}
"""Every pooling by name: vectors (n, dimensions) of the statistics of n patches."""

PAIRED = frozenset({"center_weighted", "covariance"})
"""Poolings that need to know which pixel is which."""

DIMENSIONS = {
    **dict.fromkeys(("mean", "max", "std", "gem", "center_weighted"), BANDS),
    **dict.fromkeys(("mean_max", "mean_std", "median_iqr"), 2 * BANDS),
    "stats": 4 * BANDS,
    "percentiles": len(PERCENTILES) * BANDS,
    "covariance": BANDS * (BANDS + 1) // 2,
}
"""Length of each pooling's vector."""


def pool_stats(stats: PatchStats, names: Iterable[str]) -> dict[str, Float32]:
    """Vectors (n, dimensions) of n patches by pooling."""
    return {name: POOLINGS[name](stats).astype(np.float32, order="C") for name in names}
