"""The nearest training vectors of test vectors, by cosine, and what their labels predict.

They are found here, a block at a time, in float64 and with a rule for ties: which of two equally
near ones scikit-learn takes depends on the machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hfaef.core.workers import core_count, one_thread_each, ordered_map
from hfaef.evaluation.probe.metrics import Prediction, Truth, primary

NEIGHBOURS = (1, 3, 5, 7, 9)
"""Numbers of neighbours that are tried; 5 is the published one."""

_TRAIN_ROWS = 2048
_TEST_ROWS = 256
"""Vectors that are compared with each other at a time; they bound the memory."""

_CANDIDATES = 4
"""Candidates for each neighbour above which all but the nearest are dropped before sorting."""

Vectors = npt.NDArray[np.floating[Any]]


class VectorSlices(Protocol):
    """Vectors that are read a slice at a time: an array, or something that reads a file."""

    def __len__(self) -> int:
        """Number of vectors."""

    def __getitem__(self, part: slice, /) -> Vectors:
        """Vectors (rows, dimensions) of a slice."""


Indices = npt.NDArray[np.int64]


def nearest(
    train: VectorSlices, test: VectorSlices, count: int, threads: int | None = None
) -> Indices:
    """Indices (len(test), count) of the nearest training vectors, the nearest first.

    Cosine distance in float64; of two at the same distance the one with the lower index comes
    first. A vector of zeros is at distance 1 from all.
    """
    count = min(count, len(train))
    places = np.full((len(test), count), -1)
    cosines = np.full((len(test), count), -np.inf)

    def improve(start: int) -> None:
        rows = slice(start, start + _TEST_ROWS)
        found = _nearer(unit(test[rows]) @ block.T, first, places[rows], cosines[rows])
        places[rows], cosines[rows] = found

    with one_thread_each():
        for first in range(0, len(train), _TRAIN_ROWS):
            block = unit(train[first : first + _TRAIN_ROWS])
            starts = range(0, len(test), _TEST_ROWS)
            deque(ordered_map(improve, starts, threads or core_count()), maxlen=0)
    return places


def _nearer(
    block: npt.NDArray[np.float64],
    first: int,
    places: Indices,
    cosines: npt.NDArray[np.float64],
) -> tuple[Indices, npt.NDArray[np.float64]]:
    """The nearest of those known so far and of a block of training vectors.

    Args:
        block: cosines (rows, vectors of the block).
        first: index of the block's first vector, above all of those in `places`.
        places: indices (rows, count) of the nearest so far, the nearest first; -1 for none.
        cosines: theirs; minus infinity for none.
    """
    rows, count = places.shape
    # Few vectors are nearer than the last of the nearest; to sort them all would take longest.
    nearer = block > cosines[:, -1:]
    if np.count_nonzero(nearer) > _CANDIDATES * count * rows:
        last = min(count, block.shape[1])
        nearer &= block >= np.partition(block, -last, axis=1)[:, -last, None]
    row, column = np.divmod(np.flatnonzero(nearer), block.shape[1])
    owners = np.concatenate([np.repeat(np.arange(rows), count), row])
    values = np.concatenate([cosines.ravel(), block[row, column]])
    indices = np.concatenate([places.ravel(), first + column])
    order = np.lexsort((indices, -values, owners))
    kept = order[np.searchsorted(owners[order], np.arange(rows))[:, None] + np.arange(count)]
    return indices[kept], values[kept]


def unit(vectors: Vectors) -> npt.NDArray[np.float64]:
    """Vectors (n, dimensions) of length 1; those of zeros stay so."""
    scaled = vectors.astype(np.float64)
    length = np.sqrt(np.einsum("vd,vd->v", scaled, scaled))[:, None]
    return np.divide(scaled, np.where(length == 0, 1, length), out=scaled)


def by_neighbours(truth: Truth, found: Indices, classes: int) -> dict[int, Prediction]:
    """Predictions by number of neighbours, equal votes; without those above the training set.

    Of several classes with most votes it is the lowest; of several labels those that more than
    half of the neighbours bear; of numbers the mean.

    Args:
        truth: of the training patches.
        found: the nearest of them (test patches, count), the nearest first.
        classes: how many there are; 0 for numbers.
    """
    return {k: _vote(truth[found[:, :k]], classes, k) for k in NEIGHBOURS if k <= found.shape[1]}


def _vote(labels: npt.NDArray[Any], classes: int, k: int) -> Prediction:
    if labels.ndim == 3:  # (test patches, k, classes)
        shares = labels.mean(axis=1)
        return Prediction(shares > 0.5, shares, neighbours=k)
    if not classes:
        return Prediction(labels.mean(axis=1), neighbours=k)
    counts = np.zeros((len(labels), classes), np.int64)
    for column in labels.T:
        np.add.at(counts, (np.arange(len(labels)), column), 1)
    return Prediction(np.asarray(counts.argmax(axis=1)), counts / k, neighbours=k)


def best_count(truth: Truth, predictions: Mapping[int, Prediction]) -> int:
    """The number of neighbours that predicts best; of several the smallest."""
    scores = {k: primary(truth, one) for k, one in predictions.items()}
    return max(sorted(scores), key=scores.__getitem__)
