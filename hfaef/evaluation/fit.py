"""A probe fit to training patches: how its hyperparameter is chosen, and what it predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from hfaef.errors import count_of
from hfaef.evaluation.probe import linear, neighbours
from hfaef.evaluation.probe.linear import Vectors
from hfaef.evaluation.probe.metrics import (
    Prediction,
    Truth,
    rounded,
    target_of,
    tells,
    values,
)
from hfaef.release.format.scores import PUBLISHED_NEIGHBOURS, Fit, Interval, Probe, Score

ChosenBy = Literal["validation", "cross-validation"]


_NAMED = 8
"""Labels that a message names."""


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


@dataclass(frozen=True)
class Method:
    """What is measured, and how."""

    published: bool = False
    """Whether hyperparameters are those of published studies."""
    quick: bool = False
    """Whether curves and years are left out."""
    max_iterations: int = linear.MAX_ITERATIONS
    """Of the solver of linear probes."""


def fit(
    probe: Probe, data: Data, classes: int, method: Method | None = None
) -> Iterator[Fitted | str]:
    """Predictions of a probe; a text says what could not be run.

    As published studies do it, there is a kNN of each number of neighbours, and a linear probe with
    C = 1 and one whose C cross-validation chose. By default one hyperparameter is chosen: on the
    validation patches, or without them by cross-validation; and the probe is fit to the training
    patches, and once more to these and the validation patches together.

    Raises:
        ValueError: if the training patches are too few, or all alike.
    """
    method = method or Method()
    if probe == "knn":
        run = _published_neighbours if method.published else _neighbours
        yield from run(data, classes)
    else:
        run_linear = _published_linear if method.published else _linear
        yield from run_linear(data, classes, method.max_iterations)


def standing(found: Sequence[Fitted | str]) -> Fitted | None:
    """Of what is fit to the training patches, that whose score stands for the probe."""
    trained = [one for one in found if isinstance(one, Fitted) and one.fit == "train"]
    chosen = [one for one in trained if one.chosen_by is not None]
    published = [one for one in trained if one.prediction.neighbours == PUBLISHED_NEIGHBOURS]
    return next(reversed([*published, *chosen]), None)


def _published_neighbours(data: Data, classes: int) -> Iterator[Fitted | str]:
    found = neighbours.nearest(data.train, data.test, max(neighbours.NEIGHBOURS))
    for one in neighbours.by_neighbours(data.truth, found, classes).values():
        yield Fitted(one, len(data.truth))
    for k in neighbours.NEIGHBOURS:
        if k > len(data.truth):
            yield f"fewer than {k} training patches"


def _published_linear(data: Data, classes: int, max_iterations: int) -> Iterator[Fitted | str]:
    about = data.train, data.truth, [data.test]
    try:
        (one,) = linear.predict_by_folds(*about, classes, max_iterations)
    except ValueError as error:
        yield str(error)
    else:
        yield Fitted(one, len(data.truth), chosen_by="cross-validation")
    try:
        (one,) = linear.predict(*about, 1.0, classes, max_iterations)
    except ValueError as error:
        yield str(error)
    else:
        yield Fitted(one, len(data.truth))


def _neighbours(data: Data, classes: int) -> Iterator[Fitted | str]:
    how = _choice(data)
    said: tuple[str, ...] = ()
    if how == "validation":
        found = neighbours.nearest(data.train, data.validation, max(neighbours.NEIGHBOURS))
        tried = neighbours.by_neighbours(data.truth, found, classes)
        best = neighbours.best_count(data.validation_truth, tried)
    else:
        best, said = _count_by_folds(data.train, data.truth, classes)
    found = neighbours.nearest(data.train, data.test, best)
    one = neighbours.by_neighbours(data.truth, found, classes)[best]
    yield Fitted(replace(one, warnings=said), len(data.truth), chosen_by=how)
    if len(data.validation):
        truth = np.concatenate([data.truth, data.validation_truth])
        found = neighbours.nearest(_Both(data.train, data.validation), data.test, best)
        one = neighbours.by_neighbours(truth, found, classes)[best]
        yield Fitted(replace(one, warnings=said), len(truth), "train+validation", how)


def _linear(data: Data, classes: int, max_iterations: int) -> Iterator[Fitted | str]:
    how = _choice(data)
    about = [data.test], classes, max_iterations
    if how == "validation":
        known = data.train, data.truth, data.validation, data.validation_truth
        (one,) = linear.predict_by_validation(*known, *about)
    else:
        (one,) = linear.predict_by_folds(data.train, data.truth, *about)
    yield Fitted(one, len(data.truth), chosen_by=how)
    if len(data.validation) and one.penalty is not None:
        both, truth = _joined(data)
        chosen = one.penalty, classes, max_iterations
        (one,) = linear.predict(both, truth, [data.test], *chosen, overwrite=True)
        yield Fitted(one, len(truth), "train+validation", how)


def _choice(data: Data) -> ChosenBy:
    return "validation" if tells(data.validation_truth) else "cross-validation"


@dataclass(frozen=True)
class _Both:
    """Vectors one after the other, without a copy of them all."""

    first: Vectors
    second: Vectors

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, part: slice) -> Vectors:
        start, stop, _ = part.indices(len(self))
        split = len(self.first)
        rest = self.second[max(start - split, 0) : max(stop - split, 0)]
        return np.concatenate([self.first[start:stop], rest])


def _joined(data: Data) -> tuple[Vectors, Truth]:
    """Training and validation patches."""
    return (
        np.concatenate([data.train, data.validation]),
        np.concatenate([data.truth, data.validation_truth]),
    )


def _count_by_folds(train: Vectors, truth: Truth, classes: int) -> tuple[int, tuple[str, ...]]:
    """The number of neighbours by cross-validation in the folds of the linear probe, and warnings.

    One neighbour if the training patches are too few for that.
    """
    with linear.caught_warnings() as caught:
        try:
            splits = linear.folds_of(truth)
        except ValueError as error:
            return min(neighbours.NEIGHBOURS), (f"k = 1, for {error}",)
    most = min(max(neighbours.NEIGHBOURS), *(len(rows) for rows, _ in splits))
    order = np.concatenate([held for _, held in splits])
    tried: dict[int, list[Prediction]] = {}
    for rows, held in splits:
        found = neighbours.nearest(train[rows], train[held], most)
        for k, one in neighbours.by_neighbours(truth[rows], found, classes).items():
            tried.setdefault(k, []).append(one)
    together = {k: join(parts) for k, parts in tried.items()}
    return neighbours.best_count(truth[order], together), tuple(dict.fromkeys(caught))


def join(parts: Sequence[Prediction]) -> Prediction:
    """Predictions of several parts of the patches, one after the other.

    Their k or C is that of all of them, or None if they differ.
    """
    scores = [one.scores for one in parts if one.scores is not None]
    counts, penalties = {one.neighbours for one in parts}, {one.penalty for one in parts}
    return Prediction(
        np.concatenate([one.values for one in parts]),
        np.concatenate(scores) if scores else None,
        neighbours=counts.pop() if len(counts) == 1 else None,
        penalty=penalties.pop() if len(penalties) == 1 else None,
        warnings=tuple(dict.fromkeys(text for one in parts for text in one.warnings)),
    )


def fit_folds(
    about: dict[str, Any],
    folds: Sequence[Callable[[], Data]],
    classes: int,
    method: Method | None = None,
) -> tuple[Score, Prediction]:
    """Mean and deviation over folds, each predicted by a probe fit to all others.

    Args:
        about: vectors, scheme, year and probe, for the score.
        folds: each reads its data: the fold as test, without validation.
        classes: how many there are; 0 for numbers.
        method: of the probes.

    Raises:
        ValueError: if there are fewer than two folds, or too few patches in them.
    """
    if len(folds) < 2:
        raise ValueError("fewer than two folds hold a patch")
    found: list[Prediction] = []
    measured: dict[str, list[float]] = {}
    patches = silent = constant = 0
    for read in folds:
        data = read()
        (one,) = (one for one in fit(about["probe"], data, classes, method))
        if isinstance(one, str):
            raise ValueError(one)  # noqa: TRY004 - it is words on the data
        found.append(one.prediction)
        patches += len(data.test_truth)
        if tells(data.test_truth):
            for name, value in values(data.test_truth, one.prediction, classes).items():
                measured.setdefault(name, []).append(value)
        silent += not tells(data.test_truth)
        constant += _constant(data)
    together = join(found)
    if not measured:
        raise ValueError("no fold has labels that tell a good prediction from a bad one")
    if silent:
        said = f"{silent:,} of {len(folds):,} folds are not in the mean: nothing in them to tell"
        together = replace(together, warnings=(*together.warnings, said))
    if constant == len(folds):
        together = replace(together, warnings=(*together.warnings, _CONSTANT))
    score = Score(
        **about,
        fit="folds",
        neighbours=together.neighbours,
        penalty=together.penalty,
        chosen_by="cross-validation",
        train=patches,
        test=patches,
        metrics={name: rounded(_spread(of), name) for name, of in measured.items()},
        warnings=together.warnings,
    )
    return score, together


def _spread(values: Sequence[float]) -> Interval:
    mean = float(np.mean(values))
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Interval(value=mean, low=mean - spread, high=mean + spread)


_CONSTANT = "all training patches have the same vector, so scores say nothing of it"


def _constant(data: Data) -> bool:
    return len(data.train) > 1 and bool((data.train == data.train[:1]).all())


def doubts(data: Data, names: Sequence[str]) -> Iterator[str]:
    """What of the vectors and labels makes scores say less than they seem to."""
    if _constant(data):
        yield _CONSTANT
    target = target_of(data.truth)
    if target == "number":
        if not tells(data.test_truth):
            yield "R2 says nothing: all test patches have one number"
        return
    if target == "class":
        counts = [np.bincount(one, minlength=len(names)) for one in (data.truth, data.test_truth)]
        held = np.flatnonzero(counts[0] + counts[1])
        if len(held) == 1:
            yield f"one class tells nothing: all patches are {names[held[0]]}"
    else:
        counts = [one.sum(axis=0) for one in (data.truth, data.test_truth)]
    new = np.flatnonzero((counts[0] == 0) & (counts[1] > 0))
    if len(new):
        listed = ", ".join(names[number] for number in new[:_NAMED])
        more = f" and {len(new) - _NAMED:,} more" if len(new) > _NAMED else ""
        said = count_of(
            int(counts[1][new].sum()), "label of test patches is", "labels of test patches are"
        )
        yield f"no training patch has {listed}{more}, and {said} so"
