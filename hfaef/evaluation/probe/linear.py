"""Linear probes of scikit-learn on standardized vectors: logistic regression, and ridge.

One class a patch: multinomial logistic regression. Several labels: one logistic regression a label.
Numbers: ridge regression, whose alpha is 1 / C.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.core.workers import core_count, one_thread_each, ordered_map
from hfaef.evaluation.probe.metrics import Prediction, Truth, primary, target_of

PENALTIES = (1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2)
"""Values of C that are chosen from."""

FOLDS = 3

MAX_ITERATIONS = 1000
"""Of lbfgs, unless others are asked for."""

_COLUMNS = 256
"""Dimensions that are standardized at a time; they bound the memory."""

Vectors = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.intp]


def predict(
    train: Vectors,
    truth: Truth,
    tests: Sequence[Vectors],
    penalty: float,
    classes: int,
    max_iterations: int = MAX_ITERATIONS,
    *,
    overwrite: bool = False,
) -> list[Prediction]:
    """Predictions of a probe with this C for some sets of test vectors.

    `StandardScaler` fit on the training vectors; lbfgs.

    Args:
        train: vectors (n, dimensions).
        truth: of the same patches.
        tests: vectors to predict of.
        penalty: C.
        classes: how many there are; 0 for numbers.
        max_iterations: of lbfgs; if they do not suffice, the predictions say so.
        overwrite: whether the training vectors may be standardized where they are, which saves
            the memory of as many.

    Raises:
        ValueError: if the training patches are all alike.
    """
    _require_several(truth)
    with caught_warnings() as caught, one_thread_each():
        scaler, scaled = _scaled(train, overwrite=overwrite)
        asked = [scaler.transform(test) for test in tests]
        found = _fitted(scaled, truth, asked, _model(truth, penalty, max_iterations), classes)
    return [replace(one, warnings=tuple(dict.fromkeys(caught))) for one in found]


def predict_by_validation(
    train: Vectors,
    truth: Truth,
    held: Vectors,
    held_truth: Truth,
    tests: Sequence[Vectors],
    classes: int,
    max_iterations: int = MAX_ITERATIONS,
) -> list[Prediction]:
    """As `predict`, with the C of `PENALTIES` that has the best primary metric on held-out patches.

    Of several it is the smallest. What the solver warned of is told of every C.

    Raises:
        ValueError: if the training patches are all alike.
    """
    _require_several(truth)
    with caught_warnings() as caught:
        scaler, scaled = _scaled(train)
        asked = [scaler.transform(one) for one in (held, *tests)]

        def tried(penalty: float) -> tuple[float, list[Prediction]]:
            model = _model(truth, penalty, max_iterations)
            first, *others = _fitted(scaled, truth, asked, model, classes)
            return primary(held_truth, first), others

        found = list(ordered_map(tried, PENALTIES, core_count()))
    best = int(np.argmax([score for score, _ in found]))
    return [replace(one, warnings=tuple(sorted({*caught}))) for one in found[best][1]]


def predict_by_folds(
    train: Vectors,
    truth: Truth,
    tests: Sequence[Vectors],
    classes: int,
    max_iterations: int = MAX_ITERATIONS,
) -> list[Prediction]:
    """As `predict`, with the C that is best in 3-fold cross-validation of the training patches.

    Just as scikit-learn's `GridSearchCV(cv=3)` on vectors standardized together: folds in the
    order of the patches, the mean of the primary metric over them, of several C the smallest.

    Raises:
        ValueError: if the training patches are too few for that.
    """
    _require_several(truth)
    with caught_warnings() as caught:
        splits = folds_of(truth)
        scaler, scaled = _scaled(train)

        def tried(job: tuple[float, tuple[Rows, Rows]]) -> float:
            penalty, (rows, held) = job
            _require_several(truth[rows], "the training patches of a fold")
            model = _model(truth[rows], penalty, max_iterations)
            (one,) = _fitted(scaled[rows], truth[rows], [scaled[held]], model, classes)
            return primary(truth[held], one)

        scores = list(ordered_map(tried, product(PENALTIES, splits), core_count()))
        means = np.reshape(scores, (len(PENALTIES), FOLDS)).mean(axis=1)
        # A fold in which no patch bears a label tells nothing of any C.
        best = PENALTIES[int(np.argmax(np.nan_to_num(means, nan=-np.inf)))]
        with one_thread_each():
            asked = [scaler.transform(one) for one in tests]
            found = _fitted(scaled, truth, asked, _model(truth, best, max_iterations), classes)
    return [replace(one, warnings=tuple(sorted({*caught}))) for one in found]


def folds_of(truth: Truth) -> list[tuple[Rows, Rows]]:
    """Numbers of the patches that are fit to and held out, in each of `FOLDS` folds.

    Classes are spread evenly; scikit-learn warns of one that has fewer patches than folds.

    Raises:
        ValueError: if the training patches are too few for that.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    if target_of(truth) == "class":
        if np.bincount(truth).max() < FOLDS:
            raise ValueError(f"no label has {FOLDS} training patches")
        return list(StratifiedKFold(FOLDS).split(truth, truth))
    if len(truth) < 2 * FOLDS:
        raise ValueError(f"fewer than {2 * FOLDS} training patches")
    return list(KFold(FOLDS).split(truth))


