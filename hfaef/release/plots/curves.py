"""Figures of scores over labels, over bytes of a vector and over years."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from hfaef.release.format.scores import METRICS, PLAIN, Curve, Evaluation, Shrunk
from hfaef.release.plots.style import FAINT, GROUND, WIDTH, plotted

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of Okabe and Ito, for the colour-blind: https://jfly.uni-koeln.de/color/"""

_MARKERS = "os^Dv<>"

_PANEL = 2.7
"""Height of a row of panels, inches."""

_ROW = 0.25
"""Height of a row of the legend, inches."""

_ACROSS = 2
"""Panels in a row, at most."""

_WORST = -1
"""R2 below which axes do not go: such a probe is worth less than the mean, however much."""

_LONGEST = 40
"""Letters of a name in a legend, at most."""

Panel = Callable[["Axes", str], None]
"""Draws what is of a scheme."""


def look(number: int) -> tuple[str, str]:
    """Colour and marker of a set of vectors, together its own for the first 49."""
    turn, place = divmod(number, len(_MARKERS))
    return _COLOURS[(place + turn) % len(_COLOURS)], _MARKERS[place]


def draw_few_labels(evaluation: Evaluation) -> bytes:
    """PNG of the primary metric over the number of labels, a panel a split scheme."""
    year = evaluation.curves[0].year
    curves = [one for one in evaluation.curves if one.points and one.year == year]
    names = _names(one.features for one in curves)
    sizes = sorted({point.labels for one in curves for point in one.points})
    scale = _scale(evaluation)

    def panel(axis: Axes, scheme: str) -> None:
        for one in curves:
            if one.scheme == scheme:
                _draw_curve(axis, one, names.index(one.features), len(names), scale)
        axis.set_xlabel(
            "labels in all" if evaluation.target == "number" else "labels of each class"
        )

    return _panels(evaluation, [one.scheme for one in curves], names, sizes, panel)


def _draw_curve(axis: Axes, curve: Curve, number: int, of: int, scale: int) -> None:
    """A curve with its spread, and a dashed line at the score with all labels."""
    colour, marker = look(number)
    # Beside each other, or spreads at the same number of labels would hide one another.
    aside = 1.03 ** (2 * number - of + 1)
    axis.errorbar(
        [aside * point.labels for point in curve.points],
        [scale * point.mean for point in curve.points],
        [scale * point.spread for point in curve.points],
        color=colour,
        marker=marker,
        markersize=4,
        linewidth=1.2,
        elinewidth=1,
        capsize=2,
        label=_legend(curve.features),
    )
    axis.axhline(scale * curve.full, color=colour, linestyle="--", linewidth=0.8)


def draw_shrunk(evaluation: Evaluation) -> bytes:
    """PNG of the primary metric over the bytes of a vector, a panel a split scheme."""
    year = evaluation.shrunk[0].year
    found = [one for one in evaluation.shrunk if one.year == year]
    names = _names(one.features for one in found)
    lengths = {one.name: one.dimensions for one in evaluation.features}
    sizes = sorted({round(one.bytes) for one in found} | {4 * lengths[name] for name in names})
    scale = _scale(evaluation)

    def panel(axis: Axes, scheme: str) -> None:
        for number, name in enumerate(names):
            of = [one for one in found if (one.features, one.scheme) == (name, scheme)]
            whole = evaluation.score(name, scheme, year, "linear")
            line = [(one.bytes, scale * one.score.value) for one in of if "components" in one.form]
            if whole:
                value = whole.metrics[evaluation.primary].value
                line.append((4.0 * lengths[name], scale * value))
            _draw_shrunk(axis, name, number, line, of, scale)
        axis.set_xlabel("bytes of a vector")

    return _panels(evaluation, [one.scheme for one in found], names, sizes, panel)


