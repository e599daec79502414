"""What others published of the same patches, and where AlphaEarth stands among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hfaef.release.card.references import Leaderboard, PublishedResults, References
from hfaef.release.format.scores import Evaluation, Probe, Score

OURS = "AEF"
"""Encoder of the published results whose vectors a release holds."""

PLAIN = "mean"
"""The pooling that needs no choice."""

HERE = "here"
"""Source of what was measured on the release itself."""

NEIGHBOURS = 5
"""k of all published kNN."""

HEAD = ("vectors", "length", "linear", f"kNN, k = {NEIGHBOURS}", "from")
"""Of the table of a scheme."""

TEXTS = (0, 4)
"""Its columns that are not numbers."""


@dataclass(frozen=True)
class Standing:
    """A row of the table of a scheme; scores in per cent."""

    name: str
    source: str
    """Tool that published it, or `HERE`."""
    dimensions: int
    knn: float | None
    linear: float | None
    ours: bool = False
    """Whether it is of AlphaEarth's vectors."""
    pooling: str | None = None
    detail: str = ""
    """What else there is to say of the vectors."""
    baseline: bool = False

    @property
    def best(self) -> float:
        """The linear probe's score; the kNN's where there is none."""
        return self.linear if self.linear is not None else self.knn or 0.0

    def cells(self) -> tuple[str | None, ...]:
        """Below `HEAD`: AlphaEarth in bold, floors named as such."""
        name = f"{self.name} ({self.detail})" if self.detail else self.name
        name = f"*floor:* {name}" if self.baseline else name
        return (
            f"**{name}**" if self.ours else name,
            f"{self.dimensions:,}",
            *(None if score is None else f"{score:.1f}" for score in (self.linear, self.knn)),
            f"**{self.source}**" if self.source == HERE else self.source,
        )


def published_schemes(references: References) -> list[str]:
    """Split schemes of which something was published."""
    found = [scheme for one in references.published for scheme in one.schemes]
    found += [one.scheme for one in references.leaderboards]
    return list(dict.fromkeys(found))


def standings(
    references: References, scheme: str, evaluation: Evaluation | None, year: int | None
) -> list[Standing]:
    """Everything known of a scheme, best first.

    Args:
        references: of the release.
        scheme: the split scheme.
        evaluation: of the release, if its scores can be compared with published ones.
        year: of the evaluation's scores.
    """
    found = [
        *(row for one in references.published for row in _poolings(one, scheme)),
        *(row for one in references.leaderboards if one.scheme == scheme for row in _models(one)),
        *(_measured(evaluation, scheme, year) if evaluation else ()),
    ]
    return sorted(found, key=lambda one: -one.best)


def _poolings(published: PublishedResults, scheme: str) -> Iterator[Standing]:
    """Each encoder with the plain pooling and with its best one."""
    if scheme not in published.schemes:
        return
    for number, (encoder, poolings) in enumerate(published.encoders.items()):
        scores = {
            pooling: {
                probe: score
                for (probe, one), score in zip(published.columns, row, strict=True)
                if one == scheme
            }
            for pooling, row in poolings.items()
        }
        best = max(scores, key=lambda one: scores[one].get("linear", scores[one].get("knn", 0.0)))
        for pooling in dict.fromkeys((PLAIN, best)):
            yield Standing(
                name=f"{encoder} `{pooling}`",
                detail="" if pooling == PLAIN else f"best of {len(poolings)} poolings",
                source=published.name,
                dimensions=published.lengths[pooling][number],
                knn=scores[pooling].get("knn"),
                linear=scores[pooling].get("linear"),
                ours=encoder == OURS,
                pooling=pooling,
            )


def _models(board: Leaderboard) -> Iterator[Standing]:
    for row in board.rows:
        yield Standing(
            name=row.model,
            detail=row.bands,
            source=board.name,
            dimensions=row.dimensions,
            knn=row.knn,
            linear=row.linear,
            baseline=row.baseline,
        )


def _measured(evaluation: Evaluation, scheme: str, year: int | None) -> Iterator[Standing]:
    """AlphaEarth's plain pooling and its best one, and all vectors from elsewhere."""
    found = []
    for features in evaluation.features:
        ours = features.kind == "pooling"
        knn = evaluation.score(features.name, scheme, year, "knn")
        linear = evaluation.score(features.name, scheme, year, "linear")
        if knn or linear:
            name = f"`{features.name}`"
            found.append(
                Standing(
                    name=f"{OURS} {name}" if ours else name,
                    source=HERE,
                    dimensions=features.dimensions,
                    knn=_per_cent(knn),
                    linear=_per_cent(linear),
                    ours=ours,
                    pooling=features.name if ours else None,
                )
            )
    best = max((one for one in found if one.ours), key=lambda one: one.best, default=None)
    yield from (one for one in found if not one.ours or one is best or one.pooling == PLAIN)


def _per_cent(score: Score | None) -> float | None:
    return 100 * score.metrics["accuracy"].value if score else None


def place(rows: Sequence[Standing], scheme: str) -> str:
    """In words, what AlphaEarth's mean vector reaches by the linear probe beside the best and the
    floors; empty where nothing was published of it.
    """
    rows = [row for row in rows if row.linear is not None]
    plain = [row for row in rows if row.ours and row.pooling == PLAIN]
    others = [row for row in rows if not row.ours]
    if not plain or not others:
        return ""
    mean = next((row for row in plain if row.source == HERE), plain[0])
    best = max(others, key=lambda row: row.best)
    top = max((row for row in rows if row.ours), key=lambda row: row.best)
    gap = mean.best - best.best
    text = (
        f"On the {scheme} split, a linear probe of AlphaEarth's mean vector reaches "
        f"**{mean.best:.1f} %** ({_origin(mean)}), {abs(gap):.1f} points "
        f"{'below' if gap < 0 else 'above'} the **{best.best:.1f} %** of {best.name} "
        f"({_origin(best)})"
    )
    above = [row for row in rows if row.baseline and row.best > mean.best]
    if above:
        named = " and ".join(f"the {row.best:.1f} % of {row.name} ({row.detail})" for row in above)
        text += f", and below what is simple: {named}"
    text += "."
    if top is not mean and top.best > mean.best:
        text += (
            f" AlphaEarth's best there is {top.best:.1f} %, by `{top.pooling}` ({_origin(top)})."
        )
    return text


def _origin(row: Standing) -> str:
    source = "measured here" if row.source == HERE else f"published by {row.source}"
    return f"{row.detail}, {source}" if row.detail else source


def by_pooling(
    published: PublishedResults, evaluation: Evaluation | None, year: int | None
) -> tuple[list[str], list[list[str | None]]]:
    """Head and rows of a table of ours and published accuracies of the same embeddings."""
    head = ["pooling"]
    for probe, scheme in published.columns:
        title = f"{'kNN' if probe == 'knn' else probe}, {scheme}"
        head += [f"{title}: here", "published"] if evaluation else [title]
    rows = []
    for pooling, numbers in published.encoders[OURS].items():
        row: list[str | None] = [f"`{pooling}`"]
        for (probe, scheme), number in zip(published.columns, numbers, strict=True):
            if evaluation:
                one: Probe = "knn" if probe == "knn" else "linear"
                found = _per_cent(evaluation.score(pooling, scheme, year, one))
                row.append(None if found is None else f"{found:.1f}")
            row.append(f"{number:.1f}")
        rows.append(row)
    return head, rows
