"""Two sets of vectors on the same test patches: by how much one is better, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.evaluation.probe.metrics import (
    Floats,
    Prediction,
    Truth,
    interval,
    primary,
    resampled,
    rounded,
    target_of,
    tells,
)
from hfaef.release.format.scores import PRIMARY, Difference


@dataclass(frozen=True)
class Candidate:
    """A set of vectors and what a probe predicts from it."""

    name: str
    prediction: Prediction
    rows: npt.NDArray[np.int64]
    """Numbers of the test patches."""
    lacking: frozenset[int] = frozenset()
    """Numbers of the patches to train or test on that it has no vector for."""
    fit_without: Callable[[frozenset[int]], Candidate | None] | None = None
    """The same set, fit and asked without these patches; None if nothing can be fit."""


def compare(
    labels: Truth, candidates: Sequence[Candidate], others: frozenset[str], **about: Any
) -> list[Difference]:
    """The first set against each other one, and all pairs of those that are named.

    Where one of two lacks patches, both are fit and asked without them: who has more patches to
    learn from is no better for that.

    Args:
        labels: of all rows.
        candidates: sets of vectors.
        others: names of the sets of which all pairs are compared.
        about: scheme, year and probe, for the differences.
    """
    if not candidates:
        return []
    first = candidates[0]
    held: dict[tuple[str, frozenset[int], bytes], Floats] = {}

    def draws(truth: Truth, one: Candidate) -> Floats:
        key = one.name, one.lacking, one.rows.tobytes()
        if key not in held:
            held[key] = resampled(truth, one.prediction)
        return held[key]

    found = []
    for one, two in combinations(candidates, 2):
        if one is not first and not {one.name, two.name} <= others:
            continue
        both = _on_common(one, two)
        if both is None:
            continue
        one, two = both  # noqa: PLW2901 - fit to and asked of the same patches from here on
        truth = labels[one.rows]
        if not tells(truth):
            continue
        metric = PRIMARY[target_of(truth)]
        value = primary(truth, one.prediction) - primary(truth, two.prediction)
        found.append(
            Difference(
                a=one.name,
                b=two.name,
                **about,
                metric=metric,
                difference=rounded(interval(value, draws(truth, one) - draws(truth, two)), metric),
                **_right_alone(truth, one, two),
            )
        )
    return found


def _on_common(one: Candidate, two: Candidate) -> tuple[Candidate, Candidate] | None:
    """Both fit to and asked of the patches that both have; None if these are too few."""
    lacking = one.lacking | two.lacking
    found = [
        candidate
        if candidate.lacking == lacking or candidate.fit_without is None
        else candidate.fit_without(lacking)
        for candidate in (one, two)
    ]
    first, second = found
    if first is None or second is None:
        return None
    if np.array_equal(first.rows, second.rows):
        return first, second
    rows = first.rows[np.isin(first.rows, second.rows)]
    return _chosen(first, rows), _chosen(second, rows)


def _chosen(one: Candidate, rows: npt.NDArray[np.int64]) -> Candidate:
    """The same, asked of some of its test patches alone."""
    place = {row: number for number, row in enumerate(one.rows.tolist())}
    numbers = [place[row] for row in rows.tolist()]
    scores = one.prediction.scores
    some = Prediction(one.prediction.values[numbers], None if scores is None else scores[numbers])
    return replace(one, prediction=some, rows=rows)


def _right_alone(truth: Truth, one: Candidate, two: Candidate) -> dict[str, Any]:
    """Patches that only one of the two gets right, where patches are right or wrong."""
    if target_of(truth) != "class":
        return {}
    right = [truth == candidate.prediction.values for candidate in (one, two)]
    only_a, only_b = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    return {"only_a": only_a, "only_b": only_b, "p_value": mcnemar(only_a, only_b)}


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided p of McNemar's exact test: patches that only one of two gets right.

    https://en.wikipedia.org/wiki/McNemar%27s_test
    """
    total = only_a + only_b
    ways, tail = 1, 0
    for fewer in range(min(only_a, only_b) + 1):
        tail += ways
        ways = ways * (total - fewer) // (fewer + 1)
    return round(min(2 * tail / (1 << total), 1.0), 6)
