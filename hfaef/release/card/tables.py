"""Tables of our scores in Markdown, as the card shows them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from hfaef.release.format.scores import Evaluation, Score

PUBLISHED_NEIGHBOURS = 5
"""k of the published kNN, and so of the one that the card shows beside it."""

NONE = "-"

PROBES = (("kNN", PUBLISHED_NEIGHBOURS), ("linear", None))
"""Names and numbers of neighbours of the probes that the card shows."""


def markdown(
    head: Sequence[str], rows: Iterable[Sequence[str | None]], left: Collection[int] = (0,)
) -> str:
    """A table, some columns to the left and the others to the right."""
    ruler = ["---" if column in left else "---:" for column in range(len(head))]
    lines = [head, ruler, *rows]
    texts = ([NONE if cell is None else cell for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in texts)


def headline(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> str:
    """Accuracies of the first feature set in a line; empty if there are none."""
    name = evaluation.features[0].name
    parts = []
    for probe, neighbours in PROBES:
        scores = [evaluation.score(name, one, year, neighbours=neighbours) for one in schemes]
        shown = [f"{_accuracy(s)} % {s.scheme}" for s in scores if s]
        if shown:
            parts.append(f"{probe} {', '.join(shown)}")
    return "; ".join(parts)


def scores_table(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> str:
    """Accuracy of every feature set by probe and scheme, with the gap from first to last scheme."""
    gap = len(schemes) > 1
    head = ["vectors", "length"]
    for probe, _ in PROBES:
        head += [f"{probe}, {scheme}" for scheme in schemes]
        head += [f"{probe}, gap"] if gap else []
    rows = []
    for features in evaluation.features:
        row = [f"`{features.name}`", f"{features.dimensions:,}"]
        for _, neighbours in PROBES:
            scores = [
                evaluation.score(features.name, scheme, year, neighbours=neighbours)
                for scheme in schemes
            ]
            row += [_with_interval(score) for score in scores]
            row += [_gap(scores[0], scores[-1])] if gap else []
        rows.append(row)
    return markdown(head, rows)


def _accuracy(score: Score | None) -> str:
    return _per_cent(score.accuracy.value) if score else NONE


def _with_interval(score: Score | None) -> str:
    if score is None:
        return NONE
    low, high = _per_cent(score.accuracy.low), _per_cent(score.accuracy.high)
    return f"**{_accuracy(score)}**<br>{low}-{high}"


def _gap(first: Score | None, last: Score | None) -> str:
    return _per_cent(first.accuracy.value - last.accuracy.value) if first and last else NONE


def _per_cent(value: float) -> str:
    return f"{100 * value:.1f}"


def neighbours_table(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> str:
    """Accuracy of the kNN by number of neighbours, for the first feature set."""
    name = evaluation.features[0].name
    counts = sorted({score.neighbours for score in evaluation.scores if score.neighbours})
    rows = [
        (scheme, *(_accuracy(evaluation.score(name, scheme, year, neighbours=k)) for k in counts))
        for scheme in schemes
    ]
    return markdown(["scheme", *(f"k = {k}" for k in counts)], rows)


def metrics_table(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> str:
    """Balanced accuracy and macro F1 of every feature set, kNN and linear probe."""
    head = ["vectors"]
    head += [f"{what}, {scheme}" for scheme in schemes for what in ("balanced", "macro F1")]
    rows = []
    for features in evaluation.features:
        for probe, neighbours in PROBES:
            row = [f"`{features.name}`, {probe}"]
            for scheme in schemes:
                score = evaluation.score(features.name, scheme, year, neighbours=neighbours)
                metrics = (score.balanced_accuracy, score.macro_f1) if score else (None, None)
                row += [_per_cent(one.value) if one else NONE for one in metrics]
            rows.append(row)
    return markdown(head, rows)


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
