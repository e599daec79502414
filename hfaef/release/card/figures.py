"""Pictures of a release: previews by label, a map of the patches, how labels and splits balance.

Each is an opaque PNG with dark ink on a light ground, so that it reads the same on light and dark
pages. Splits differ by colour, for the colour-blind too, and by shape.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from hfaef.errors import install_command
from hfaef.recipe.columns import HELD_SPLITS
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import (
    BALANCE,
    BETWEEN_YEARS,
    FEW_LABELS,
    LABELS,
    MAP,
    SHRUNK,
    first_split,
    shuffled,
)
from hfaef.release.format.rows import read_rows
from hfaef.release.format.scores import Evaluation
from hfaef.release.plots.curves import draw_few_labels, draw_shrunk, draw_years
from hfaef.release.plots.lettering import font_for, labels_as_drawn
from hfaef.release.plots.style import DPI, FAINT, GROUND, INK, WIDTH, plotted, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {
    "train": "#0072b2",
    "validation": "#e69f00",
    "test": "#882255",
    "unassigned": "#8a9099",
}
MARKERS = {"train": "o", "validation": "^", "test": "s", "unassigned": "X"}
HATCHES = {"train": "", "validation": "///", "test": "...", "unassigned": "xx"}

_TILE = 64
"""Pixels of a preview in the figure."""
_GAP = 4
_MOST_TILES = 96
"""Previews in the figure: with more it would be too large a file."""
_MOST_LABELS = 32
_TEXT = 210
"""Pixels for a label's name, at most."""


@dataclass(frozen=True)
class PatchLocations:
    """Where the patches of a release's first year lie, and in which splits they are."""

    lon: npt.NDArray[np.float64]
    lat: npt.NDArray[np.float64]
    """Middles of the patches, degrees."""
    labels: list[list[int]]
    """Numbers of each one's labels; none, if they are numbers to predict."""
    splits: dict[str, npt.NDArray[np.str_]]
    """By scheme."""


def not_drawn() -> tuple[str, ...]:
    """Notes on the figures that `draw` leaves out here."""
    if find_spec("matplotlib") is not None:
        return ()
    left_out = "left out: the map and the balance of labels, which need matplotlib"
    return (f"{left_out}; {install_command('eval')}",)


def draw(
    folder: Path, manifest: Manifest, evaluation: Evaluation | None = None
) -> dict[str, bytes]:
    """All figures of a release by path; without matplotlib only `LABELS`.

    Args:
        folder: of the release.
        manifest: the release's.
        evaluation: its scores, whose curves are drawn if they are of the same rows.
    """
    figures = {LABELS: draw_labels(folder, manifest)}
    if not not_drawn():
        locations = read_locations(folder, manifest)
        figures[MAP] = draw_map(locations)
        if manifest.label_names:
            figures[BALANCE] = draw_balance(locations, manifest.label_names)
        if evaluation and evaluation.of(manifest):
            figures |= _draw_scores(evaluation)
    return figures


def _draw_scores(evaluation: Evaluation) -> dict[str, bytes]:
    """Figures of what was measured, without those of nothing."""
    figures = {}
    if any(one.points for one in evaluation.curves):
        figures[FEW_LABELS] = draw_few_labels(evaluation)
    if evaluation.shrunk:
        figures[SHRUNK] = draw_shrunk(evaluation)
    if evaluation.stability:
        figures[BETWEEN_YEARS] = draw_years(evaluation)
    return figures


