"""What probes predict of each patch, and which of it a release's points show: one probe a scheme."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pyarrow as pa

from hfaef.evaluation.rows import Int64, ProbePredictions, Rows
from hfaef.release.atlas.metadata import Measured
from hfaef.release.atlas.points import Points, Predicted, label_column
from hfaef.release.atlas.predictions import misclassified
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import POINTS
from hfaef.release.format.scores import Evaluation, Probe

FIRST = "mean"
"""Vectors whose predictions are shown if they are measured: those that points lie by."""

_PROBES: tuple[Probe, ...] = ("linear", "knn")
"""The one that comes first is shown."""

Unit = tuple[str, str, int | None, str]
"""Vectors, scheme, year and probe."""


def choose(
    points: Points,
    rows: Rows,
    made: Sequence[ProbePredictions],
    kept: Sequence[Predicted],
    evaluation: Evaluation,
) -> tuple[tuple[Predicted, ...], tuple[str, ...]]:
    """The predictions that a release's points show: of one probe in each scheme and year.

    That of the vectors `FIRST`, else of those that are measured first; the linear probe, else the
    kNN. Notes say where it is another one, as predictions of the first were not kept.

    Args:
        points: of the release.
        rows: the same rows, as they were evaluated.
        made: what was predicted just now.
        kept: what the release's points showed before, as far as it is still true.
        evaluation: holds the scores of both.
    """
    numbers = points.numbers()
    keys = zip(rows.years.tolist(), rows.ids, strict=True)
    places = np.array([numbers[key] for key in keys], np.int64)
    known = {_unit(one.scheme, one.measured): one for one in kept}
    known |= {
        _unit(one.scheme, one.measured): one
        for one in (_predicted(points, places, one, evaluation) for one in made)
    }
    order = [one.name for one in evaluation.features if one.kind == "pooling"]
    order.sort(key=lambda name: name != FIRST)
    found, lost = [], []
    for scheme, year in _parts(points.manifest):
        units = [
            (name, scheme, year, probe)
            for name, probe in product(order, _PROBES)
            if evaluation.score(name, scheme, year, probe)
        ]
        there = [unit for unit in units if unit in known]
        found += [known[unit] for unit in there[:1]]
        lost += units[:1] if there[:1] != units[:1] else []
    said = {f"{name}, {probe}" for name, _, _, probe in lost}
    return tuple(found), tuple(
        f"{POINTS} has no predictions of {one}, which the scores that stay are of; to have them, "
        f"measure it again"
        for one in sorted(said)
    )


def _unit(scheme: str, one: Measured) -> Unit:
    return one.vectors, scheme, one.year, one.probe


def _parts(manifest: Manifest) -> Iterator[tuple[str, int | None]]:
    return product((*manifest.schemes, *manifest.folds), manifest.config_years)


def _predicted(
    points: Points, places: Int64, made: ProbePredictions, evaluation: Evaluation
) -> Predicted:
    """Predictions as points hold them.

    Args:
        points: of the release.
        places: numbers of the points by those of the rows that were evaluated.
        made: the predictions.
        evaluation: holds their score.
    """
    score = evaluation.score(made.features, made.scheme, made.year, made.probe)
    if score is None:
        raise LookupError(f"{made.features}, {made.scheme}, {made.year}, {made.probe}: no score")
    name, kind = label_column(points.manifest.labelling)
    several = made.values.ndim == 2
    values = [np.flatnonzero(row) for row in made.values] if several else made.values
    labels = pa.array(values, kind)
    numbers = places[made.rows]
    measured = Measured(
        vectors=made.features,
        probe=made.probe,
        year=made.year,
        metric=evaluation.primary,
        value=score.metrics[evaluation.primary].value,
        test=score.test,
        misclassified=misclassified(points.table[name].combine_chunks(), numbers, labels),
    )
    return Predicted(made.scheme, measured, numbers, labels)
