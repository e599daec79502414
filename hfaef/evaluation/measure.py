"""Sets of vectors probed in every split scheme and year, and compared with each other by pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import numpy as np

from hfaef.core.progress import Advance
from hfaef.evaluation.fit import Data, Fitted, fit, fit_folds
from hfaef.evaluation.probe.curves import few_labels, shrunk
from hfaef.evaluation.probe.linear import predict
from hfaef.evaluation.probe.metrics import confusion, measure, target_of
from hfaef.evaluation.probe.paired import Candidate, compare
from hfaef.evaluation.vectors import Fused, Int64, Rows, Vectors
from hfaef.recipe.columns import UNASSIGNED
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.scores import (
    PRIMARY,
    Curve,
    Difference,
    Probe,
    Score,
    Shrunk,
    Skipped,
    Stability,
    Transfer,
)

TRAIN, VALIDATION, TEST = "train", "validation", "test"

QUANTILES = (5, 25, 50, 75, 95)
"""Per cent, of cosines between years."""


@dataclass(frozen=True)
class VectorSet:
    """One vector a patch, under a name."""

    vectors: Vectors | Fused
    kind: Literal["pooling", "table", "fused"]
    lacking: frozenset[int] = frozenset()
    """Numbers of the rows that have none."""

    def of(self, rows: Int64) -> Int64:
        """Those of some rows that have a vector."""
        if not self.lacking:
            return rows
        return rows[[number not in self.lacking for number in rows.tolist()]]


@dataclass
class Results:
    """What is measured, as it comes."""

    scores: list[Score] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    shrunk: list[Shrunk] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    stability: list[Stability] = field(default_factory=list)


def measure_all(
    sets: Mapping[str, VectorSet],
    rows: Rows,
    manifest: Manifest,
    probes: Sequence[Probe],
    advance: Advance,
    *,
    published: bool,
    quick: bool,
) -> Results:
    """Everything that is measured.

    Args:
        sets: by name; the first is compared with all others.
        rows: of the release.
        manifest: the release's.
        probes: to run.
        advance: called for each probe of each set.
        published: whether hyperparameters are those of published studies.
        quick: whether curves and years are left out.
    """
    results = Results()
    classes = len(manifest.label_names)
    curved = () if quick else _curved(sets)
    for year, scheme in product(manifest.config_years, manifest.schemes):
        fitted: dict[Probe, dict[str, tuple[Fitted, Int64]]] = {probe: {} for probe in probes}
        for (name, one), probe in product(sets.items(), probes):
            about = {"features": name, "scheme": scheme, "year": year, "probe": probe}
            parts = {
                split: one.of(rows.of_split(scheme, year, split))
                for split in (TRAIN, VALIDATION, TEST)
            }
            data = _data(one, rows, parts)
            _probe(results, about, data, classes, fitted[probe], parts[TEST], published=published)
            advance(f"{name}, {scheme}, {probe}")
            if probe == "linear" and year == manifest.config_years[0] and name in curved:
                if name in fitted[probe]:
                    _curves(results, about, data, classes, fitted[probe][name][0])
                advance(f"{name}, {scheme}, few labels and smaller vectors")
        for probe, found in fitted.items():
            results.differences += _compare(
                found, rows, sets, scheme=scheme, year=year, probe=probe
            )
    for year, scheme in product(manifest.config_years, manifest.folds):
        where = {"scheme": scheme, "year": year}
        _cross_validate(results, sets, rows, classes, probes, advance, where)
    if not quick and len(manifest.config_years) > 1:
        _between_years(results, sets, rows, manifest)
    return results


def _data(one: VectorSet, rows: Rows, parts: Mapping[str, Int64]) -> Data:
    truth = {split: rows.labels[numbers] for split, numbers in parts.items()}
    if isinstance(one.vectors, Fused):
        together = one.vectors.take(
            np.concatenate([parts[split] for split in (TRAIN, VALIDATION, TEST)]),
            len(parts[TRAIN]),
        )
        ends = np.cumsum([len(parts[split]) for split in (TRAIN, VALIDATION)])
        train, validation, test = np.split(together, ends)
    else:
        train, validation, test = (
            one.vectors.take(parts[split]) for split in (TRAIN, VALIDATION, TEST)
        )
    return Data(train, truth[TRAIN], validation, truth[VALIDATION], test, truth[TEST])


def _probe(
    results: Results,
    about: dict[str, Any],
    data: Data,
    classes: int,
    fitted: dict[str, tuple[Fitted, Int64]],
    test: Int64,
    *,
    published: bool,
) -> None:
    """Add the scores of a probe in a scheme, and keep what stands for it."""
    for part, truth in ((TRAIN, data.truth), (TEST, data.test_truth)):
        if not len(truth) or (truth.ndim == 2 and not truth.any()):
            what = "labelled patch" if len(truth) else "patch"
            results.skipped.append(Skipped(**about, reason=f"no {what} for {part}"))
            return
    try:
        found = list(fit(about["probe"], data, classes, published=published))
    except ValueError as error:
        results.skipped.append(Skipped(**about, reason=str(error)))
        return
    for one in found:
        if isinstance(one, str):
            results.skipped.append(Skipped(**about, reason=one))
            continue
        results.scores.append(_score(about, one, data.test_truth, classes))
        if results.scores[-1].shown and one.fit == "train":
            fitted[about["features"]] = one, test


def _score(about: dict[str, Any], one: Fitted, truth: Any, classes: int) -> Score:
    counts: tuple[tuple[int, ...], ...] = ()
    if target_of(truth) == "class":
        matrix = confusion(truth, one.prediction.values, classes).tolist()
        counts = tuple(tuple(row) for row in matrix)
    return Score(
        **about,
        fit=one.fit,
        neighbours=one.prediction.neighbours,
        penalty=one.prediction.penalty,
        chosen_by=one.chosen_by,
        train=one.train,
        test=len(truth),
        metrics=measure(truth, one.prediction, classes),
        confusion=counts,
        warnings=one.prediction.warnings,
    )


def _compare(
    found: Mapping[str, tuple[Fitted, Int64]],
    rows: Rows,
    sets: Mapping[str, VectorSet],
    **about: Any,
) -> list[Difference]:
    candidates = [Candidate(name, one.prediction, test) for name, (one, test) in found.items()]
    others = frozenset(name for name, one in sets.items() if one.kind != "pooling")
    fused = {
        part
        for one in sets.values()
        if isinstance(one.vectors, Fused)
        for part in one.vectors.names
    }
    return compare(rows.labels, candidates, others | fused, **about)


def step_count(
    sets: Mapping[str, VectorSet], manifest: Manifest, probes: Sequence[Probe], *, quick: bool
) -> int:
    """How often `measure_all` calls `advance`."""
    splits = len(manifest.config_years) * len((*manifest.schemes, *manifest.folds))
    curved = _curved(sets) if "linear" in probes and not quick else ()
    return len(sets) * splits * len(probes) + len(curved) * len(manifest.schemes)


def _curved(sets: Mapping[str, VectorSet]) -> tuple[str, ...]:
    """Sets that have curves: the first, and those that are no pooling."""
    first = next(iter(sets))
    return tuple(name for name, one in sets.items() if name == first or one.kind != "pooling")


def _curves(results: Results, about: dict[str, Any], data: Data, classes: int, one: Fitted) -> None:
    """Add what a set of vectors tells with few labels, and in smaller forms."""
    where = {key: about[key] for key in ("features", "scheme", "year")}
    vectors, truths = (data.train, data.test), (data.truth, data.test_truth)
    full = measure(data.test_truth, one.prediction, classes)[PRIMARY[target_of(data.truth)]]
    results.curves.append(few_labels(vectors, truths, classes, full.value, where))
    penalty = one.prediction.penalty or 1.0
    results.shrunk += shrunk(vectors, truths, classes, penalty, where)


def _cross_validate(
    results: Results,
    sets: Mapping[str, VectorSet],
    rows: Rows,
    classes: int,
    probes: Sequence[Probe],
    advance: Advance,
    where: dict[str, Any],
) -> None:
    """Add the scores of all sets over the folds of a scheme in a year."""
    scheme, year = where["scheme"], where["year"]
    names = sorted({*rows.splits[scheme]} - {UNASSIGNED})
    for probe in probes:
        candidates = []
        for name, one in sets.items():
            about = {"features": name, **where, "probe": probe}
            folds = [one.of(rows.of_split(scheme, year, fold)) for fold in names]
            folds = [fold for fold in folds if len(fold)]
            datas = [_fold_data(one, rows, folds, number) for number in range(len(folds))]
            try:
                score, prediction = fit_folds(about, datas, classes)
            except ValueError as error:
                results.skipped.append(Skipped(**about, reason=str(error)))
            else:
                results.scores.append(score)
                candidates.append(Candidate(name, prediction, np.concatenate(folds)))
            advance(f"{name}, {scheme}, {probe}")
        others = frozenset(name for name, one in sets.items() if one.kind != "pooling")
        results.differences += compare(rows.labels, candidates, others, **where, probe=probe)


def _fold_data(
    one: VectorSet, rows: Rows, folds: Sequence[Int64], number: int
) -> Callable[[], Data]:
    """Reads the data of a fold when it is its turn."""

    def read() -> Data:
        others = [fold for index, fold in enumerate(folds) if index != number]
        train = np.concatenate(others) if others else folds[0][:0]
        ordered = np.array(sorted(train.tolist(), key=rows.ids.__getitem__), np.int64)
        empty = ordered[:0]
        return _data(one, rows, {TRAIN: ordered, VALIDATION: empty, TEST: folds[number]})

    return read


def _between_years(
    results: Results, sets: Mapping[str, VectorSet], rows: Rows, manifest: Manifest
) -> None:
    """How alike the first set's vectors of a patch are in two years, and probes across them."""
    name, one = next(iter(sets.items()))
    if isinstance(one.vectors, Fused):
        return
    for first, second in _pairs(manifest.years):
        results.stability.append(_stability(name, one.vectors, rows, first, second))
    classes = len(manifest.label_names)
    for scheme, (train_year, test_year) in product(
        manifest.schemes, product(manifest.years, repeat=2)
    ):
        train = rows.of_split(scheme, train_year, TRAIN)
        test = rows.of_split(scheme, test_year, TEST)
        penalty = next(
            (
                score.penalty
                for score in results.scores
                if (score.features, score.scheme, score.year) == (name, scheme, train_year)
                and score.probe == "linear"
                and score.shown
            ),
            None,
        )
        if not len(train) or not len(test) or penalty is None:
            continue
        (prediction,) = predict(
            one.vectors.take(train),
            rows.labels[train],
            [one.vectors.take(test)],
            penalty,
            classes,
        )
        truth = rows.labels[test]
        results.transfers.append(
            Transfer(
                features=name,
                scheme=scheme,
                train_year=train_year,
                test_year=test_year,
                score=measure(truth, prediction, classes)[PRIMARY[target_of(truth)]],
            )
        )


def _pairs(years: Sequence[int]) -> Iterator[tuple[int, int]]:
    ordered = sorted(years)
    for number, first in enumerate(ordered):
        for second in ordered[number + 1 :]:
            yield first, second


def _stability(name: str, vectors: Vectors, rows: Rows, first: int, second: int) -> Stability:
    place = {
        (year, one): number
        for number, (year, one) in enumerate(zip(rows.years.tolist(), rows.ids, strict=True))
    }
    both = [
        (place[first, one], place[second, one])
        for one in sorted({*rows.ids})
        if (first, one) in place and (second, one) in place
    ]
    before, after = (
        vectors.take(np.array([pair[side] for pair in both], np.int64)).astype(np.float64)
        for side in (0, 1)
    )
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosines = (before * after).sum(axis=1) / np.where(lengths > 0, lengths, 1)
    found = np.percentile(cosines, QUANTILES) if both else np.zeros(len(QUANTILES))
    return Stability(
        features=name,
        years=(first, second),
        patches=len(both),
        quantiles=tuple(round(float(value), 6) for value in found),
    )
