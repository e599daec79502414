"""Sets of vectors probed in every split scheme and year, and compared with each other by pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from hfaef.core.progress import Advance
from hfaef.evaluation.fit import Data, Fitted, Method, doubts, fit, fit_folds, standing
from hfaef.evaluation.probe.curves import few_labels, shrunk
from hfaef.evaluation.probe.metrics import (
    Truth,
    confusion,
    measure,
    primary,
    rounded,
    target_of,
)
from hfaef.evaluation.probe.paired import Candidate, compare
from hfaef.evaluation.rows import Fused, Int64, ProbePredictions, Rows, VectorSet
from hfaef.evaluation.stability import between_years
from hfaef.recipe.columns import UNASSIGNED
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.scores import (
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
    predictions: list[ProbePredictions] = field(default_factory=list)
    """Of pooled vectors; no part of ``evaluation.json``."""


@dataclass(frozen=True)
class _Work:
    """What all parts of an evaluation share."""

    sets: Mapping[str, VectorSet]
    rows: Rows
    names: tuple[str, ...]
    """Of the labels; none of numbers to predict."""
    probes: Sequence[Probe]
    method: Method
    advance: Advance
    results: Results = field(default_factory=Results)

    @property
    def classes(self) -> int:
        """How many labels there are; 0 for numbers."""
        return len(self.names)


def measure_all(
    sets: Mapping[str, VectorSet],
    rows: Rows,
    manifest: Manifest,
    probes: Sequence[Probe],
    advance: Advance,
    method: Method,
) -> Results:
    """Everything that is measured; scores in the order of the sets.

    Args:
        sets: by name; the first is compared with all others.
        rows: of the release.
        manifest: the release's.
        probes: to run.
        advance: called for each probe of each set.
        method: of all of them.
    """
    work = _Work(sets, rows, manifest.label_names, probes, method, advance)
    results = work.results
    for year, scheme in product(manifest.config_years, manifest.schemes):
        curves = not method.quick and year == manifest.config_years[0]
        where: dict[str, Any] = {"scheme": scheme, "year": year}
        _measure_scheme(work, where, curves=curves)
    for year, scheme in product(manifest.config_years, manifest.folds):
        where = {"scheme": scheme, "year": year}
        if method.published:
            reason = "the published protocol knows no folds: measure them by the default one"
            for name, probe in product(sets, probes):
                results.skipped.append(Skipped(features=name, **where, probe=probe, reason=reason))
                advance(f"{name}, {scheme}, {probe}")
        else:
            _cross_validate(work, where)
    if not method.quick and len(manifest.config_years) > 1:
        name, one = next(iter(sets.items()))
        found = between_years((name, one), rows, manifest, results.scores, method.max_iterations)
        results.stability, results.transfers = found
    rank = {name: number for number, name in enumerate(sets)}
    results.scores.sort(key=lambda one: rank[one.features])
    results.skipped.sort(key=lambda one: rank[one.features])
    return results


def _measure_scheme(work: _Work, where: dict[str, Any], *, curves: bool) -> None:
    """Add the scores of all sets in a scheme and year, their differences, and curves."""
    fitted: dict[Probe, list[Candidate]] = {probe: [] for probe in work.probes}
    curved = _curved(work.sets) if curves else ()
    of_splits = {
        split: work.rows.of_split(where["scheme"], where["year"], split)
        for split in (TRAIN, VALIDATION, TEST)
    }
    there = frozenset(np.concatenate([*of_splits.values()]).tolist())
    for name, one in work.sets.items():
        parts = {split: one.of(rows) for split, rows in of_splits.items()}
        lacks = _lacks(work.rows.labels, parts)
        data = None if lacks else _data(one, work.rows, parts)
        for probe in work.probes:
            about = {"features": name, **where, "probe": probe}
            if data is None:
                work.results.skipped.append(Skipped(**about, reason=lacks))
            elif stands := _probe(work, about, data):
                without = partial(_fit_without, work, name, probe, of_splits)
                found = (stands.prediction, parts[TEST], one.lacking & there, without)
                fitted[probe].append(Candidate(name, *found))
                _remember(work, about, fitted[probe][-1])
                if probe == "linear" and name in curved:
                    _curves(work, {"features": name, **where}, data, stands)
            work.advance(f"{name}, {where['scheme']}, {probe}")
            if probe == "linear" and name in curved:
                work.advance(f"{name}, {where['scheme']}, few labels and smaller vectors")
    for probe, candidates in fitted.items():
        work.results.differences += _compare(work, candidates, **where, probe=probe)


def _fit_without(
    work: _Work,
    name: str,
    probe: Probe,
    of_splits: Mapping[str, Int64],
    lacking: frozenset[int],
) -> Candidate | None:
    """What stands for a probe of a set that is fit and asked without some patches."""
    one = replace(work.sets[name], lacking=lacking)
    parts = {split: one.of(rows) for split, rows in of_splits.items()}
    if _lacks(work.rows.labels, parts):
        return None
    try:
        found = list(fit(probe, _data(one, work.rows, parts), work.classes, work.method))
    except ValueError:
        return None
    stands = standing(found)
    return None if stands is None else Candidate(name, stands.prediction, parts[TEST], lacking)


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


def _lacks(labels: Truth, parts: Mapping[str, Int64]) -> str:
    """Why nothing can be probed; empty if something can."""
    for part in (TRAIN, TEST):
        if not len(parts[part]):
            return f"no patch for {part}"
        if labels.ndim == 2 and not labels[parts[part]].any():
            return f"no labelled patch for {part}"
    return ""


def _probe(work: _Work, about: dict[str, Any], data: Data) -> Fitted | None:
    """Add the scores of a probe in a scheme; gives what stands for it."""
    results = work.results
    try:
        found = list(fit(about["probe"], data, work.classes, work.method))
    except ValueError as error:
        results.skipped.append(Skipped(**about, reason=str(error)))
        return None
    said = tuple(doubts(data, work.names))
    for one in found:
        if isinstance(one, str):
            results.skipped.append(Skipped(**about, reason=one))
            continue
        results.scores.append(_score(about, one, data.test_truth, work.classes, said))
    return standing(found)


def _score(
    about: dict[str, Any], one: Fitted, truth: Truth, classes: int, said: tuple[str, ...]
) -> Score:
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
        metrics={
            name: rounded(found, name)
            for name, found in measure(truth, one.prediction, classes).items()
        },
        confusion=counts,
        warnings=(*one.prediction.warnings, *said),
    )


def _remember(work: _Work, about: dict[str, Any], candidate: Candidate) -> None:
    """Keep what stands for the probe of a pooling."""
    if work.sets[candidate.name].kind == "pooling":
        values = candidate.prediction.values
        work.results.predictions.append(
            ProbePredictions(**about, rows=candidate.rows, values=values)
        )


def _compare(work: _Work, candidates: Sequence[Candidate], **about: Any) -> list[Difference]:
    others = frozenset(name for name, one in work.sets.items() if one.kind != "pooling")
    fused = {
        part
        for one in work.sets.values()
        if isinstance(one.vectors, Fused)
        for part in one.vectors.names
    }
    return compare(work.rows.labels, candidates, others | fused, **about)


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


def _curves(work: _Work, about: dict[str, Any], data: Data, stands: Fitted) -> None:
    """Add the curves of a set of vectors, whose linear probe this is."""
    limit = work.method.max_iterations
    vectors, truths = (data.train, data.test), (data.truth, data.test_truth)
    full = primary(data.test_truth, stands.prediction)
    work.results.curves.append(few_labels(vectors, truths, work.classes, full, about, limit))
    # C is chosen for each form as it was for the whole vectors.
    held = slice(None) if stands.chosen_by == "validation" else slice(0)
    work.results.shrunk += shrunk(
        (data.train, data.validation[held], data.test),
        (data.truth, data.validation_truth[held], data.test_truth),
        work.classes,
        about,
        limit,
    )


def _cross_validate(work: _Work, where: dict[str, Any]) -> None:
    """Add the scores of all sets over the folds of a scheme in a year."""
    results = work.results
    for probe in work.probes:
        candidates = []
        for name in work.sets:
            about = {"features": name, **where, "probe": probe}
            try:
                score, candidate = _fit_in_folds(work, about, frozenset())
            except ValueError as error:
                results.skipped.append(Skipped(**about, reason=str(error)))
            else:
                results.scores.append(score)
                candidates.append(candidate)
                _remember(work, about, candidate)
            work.advance(f"{name}, {where['scheme']}, {probe}")
        results.differences += _compare(work, candidates, **where, probe=probe)


def _fit_in_folds(
    work: _Work, about: dict[str, Any], lacking: frozenset[int]
) -> tuple[Score, Candidate]:
    """The score of a set over folds without some patches, and what it predicts of them.

    Raises:
        ValueError: if there are fewer than two folds, or too few patches in them.
    """
    rows, scheme, year = work.rows, about["scheme"], about["year"]
    one = work.sets[about["features"]]
    one = replace(one, lacking=lacking or one.lacking)
    names = sorted({*rows.splits[scheme]} - {UNASSIGNED})
    whole = [rows.of_split(scheme, year, fold) for fold in names]
    folds = [some for fold in whole if len(some := one.of(fold))]
    datas = [_fold_data(one, rows, folds, number) for number in range(len(folds))]
    score, prediction = fit_folds(about, datas, work.classes, work.method)

    def without(more: frozenset[int]) -> Candidate | None:
        try:
            return _fit_in_folds(work, about, more)[1]
        except ValueError:
            return None

    gone = one.lacking.intersection(np.concatenate(whole).tolist())
    return score, Candidate(about["features"], prediction, np.concatenate(folds), gone, without)


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
