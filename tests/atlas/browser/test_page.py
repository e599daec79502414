"""The page on the demo release: what is clicked, shown, counted, compared and remembered."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from hfaef.release.format.scores import read_evaluation
from servers.files import FileServer
from support.atlas import POLICY, SHOWN, Points, change_points, read_points
from support.browser import Visit, Visits

STEPS = 80
"""Presses of Tab within which everything is reached."""


@pytest.fixture(scope="module")
def points(evaluated_release: Path) -> Points:
    return read_points(evaluated_release)


def assert_neighbours(page: Visit, points: Points, row: int) -> None:
    """Asserts that the page names those of the evaluation, in its order, with its cosines."""
    found = page.near(SHOWN)
    expected = points.near(row)
    assert [(one["id"], one["year"]) for one in found] == [one[:2] for one in expected]
    assert [one["cosine"] for one in found] == pytest.approx([one[2] for one in expected], abs=1e-9)
    assert [one["id"] for one in found] == points.near_by_numpy(row)


def test_a_click_on_a_point_shows_its_patch_and_its_neighbours(
    visit: Visits, served: FileServer, points: Points
) -> None:
    page = visit().open(served.url + "/#scheme=random")
    for row, pane in ((3, "map"), (17, "space"), (30, "map")):
        page.click(row, pane)
        assert_neighbours(page, points, row)
        patch = page.page.get_by_role("region", name="Selected patch")
        words = patch.inner_text()
        names = points.about["label_names"]
        label = points.table["label"][row].as_py()
        assert points.ids()[row] in words
        assert f"Label\n{names[label]}" in words
        assert f"Year\n{points.table['year'][row]}" in words
        assert f"Split\n{points.table['split_0'][row]} (random)" in words
        link = patch.get_by_role("link", name=re.compile("Satellite")).get_attribute("href")
        assert f"{points.table['lat'][row].as_py():.5f}" in str(link)
        near = page.page.get_by_role("region", name="Nearest neighbours")
        cards = near.get_by_role("button", name=re.compile("^Neighbour")).all()
        told = [str(card.get_attribute("aria-label")) for card in cards]
        for card, (name, year, cosine) in zip(told, points.near(row), strict=True):
            assert re.search(rf": {name}, .*, {year}, cosine {cosine:.4f}$", card)
        widths = page.pictures(1 + SHOWN)
        assert len(widths) == 1 + SHOWN
        assert 0 not in widths
    page.is_clean(served.url)
    assert page.data()


def test_the_legend_counts_what_is_shown(visit: Visits, served: FileServer, points: Points) -> None:
    page = visit().open(served.url + "/")
    names = points.about["label_names"]
    counts = Counter(names[label] for label in points.table["label"].to_pylist())
    assert page.call("counts") == {name: counts[name] for name in names}
    assert page.call("shown") == len(points.table)
    legend = page.page.get_by_role("region", name="Legend")
    for name, count in counts.items():
        assert legend.get_by_title(f"{name}: {count}", exact=True).count() == 1
    first, second = (name for name, _ in counts.most_common(2))
    legend.get_by_title(re.compile(f"^{first}: ")).click()
    page.wait_for_shown(counts[first])
    legend.get_by_title(re.compile(f"^{second}: ")).click()
    page.wait_for_shown(counts[first] + counts[second])
    assert f"{counts[first] + counts[second]} of {len(points.table)} patches" in page.text()
    page.page.get_by_role("button", name="Clear filters").click()
    page.wait_for_shown(len(points.table))
    page.page.get_by_label("Search").fill(points.ids()[8])
    page.wait_for_shown(1)
    page.page.get_by_label("Search").press("Enter")
    page.page.wait_for_function("() => window.atlas.selected() === 8")
    page.is_clean(served.url)


def pressed(page: Visit, region: str) -> dict[str, str | None]:
    """What each category of a list says of itself to a screen reader, by its name."""
    rows = page.page.get_by_role("region", name=region).locator("button.category").all()
    return {row.locator(".name").inner_text(): row.get_attribute("aria-pressed") for row in rows}


def test_the_legend_and_the_filters_show_what_is_picked(
    visit: Visits, served: FileServer, points: Points
) -> None:
    page = visit().open(served.url + "/")
    names = points.about["label_names"]
    assert pressed(page, "Legend") == dict.fromkeys(names, "false")
    legend = page.page.get_by_role("region", name="Legend")
    for name in names[:2]:
        legend.get_by_title(re.compile(f"^{name}: ")).click()
    told = pressed(page, "Legend")
    assert told == dict.fromkeys(names, "false") | dict.fromkeys(names[:2], "true")
    weights = [
        legend.get_by_text(name, exact=True).evaluate(
            "(one) => [getComputedStyle(one).fontWeight, getComputedStyle(one).opacity]"
        )
        for name in (names[0], names[2])
    ]
    assert weights == [["600", "1"], ["400", "0.45"]]
    filters = page.page.get_by_role("region", name="Filters")
    filters.get_by_text("Year", exact=True).click()
    year = str(points.about["years"][0])
    filters.get_by_title(re.compile(f"^{year}: ")).click()
    page.page.wait_for_function("() => location.hash.includes('years=')")
    assert filters.get_by_title(re.compile(f"^{year}: ")).get_attribute("aria-pressed") == "true"
    page.is_clean(served.url)


def test_enter_selects_the_patch_of_that_very_id_else_the_first(
    visit: Visits, demo_site: Path, tmp_path: Path
) -> None:
    site = Path(shutil.copytree(demo_site, tmp_path / "site"))
    rows = len(read_points(site / "data").table)
    change_points(site / "data", id=[f"Rock_{rows - row}" for row in range(rows)])
    with FileServer(site, fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        search = page.page.get_by_label("Search")
        for words, wanted in (("Rock_3", 3), ("rock_12", 12), ("ck_", 1), ("Rock_1", 1)):
            search.fill(words)
            search.press("Enter")
            page.page.wait_for_function(
                "(row) => window.atlas.selected() === row", arg=rows - wanted
            )
        assert "Enter selects" in page.text()
        search.fill("Rock_none")
        page.wait_for_shown(0)
        page.page.get_by_text("Nothing found.").wait_for()
        page.is_clean(server.url)


def test_a_search_finds_labels_as_well_and_ids_first(
    visit: Visits, demo_site: Path, tmp_path: Path
) -> None:
    site = Path(shutil.copytree(demo_site, tmp_path / "site"))
    before = read_points(site / "data")
    labels = before.table["label"].to_pylist()
    wanted = str(before.about["label_names"][labels[0]])
    others = [row for row, label in enumerate(labels) if label != labels[0]]
    ids = [f"p{row:03}" for row in range(len(labels))]
    ids[others[-1]] = f"z-{wanted.lower()}"
    change_points(site / "data", id=ids)
    with FileServer(site, fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        search = page.page.get_by_label("Search")
        assert search.get_attribute("placeholder") == "Id or label, then Enter"
        search.fill(wanted.upper())
        page.wait_for_shown(labels.count(labels[0]) + 1)
        search.press("Enter")
        page.page.wait_for_function("(row) => window.atlas.selected() === row", arg=others[-1])
        assert f"q={wanted.upper()}" in page.page.evaluate("() => location.hash")
        page.is_clean(server.url)


def test_back_closes_the_patch_and_the_page_stays(visit: Visits, served: FileServer) -> None:
    page = visit().open(served.url + "/")
    page.click(5)
    page.near(SHOWN)
    page.click(9)
    page.page.go_back()
    page.page.wait_for_function("() => window.atlas.selected() === 5")
    page.page.go_back()
    page.page.wait_for_function("() => window.atlas.selected() === null")
    assert page.page.url.startswith(served.url)
    page.page.go_forward()
    page.page.wait_for_function("() => window.atlas.selected() === 5")
    page.is_clean(served.url)


@pytest.mark.parametrize("pane", ["map", "space"])
def test_arrows_walk_through_the_neighbours_after_a_click_on_a_pane(
    visit: Visits, served: FileServer, points: Points, pane: Literal["map", "space"]
) -> None:
    page = visit().open(served.url + "/")
    page.click(5, pane)
    near = page.near(SHOWN)
    before = page.where(5, pane)
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowRight")
    page.page.wait_for_timeout(400)  # in which a pane would have moved
    assert page.where(5, pane) == before
    page.page.keyboard.press("Enter")
    second = points.ids().index(near[1]["id"])
    page.page.wait_for_function("(row) => window.atlas.selected() === row", arg=second)
    page.is_clean(served.url)


def test_the_misclassified_are_as_many_as_the_accuracy_says(
    visit: Visits, served: FileServer, points: Points, evaluated_release: Path
) -> None:
    evaluation = read_evaluation(evaluated_release)
    assert evaluation is not None
    page = visit()
    schemes = points.about["schemes"]
    assert [scheme["name"] for scheme in schemes] == ["random", "spatial"]
    for scheme in schemes:
        (measured,) = scheme["measured"]
        score = evaluation.score("mean", scheme["name"], measured["year"], measured["probe"])
        assert score is not None
        assert measured["value"] == score.metrics["accuracy"].value
        wrong = round((1 - score.metrics["accuracy"].value) * score.test)
        assert measured["misclassified"] == wrong
        page.open(f"{served.url}/?{scheme['name']}#scheme={scheme['name']}&wrong=1&color=wrong")
        assert page.call("shown") == wrong
        page.page.goto(f"{served.url}/?all#scheme={scheme['name']}&color=wrong")
        counts = page.ready().call("counts")
        assert (counts["misclassified"], counts["correct"]) == (wrong, score.test - wrong)
    page.is_clean(served.url)


def test_it_opens_on_the_first_scheme_with_what_is_wrong_and_says_why_nothing_is_predicted(
    visit: Visits, demo_site: Path, tmp_path: Path
) -> None:
    site = Path(shutil.copytree(demo_site, tmp_path / "site"))

    def about(told: dict[str, Any]) -> None:
        for scheme, wrong in zip(told["schemes"], (0, 3), strict=True):
            scheme["measured"][0] |= {"misclassified": wrong, "value": 0.895833, "test": 48}

    change_points(site / "data", about)
    points = read_points(site / "data")
    with FileServer(site, fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        assert page.page.get_by_label("Split scheme").locator("option:checked").inner_text() == (
            "spatial"
        )
        words = page.text()
        assert "89.6 % accuracy" in words
        assert "3 of 48 wrong" in words
        assert "Linear probe on mean vectors" in words
        train = points.table["split_1"].to_pylist().index("train")
        page.click(train)
        assert "Predicted\nnot asked, it is in train" in page.text()
        page.is_clean(server.url)


def test_what_a_link_names_in_vain_is_said_and_left_out_of_the_address(
    visit: Visits, served: FileServer
) -> None:
    page = visit().open(served.url + "/#id=nobody&year=2018&scheme=none&color=odd&layout=far&q=a")
    words = page.page.locator("#toasts").inner_text()
    for one in ("the patch nobody of 2018", "the split scheme none", "the colour odd", "far"):
        assert one in words
    page.page.wait_for_function("() => location.hash === '#q=a'")
    page.is_clean(served.url)


def test_a_link_brings_a_colleague_to_the_same_view(
    visit: Visits, served: FileServer, points: Points
) -> None:
    page = visit().open(served.url + "/")
    page.click(12)
    page.page.get_by_label("Colour by").select_option("split")
    page.page.get_by_label("Split scheme").select_option("spatial")
    page.page.get_by_role("region", name="Legend").get_by_title(re.compile("^test: ")).click()
    tests = points.table["split_1"].to_pylist().count("test")
    page.wait_for_shown(tests)
    page.page.mouse.move(*page.where(12, "map"))  # it stays in sight
    page.page.mouse.wheel(0, -300)
    page.page.wait_for_function("() => location.hash.includes('map=')")
    page.page.wait_for_timeout(600)  # the address is written when the wheel has come to rest
    other = visit().open(page.page.evaluate("() => location.href"))
    for name in ("selected", "shown", "counts", "near"):
        other.page.wait_for_function(
            "([name, value]) => JSON.stringify(window.atlas[name]()) === JSON.stringify(value)",
            arg=[name, page.call(name)],
        )
    assert other.where(12, "map") == pytest.approx(page.where(12, "map"), abs=0.5)
    assert other.call("selected") == 12
    other.is_clean(served.url)


@pytest.mark.parametrize("pane", ["map", "space"])
def test_a_box_in_one_pane_filters_both(
    visit: Visits, served: FileServer, points: Points, pane: str
) -> None:
    page = visit().open(served.url + "/")
    places = np.array([page.where(row, pane) for row in range(len(points.table))])
    middle, edge = np.median(places, axis=0), places.max(axis=0) + 8
    inside = int(((places > middle) & (places < edge)).all(axis=1).sum())
    assert 0 < inside < len(places)
    before = page.page.locator("#map, #space").all()
    shots = [one.screenshot() for one in before]
    page.page.keyboard.down("Shift")
    page.page.mouse.move(*middle)
    page.page.mouse.down()
    page.page.mouse.move(*(middle + edge) / 2)
    page.page.mouse.move(*edge)
    page.page.mouse.up()
    page.page.keyboard.up("Shift")
    page.wait_for_shown(inside)
    assert sum(page.call("counts").values()) == inside
    page.page.wait_for_timeout(100)
    assert all(one.screenshot() != shot for one, shot in zip(before, shots, strict=True))
    page.page.keyboard.press("Escape")
    page.wait_for_shown(len(points.table))
    page.is_clean(served.url)


def test_the_keyboard_reaches_everything(visit: Visits, served: FileServer, points: Points) -> None:
    page = visit().open(served.url + "/")
    page.click(5)
    near = page.near(SHOWN)
    page.pictures(1 + SHOWN)
    wanted = page.page.evaluate(
        """() => [...document.querySelectorAll("a[href], button, input, select, summary, canvas[tabindex]")]
          .filter((one) => one.checkVisibility() && !one.disabled)
          .map((one, number) => { one.dataset.wanted = number; return number; })"""
    )
    reached = set()
    page.page.evaluate("document.activeElement.blur()")
    for _ in range(STEPS):
        page.page.keyboard.press("Tab")
        reached.add(page.page.evaluate("Number(document.activeElement.dataset.wanted ?? -1)"))
    listed = page.page.locator("[data-focus^='near'], .card").all()
    cards = {int(one.get_attribute("data-wanted") or -1) for one in listed}
    missed = set(wanted) - reached - cards
    told = page.page.evaluate(
        """(missed) => missed.map((one) => document.querySelector(`[data-wanted="${one}"]`)?.outerHTML)""",
        sorted(missed),
    )
    assert told == []
    assert reached & cards  # of the list one, the arrows lead to the others
    page.page.evaluate("document.activeElement.blur()")
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("Enter")
    second = points.ids().index(near[1]["id"])
    page.page.wait_for_function("(row) => window.atlas.selected() === row", arg=second)
    page.page.keyboard.press("Escape")
    page.page.wait_for_function("() => window.atlas.selected() === null")
    page.is_clean(served.url)


def test_two_patches_are_compared(visit: Visits, served: FileServer, points: Points) -> None:
    page = visit().open(served.url + "/")
    page.click(2)
    page.page.get_by_role("button", name=re.compile("ompare")).click()
    page.click(9)
    scaled = points.vectors / np.linalg.norm(points.vectors, axis=1, keepdims=True)
    compared = page.page.get_by_role("region", name="Comparison")
    compared.get_by_text(f"{float(scaled[2] @ scaled[9]):.4f}").wait_for()
    assert points.ids()[2] in compared.inner_text()
    page.is_clean(served.url)


def test_a_release_of_a_small_area_fills_the_map_and_stays_in_sight(
    visit: Visits, demo_site: Path, tmp_path: Path
) -> None:
    """All patches within one kilometre: none lies on another, and the map's middle is theirs."""
    site = Path(shutil.copytree(demo_site, tmp_path / "site"))
    rows = len(read_points(site / "data").table)
    across = np.arange(rows) % 8
    down = np.arange(rows) // 8
    lon, lat = -88.77 + 0.0015 * across, 44.3 + 0.0011 * down
    change_points(site / "data", lon=lon, lat=lat)
    with FileServer(site, fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        first, last = (page.call("where", row, "map") for row in (0, rows - 1))
        pane = page.page.locator("#map").bounding_box()
        assert pane is not None
        tall = abs(first["y"] - last["y"]) / pane["height"]
        wide = abs(first["x"] - page.call("where", 7, "map")["x"]) / pane["width"]
        assert max(tall, wide) > 0.5
        for row in (0, 7, rows - 1):
            page.click(row, "map")
            assert page.call("selected") == row
        page.is_clean(server.url)


def test_what_a_link_names_in_vain_is_said_and_filters_nothing(
    visit: Visits, served: FileServer, points: Points
) -> None:
    rows = len(points.table)
    page = visit().open(served.url + "/#id=nobody&label=zzz&split=zz&wrong=7&years=1999")
    said = page.page.locator("#toasts").inner_text()
    for name in ("the patch nobody", "label zzz", "split zz", "wrong 7", "year 1999"):
        assert name in said
    assert page.call("shown") == rows
    page.is_clean(served.url)
