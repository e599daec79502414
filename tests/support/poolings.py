"""Vectors of one patch, as evaluation makes them of many."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hfaef.evaluation.pooling import PAIRED, POOLINGS, On, patch_stats, pool_stats


def pool_stored(
    stored: np.ndarray, names: Iterable[str] = tuple(POOLINGS), on: On = "values"
) -> dict[str, np.ndarray]:
    """Vectors by pooling of stored values, uint8 (64, H, W), 255 where there is no data."""
    wanted = tuple(names)
    stats = patch_stats(stored, on, paired=not PAIRED.isdisjoint(wanted))
    return {name: vectors[0] for name, vectors in pool_stats(stats, wanted).items()}
