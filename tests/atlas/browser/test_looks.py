"""How the page on the demo release looks: light and dark, colours and marks, names, small screens."""

from __future__ import annotations

import re
from colorsys import rgb_to_hls
from pathlib import Path

import numpy as np
import pytest

from servers.files import FileServer
from support.atlas import SHOWN, Points, read_points
from support.browser import Visit, Visits


@pytest.fixture(scope="module")
def points(evaluated_release: Path) -> Points:
    return read_points(evaluated_release)


def luminance(page: Visit) -> float:
    """Of the page's ground, from 0 to 255."""
    colour = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return float(np.mean([int(part) for part in re.findall(r"\d+", colour)[:3]]))


def hue(colour: str) -> float:
    """Of ``#rrggbb``, from 0 to 1."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return rgb_to_hls(red, green, blue)[0]


def test_a_theme_chosen_by_hand_goes_with_the_link_and_is_not_kept_by_who_opens_it(
    visit: Visits, served: FileServer
) -> None:
    page = visit(color_scheme="light").open(served.url + "/")
    page.page.get_by_role("button", name="Switch between light and dark").click()
    page.page.wait_for_function("() => location.hash === '#theme=dark'")
    other = visit(color_scheme="light").open(page.page.evaluate("() => location.href"))
    assert luminance(other) < 80
    other.page.goto(served.url + "/?again")
    assert luminance(other.ready()) > 200
    other.is_clean(served.url)


def test_labels_have_the_same_hues_and_marks_in_light_and_dark(
    visit: Visits, served: FileServer
) -> None:
    page = visit(color_scheme="light").open(served.url + "/")
    script = """() => [...document.querySelectorAll(".legend .mark > *")].map((one) =>
      [one.localName, one.getAttribute("fill")])"""
    light = page.page.evaluate(script)
    page.page.get_by_role("button", name="Switch between light and dark").click()
    dark = page.page.evaluate(script)
    assert light != dark
    for (mark, one), (other_mark, other) in zip(light, dark, strict=True):
        assert mark == other_mark
        away = abs(hue(one) - hue(other))
        assert min(away, 1 - away) < 0.06


def test_neighbours_have_a_mark_of_their_label_or_none(
    visit: Visits, served: FileServer, points: Points
) -> None:
    page = visit().open(served.url + "/#scheme=random")
    page.click(5)
    page.near(SHOWN)
    fills = "(all) => all.map((one) => one.getAttribute('fill'))"
    marks = page.page.locator(".card .mark > *")
    legend = page.page.locator(".legend .mark > *").evaluate_all(fills)
    ids, labels = points.ids(), points.table["label"].to_pylist()
    expected = [legend[labels[ids.index(one["id"])]] for one in page.near(SHOWN)]
    assert marks.evaluate_all(fills) == expected
    page.page.get_by_label("Colour by").select_option("wrong")
    page.page.wait_for_function("() => !document.querySelector('.card .mark')")
    assert len(page.near(SHOWN)) == SHOWN


@pytest.mark.parametrize("size", [(1400, 620), (390, 844)])
def test_the_legend_comes_before_the_filters_and_stays_in_sight(
    visit: Visits, served: FileServer, size: tuple[int, int]
) -> None:
    width, height = size
    page = visit(viewport={"width": width, "height": height}).open(served.url + "/")
    for summary in page.page.locator("#controls summary").all():
        summary.click()
    page.page.get_by_label("Colour by").scroll_into_view_if_needed()
    place = page.page.locator(".legend .category").first.bounding_box()
    assert place is not None
    assert place["y"] + place["height"] < height
    order = page.page.evaluate(
        "() => [...document.querySelectorAll('.legend, .filters')].map((one) => one.className)"
    )
    assert order == ["legend", "filters"]


def test_countries_are_named_where_there_is_room(visit: Visits, served: FileServer) -> None:
    page = visit()
    page.page.add_init_script(
        """window.written = [];
        const write = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
          window.written.push(text);
          return write.call(this, text, x, y);
        };"""
    )
    page.open(served.url + "/#map=3.5/50/10")
    page.page.wait_for_function("() => window.written.includes('Germany')")
    written = page.page.evaluate("() => window.written")
    assert "France" in written
    assert "Luxembourg" not in written
    page.page.evaluate("() => { window.written = []; location.hash = '#map=12/51.1/10.4'; }")
    page.page.wait_for_timeout(400)
    assert page.page.evaluate("() => window.written") == []
    page.is_clean(served.url)


def test_the_page_is_light_or_dark_as_the_system_and_fits_a_narrow_screen(
    visit: Visits, served: FileServer
) -> None:
    light = visit(color_scheme="light").open(served.url + "/")
    assert luminance(light) > 200
    dark = visit(color_scheme="dark", viewport={"width": 380, "height": 740})
    dark.open(served.url + "/")
    assert luminance(dark) < 60
    width = dark.page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    dark.click(6, "map")
    dark.near(SHOWN)
    assert 0 not in dark.pictures(1 + SHOWN)
    patch = dark.page.get_by_role("region", name="Selected patch").get_by_role("img").bounding_box()
    assert patch is not None
    assert 0 < patch["y"] < patch["y"] + patch["height"] < 740  # it has come into sight
    width = dark.page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    dark.is_clean(served.url)
