"""How well labels are predicted, with bootstrap intervals over the test patches.

The metrics are scikit-learn's; the bootstrap needs them for a thousand resamples at once, so they
are worked out here from counts, and tests hold them against scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.recipe.columns import Target
from hfaef.release.format.scores import PRIMARY, Interval

RESAMPLES = 1000
"""Bootstrap samples of an interval."""

LEVEL = 95
"""Per cent of the bootstrap samples inside an interval."""

SEED = 0

BINS = 15
"""Of the expected calibration error: https://arxiv.org/abs/1706.04599"""

_BLOCK = 4_000_000
"""Counts of resampled patches that are worked on at a time; they bound the memory."""

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

Truth = npt.NDArray[Any]
"""Of each patch: int64 (n,), the number of its class; bool (n, classes), which labels it bears; or
float64 (n,), the number to predict."""


@dataclass(frozen=True)
class Prediction:
    """What a probe predicts of the test patches."""

    values: Truth
    """In the form of the truth."""
    scores: Floats | None = None
    """(n, classes): share of votes, or probability; None for numbers."""
    neighbours: int | None = None
    """k of a kNN."""
    penalty: float | None = None
    """C of a linear probe."""
    warnings: tuple[str, ...] = field(default=())
    """The solver's, each once."""


def target_of(truth: Truth) -> Target:
    """What kind of labels these are."""
    if truth.ndim == 2:
        return "classes"
    return "class" if truth.dtype.kind == "i" else "number"


def tells(truth: Truth) -> bool:
    """Whether the primary metric of such patches can tell a good prediction from a bad one."""
    if target_of(truth) == "classes":
        return bool(truth.any())
    return len(truth) > 0 and (target_of(truth) == "class" or bool(truth.min() < truth.max()))


def values(truth: Truth, prediction: Prediction, classes: int) -> dict[str, float]:
    """All metrics of a prediction, without their intervals."""
    target = target_of(truth)
    found = {}
    if target == "class":
        counts = confusion(truth, prediction.values, classes)
        found = {name: float(metric(counts)) for name, metric in _OF_CONFUSION.items()}
    whole = np.ones((1, len(truth)))
    rest = {name: one for name, one in METRICS[target].items() if name not in found}
    return found | {name: float(one(whole, truth, prediction)[0]) for name, one in rest.items()}


def primary(truth: Truth, prediction: Prediction) -> float:
    """The metric by which hyperparameters are chosen and vectors compared: `PRIMARY`."""
    metric = METRICS[target_of(truth)][PRIMARY[target_of(truth)]]
    return float(metric(np.ones((1, len(truth))), truth, prediction)[0])


def resampled(truth: Truth, prediction: Prediction) -> Floats:
    """The primary metric of `RESAMPLES` bootstrap samples: the same ones for every prediction.

    So the difference of two predictions of the same patches is one of pairs.
    """
    metric = METRICS[target_of(truth)][PRIMARY[target_of(truth)]]
    return _over_resamples(metric, truth, prediction)


def measure_primary(truth: Truth, prediction: Prediction, classes: int) -> Interval:
    """The primary metric with its interval: that of `measure`, as it is written."""
    name = PRIMARY[target_of(truth)]
    if target_of(truth) == "class":
        return rounded(measure_confusion(confusion(truth, prediction.values, classes))[name], name)
    found = interval(primary(truth, prediction), resampled(truth, prediction))
    return rounded(found, name)


def measure(truth: Truth, prediction: Prediction, classes: int) -> dict[str, Interval]:
    """All metrics of a prediction, each with its percentile bootstrap interval."""
    target = target_of(truth)
    found = {}
    if target == "class":
        found = measure_confusion(confusion(truth, prediction.values, classes))
    whole = np.ones((1, len(truth)))
    for name, metric in METRICS[target].items():
        if name not in found:
            draws = _over_resamples(metric, truth, prediction)
            found[name] = interval(float(metric(whole, truth, prediction)[0]), draws)
    return found


