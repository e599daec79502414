"""Poolings of any numbers over the valid pixels of a patch, as `POOLINGS` are of embeddings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hfaef.evaluation.pooling import GENERALIZED_MEAN_P, PERCENTILES

Float64 = npt.NDArray[np.float64]


def pool(values: Float64, weights: Float64, name: str) -> Float64:
    """The vector of a patch.

    Args:
        values: of its valid pixels, shape (bands, pixels), at least one pixel.
        weights: of those pixels, shape (pixels,), for `center_weighted`.
        name: one of `POOLINGS`.
    """
    if name == "center_weighted":
        return np.asarray(values @ weights / weights.sum())
    return _POOLINGS[name](values)


def _joined(*parts: Float64) -> Float64:
    return np.concatenate(parts)


def _mean(values: Float64) -> Float64:
    return np.asarray(values.mean(axis=1))


def _std(values: Float64) -> Float64:
    return np.asarray(values.std(axis=1))


def _low(values: Float64) -> Float64:
    return np.asarray(values.min(axis=1))


def _high(values: Float64) -> Float64:
    return np.asarray(values.max(axis=1))


def _percentiles(values: Float64) -> Float64:
    return np.asarray(np.percentile(values, PERCENTILES, axis=1))


def _median_iqr(values: Float64) -> Float64:
    lower, median, upper = np.percentile(values, (25, 50, 75), axis=1)
    return _joined(median, upper - lower)


def _gem(values: Float64) -> Float64:
    return np.asarray(np.cbrt((values**GENERALIZED_MEAN_P).mean(axis=1)))


def _covariance(values: Float64) -> Float64:
    centred = values - values.mean(axis=1, keepdims=True)
    products = centred @ centred.T / max(values.shape[1] - 1, 1)
    return np.asarray(products[np.triu_indices(len(values))])


_POOLINGS: dict[str, Callable[[Float64], Float64]] = {
    "mean": _mean,
    "max": _high,
    "std": _std,
    "stats": lambda values: _joined(_low(values), _high(values), _mean(values), _std(values)),
    "mean_max": lambda values: _joined(_mean(values), _high(values)),
    "mean_std": lambda values: _joined(_mean(values), _std(values)),
    "median_iqr": _median_iqr,
    "percentiles": lambda values: _percentiles(values).ravel(),
    "gem": _gem,
    "covariance": _covariance,
}


_PARTS = {
    "stats": ("minimum", "maximum", "mean", "deviation"),
    "mean_max": ("mean", "maximum"),
    "mean_std": ("mean", "deviation"),
    "median_iqr": ("median", "interquartile range"),
    "percentiles": tuple(f"percentile {percent}" for percent in PERCENTILES),
}
"""Of vectors with more than one number a band."""


def vector_length(bands: int, name: str) -> int:
    """How many numbers a vector has."""
    if name == "covariance":
        return bands * (bands + 1) // 2
    return bands * len(_PARTS.get(name, (name,)))


def dimension_names(bands: int, name: str) -> tuple[str, ...]:
    """What each number of a vector is; only its place in that of a covariance."""
    if name == "covariance":
        return tuple(f"covariance {number + 1}" for number in range(vector_length(bands, name)))
    parts = _PARTS.get(name, (name,))
    return tuple(f"{part} of band {band + 1}" for part in parts for band in range(bands))
