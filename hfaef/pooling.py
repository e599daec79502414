"""Ways to make one vector of a patch: each over its valid pixels, exact where sums can be.

A code is one of 255 values, so that most statistics need only how often each occurs in a band:
those come from whole numbers and are the same on every machine. The two that need to know which
pixel is which (`center_weighted`, `covariance`) are summed in float64.

The poolings, their order of values and their constants are those of Corley et al. 2026, "From
Pixels to Patches: Pooling Strategies for Earth Embeddings" (https://arxiv.org/abs/2603.02080).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from hfaef.quantize import BANDS, SCALE, STORED_NODATA, from_stored, signed_squares

On = Literal["values", "codes"]
"""What is pooled: dequantized values, or the stored codes (0 to 254) as they are."""

ON: tuple[On, ...] = get_args(On)

GEM_POWER = 3
PERCENTILES = (10, 25, 50, 75, 90)
SIGMA = 0.25
"""Of the centre's Gaussian weight, in shorter sides of the patch."""

BLOCK = 512
"""Pixels that are multiplied with each other at a time."""

_FIRST, _SECOND = np.triu_indices(BANDS)
_LEVELS = 256
_LOW_BITS = 24

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


def _whole_numbers(on: On) -> Int64:
    """What each stored value counts as, times `_divisor`; 0 for nodata."""
    stored = np.arange(_LEVELS, dtype=np.uint8)
    if on == "codes":
        return np.where(stored == STORED_NODATA, 0, stored).astype(np.int64)
    return signed_squares(from_stored(stored)).astype(np.int64)


def _powers(whole: Int64) -> Float64:
    """Shape (256, 4): first and second power, and the third in two parts.

    Counted over up to 4096**2 pixels, each column has whole sums below 2**53: exact in float64.
    """
    cubes = whole**GEM_POWER
    low = cubes & ((1 << _LOW_BITS) - 1)
    return np.stack([whole, whole**2, cubes >> _LOW_BITS, low], axis=1).astype(np.float64)


_WHOLE = {on: _whole_numbers(on) for on in ON}
_POWERS = {on: _powers(whole) for on, whole in _WHOLE.items()}
_DIVISOR: dict[On, float] = {"values": SCALE**2, "codes": 1.0}


@dataclass(frozen=True)
class Sample:
    """The valid pixels of a patch, counted."""

    stored: npt.NDArray[np.uint8]
    """Stored values (64, pixels) of the valid pixels."""
    counts: Int64
    """Shape (64, 256): how often each stored value occurs in a band."""
    weights: Float64
    """Shape (pixels,): Gaussian weight of each valid pixel; it is 1 at the centre."""
    on: On
    work: Float64 | None = None
    """Memory of shape (64, `BLOCK`) to overwrite, which spares asking for it again."""

    @property
    def pixels(self) -> int:
        """Number of valid pixels."""
        return int(self.stored.shape[1])

    @cached_property
    def powers(self) -> Float64:
        """Shape (64, 4): exact sums of `_powers`."""
        return np.asarray(self.counts.astype(np.float64) @ _POWERS[self.on])

    @property
    def sums(self) -> Float64:
        """Shape (64,): exact sums of the whole numbers."""
        return self.powers[:, 0]

    @cached_property
    def mean(self) -> Float64:
        """Shape (64,)."""
        return self.sums / self.pixels / _DIVISOR[self.on]

    @cached_property
    def std(self) -> Float64:
        """Shape (64,): population standard deviations."""
        variance = np.maximum(self.powers[:, 1] * self.pixels - self.sums**2, 0)
        return np.asarray(np.sqrt(variance) / self.pixels / _DIVISOR[self.on])

    @cached_property
    def low(self) -> Float64:
        """Shape (64,): minima."""
        return self._of((self.counts > 0).argmax(axis=1))

    @cached_property
    def high(self) -> Float64:
        """Shape (64,): maxima."""
        return self._of(_LEVELS - 1 - (self.counts[:, ::-1] > 0).argmax(axis=1))

    @cached_property
    def pairs(self) -> tuple[Float64, Float64]:
        """Exact sums of products of bands (64, 64), and sums of bands by weight (64,)."""
        products, weighted = np.zeros((BANDS, BANDS)), np.zeros(BANDS)
        work = np.empty((BANDS, BLOCK)) if self.work is None else self.work
        # A few pixels at a time: all of them would not fit into a core's own cache.
        for first in range(0, self.pixels, BLOCK):
            part = slice(first, first + BLOCK)
            stored = self.stored[:, part]
            numbers = work[:, : stored.shape[1]]
            codes = self.on == "codes"
            np.copyto(numbers, stored if codes else signed_squares(from_stored(stored)))
            # Whole numbers below 2**53, so exact in any order: 16129**2 times 4096**2 pixels.
            products += numbers @ numbers.T
            weighted += numbers @ self.weights[part]
        return products, weighted

    @cached_property
    def percentiles(self) -> Float64:
        """Shape (5, 64): of `PERCENTILES`, between order statistics as of `numpy.percentile`."""
        place = np.array(PERCENTILES) / 100 * (self.pixels - 1)
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, self.pixels - 1)
        first, second = np.split(self._ordered(np.concatenate([below, above])), 2)
        part = (place - below)[:, None]
        gap = second - first
        return np.asarray(np.where(part < 0.5, first + gap * part, second - gap * (1 - part)))

    def _ordered(self, ranks: Int64) -> Float64:
        """Shape (len(ranks), 64): the values of these ranks, 0 for the smallest."""
        # One sorted list over all bands: a band's counts go on where those of the last one end.
        ends = np.cumsum(self.counts.ravel())
        wanted = ranks[:, None] + np.arange(BANDS) * self.pixels
        places = np.searchsorted(ends, wanted.ravel(), side="right").reshape(wanted.shape)
        return self._of(places % _LEVELS)

    def _of(self, stored: npt.NDArray[Any]) -> Float64:
        return np.asarray(_WHOLE[self.on][stored] / _DIVISOR[self.on])


