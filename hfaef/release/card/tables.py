"""Tables of our scores in Markdown, as the card shows them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from hfaef.errors import count_of
from hfaef.release.format.scores import (
    METRICS,
    PROBES,
    Curve,
    Evaluation,
    Provenance,
    Score,
    Shrunk,
    shown,
    shown_range,
)

NONE = "-"

SMALL_TEST = 500
"""Test patches below which scores are a check, no benchmark."""

_MARKUP = re.compile(r"[\\`*_\[\]!|~&#$]")
"""What means something inside a line of Markdown."""

_ADDRESS = re.compile(r"https://[A-Za-z0-9._~/@:%+=?&-]+")
"""That can be a link as it is."""


def markdown(
    head: Sequence[str], rows: Iterable[Sequence[str | None]], left: Collection[int] = (0,)
) -> str:
    """A table, some columns to the left and the others to the right."""
    ruler = ["---" if column in left else "---:" for column in range(len(head))]
    lines = [head, ruler, *rows]
    texts = ([NONE if cell is None else cell for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in texts)


def scores_table(
    evaluation: Evaluation,
    schemes: Sequence[str],
    year: int | None,
    names: Sequence[str] | None = None,
) -> str:
    """The primary metric of feature sets by probe and scheme.

    Args:
        evaluation: what was measured.
        schemes: of the release.
        year: whose scores.
        names: of the feature sets; without them all, with the gap between first and last scheme
            of splits.
    """
    folds = {score.scheme for score in evaluation.scores if score.fit == "folds"}
    ends = [number for number, scheme in enumerate(schemes) if scheme not in folds]
    gap = len(ends) > 1 and names is None
    metric = evaluation.primary
    head = ["vectors", "length"]
    for word, _ in PROBES:
        head += [f"{word}, {scheme}" for scheme in schemes]
        head += [f"{word}, gap"] if gap else []
    rows = []
    for features in evaluation.features:
        if names is not None and features.name not in names:
            continue
        row = [f"`{features.name}`", f"{features.dimensions:,}"]
        for _, probe in PROBES:
            scores = [evaluation.score(features.name, one, year, probe) for one in schemes]
            row += [_with_interval(score, metric) for score in scores]
            row += [_gap(scores[ends[0]], scores[ends[-1]], metric)] if gap else []
        rows.append(row)
    return markdown(head, rows)


def years_table(evaluation: Evaluation, schemes: Sequence[str], years: Sequence[int | None]) -> str:
    """The primary metric of the first feature set, a row a year; empty for one year."""
    found = _by_year(evaluation, schemes, years)
    rows = [
        [str(year), *(_with_interval(of.get(year), evaluation.primary) for of in found.values())]
        for year in years
        if any(year in of for of in found.values())
    ]
    head = ["year", *(f"{word}, {scheme}" for word, scheme in found)]
    return markdown(head, rows) if len(rows) > 1 else ""


def over_years(evaluation: Evaluation, schemes: Sequence[str], years: Sequence[int | None]) -> str:
    """In words, between what the first feature set's scores lie over the years; empty for one."""
    metric = evaluation.primary
    parts = []
    for (word, scheme), of in _by_year(evaluation, schemes, years).items():
        if len(of) > 1:
            # By score, then by year.
            low, *_, high = sorted(of, key=lambda year: of[year].metrics[metric].value)
            least, most = (shown(of[year].metrics[metric].value, metric) for year in (low, high))
            range_ = f"{least} ({low}) to {most} ({high})"
            if least == most:
                range_ = f"{least} in every year"
            parts.append(f"{range_} with {word} on `{scheme}`")
    if not parts:
        return ""
    listed = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    return f"`{evaluation.features[0].name}` reaches {listed}"


def _by_year(
    evaluation: Evaluation, schemes: Sequence[str], years: Sequence[int | None]
) -> dict[tuple[str, str], dict[int | None, Score]]:
    """Scores of the first feature set by probe and scheme, then by year."""
    name = evaluation.features[0].name
    found = {}
    for word, probe in PROBES:
        for scheme in schemes:
            scores = {year: evaluation.score(name, scheme, year, probe) for year in years}
            of = {year: score for year, score in scores.items() if score}
            if of:
                found[word, scheme] = of
    return found


def few_tests(evaluation: Evaluation) -> str:
    """That there are few patches to test on; empty if there are enough, or no scores."""
    least = min((score.test for score in evaluation.scores), default=SMALL_TEST)
    if least >= SMALL_TEST:
        return ""
    few = "Only one patch" if least == 1 else f"Only {count_of(least, 'patch')}"
    return f"**{few}** to test on: a check that all works, no benchmark"


def origins(evaluation: Evaluation) -> Iterator[str]:
    """What vectors from elsewhere are made of, a line of Markdown a set; their words are others'."""
    for features in evaluation.features:
        made = [plain(features.made_of)] if features.made_of else []
        if features.provenance is not None:
            made += _model_of(features.provenance)
        if made:
            yield f"`{features.name}`: {'; '.join(made)}"


