"""Predictions in a table of points, and which of them still belong to a release's scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfaef.errors import ReleaseError
from hfaef.release.atlas.metadata import Scheme
from hfaef.release.atlas.points import Points, Predicted, label_column, read_points
from hfaef.release.format.manifest import content_sha256
from hfaef.release.format.scores import Evaluation


def kept_predictions(path: Path, points: Points, evaluation: Evaluation) -> tuple[Predicted, ...]:
    """What an earlier table predicts of the same rows, as far as its scores are still the release's.

    Args:
        path: of the earlier table; without one that can be read there is nothing to keep.
        points: of the release.
        evaluation: the scores that the release will have.
    """
    if not evaluation.of(points.manifest):
        return ()
    try:
        table, about = read_points(path)
    except ReleaseError:
        return ()
    same = about.rows == content_sha256(points.manifest) and table["id"].equals(points.table["id"])
    if not same:
        return ()
    return tuple(
        one
        for scheme in about.schemes
        for one in predictions_of(table, scheme)
        if fault(one, table, evaluation) == ""
    )


def predictions_of(table: pa.Table, scheme: Scheme) -> Iterator[Predicted]:
    """The predictions of a table in a scheme, a score each."""
    if scheme.predicted is None or scheme.predicted not in table.column_names:
        return
    column = table[scheme.predicted].combine_chunks()
    there = column.is_valid().to_numpy(zero_copy_only=False)
    years = table["year"].to_numpy()
    for measured in scheme.measured:
        of_year = there if measured.year is None else there & (years == measured.year)
        points = np.flatnonzero(of_year)
        yield Predicted(scheme.name, measured, points, column.take(pa.array(points)))


def fault(one: Predicted, table: pa.Table, evaluation: Evaluation) -> str:
    """Why predictions are not those of a score, in words; empty if they are.

    Args:
        one: predictions of some points.
        table: of all points.
        evaluation: holds the score.
    """
    told = one.measured
    score = evaluation.score(told.vectors, one.scheme, told.year, told.probe)
    if score is None:
        return "are of a score that is not in the evaluation"
    metric = score.metrics.get(told.metric)
    if metric is None or (metric.value, score.test) != (told.value, told.test):
        return "are of another score than the evaluation has"
    if len(one.points) != told.test:
        return f"are of {len(one.points):,} patches, and their score of {told.test:,}"
    (name,) = {label_column(kind)[0] for kind in _KINDS} & {*table.column_names}
    if misclassified(table[name].combine_chunks(), one.points, one.values) != told.misclassified:
        return "are right and wrong of other patches than it is said of them"
    return ""


_KINDS = ("class", "classes", "number")


def misclassified(
    labels: pa.Array, points: npt.NDArray[np.int64], predicted: pa.Array
) -> int | None:
    """How many labels, or sets of labels, are predicted wrongly; None for numbers.

    Args:
        labels: of all points.
        points: numbers of those that are predicted.
        predicted: their labels.
    """
    if pa.types.is_floating(labels.type):
        return None
    truth: list[object] = labels.take(pa.array(points)).to_pylist()
    return sum(bool(one != other) for one, other in zip(truth, predicted.to_pylist(), strict=True))