def draw_labels(folder: Path, manifest: Manifest) -> bytes:
    """PNG of some previews of every label, a row a label."""
    names = labels_as_drawn(manifest.label_names[:_MOST_LABELS]) or ["patches"]
    fonts = [font_for(name) for name in names]
    texts = [
        _shortened(name, _TEXT - 5 * _GAP, font.getlength)
        for name, font in zip(names, fonts, strict=True)
    ]
    lengths = [font.getlength(text) for text, font in zip(texts, fonts, strict=True)]
    start = round(max(lengths)) + 5 * _GAP
    columns = min((WIDTH - start) // (_TILE + _GAP), max(_MOST_TILES // len(names), 1))
    start = WIDTH - columns * (_TILE + _GAP)
    previews = read_previews(folder, manifest, columns)
    height = len(names) * (_TILE + _GAP) + _GAP
    picture = Image.new("RGB", (WIDTH, height), GROUND)
    pen = ImageDraw.Draw(picture)
    for row, text in enumerate(texts):
        top = _GAP + row * (_TILE + _GAP)
        pen.text((2 * _GAP, top + _TILE // 2), text, fill=INK, font=fonts[row], anchor="lm")
        for column, preview in enumerate(previews.get(row, ())):
            with Image.open(io.BytesIO(preview)) as image:
                tile = _tile(image.convert("RGB"))
            left = start + column * (_TILE + _GAP)
            middle = ((_TILE - tile.width) // 2, (_TILE - tile.height) // 2)
            picture.paste(tile, (left + middle[0], top + middle[1]))
    return png(picture)


def read_previews(folder: Path, manifest: Manifest, count: int) -> dict[int, list[bytes]]:
    """JPEGs of a few patches of each label, by its number: the same ones each time."""
    chosen: dict[int, list[tuple[int, str]]] = {}
    rows = _first_rows(folder, manifest, ["id", "label", "year"])
    for number in range(len(manifest.label_names) or 1):
        keys = [
            (row["year"], row["id"])
            for row in rows
            if not manifest.label_names or number in _numbers(row["label"], manifest)
        ]
        chosen[number] = sorted(keys, key=lambda key: (shuffled(key[1]), key[0]))[:count]
    among = {key for keys in chosen.values() for key in keys}
    found = {
        key: row["preview"]["bytes"]
        for row in read_rows(folder, manifest, columns=["id", "year", "preview"])
        if (key := (row["year"], row["id"])) in among
    }
    return {number: [found[key] for key in keys] for number, keys in chosen.items()}


def read_locations(folder: Path, manifest: Manifest) -> PatchLocations:
    """Locations, labels and splits of a release's patches."""
    rows = _first_rows(
        folder, manifest, ["bounds", "label", "year", *manifest.schemes, *manifest.folds]
    )
    bounds = np.array([row["bounds"] for row in rows])
    return PatchLocations(
        lon=(bounds[:, 0] + bounds[:, 2]) / 2,
        lat=(bounds[:, 1] + bounds[:, 3]) / 2,
        labels=[_numbers(row["label"], manifest) for row in rows],
        splits={s: np.array([row[s] for row in rows], np.str_) for s in manifest.schemes}
        or {"": np.array([first_split(_some(row, manifest.folds), ()) for row in rows])},
    )


def _first_rows(folder: Path, manifest: Manifest, names: list[str]) -> list[dict[str, Any]]:
    """Small columns of the rows of the first year, or of all where each has its own."""
    year = manifest.config_years[0]
    rows = read_rows(folder, manifest, columns=names)
    return [row for row in rows if year in (None, row["year"])]


def _some(row: dict[str, Any], names: Sequence[str]) -> dict[str, str]:
    return {name: row[name] for name in names}


def _numbers(label: float | list[int], manifest: Manifest) -> list[int]:
    """Numbers of a row's labels; none, if it is a number to predict."""
    if not manifest.label_names:
        return []
    return label if isinstance(label, list) else [int(label)]


def draw_map(locations: PatchLocations) -> bytes:
    """PNG of the middles of the patches in lon/lat, one map a split scheme."""
    stretch = 1 / max(math.cos(math.radians(float(locations.lat.mean()))), 0.1)
    wide = max(float(np.ptp(locations.lon)), 0.02)
    tall = max(float(np.ptp(locations.lat)), 0.02) * stretch
    across = 1 if wide > 1.6 * tall or len(locations.splits) == 1 else 2
    down = -(-len(locations.splits) // across)
    panel = WIDTH / DPI / across
    height = min(max((panel - 0.9) * tall / wide, 1.8), 6.0)

    def plot(figure: Figure) -> None:
        axes = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
        size = float(np.clip(6000 / max(len(locations.lon), 1), 2, 22))
        for axis, (scheme, split) in zip(axes, locations.splits.items(), strict=False):
            # All splits in one order of drawing, or the last would hide the others.
            for name in HELD_SPLITS:
                inside = split == name
                if inside.any():
                    axis.scatter(
                        locations.lon[inside],
                        locations.lat[inside],
                        s=size,
                        c=COLOURS[name],
                        marker=MARKERS[name],
                        linewidths=0,
                        alpha=0.8,
                        label=f"{name} ({int(inside.sum()):,})",
                    )
            axis.set_aspect(stretch)
            axis.set_title(f"scheme {scheme}" if scheme else "", fontsize=10)
            axis.set_xlabel("longitude, degrees east")
            axis.set_ylabel("latitude, degrees north")
            axis.grid(color=FAINT, linewidth=0.6)
            axis.label_outer()
            axis.legend(fontsize=8, markerscale=1.6, framealpha=0.85, loc="best")
        for axis in axes[len(locations.splits) :]:
            axis.set_axis_off()

    return plotted(plot, height * down + 0.4 * (down - 1) + 0.9)


def draw_balance(locations: PatchLocations, names: Sequence[str]) -> bytes:
    """PNG of the patches of each label by split, one panel a split scheme."""
    shown = labels_as_drawn(names[:_MOST_LABELS])
    across = min(len(locations.splits), 3)

    def plot(figure: Figure) -> None:
        axes = figure.subplots(1, across, squeeze=False, sharey=True, sharex=True).ravel()
        for axis, (scheme, split) in zip(axes, locations.splits.items(), strict=False):
            left = np.zeros(len(shown))
            for name in HELD_SPLITS:
                held = [one for one, of in zip(locations.labels, split, strict=True) if of == name]
                numbers = np.array([number for one in held for number in one], np.int64)
                counts = np.bincount(numbers, minlength=len(names))
                if counts.any():
                    axis.barh(
                        range(len(shown)),
                        counts[: len(shown)],
                        left=left,
                        color=COLOURS[name],
                        hatch=HATCHES[name],
                        edgecolor=GROUND,
                        linewidth=0.8,
                        label=name,
                    )
                left += counts[: len(shown)]
            axis.set_yticks(range(len(shown)), [_shortened(name, 24, len) for name in shown])
            axis.set_title(f"scheme {scheme}" if scheme else "", fontsize=10)
            axis.set_xlabel("patches")
            axis.locator_params(axis="x", integer=True)
            axis.grid(axis="x", color=FAINT, linewidth=0.6)
            axis.set_axisbelow(True)
        axes[0].set_ylabel("label")
        axes[0].invert_yaxis()
        handles, texts = axes[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside upper right", ncols=4, fontsize=8, frameon=False)

    return plotted(plot, 1.3 + 0.27 * len(shown))


def stack(pictures: Sequence[bytes]) -> bytes:
    """PNG of several figures, one below the other."""
    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    height = sum(image.height for image in images) + 3 * _GAP * (len(images) - 1)
    whole = Image.new("RGB", (WIDTH, height), GROUND)
    top = 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height + 3 * _GAP
    return png(whole)


def _tile(image: Image.Image) -> Image.Image:
    """A preview that fits into a tile; small ones are magnified pixel by pixel."""
    scale = _TILE / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    if scale == 1:
        return image
    return image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def _shortened(text: str, room: float, length: Callable[[str], float]) -> str:
    """A text, cut so that its length is within the room."""
    if length(text) <= room:
        return text
    while len(text) > 1 and length(f"{text}\N{HORIZONTAL ELLIPSIS}") > room:
        text = text[:-1]
    return f"{text}\N{HORIZONTAL ELLIPSIS}"
