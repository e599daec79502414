"""Which vectors are better than which, by how much, and how sure that is: in words and a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hfaef.errors import count_of
from hfaef.release.format.scores import METRICS, PLAIN, PROBES, Difference, Evaluation, shown

_WORDS = {probe: word for word, probe in PROBES}


def compared(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> list[Difference]:
    """Comparisons of a year, those of kNN first, in the order of the schemes."""
    rank = {scheme: number for number, scheme in enumerate(schemes)}
    found = [one for one in evaluation.differences if one.scheme in rank and one.year == year]
    return sorted(found, key=lambda one: (one.probe, rank[one.scheme]))


def deciding(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> tuple[str, ...]:
    """Names of the vectors that matter first: the first set, those that are no pooling, and of the
    other poolings the one that scores best against the first.
    """
    first, *rest = evaluation.features
    others = [one.name for one in rest if one.kind != "pooling"]
    best = _best_pooling(evaluation, schemes, year)
    return tuple(filter(None, (first.name, *others, best)))


def _best_pooling(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> str | None:
    """The pooling with the best mean difference from the first set; None if there is no other."""
    first, *rest = evaluation.features
    poolings = {one.name for one in rest if one.kind == "pooling"}
    gains: dict[str, list[float]] = {}
    for one in compared(evaluation, schemes, year):
        if one.a == first.name and one.b in poolings:
            gains.setdefault(one.b, []).append(-one.difference.value)
    return max(gains, key=lambda name: sum(gains[name]) / len(gains[name]), default=None)


def verdicts(evaluation: Evaluation, schemes: Sequence[str], year: int | None) -> Iterator[str]:
    """What comparisons of the first set with the others that decide say, a sentence each."""
    first, *rest = deciding(evaluation, schemes, year)
    best = _best_pooling(evaluation, schemes, year)
    found = compared(evaluation, schemes, year)
    for name in rest:
        pair = [one for one in found if {one.a, one.b} == {first, name}]
        if not pair:
            continue
        said = verdict(pair)
        poolings = sum(one.kind == "pooling" for one in evaluation.features[1:])
        if name == best and poolings > 1:
            said += (
                f" (`{name}` is the best of {poolings} other poolings on these very test patches, "
                "which flatters it)"
            )
        yield said
    for one in evaluation.features:
        if one.lacking:
            yield (
                f"`{one.name}` lacks {count_of(one.lacking, 'patch')}: its scores are of the others, and "
                "it is compared by probes that are fit to and asked of what both have"
            )


def verdict(pair: Sequence[Difference]) -> str:
    """What comparisons of the same two sets, of several probes and schemes, say together."""
    a, b = pair[0].a, pair[0].b
    parts = []
    for better, worse in ((a, b), (b, a)):
        won = [one for one in pair if one.better == better]
        if won:
            margins = _listed([_margin(one, better, first=one is won[0]) for one in won])
            parts.append(f"**`{better}` is better than `{worse}`** by {margins}")
    same = [one for one in pair if one.better is None]
    if same:
        ranges = _listed([_range(one, a, first=one is same[0]) for one in same])
        between = "" if parts else f"Between `{a}` and `{b}` "
        parts.append(f"{between}**no difference can be shown** for {ranges}")
    return "; ".join(parts)


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _where(one: Difference) -> str:
    return f"{_WORDS[one.probe]} on `{one.scheme}`"


def _margin(one: Difference, better: str, *, first: bool) -> str:
    """A difference in favour of a set, where it was measured, and its interval."""
    found, sign = one.difference, 1 if one.a == better else -1
    low, high = sorted((sign * found.low, sign * found.high))
    value = shown(sign * found.value, one.metric) + (f" {_unit(one)}" if first else "")
    interval = f"{shown(low, one.metric)} to {shown(high, one.metric)}"
    return f"{value} with {_where(one)} ({'interval ' if first else ''}{interval})"


def _range(one: Difference, of: str, *, first: bool) -> str:
    """Where no difference was shown, how large it was, and in what interval it lies."""
    found = one.difference
    value = shown(found.value, one.metric)
    said = f"`{of}` less the other {value} {_unit(one)}, interval " if first else f"{value}, "
    said += f"{shown(found.low, one.metric)} to {shown(found.high, one.metric)}"
    doubt = f", McNemar p = {one.p_value:.2g}" if _doubted(one) else ""
    return f"{_where(one)} ({said}{doubt})"


def _unit(one: Difference) -> str:
    return METRICS[one.metric] if one.metric in PLAIN else "points"


def _doubted(one: Difference) -> bool:
    """Whether the interval and the exact test disagree."""
    return one.better is None and one.difference.low * one.difference.high > 0


def differences_table(
    evaluation: Evaluation, schemes: Sequence[str], year: int | None
) -> tuple[list[str], list[list[str | None]]]:
    """Head and rows of a table of all comparisons by pairs."""
    found = compared(evaluation, schemes, year)
    counted = any(one.only_a is not None for one in found)
    rows: list[list[str | None]] = []
    for one in found:
        row: list[str | None] = [
            f"`{one.a}`, `{one.b}`",
            f"{_WORDS[one.probe]}, {one.scheme}",
            shown(one.difference.value, one.metric),
            f"{shown(one.difference.low, one.metric)} to {shown(one.difference.high, one.metric)}",
        ]
        if counted:
            row += [None if count is None else f"{count:,}" for count in (one.only_a, one.only_b)]
            row.append(None if one.p_value is None else f"{one.p_value:.2g}")
        rows.append([*row, f"`{one.better}`" if one.better else None])
    head = ["first, second", "probe, scheme", "first less second", "interval"]
    head += ["only first right", "only second right", "McNemar p"] if counted else []
    return [*head, "better"], rows
