"""How alike the vectors of a patch are in two years, and probes of one year asked about another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np

from hfaef.evaluation.probe.linear import predict
from hfaef.evaluation.probe.metrics import measure_primary, tells
from hfaef.evaluation.probe.neighbours import unit
from hfaef.evaluation.rows import Fused, Int64, Rows, Vectors, VectorSet
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.scores import Score, Stability, Transfer

QUANTILES = (5, 25, 50, 75, 95)
"""Per cent, of cosines between years."""


def between_years(
    named: tuple[str, VectorSet],
    rows: Rows,
    manifest: Manifest,
    scores: Sequence[Score],
    max_iterations: int,
) -> tuple[list[Stability], list[Transfer]]:
    """How alike vectors of a patch are in two years, and linear probes across all pairs of years.

    Args:
        named: name of a set of vectors, and the set; of fused ones there is nothing.
        rows: of the release.
        manifest: the release's, of several years.
        scores: of the set; those of its linear probe say its C.
        max_iterations: of the solver.
    """
    name, one = named
    if isinstance(one.vectors, Fused):
        return [], []
    of_year = {year: one.of(np.flatnonzero(rows.years == year)) for year in manifest.years}
    alike = [
        found
        for first, second in combinations(sorted(of_year), 2)
        for found in stability(name, one.vectors, rows, (of_year[first], of_year[second]))
    ]
    transfers = []
    for scheme, (train_year, test_year) in product(
        manifest.schemes, product(manifest.years, repeat=2)
    ):
        train = one.of(rows.of_split(scheme, train_year, "train"))
        test = one.of(rows.of_split(scheme, test_year, "test"))
        penalty = next(
            (
                score.penalty
                for score in scores
                if (score.features, score.scheme, score.year) == (name, scheme, train_year)
                and score.probe == "linear"
                and score.shown
            ),
            None,
        )
        if not tells(rows.labels[test]) or penalty is None:
            continue
        classes = len(manifest.label_names)
        (prediction,) = predict(
            one.vectors.take(train),
            rows.labels[train],
            [one.vectors.take(test)],
            penalty,
            classes,
            max_iterations,
        )
        transfers.append(
            Transfer(
                features=name,
                scheme=scheme,
                train_year=train_year,
                test_year=test_year,
                score=measure_primary(rows.labels[test], prediction, classes),
                warnings=prediction.warnings,
            )
        )
    return alike, transfers


def stability(
    name: str, vectors: Vectors, rows: Rows, of_years: tuple[Int64, Int64]
) -> Iterator[Stability]:
    """Quantiles of the cosines of the patches that two years share, if there are any.

    Args:
        name: of the vectors.
        vectors: of all rows.
        rows: of the release.
        of_years: numbers of the rows of each of the two years that have a vector.
    """
    places = [{rows.ids[row]: row for row in some.tolist()} for some in of_years]
    shared = sorted(places[0].keys() & places[1].keys())
    if not shared:
        return
    before, after = (
        vectors.take(np.array([place[identity] for identity in shared], np.int64))
        for place in places
    )
    cosines = np.einsum("vd,vd->v", unit(before), unit(after))
    found = np.percentile(cosines, QUANTILES)
    low, lower, middle, upper, high = (round(float(value), 6) for value in found)
    first, second = (int(rows.years[some[0]]) for some in of_years)
    yield Stability(
        features=name,
        years=(first, second),
        patches=len(shared),
        quantiles=(low, lower, middle, upper, high),
    )