def interval(value: float, draws: Floats) -> Interval:
    """A value with the percentile interval of its bootstrap samples."""
    known = draws[np.isfinite(draws)]  # a sample without a positive has no precision
    if not len(known):
        return Interval(value=value, low=value, high=value)
    low, high = np.percentile(known, ((100 - LEVEL) / 2, (100 + LEVEL) / 2))
    return Interval(value=value, low=float(low), high=float(high))


def rounded(one: Interval, metric: str) -> Interval:
    """As it is written: six decimals; of metrics in the unit of the numbers, six digits."""
    digits = ".6g" if metric in {"rmse", "mae"} else ".6f"
    low, value, high = (float(format(number, digits)) for number in (one.low, one.value, one.high))
    return Interval(value=value, low=low, high=high)


Metric = Callable[[Floats, Truth, Prediction], Floats]
"""Of each row of counts (samples, n), how often each patch is drawn, the value."""


def _over_resamples(metric: Metric, truth: Truth, prediction: Prediction) -> Floats:
    size = truth.size if truth.ndim == 2 else len(truth)
    return np.concatenate([metric(block, truth, prediction) for block in _blocks(len(truth), size)])


def _blocks(patches: int, size: int) -> Iterator[Floats]:
    """Bootstrap samples as counts (samples, patches), a block at a time."""
    counts = _counts(patches)
    step = max(_BLOCK // max(size, 1), 1)
    for first in range(0, len(counts), step):
        yield counts[first : first + step].astype(np.float64)


@lru_cache(maxsize=4)
def _counts(patches: int) -> npt.NDArray[np.uint16]:
    random = np.random.default_rng(SEED)
    drawn = np.zeros((RESAMPLES, patches), np.uint16)
    for row in drawn:
        row[:] = np.bincount(random.integers(patches, size=patches), minlength=patches)
    return drawn


def _hits(counts: Floats, truth: Truth, prediction: Prediction) -> Floats:
    return np.asarray(counts @ (truth == prediction.values) / counts.sum(axis=1))


def _top2(counts: Floats, truth: Truth, prediction: Prediction) -> Floats:
    scores = _scores(prediction)
    # Of equal scores the lower number comes first, as in votes.
    ahead = scores > np.take_along_axis(scores, truth[:, None], axis=1)
    ahead |= (scores == np.take_along_axis(scores, truth[:, None], axis=1)) & (
        np.arange(scores.shape[1]) < truth[:, None]
    )
    return np.asarray(counts @ (ahead.sum(axis=1) < 2) / counts.sum(axis=1))


def _calibration_error(counts: Floats, truth: Truth, prediction: Prediction) -> Floats:
    scores = _scores(prediction)
    confidence = np.take_along_axis(scores, prediction.values[:, None], axis=1)[:, 0]
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.zeros((len(truth), BINS))
    gaps[np.arange(len(truth)), bins] = (truth == prediction.values) - confidence
    return np.asarray(np.abs(counts @ gaps).sum(axis=1) / counts.sum(axis=1))


def _micro_f1(counts: Floats, truth: Truth, prediction: Prediction) -> Floats:
    both = counts @ (truth & prediction.values).sum(axis=1)
    either = counts @ (truth.sum(axis=1) + prediction.values.sum(axis=1))
    return np.asarray(np.divide(2 * both, either, out=np.zeros_like(both), where=either > 0))


def _micro_ap(counts: Floats, truth: Truth, prediction: Prediction) -> Floats:
    classes = truth.shape[1]
    owners = np.repeat(np.arange(len(truth)), classes)
    return average_precision(counts, truth.ravel(), _scores(prediction).ravel(), owners)


def _macro_ap(counts: Floats, truth: Truth, prediction: Prediction) -> Floats:
    """Mean over the labels that occur in the sample."""
    owners = np.arange(len(truth))
    values = np.array(
        [
            average_precision(counts, truth[:, number], scores, owners)
            for number, scores in enumerate(_scores(prediction).T)
        ]
    )
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=0)
    found = known.sum(axis=0)
    return np.asarray(np.divide(total, found, out=np.full_like(total, np.nan), where=found > 0))


