"""A probe fit to training patches: how its hyperparameter is chosen, and what it predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hfaef.evaluation.probe import linear, neighbours
from hfaef.evaluation.probe.linear import Vectors
from hfaef.evaluation.probe.metrics import Prediction, Truth, measure, target_of
from hfaef.release.format.scores import Fit, Interval, Probe, Score

ChosenBy = Literal["validation", "cross-validation"]


@dataclass(frozen=True)
class Data:
    """Vectors (n, dimensions) and labels of the patches of each split, sorted by id."""

    train: Vectors
    truth: Truth
    validation: Vectors
    validation_truth: Truth
    test: Vectors
    test_truth: Truth


@dataclass(frozen=True)
class Fitted:
    """What a probe predicts of the test patches."""

    prediction: Prediction
    train: int
    """Patches that it is fit to."""
    fit: Fit = "train"
    chosen_by: ChosenBy | None = None
    """How its hyperparameter was chosen; None if it is fixed."""


def fit(probe: Probe, data: Data, classes: int, *, published: bool) -> Iterator[Fitted | str]:
    """Predictions of a probe; a text says what could not be run.

    As published studies do it, there is a kNN of each number of neighbours, and a linear probe with
    C = 1 and one whose C cross-validation chose. By default one hyperparameter is chosen: on the
    validation patches, or without them by cross-validation; and the probe is fit to the training
    patches, and once more to these and the validation patches together.

    Raises:
        ValueError: if the training patches are too few, or all alike.
    """
    run = {
        ("knn", True): _published_neighbours,
        ("knn", False): _neighbours,
        ("linear", True): _published_linear,
        ("linear", False): _linear,
    }[probe, published]
    yield from run(data, classes)


def _published_neighbours(data: Data, classes: int) -> Iterator[Fitted | str]:
    found = neighbours.nearest(data.train, data.test, max(neighbours.NEIGHBOURS))
    for one in neighbours.by_neighbours(data.truth, found, classes).values():
        yield Fitted(one, len(data.truth))
    for k in neighbours.NEIGHBOURS:
        if k > len(data.truth):
            yield f"fewer than {k} training patches"


def _published_linear(data: Data, classes: int) -> Iterator[Fitted | str]:
    for chosen in (True, False):
        try:
            penalty = linear.choose_by_folds(data.train, data.truth) if chosen else 1.0
            (one,) = linear.predict(data.train, data.truth, [data.test], penalty, classes)
        except ValueError as error:
            yield str(error)
        else:
            how: ChosenBy | None = "cross-validation" if chosen else None
            yield Fitted(one, len(data.truth), chosen_by=how)


def _neighbours(data: Data, classes: int) -> Iterator[Fitted | str]:
    most = max(neighbours.NEIGHBOURS)
    held = len(data.validation_truth)
    if held:
        found = neighbours.nearest(data.train, data.validation, most)
        tried = neighbours.by_neighbours(data.truth, found, classes)
        best = neighbours.best_count(data.validation_truth, tried)
    else:
        best = _count_by_folds(data.train, data.truth, classes)
    how: ChosenBy = "validation" if held else "cross-validation"
    found = neighbours.nearest(data.train, data.test, best)
    yield Fitted(
        neighbours.by_neighbours(data.truth, found, classes)[best], len(data.truth), chosen_by=how
    )
    if held:
        both, truth = _joined(data)
        found = neighbours.nearest(both, data.test, best)
        one = neighbours.by_neighbours(truth, found, classes)[best]
        yield Fitted(one, len(truth), "train+validation", how)


def _linear(data: Data, classes: int) -> Iterator[Fitted | str]:
    held = len(data.validation_truth)
    if held:
        penalty = linear.choose_on_validation(
            data.train, data.truth, data.validation, data.validation_truth, classes
        )
    else:
        penalty = linear.choose_by_folds(data.train, data.truth)
    how: ChosenBy = "validation" if held else "cross-validation"
    (one,) = linear.predict(data.train, data.truth, [data.test], penalty, classes)
    yield Fitted(one, len(data.truth), chosen_by=how)
    if held:
        both, truth = _joined(data)
        (one,) = linear.predict(both, truth, [data.test], penalty, classes)
        yield Fitted(one, len(truth), "train+validation", how)


def _joined(data: Data) -> tuple[Vectors, Truth]:
    """Training and validation patches."""
    return (
        np.concatenate([data.train, data.validation]),
        np.concatenate([data.truth, data.validation_truth]),
    )


def _count_by_folds(train: Vectors, truth: Truth, classes: int) -> int:
    """The number of neighbours by cross-validation in as many folds as the linear probe's C."""
    from sklearn.model_selection import KFold, StratifiedKFold

    if len(truth) < 2 * linear.FOLDS:
        return min(neighbours.NEIGHBOURS)
    stratified = target_of(truth) == "class" and np.bincount(truth).max() >= linear.FOLDS
    folds = (StratifiedKFold if stratified else KFold)(linear.FOLDS)
    with linear.caught_warnings():
        splits = list(folds.split(train, truth if stratified else None))
    most = min(max(neighbours.NEIGHBOURS), *(len(rows) for rows, _ in splits))
    order = np.concatenate([held for _, held in splits])
    tried: dict[int, list[Prediction]] = {}
    for rows, held in splits:
        found = neighbours.nearest(train[rows], train[held], most)
        for k, one in neighbours.by_neighbours(truth[rows], found, classes).items():
            tried.setdefault(k, []).append(one)
    return neighbours.best_count(truth[order], {k: join(parts) for k, parts in tried.items()})


def join(parts: Sequence[Prediction]) -> Prediction:
    """Predictions of several parts of the patches, one after the other."""
    scores = [one.scores for one in parts if one.scores is not None]
    return Prediction(
        np.concatenate([one.values for one in parts]),
        np.concatenate(scores) if scores else None,
        neighbours=parts[0].neighbours,
        penalty=parts[0].penalty,
        warnings=tuple(dict.fromkeys(text for one in parts for text in one.warnings)),
    )


def fit_folds(
    about: dict[str, Any], folds: Sequence[Callable[[], Data]], classes: int
) -> tuple[Score, Prediction]:
    """Mean and deviation over folds, each predicted by a probe fit to all others.

    Args:
        about: vectors, scheme, year and probe, for the score.
        folds: each reads its data: the fold as test, without validation.
        classes: how many there are; 0 for numbers.

    Raises:
        ValueError: if there are fewer than two folds, or too few patches in them.
    """
    if len(folds) < 2:
        raise ValueError("fewer than two folds hold a patch")
    found: list[Prediction] = []
    values: dict[str, list[float]] = {}
    patches = 0
    for read in folds:
        data = read()
        (one,) = (one for one in fit(about["probe"], data, classes, published=False))
        if isinstance(one, str):
            raise ValueError(one)  # noqa: TRY004 - it is words on the data
        found.append(one.prediction)
        patches += len(data.test_truth)
        for name, measured in measure(data.test_truth, one.prediction, classes).items():
            values.setdefault(name, []).append(measured.value)
    together = join(found)
    score = Score(
        **about,
        fit="folds",
        neighbours=together.neighbours if about["probe"] == "knn" else None,
        penalty=together.penalty,
        chosen_by="cross-validation",
        train=patches,
        test=patches,
        metrics={name: _spread(of) for name, of in values.items()},
        warnings=together.warnings,
    )
    return score, together


def _spread(values: Sequence[float]) -> Interval:
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    return Interval(value=round(mean, 6), low=round(mean - spread, 6), high=round(mean + spread, 6))