def _draw_shrunk(
    axis: Axes,
    name: str,
    number: int,
    line: list[tuple[float, float]],
    of: list[Shrunk],
    scale: int,
) -> None:
    """Components up to the whole vector as a line; other codes as single, larger marks."""
    colour, marker = look(number)
    axis.plot(
        *zip(*line, strict=True),
        color=colour,
        marker=marker,
        markersize=4,
        linewidth=1.2,
        label=_legend(name),
    )
    for one in of:
        if "components" not in one.form:
            at = (one.bytes, scale * one.score.value)
            axis.plot(*at, color=colour, marker=marker, markersize=7, markerfacecolor=GROUND)
            axis.annotate(
                one.form,
                at,
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                bbox={"facecolor": GROUND, "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
            )


def draw_years(evaluation: Evaluation) -> bytes:
    """PNG of cosines of patches with themselves in another year: quantiles by pair of years."""
    found = evaluation.stability[::-1]

    def plot(figure: Figure) -> None:
        axis = figure.subplots()
        for row, one in enumerate(found):
            low, first, median, third, high = one.quantiles
            axis.plot([low, high], [row, row], color=_COLOURS[0], linewidth=1.2)
            axis.plot([first, third], [row, row], color=_COLOURS[0], linewidth=7, alpha=0.6)
            axis.plot(median, row, color=_COLOURS[-1], marker="|", markersize=11)
        names = [f"{one.years[0]} and {one.years[1]}" for one in found]
        axis.set_yticks(range(len(found)), names)
        axis.set_ylim(-0.6, len(found) - 0.4)
        axis.set_xlabel("cosine of a patch with itself: 5 to 95 %, 25 to 75 %, median")
        axis.grid(axis="x", color=FAINT, linewidth=0.6)
        axis.set_axisbelow(True)

    return plotted(plot, 0.9 + 0.3 * len(found))


def _panels(
    evaluation: Evaluation,
    schemes: Iterable[str],
    names: Sequence[str],
    sizes: Sequence[int],
    panel: Panel,
) -> bytes:
    """PNG of panels over a logarithmic axis, one a scheme, below a legend of all of them."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    schemes = list(dict.fromkeys(schemes))
    across = min(len(schemes), _ACROSS)
    down = -(-len(schemes) // across)
    ticks = _apart(sizes)
    legend: dict[str, Artist] = {}

    def plot(figure: Figure) -> None:
        axes = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
        for axis, scheme in zip(axes, schemes, strict=False):
            axis.set_xscale("log")
            axis.margins(y=0.12)  # room for words at marks
            panel(axis, scheme)
            axis.xaxis.set_major_locator(FixedLocator(ticks))
            axis.xaxis.set_major_formatter(FixedFormatter([f"{size:,}" for size in ticks]))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set_title(f"scheme {scheme}", fontsize=10)
            axis.grid(color=FAINT, linewidth=0.6)
            axis.set_axisbelow(True)
            for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
                legend.setdefault(text, handle)
        for axis in axes[len(schemes) :]:
            axis.set_axis_off()
        unit = "" if evaluation.primary in PLAIN else ", %"
        for axis in axes[::across]:
            axis.set_ylabel(METRICS[evaluation.primary] + unit + _limit(axis, evaluation))
        figure.legend(
            legend.values(),
            legend.keys(),
            loc="outside upper left",
            ncols=columns,
            fontsize=8,
            frameon=False,
        )

    columns = max(int(WIDTH / (6.5 * max(map(len, names)) + 50)), 1)
    rows = -(-len(names) // columns)
    return plotted(plot, _PANEL * down + _ROW * rows)


def _limit(axis: Axes, evaluation: Evaluation) -> str:
    """Keep the vertical axis where scores tell something; gives words for what is cut off."""
    low, high = axis.get_ylim()
    least = 0.01 * _scale(evaluation)
    if high - low < least:  # equal scores, whose digits would fill the axis
        axis.set_ylim((low + high) / 2 - least, (low + high) / 2 + least)
    if evaluation.primary in PLAIN and low < _WORST:
        axis.set_ylim(bottom=_WORST)
        return f", from {_WORST} up"
    return ""


def _apart(sizes: Sequence[int]) -> list[int]:
    """Those whose numbers do not run into each other on a logarithmic axis."""
    kept: list[int] = []
    for size in sizes:
        if not kept or size >= 1.6 * kept[-1]:
            kept.append(size)
    return kept


def _scale(evaluation: Evaluation) -> int:
    return 1 if evaluation.primary in PLAIN else 100


def _names(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _legend(name: str) -> str:
    """A name as a legend shows it; one that begins with `_` would be left out."""
    text = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
    return f" {text}" if text.startswith("_") else text