def _model_of(model: Provenance) -> Iterator[str]:
    """What is known of a model and of how images were given to it."""
    yield f"model {plain(model.model)}"
    weights = ""
    if model.address:
        safe = _ADDRESS.fullmatch(model.address)
        weights = f"<{model.address}>" if safe else plain(model.address)
    elif model.weights_sha256:
        weights = f"a file, SHA-256 {plain(model.weights_sha256[:12])}"
    if weights:
        yield f"weights {weights}, licence {plain(model.license) or 'not stated'}"
    if model.bands:
        level = f" ({plain(model.level)})" if model.level else ""
        yield f"bands {plain(', '.join(model.bands))}{level}"
    if model.transform:
        yield f"images: {plain(model.transform)}"
    if model.pooling:
        yield f"vector: {plain(model.pooling)}"
    if model.notes:
        yield f"did not fit: {plain(', '.join(model.notes))}"


def plain(text: str) -> str:
    """A text as Markdown that shows it and is nothing else: no link, picture, code or tag."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split())).replace("<", "&lt;")


def _with_interval(score: Score | None, metric: str) -> str:
    if score is None:
        return NONE
    found = score.metrics[metric]
    sure = shown_range(found, metric, folds=score.fit == "folds")
    return f"{shown(found.value, metric)}<br>{sure}"


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


def metrics_table(evaluation: Evaluation, scheme: str, year: int | None) -> str:
    """All metrics of every feature set in a scheme; the primary one with validation patches, too."""
    found = {name for score in evaluation.scores for name in score.metrics}
    names = [name for name in METRICS if name in found - {evaluation.primary}]
    more = any(
        score.fit == "train+validation" and score.scheme == scheme for score in evaluation.scores
    )
    head = ["vectors", "probe", "k, C", METRICS[evaluation.primary]]
    head += ["fit to validation, too"] if more else []
    rows = []
    for features in evaluation.features:
        for word, probe in PROBES:
            score = evaluation.score(features.name, scheme, year, probe)
            both = evaluation.score(features.name, scheme, year, probe, fit="train+validation")
            if score:
                row = [f"`{features.name}`", word, _chosen(score)]
                row.append(_metric(score, evaluation.primary))
                row += [_metric(both, evaluation.primary)] if more else []
                rows.append([*row, *(_metric(score, name) for name in names)])
    return markdown([*head, *(METRICS[name] for name in names)], rows)


def _chosen(score: Score) -> str:
    """k of a kNN, or C of a linear probe; over folds there may be several."""
    chosen = score.penalty if score.neighbours is None else score.neighbours
    return NONE if chosen is None else f"{chosen:g}"


def _metric(score: Score | None, name: str) -> str:
    return shown(score.metrics[name].value, name) if score and name in score.metrics else NONE


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
        # Nine tenths of nothing are reached by anything.
        enough = NONE if one.full <= 0 else f"{one.enough:,}" if one.enough else "all"
        rows.append([f"`{one.features}`, {one.scheme}", *cells, shown(one.full, metric), enough])
    return markdown(["vectors", *(f"{size:,}" for size in sizes), "all", "enough"], rows)


def shrunk_table(evaluation: Evaluation, year: int | None) -> str:
    """The primary metric of smaller forms of vectors, with their bytes; empty if there is none."""
    metric = evaluation.primary
    found = [one for one in evaluation.shrunk if one.year == year]
    lengths = {one.name: one.dimensions for one in evaluation.features}
    forms = list(dict.fromkeys(one.form for one in found))
    rows = []
    for name, scheme in dict.fromkeys((one.features, one.scheme) for one in found):
        of = {one.form: one for one in found if (one.features, one.scheme) == (name, scheme)}
        whole = evaluation.score(name, scheme, year, "linear")
        cells = [
            f"{shown(of[form].score.value, metric)}<br>{of[form].bytes:,.0f} B"
            if form in of
            else NONE
            for form in forms
        ]
        size = f"<br>{4 * lengths[name]:,} B" if name in lengths else ""
        rows.append([f"`{name}`, {scheme}", f"{_metric(whole, metric)}{size}", *cells])
    short = [form.removesuffix(" components") for form in forms]
    return markdown(["vectors", "float32", *short], rows) if rows else ""


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
            *(f"{value:.4f}" for value in one.quantiles),
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
    curves: tuple[Curve | Shrunk, ...] = (*evaluation.curves, *evaluation.shrunk)
    for one in curves:
        of = one.form if isinstance(one, Shrunk) else "few labels"
        for warning in one.warnings:
            about = f"{of}, {one.scheme} {one.year or 'all years'}: {warning}"
            vectors.setdefault(about, []).append(one.features)
    for move in evaluation.transfers:
        for warning in move.warnings:
            about = f"linear, {move.scheme}, {move.train_year} to {move.test_year}: {warning}"
            vectors.setdefault(about, []).append(move.features)
    for skip in evaluation.skipped:
        about = f"{skip.probe}, {skip.scheme} {skip.year or 'all years'}: not run, {skip.reason}"
        vectors.setdefault(about, []).append(skip.features)
    for about, names in vectors.items():
        yield f"{about} (`{'`, `'.join(dict.fromkeys(names))}`)"
