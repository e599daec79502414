"""Where patches lie beside each other in the plane, by their mean vectors: PCA, and t-SNE on request.

PCA is worked out on whole numbers with a rounded basis, so that its bytes do not depend on the
machine. t-SNE repeats on one machine with as many cores, and nowhere else.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hfaef.core.workers import core_count
from hfaef.errors import missing_package

Float32 = npt.NDArray[np.float32]

_WHOLE = 1 << 14
"""Vectors are rounded to this fraction: products of 2**24 rows add up to less than 2**53, exact in
float64 in any order."""

_STEPS = 1 << 12
"""The basis is rounded to this fraction."""

_GRID = 1 << 13
"""Positions are rounded to this fraction: finer than a screen shows, and a quarter smaller on disk."""

_FLAT = 1e-9
"""Share of the variance below which a direction is noise, whose sign and course chance decides."""

_BLOCK = 1 << 14
"""Rows that are worked on at a time; they bound the memory."""

_PERPLEXITY = 30
"""Neighbours that t-SNE weighs; what its authors advise: https://www.jmlr.org/papers/v9/vandermaaten08a.html"""

_FEWEST = 8
"""Rows below which t-SNE says no more than PCA."""


def pca_layout(means: Float32) -> Float32:
    """The first two principal components of vectors, shape (rows, 2), each multiple of 2**-13.

    The largest coefficient of each is positive. A direction in which the rows do not differ is 0.

    Args:
        means: shape (rows, dimensions), from -1 to 1.
    """
    count = len(means)
    total = np.zeros(means.shape[1])
    scatter = np.zeros((means.shape[1], means.shape[1]))
    for first in range(0, count, _BLOCK):
        block = _whole(means[first : first + _BLOCK])
        total += block.sum(axis=0)
        scatter += block.T @ block
    # One rounding a value and operation, whatever the machine; all before is exact.
    spread = scatter * count - np.outer(total, total)
    variance = max(float(np.trace(spread)), 1.0)
    values, vectors = np.linalg.eigh(spread / variance)
    leading = vectors[:, ::-1][:, :2].T
    largest = np.take_along_axis(leading, np.abs(leading).argmax(axis=1)[:, None], axis=1)
    basis = np.rint(leading * np.sign(largest) * _STEPS)
    basis[values[::-1][:2] < _FLAT] = 0
    places = np.empty((count, 2), np.float32)
    middle = basis @ total
    for first in range(0, count, _BLOCK):
        projected = _whole(means[first : first + _BLOCK]) @ basis.T * count - middle
        placed = np.rint(projected * (_GRID / (count * _STEPS * _WHOLE))) / _GRID
        places[first : first + _BLOCK] = placed + 0.0  # no zero below zero
    return places


def tsne_layout(means: Float32) -> Float32:
    """t-SNE of vectors by cosine, shape (rows, 2), begun at their `pca_layout`; of few rows that.

    Args:
        means: shape (rows, dimensions), from -1 to 1.

    Raises:
        MissingPackageError: without openTSNE.
    """
    try:
        from openTSNE import TSNE
    except ImportError as error:
        raise missing_package("a layout by t-SNE", error) from error
    begin = pca_layout(means).astype(np.float64)
    spread = begin[:, 0].std()
    if len(means) < _FEWEST or spread == 0:
        return begin.astype(np.float32)
    model = TSNE(
        perplexity=min(_PERPLEXITY, (len(means) - 1) / 3),
        metric="cosine",
        initialization=begin / spread * 1e-4,
        n_jobs=core_count(),
        random_state=0,
    )
    return np.asarray(model.fit(means), np.float32)


def _whole(means: Float32) -> npt.NDArray[np.float64]:
    return np.rint(means.astype(np.float64) * _WHOLE)