def take_sample(
    stored: npt.NDArray[np.uint8], on: On = "values", work: Float64 | None = None
) -> Sample:
    """The valid pixels of stored values (64, H, W), counted.

    Raises:
        ValueError: without one valid pixel.
    """
    flat = stored.reshape(BANDS, -1)
    weights = gaussian(*stored.shape[1:]).ravel()
    counts = _count(flat)
    if counts[:, STORED_NODATA].any():
        valid = (flat != STORED_NODATA).all(axis=0)
        if not valid.any():
            raise ValueError("no valid pixel to pool over")
        flat, weights = flat[:, valid], weights[valid]
        counts = _count(flat)
    return Sample(flat, counts, weights, on, work)


def _count(flat: npt.NDArray[np.uint8]) -> Int64:
    return np.stack([np.bincount(band, minlength=_LEVELS) for band in flat])


@lru_cache(maxsize=64)
def gaussian(height: int, width: int) -> Float64:
    """Weights (H, W) that fall off from the centre: sigma is a quarter of the shorter side."""
    rows = np.arange(height)[:, None] - (height - 1) / 2
    columns = np.arange(width) - (width - 1) / 2
    sigma = SIGMA * min(height, width)
    return np.asarray(np.exp(-(rows**2 + columns**2) / (2 * sigma**2)))


def gem(sample: Sample) -> Float64:
    """Generalized mean with its sign kept, power 3 (https://arxiv.org/abs/1711.02512)."""
    total = sample.powers[:, 2] * float(1 << _LOW_BITS) + sample.powers[:, 3]
    return np.asarray(np.cbrt(total / sample.pixels) / _DIVISOR[sample.on])


def center_weighted(sample: Sample) -> Float64:
    """Mean with Gaussian weights."""
    _, total = sample.pairs
    return np.asarray(total / sample.weights.sum() / _DIVISOR[sample.on])


def covariance(sample: Sample) -> Float64:
    """Upper triangle, row by row, of the sample covariance; zeros for a single pixel."""
    products, _ = sample.pairs
    sums = sample.sums
    centred = products[_FIRST, _SECOND] - sums[_FIRST] * sums[_SECOND] / sample.pixels
    return np.asarray(centred / max(sample.pixels - 1, 1) / _DIVISOR[sample.on] ** 2)


def median_iqr(sample: Sample) -> Float64:
    """Median, then the interquartile range."""
    _, lower, median, upper, _ = sample.percentiles
    return np.concatenate([median, upper - lower])


def _joined(*parts: Float64) -> Float64:
    return np.concatenate(parts)


POOLINGS: dict[str, Callable[[Sample], Float64]] = {
    "mean": lambda sample: sample.mean,
    "max": lambda sample: sample.high,
    "std": lambda sample: sample.std,
    "stats": lambda sample: _joined(sample.low, sample.high, sample.mean, sample.std),
    "mean_max": lambda sample: _joined(sample.mean, sample.high),
    "mean_std": lambda sample: _joined(sample.mean, sample.std),
    "median_iqr": median_iqr,
    "percentiles": lambda sample: sample.percentiles.ravel(),
    "gem": gem,
    "center_weighted": center_weighted,
    "covariance": covariance,
}
"""Every pooling by name."""

DIMENSIONS = {
    **dict.fromkeys(("mean", "max", "std", "gem", "center_weighted"), BANDS),
    **dict.fromkeys(("mean_max", "mean_std", "median_iqr"), 2 * BANDS),
    "stats": 4 * BANDS,
    "percentiles": len(PERCENTILES) * BANDS,
    "covariance": BANDS * (BANDS + 1) // 2,
}
"""Length of each pooling's vector."""


def pool_stored(
    stored: npt.NDArray[np.uint8],
    names: Iterable[str] = tuple(POOLINGS),
    on: On = "values",
    work: Float64 | None = None,
) -> dict[str, npt.NDArray[np.float32]]:
    """Vectors of a patch by pooling.

    Args:
        stored: stored values, uint8 (64, H, W), 255 where there is no data.
        names: of `POOLINGS`.
        on: what is pooled.
        work: as of `Sample.work`.

    Raises:
        ValueError: without one valid pixel.
    """
    sample = take_sample(stored, on, work)
    return {name: POOLINGS[name](sample).astype(np.float32) for name in names}
