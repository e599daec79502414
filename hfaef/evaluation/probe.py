"""Nearest neighbours and a linear probe on vectors, as published studies run them, and metrics.

The neighbours are found here, a block at a time, in float64 and with a rule for ties: which of two
equally near ones scikit-learn takes depends on the machine. The linear probe is scikit-learn's (the
extra ``eval``).
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hfaef.core.workers import core_count, one_thread_each, ordered_map
from hfaef.release.format.scores import Interval

NEIGHBOURS = (1, 3, 5, 7, 9)
"""Numbers of neighbours that are tried; 5 is the published one."""

PENALTIES = (1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2)
"""Values of C that cross-validation chooses from."""

FOLDS = 3
MAX_ITERATIONS = 1000
RESAMPLES = 1000
"""Bootstrap samples of an interval."""

LEVEL = 95
"""Per cent of the bootstrap samples inside an interval."""

SEED = 0

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


Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Prediction:
    """Labels that a probe predicts for the test vectors."""

    labels: Labels
    penalty: float | None = None
    """C of the linear probe."""
    warnings: tuple[str, ...] = field(default=())
    """The solver's, each once."""


def nearest(
    train: VectorSlices, test: VectorSlices, count: int, threads: int | None = None
) -> Labels:
    """Indices (len(test), count) of the nearest training vectors, the nearest first.

    Cosine distance in float64; of two at the same distance the one with the lower index comes
    first. A vector of zeros is at distance 1 from all.
    """
    count = min(count, len(train))
    places = np.full((len(test), count), -1)
    cosines = np.full((len(test), count), -np.inf)

    def improve(start: int) -> None:
        rows = slice(start, start + _TEST_ROWS)
        found = _nearer(_unit(test[rows]) @ block.T, first, places[rows], cosines[rows])
        places[rows], cosines[rows] = found

    with one_thread_each():
        for first in range(0, len(train), _TRAIN_ROWS):
            block = _unit(train[first : first + _TRAIN_ROWS])
            starts = range(0, len(test), _TEST_ROWS)
            deque(ordered_map(improve, starts, threads or core_count()), maxlen=0)
    return places


def _nearer(
    block: npt.NDArray[np.float64],
    first: int,
    places: Labels,
    cosines: npt.NDArray[np.float64],
) -> tuple[Labels, npt.NDArray[np.float64]]:
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


def _unit(vectors: Vectors) -> npt.NDArray[np.float64]:
    scaled = vectors.astype(np.float64)
    length = np.sqrt(np.einsum("vd,vd->v", scaled, scaled))[:, None]
    return np.divide(scaled, np.where(length == 0, 1, length), out=scaled)


def vote(labels: Labels, classes: int) -> Labels:
    """The most frequent label of each row (rows, k); of several, the lowest."""
    counts = np.zeros((len(labels), classes), np.int64)
    for column in labels.T:
        np.add.at(counts, (np.arange(len(labels)), column), 1)
    return np.asarray(counts.argmax(axis=1))


def knn(
    train: VectorSlices, train_labels: Labels, test: VectorSlices, classes: int
) -> dict[int, Prediction]:
    """Predictions by number of neighbours, equal votes; without those above the training set."""
    found = train_labels[nearest(train, test, max(NEIGHBOURS))]
    return {k: Prediction(vote(found[:, :k], classes)) for k in NEIGHBOURS if k <= found.shape[1]}


def linear(
    train: Vectors, train_labels: Labels, test: Vectors, penalty: float | None
) -> Prediction:
    """Logistic regression on standardized vectors.

    `StandardScaler` fit on the training vectors, lbfgs, at most 1000 iterations. Without a
    `penalty`, C is the one of `PENALTIES` with the best accuracy in 3-fold cross-validation of
    the training vectors in their order (the smallest of several).

    Raises:
        ValueError: if the training vectors are too few for that.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(train_labels)) < 2:
        raise ValueError("all training patches have one label")
    scaler = StandardScaler().fit(train)
    # A hundred times faster on a busy machine: its threads would wait for each other.
    with _caught_warnings() as caught, one_thread_each():
        model = LogisticRegression(C=penalty or 1.0, solver="lbfgs", max_iter=MAX_ITERATIONS)
        if penalty is None:
            if np.bincount(train_labels).max() < FOLDS:
                raise ValueError(f"no label has {FOLDS} training patches")
            grid = {"C": list(PENALTIES)}
            search = GridSearchCV(model, grid, scoring="accuracy", cv=FOLDS)
            model = search.fit(scaler.transform(train), train_labels)
            penalty = float(search.best_params_["C"])
        else:
            model.fit(scaler.transform(train), train_labels)
    predicted = np.asarray(model.predict(scaler.transform(test)), np.int64)
    return Prediction(predicted, penalty, tuple(dict.fromkeys(caught)))


@contextmanager
def _caught_warnings() -> Iterator[list[str]]:
    """Warnings of the block, once it has ended: category and first line."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield messages
        for warning in caught:
            first = str(warning.message).strip().split("\n", 1)[0]
            messages.append(f"{warning.category.__name__}: {first}")


def confusion(truth: Labels, predicted: Labels, classes: int) -> Labels:
    """Counts (classes, classes): true label by row, predicted one by column."""
    flat = np.bincount(truth * classes + predicted, minlength=classes**2)
    return np.asarray(flat.reshape(classes, classes), np.int64)


def accuracy(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Share of test samples that are predicted right, of confusions (..., classes, classes)."""
    right = counts.trace(axis1=-2, axis2=-1)
    return np.asarray(right / counts.sum(axis=(-2, -1)), np.float64)


def balanced_accuracy(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean recall over the labels that occur."""
    right, of_label = _diagonal(counts), counts.sum(axis=-1)
    return _mean_where(right, of_label, of_label > 0)


def macro_f1(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean over the labels that occur or are predicted of F1."""
    both = counts.sum(axis=-1) + counts.sum(axis=-2)
    return _mean_where(2 * _diagonal(counts), both, both > 0)


METRICS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
}


def measure(counts: Labels, seed: int = SEED) -> dict[str, Interval]:
    """Metrics of a confusion, each with its percentile bootstrap interval over test samples.

    Drawing test samples with replacement and counting them is one draw of a multinomial over
    the cells of the confusion, so that is what is drawn.
    """
    total = int(counts.sum())
    draws = np.random.default_rng(seed).multinomial(total, counts.ravel() / total, RESAMPLES)
    resampled = draws.reshape(RESAMPLES, *counts.shape)
    edges = ((100 - LEVEL) / 2, (100 + LEVEL) / 2)
    measures = {}
    for name, metric in METRICS.items():
        low, high = np.percentile(metric(resampled), edges)
        measures[name] = Interval(value=float(metric(counts)), low=low, high=high)
    return measures


def _diagonal(counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _mean_where(
    above: npt.NDArray[Any], below: npt.NDArray[Any], used: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    parts = np.where(used, above / np.where(used, below, 1), 0)
    return np.asarray(parts.sum(axis=-1) / used.sum(axis=-1), np.float64)
