"""Tables of our scores in Markdown, as the card shows them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import product

from hfaef.release.format.scores import Difference, Evaluation, Probe, Score

NONE = "-"

PROBES: tuple[tuple[str, Probe], ...] = (("kNN", "knn"), ("linear", "linear"))

METRICS = {
    "accuracy": "overall accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "top2_accuracy": "top-2 accuracy",
    "calibration_error": "calibration error",
    "micro_ap": "micro average precision",
    "macro_ap": "macro average precision",
    "micro_f1": "micro F1",
    "r2": "R2",
    "rmse": "RMSE",
    "mae": "MAE",
}
"""In words; those of numbers to predict are no per cents."""

PLAIN = frozenset({"r2", "rmse", "mae"})
"""Metrics that are no shares, so no per cents."""


def shown(value: float, metric: str) -> str:
    """A metric as people read it: per cent, but for those of numbers to predict."""
    return f"{value:.3f}" if metric in PLAIN else f"{100 * value:.1f}"


def markdown(
    head: Sequence[str], rows: Iterable[Sequence[str | None]], left: Collection[int] = (0,)
) -> str:
    """A table, some columns to the left and the others to the right."""
    ruler = ["---" if column in left else "---:" for column in range(len(head))]
    lines = [head, ruler, *rows]
    texts = ([NONE if cell is None else cell for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in texts)


def headline(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> str:
    """The primary metric of the first feature set in a line; empty if there is none."""
    name, metric = evaluation.features[0].name, evaluation.primary
    unit = "" if metric in PLAIN else " %"
    parts = []
    for word, probe in PROBES:
        scores = [evaluation.score(name, one, year, probe) for one in schemes]
        told = [f"{shown(s.metrics[metric].value, metric)}{unit} {s.scheme}" for s in scores if s]
        if told:
            parts.append(f"{word} {', '.join(told)}")
    return "; ".join(parts)


def scores_table(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> str:
    """The primary metric of every feature set by probe and scheme, with the gap between schemes."""
    gap = len(schemes) > 1
    metric = evaluation.primary
    head = ["vectors", "length"]
    for word, _ in PROBES:
        head += [f"{word}, {scheme}" for scheme in schemes]
        head += [f"{word}, gap"] if gap else []
    rows = []
    for features in evaluation.features:
        row = [f"`{features.name}`", f"{features.dimensions:,}"]
        for _, probe in PROBES:
            scores = [evaluation.score(features.name, one, year, probe) for one in schemes]
            row += [_with_interval(score, metric) for score in scores]
            row += [_gap(scores[0], scores[-1], metric)] if gap else []
        rows.append(row)
    return markdown(head, rows)


def _with_interval(score: Score | None, metric: str) -> str:
    if score is None:
        return NONE
    found = score.metrics[metric]
    low, high = shown(found.low, metric), shown(found.high, metric)
    return f"**{shown(found.value, metric)}**<br>{low} to {high}"


def _gap(first: Score | None, last: Score | None, metric: str) -> str:
    if first is None or last is None:
        return NONE
    return shown(first.metrics[metric].value - last.metrics[metric].value, metric)


def neighbours_table(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> str:
    """The primary metric of the kNN by number of neighbours, for the first feature set."""
    name, metric = evaluation.features[0].name, evaluation.primary
    counts = sorted({score.neighbours for score in evaluation.scores if score.neighbours})
    found = {
        (scheme, k): evaluation.score(name, scheme, year, "knn", neighbours=k)
        for scheme in schemes
        for k in counts
    }
    rows = [
        (
            scheme,
            *(
                shown(one.metrics[metric].value, metric) if (one := found[scheme, k]) else NONE
                for k in counts
            ),
        )
        for scheme in schemes
    ]
    return markdown(["scheme", *(f"k = {k}" for k in counts)], rows)


def metrics_table(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> str:
    """All other metrics of every feature set, by probe; and the primary one with more patches."""
    names = [
        name
        for name in dict.fromkeys(name for score in evaluation.scores for name in score.metrics)
        if name != evaluation.primary
    ]
    more = any(score.fit == "train+validation" for score in evaluation.scores)
    head = ["vectors"]
    for scheme in schemes:
        head += [f"{METRICS[name]}, {scheme}" for name in names]
        head += [f"{METRICS[evaluation.primary]} fit to validation, too, {scheme}"] if more else []
    rows = []
    for features, (word, probe) in product(evaluation.features, PROBES):
        row = [f"`{features.name}`, {word}"]
        for scheme in schemes:
            score = evaluation.score(features.name, scheme, year, probe)
            row += [_metric(score, name) for name in names]
            both = evaluation.score(features.name, scheme, year, probe, fit="train+validation")
            row += [_metric(both, evaluation.primary)] if more else []
        rows.append(row)
    return markdown(head, rows)


def _metric(score: Score | None, name: str) -> str:
    return shown(score.metrics[name].value, name) if score and name in score.metrics else NONE


def verdicts(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> Iterator[str]:
    """What comparisons by pairs say, a sentence each, those that decide first."""
    wanted = [one for one in evaluation.differences if one.scheme in schemes and one.year == year]
    for one in sorted(wanted, key=lambda one: (one.better is None, one.probe, one.scheme)):
        word = {probe: word for word, probe in PROBES}[one.probe]
        yield f"{word}, {one.scheme}: {_verdict(one)}"


def _verdict(one: Difference) -> str:
    low, value, high = (
        shown(edge, one.metric)
        for edge in (one.difference.low, one.difference.value, one.difference.high)
    )
    unit = METRICS[one.metric] if one.metric in PLAIN else f"points of {METRICS[one.metric]}"
    alone = ""
    if one.only_a is not None and one.only_b is not None:
        alone = (
            f"; {one.only_a:,} patches only `{one.a}` gets right, {one.only_b:,} only `{one.b}` "
            f"(McNemar p = {one.p_value:.2g})"
        )
    if one.better is None:
        return (
            f"no difference can be shown between `{one.a}` and `{one.b}` ({value} {unit}, "
            f"interval {low} to {high}){alone}"
        )
    worse = one.b if one.better == one.a else one.a
    if one.better == one.b:
        value, low, high = (
            shown(-edge, one.metric)
            for edge in (one.difference.value, one.difference.high, one.difference.low)
        )
    return f"`{one.better}` is better than `{worse}` by {value} {unit}, interval {low} to {high}{alone}"


def few_labels_table(evaluation: Evaluation, year: int | None) -> str:
    """The primary metric of the linear probe by number of labels; empty if there is none."""
    curves = [one for one in evaluation.curves if one.year == year]
    sizes = sorted({point.labels for one in curves for point in one.points})
    if not sizes:
        return ""
    metric = evaluation.primary
    rows = []
    for one in curves:
        found = {point.labels: point for point in one.points}
        cells = [
            f"{shown(found[size].mean, metric)} ± {shown(found[size].spread, metric)}"
            if size in found
            else NONE
            for size in sizes
        ]
        enough = f"{one.enough:,}" if one.enough else "all"
        rows.append([f"`{one.features}`, {one.scheme}", *cells, shown(one.full, metric), enough])
    return markdown(["vectors", *(f"{size:,}" for size in sizes), "all", "for 90 %"], rows)


def shrunk_table(evaluation: Evaluation, year: int | None) -> str:
    """The primary metric of smaller forms of vectors; empty if there is none."""
    metric = evaluation.primary
    found = [one for one in evaluation.shrunk if one.year == year]
    keys = list(dict.fromkeys((one.features, one.scheme) for one in found))
    forms = {one.form: one.bytes for one in found}
    rows = []
    for name, scheme in keys:
        of = {one.form: one for one in found if (one.features, one.scheme) == (name, scheme)}
        whole = evaluation.score(name, scheme, year, "linear")
        rows.append(
            [
                f"`{name}`, {scheme}",
                _metric(whole, metric),
                *(shown(of[form].score.value, metric) if form in of else NONE for form in forms),
            ]
        )
    head = ["vectors", "whole", *(f"{form} ({size:,.0f} B)" for form, size in forms.items())]
    return markdown(head, rows) if rows else ""


def transfers_table(evaluation: Evaluation) -> str:
    """The primary metric of probes fit to one year and asked about another; empty without any."""
    metric = evaluation.primary
    years = sorted({one.test_year for one in evaluation.transfers})
    found = {(one.scheme, one.train_year, one.test_year): one for one in evaluation.transfers}
    rows = [
        [
            f"{scheme}, fit to {train}",
            *(
                shown(found[scheme, train, year].score.value, metric)
                if (scheme, train, year) in found
                else NONE
                for year in years
            ),
        ]
        for scheme, train in dict.fromkeys(
            (one.scheme, one.train_year) for one in evaluation.transfers
        )
    ]
    return markdown(["scheme", *(f"asked about {year}" for year in years)], rows) if rows else ""


def stability_table(evaluation: Evaluation) -> str:
    """Quantiles of cosines between years; empty without any."""
    rows = [
        [
            f"`{one.features}`, {one.years[0]} and {one.years[1]}",
            f"{one.patches:,}",
            *(f"{value:.3f}" for value in one.quantiles),
        ]
        for one in evaluation.stability
    ]
    head = ["vectors", "patches", "5 %", "25 %", "median", "75 %", "95 %"]
    return markdown(head, rows) if rows else ""


def warnings(evaluation: Evaluation) -> Iterator[str]:
    """Solver's warnings and what was left out, each with its probe, scheme, year and vectors."""
    vectors: dict[str, list[str]] = {}
    for score in evaluation.scores:
        for warning in score.warnings:
            about = f"{score.probe}, {score.scheme} {score.year or 'all years'}: {warning}"
            vectors.setdefault(about, []).append(score.features)
    for skip in evaluation.skipped:
        about = f"{skip.probe}, {skip.scheme} {skip.year or 'all years'}: not run, {skip.reason}"
        vectors.setdefault(about, []).append(skip.features)
    for about, names in vectors.items():
        yield f"{about} (`{'`, `'.join(dict.fromkeys(names))}`)"
