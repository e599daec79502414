"""The figure of few labels: how scores grow with the labels that a probe is fit to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfaef.release.card.tables import METRICS, PLAIN
from hfaef.release.format.scores import Curve, Evaluation
from hfaef.release.plots.style import DPI, FAINT, WIDTH, plotted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of Okabe and Ito, for the colour-blind: https://jfly.uni-koeln.de/color/"""

_MARKERS = "os^Dv<>"

_HEIGHT = 3.2
"""Inches."""


def draw_curves(evaluation: Evaluation) -> bytes:
    """PNG of the primary metric over the number of labels, a panel a split scheme."""
    schemes = list(dict.fromkeys(one.scheme for one in evaluation.curves))

    def plot(figure: Figure) -> None:
        axes = figure.subplots(1, len(schemes), squeeze=False, sharey=True).ravel()
        for axis, scheme in zip(axes, schemes, strict=True):
            curves = [one for one in evaluation.curves if one.scheme == scheme and one.points]
            for number, curve in enumerate(curves):
                _draw(axis, curve, number, 1 if evaluation.primary in PLAIN else 100)
            axis.set_xscale("log")
            axis.set_title(f"scheme {scheme}", fontsize=10)
            axis.set_xlabel("labels" if evaluation.target == "number" else "labels of each class")
            axis.grid(color=FAINT, linewidth=0.6)
            axis.set_axisbelow(True)
        unit = "" if evaluation.primary in PLAIN else ", %"
        axes[0].set_ylabel(METRICS[evaluation.primary] + unit)
        handles, texts = axes[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside upper right", ncols=4, fontsize=8, frameon=False)

    return plotted(plot, min(_HEIGHT, WIDTH / DPI))


def _draw(axis: Axes, curve: Curve, number: int, scale: int) -> None:
    """A curve with its spread, and a dashed line at the score with all labels."""
    labels = [point.labels for point in curve.points]
    axis.errorbar(
        labels,
        [scale * point.mean for point in curve.points],
        [scale * point.spread for point in curve.points],
        color=_COLOURS[number % len(_COLOURS)],
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=4,
        capsize=2,
        label=curve.features,
    )
    axis.axhline(
        scale * curve.full, color=_COLOURS[number % len(_COLOURS)], linestyle="--", linewidth=0.8
    )
