"""Linear probes of scikit-learn on standardized vectors: logistic regression, and ridge.

One class a patch: multinomial logistic regression. Several labels: one logistic regression a label.
Numbers: ridge regression, whose alpha is 1 / C.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.core.workers import one_thread_each
from hfaef.evaluation.probe.metrics import Prediction, Truth, primary, target_of

PENALTIES = (1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2)
"""Values of C that are chosen from."""

FOLDS = 3
MAX_ITERATIONS = 1000

Vectors = npt.NDArray[np.floating[Any]]


def predict(
    train: Vectors, truth: Truth, tests: Sequence[Vectors], penalty: float, classes: int
) -> list[Prediction]:
    """Predictions of a probe with this C for some sets of test vectors.

    `StandardScaler` fit on the training vectors; lbfgs, at most 1000 iterations.

    Args:
        train: vectors (n, dimensions).
        truth: of the same patches.
        tests: vectors to predict of.
        penalty: C.
        classes: how many there are; 0 for numbers.

    Raises:
        ValueError: if the training patches are all alike.
    """
    from sklearn.preprocessing import StandardScaler

    _require_several(truth)
    scaler = StandardScaler().fit(train)
    # A hundred times faster on a busy machine: its threads would wait for each other.
    with caught_warnings() as caught, one_thread_each():
        model = _model(truth, penalty).fit(scaler.transform(train), _as_taken(truth))
        found = [_predict(model, scaler.transform(test), truth, classes) for test in tests]
    said = tuple(dict.fromkeys(caught))
    return [replace(one, penalty=penalty, warnings=said) for one in found]


def choose_on_validation(
    train: Vectors, truth: Truth, held: Vectors, held_truth: Truth, classes: int
) -> float:
    """The C of `PENALTIES` with the best primary metric on held-out patches; the smallest of several.

    Raises:
        ValueError: if the training patches are all alike.
    """
    scores = {}
    for penalty in PENALTIES:
        (prediction,) = predict(train, truth, [held], penalty, classes)
        scores[penalty] = primary(held_truth, prediction)
    return max(PENALTIES, key=lambda penalty: (scores[penalty], -penalty))


def choose_by_folds(train: Vectors, truth: Truth) -> float:
    """The C of `PENALTIES` by 3-fold cross-validation of the patches in their order.

    Raises:
        ValueError: if the training patches are too few for that.
    """
    from sklearn.metrics import average_precision_score, make_scorer
    from sklearn.model_selection import GridSearchCV
    from sklearn.preprocessing import StandardScaler

    _require_several(truth)
    target = target_of(truth)
    if target == "class" and np.bincount(truth).max() < FOLDS:
        raise ValueError(f"no label has {FOLDS} training patches")
    if len(truth) < 2 * FOLDS:
        raise ValueError(f"fewer than {2 * FOLDS} training patches")
    taken = _as_taken(truth)
    scoring: Any = {"class": "accuracy", "number": "r2"}.get(target) or make_scorer(
        average_precision_score, average="micro", response_method="predict_proba"
    )
    model = _model(truth, 1.0)
    key = {"number": "alpha"}.get(target, "estimator__C" if hasattr(model, "estimator") else "C")
    values = [1 / penalty for penalty in PENALTIES] if target == "number" else list(PENALTIES)
    with caught_warnings(), one_thread_each():
        search = GridSearchCV(model, {key: values}, scoring=scoring, cv=FOLDS)
        search.fit(StandardScaler().fit_transform(train), taken)
    best = next(iter(search.best_params_.values()))
    return float(1 / best if target == "number" else best)


def _require_several(truth: Truth) -> None:
    if len(np.unique(truth, axis=0)) < 2:
        raise ValueError("all training patches have one label")


def _model(truth: Truth, penalty: float) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    target = target_of(truth)
    if target == "number":
        return Ridge(alpha=1 / penalty)
    model = LogisticRegression(C=penalty, solver="lbfgs", max_iter=MAX_ITERATIONS)
    return OneVsRestClassifier(model) if target == "classes" and truth.shape[1] > 1 else model


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
    """Warnings of the block, once it has ended: category and first line."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield messages
        for warning in caught:
            first = str(warning.message).strip().split("\n", 1)[0]
            messages.append(f"{warning.category.__name__}: {first}")