@dataclass(frozen=True)
class _Scaler:
    """A `StandardScaler`: fit to some columns at a time, as it holds them in float64 meanwhile."""

    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]

    def transform(self, vectors: Vectors, *, overwrite: bool = False) -> Vectors:
        """The vectors standardized, in their own precision."""
        scaled = vectors if overwrite else vectors.copy()
        scaled -= self.mean.astype(vectors.dtype)
        scaled /= self.scale.astype(vectors.dtype)
        return scaled


def _scaled(train: Vectors, *, overwrite: bool = False) -> tuple[_Scaler, Vectors]:
    """The scaler fit to training vectors, and these standardized."""
    from sklearn.preprocessing import StandardScaler

    columns = np.array_split(np.arange(train.shape[1]), -(-train.shape[1] // _COLUMNS))
    parts = [StandardScaler().fit(train[:, some[0] : some[-1] + 1]) for some in columns]
    scaler = _Scaler(
        *(np.concatenate([getattr(p, of) for p in parts]) for of in ("mean_", "scale_"))
    )
    return scaler, scaler.transform(train, overwrite=overwrite)


def _fitted(
    scaled: Vectors, truth: Truth, tests: Sequence[Vectors], model: _Model, classes: int
) -> list[Prediction]:
    """Predictions of a model fit to standardized vectors."""
    fitted = model.estimator.fit(scaled, _as_taken(truth))
    return [
        replace(_predict(fitted, test, truth, classes), penalty=model.penalty) for test in tests
    ]


def _require_several(truth: Truth, which: str = "all training patches") -> None:
    if len(np.unique(truth, axis=0)) < 2:
        what = {"class": "label", "classes": "set of labels", "number": "number"}[target_of(truth)]
        raise ValueError(f"{which} have one {what}")


@dataclass(frozen=True)
class _Model:
    """A model of scikit-learn, not fit yet, and its C."""

    estimator: Any
    penalty: float


def _model(truth: Truth, penalty: float, max_iterations: int) -> _Model:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    target = target_of(truth)
    if target == "number":
        return _Model(Ridge(alpha=1 / penalty), float(penalty))
    model = LogisticRegression(C=penalty, solver="lbfgs", max_iter=max_iterations)
    several = target == "classes" and truth.shape[1] > 1
    return _Model(OneVsRestClassifier(model) if several else model, float(penalty))


def _as_taken(truth: Truth) -> Truth:
    """The truth as scikit-learn takes it: a single label that a patch bears or not is a class."""
    if truth.ndim == 2:
        return truth[:, 0].astype(np.int64) if truth.shape[1] == 1 else truth.astype(np.int64)
    return truth


def _predict(model: Any, test: Vectors, truth: Truth, classes: int) -> Prediction:
    target = target_of(truth)
    if target == "number":
        return Prediction(np.asarray(model.predict(test), np.float64))
    found = np.asarray(model.predict_proba(test), np.float64)
    if target == "classes":
        found = found if truth.shape[1] > 1 else found[:, 1:]
        return Prediction(found > 0.5, found)
    scores = np.zeros((len(test), classes))
    scores[:, model.classes_] = found
    return Prediction(np.asarray(model.predict(test), np.int64), scores)


@contextmanager
def caught_warnings() -> Iterator[list[str]]:
    """Warnings of the block and of its threads, once it has ended: category and first line."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield messages
        for warning in caught:
            first = str(warning.message).strip().split("\n", 1)[0]
            messages.append(f"{warning.category.__name__}: {first}")
