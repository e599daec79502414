"""Codes that AEF could have: those of unit vectors."""

from __future__ import annotations

import numpy as np

from hfaef.core.quantize import BANDS, quantize

_LEVEL = 45
"""Of 64 bands that are all as far from 0."""


def filled(value: int, *shape: int) -> np.ndarray:
    """Codes, int8 (64, *shape), of one vector, which is another one for each value from 0 on."""
    bits = np.arange(BANDS) % 32
    signs = np.where(value >> bits & 1, -1, 1)
    return np.broadcast_to(
        (_LEVEL * signs).astype(np.int8).reshape(BANDS, *(1 for _ in shape)), (BANDS, *shape)
    ).copy()


def noise(seed: int, *shape: int) -> np.ndarray:
    """Codes, int8 (64, *shape), of vectors at random, which hardly compress."""
    vectors = np.random.default_rng(seed).normal(size=(BANDS, *shape))
    return quantize(vectors / np.linalg.norm(vectors, axis=0))