def average_precision(
    counts: Floats, truth: npt.NDArray[np.bool_], scores: Floats, owners: Labels
) -> Floats:
    """Area under the steps of precision over recall; NaN for samples without a positive.

    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.average_precision_score.html

    Args:
        counts: how often each patch is drawn (samples, patches).
        truth: whether each decision is right (decisions,).
        scores: of each decision.
        owners: the patch of each decision.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    drawn = counts[:, owners[order]]
    right = np.cumsum(drawn * truth[order], axis=1)[:, ends]
    all_ = np.cumsum(drawn, axis=1)[:, ends]
    precision = np.divide(right, all_, out=np.zeros_like(right), where=all_ > 0)
    steps = np.diff(right, axis=1, prepend=0)
    total = right[:, -1]
    area = (steps * precision).sum(axis=1)
    return np.asarray(np.divide(area, total, out=np.full_like(area, np.nan), where=total > 0))


def _r2(counts: Floats, truth: Truth, prediction: Prediction) -> Floats:
    """1 or 0 where all numbers of the sample are one, as scikit-learn has it."""
    centred = truth - truth.mean()  # so that squares of large numbers do not cancel
    mean = counts @ centred / counts.sum(axis=1)
    squares = counts @ centred**2
    spread = squares - counts.sum(axis=1) * mean**2
    missed = counts @ (truth - prediction.values) ** 2
    several = (spread > 1e-12 * squares) & (truth.min() < truth.max())
    edge = np.where(missed == 0, 1.0, 0.0)
    return np.asarray(np.divide(spread - missed, spread, out=edge, where=several))


def _rmse(counts: Floats, truth: Truth, prediction: Prediction) -> Floats:
    return np.asarray(np.sqrt(counts @ (truth - prediction.values) ** 2 / counts.sum(axis=1)))


def _mae(counts: Floats, truth: Truth, prediction: Prediction) -> Floats:
    return np.asarray(counts @ np.abs(truth - prediction.values) / counts.sum(axis=1))


def _scores(prediction: Prediction) -> Floats:
    if prediction.scores is None:
        raise ValueError("numbers to predict have no scores of classes")
    return prediction.scores


METRICS: dict[Target, dict[str, Metric]] = {
    "class": {"accuracy": _hits, "top2_accuracy": _top2, "calibration_error": _calibration_error},
    "classes": {"micro_ap": _micro_ap, "macro_ap": _macro_ap, "micro_f1": _micro_f1},
    "number": {"r2": _r2, "rmse": _rmse, "mae": _mae},
}
"""Beside those of a confusion; the first of each is `PRIMARY`."""


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


_OF_CONFUSION: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
}


def measure_confusion(counts: Labels, seed: int = SEED) -> dict[str, Interval]:
    """Metrics of a confusion, each with its percentile bootstrap interval over test samples.

    Drawing test samples with replacement and counting them is one draw of a multinomial over
    the cells of the confusion, so that is what is drawn.
    """
    total = int(counts.sum())
    draws = np.random.default_rng(seed).multinomial(total, counts.ravel() / total, RESAMPLES)
    drawn = draws.reshape(RESAMPLES, *counts.shape)
    return {
        name: interval(float(metric(counts)), metric(drawn))
        for name, metric in _OF_CONFUSION.items()
    }


def _diagonal(counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _mean_where(
    above: npt.NDArray[Any], below: npt.NDArray[Any], used: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    parts = np.where(used, above / np.where(used, below, 1), 0)
    return np.asarray(parts.sum(axis=-1) / used.sum(axis=-1), np.float64)
