"""How alike the vectors of a patch are in two years."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hfaef.evaluation.probe.neighbours import unit
from hfaef.evaluation.rows import Int64, Rows, Vectors
from hfaef.release.format.scores import Stability

QUANTILES = (5, 25, 50, 75, 95)
"""Per cent, of cosines between years."""


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
