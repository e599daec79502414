"""Figures of scores: nothing is cut off, nothing hides something else, the same each time."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hfaef.release.format.scores import Stability
from hfaef.release.plots.curves import draw_few_labels, draw_shrunk, draw_years, look
from hfaef.release.plots.style import GROUND, WIDTH, plotted
from support.evaluations import curve, evaluation, feature_set, interval, score, shrunk

pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")

POINTS = [(1, 0.4, 0.1), (2, 0.5, 0.08), (5, 0.6, 0.05), (10, 0.7, 0.02), (100, 0.8, 0.01)]
FORMS = [("2 components", 8, 0.3), ("32 components", 128, 0.8), ("int8", 64, 0.9), ("1 bit", 8, 1)]


def made(names=("mean", "other"), schemes=("random",), points=POINTS, **more: Any):
    about = [(name, scheme) for name in names for scheme in schemes]
    value = more.pop("value", 0.9)
    metric = "r2" if more.get("target") == "number" else "accuracy"
    return evaluation(
        [feature_set(name, "table") for name in names],
        [
            score(name, value, probe="linear", scheme=scheme, metrics={metric: interval(value)})
            for name, scheme in about
        ],
        curves=[curve(name, points, value, scheme=scheme) for name, scheme in about],
        shrunk=[shrunk(name, *form, scheme=scheme) for name, scheme in about for form in FORMS],
        **more,
    )


def pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        assert "transparency" not in image.info  # a dark page would hide dark ink
        return np.asarray(image.convert("RGB"))


def ground_along_the_edge(found):
    ground = tuple(bytes.fromhex(GROUND[1:]))
    edges = (found[0], found[-1], found[:, 0], found[:, -1])
    return all((edge == ground).all() for edge in edges)


def of_look(picture, number):
    """Where the pixels are of a set's colour, but for what a palette of 256 changes."""
    colour = np.array(list(bytes.fromhex(look(number)[0][1:])))
    return (abs(picture.astype(int) - colour) <= 3).all(axis=2)


LONG = tuple(f"{'a_model_with_a_name_that_is_too_long' * 2}_{number}"[-60:] for number in range(9))


@pytest.mark.parametrize("draw", [draw_few_labels, draw_shrunk])
@pytest.mark.parametrize(
    "found",
    [
        made(),
        made(schemes=("random", "spatial")),
        made(schemes=("one", "two", "three")),
        made(names=LONG, schemes=("random", "spatial")),
        made(names=("_hidden", "$x^2$")),
        made(points=POINTS[:1], value=0.0),
        made(target="number", points=[(10, -2.3, 2.0), (100, 0.3, 0.1)], value=0.4),
        made(points=[(1, 0.99999, 0.0), (1000, 0.99999, 0.0)], value=0.99999),
    ],
    ids=["plain", "two panels", "three", "many", "odd names", "one point", "numbers", "equal"],
)
def test_figures_are_of_one_width_the_same_each_time_and_not_cut_off(draw, found):
    content = draw(found)
    picture = pixels(content)
    assert picture.shape[1] == WIDTH
    assert ground_along_the_edge(picture)
    assert len(content) < 120_000
    assert draw(found) == content


def test_each_set_has_its_own_look():
    assert len({look(number) for number in range(49)}) == 49
    assert len({look(number)[0] for number in range(7)}) == 7


@pytest.mark.parametrize("draw", [draw_few_labels, draw_shrunk])
def test_all_sets_are_seen(draw):
    picture = pixels(draw(made(names=("a", "b", "c"))))
    for number in range(3):
        assert of_look(picture, number).sum() > 20


def test_spread_is_seen():
    wide, narrow = (
        of_look(
            pixels(draw_few_labels(made(names=("a",), points=[(1, 0.5, s), (10, 0.6, s)]))), 0
        ).sum()
        for s in (0.2, 0.001)
    )
    assert wide > narrow + 100


def test_another_year_is_left_out():
    found = made()
    later = [one.model_copy(update={"year": 2024}) for one in found.curves]
    more = found.model_copy(update={"curves": (*found.curves, *later)})
    assert draw_few_labels(more) == draw_few_labels(found)


@pytest.mark.parametrize("pairs", [1, 6])
def test_years_stand_in_rows(pairs):
    one = {"features": "mean", "patches": 10, "quantiles": (0.9, 0.95, 0.98, 0.99, 1.0)}
    rows = [Stability(years=(2017, 2018 + number), **one) for number in range(pairs)]
    picture = pixels(draw_years(evaluation([feature_set("mean")], stability=rows)))
    assert picture.shape[1] == WIDTH
    assert ground_along_the_edge(picture)


def test_settings_of_the_user_do_not_change_plots():
    import matplotlib as mpl

    def plot(figure: Any) -> None:
        figure.subplots().plot([1, 2], label="x")

    plain = plotted(plot, 2)
    assert pixels(plain).shape == (200, WIDTH, 3)
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        assert plotted(plot, 2) == plain
