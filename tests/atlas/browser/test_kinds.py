"""Releases of every kind: years, numbers, several labels, folds, WebDataset, one patch, markup."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hfaef.evaluation.evaluate import Settings, evaluate
from servers.files import FileServer
from support.atlas import POLICY, SHOWN, MakeSite, Points, change_points, read_points
from support.browser import Visits
from support.kinds import build_kind
from support.releases import make_release

QUICK = Settings(poolings=("mean",), quick=True)

KINDS = {
    "several years": ("class", ("years=[2018, 2024]",)),
    "own years": ("years", ()),
    "numbers in folds": ("number", ()),
    "several labels": ("classes", ()),
    "WebDataset": ("class", ("pack.format=webdataset",)),
}
"""Kind and changes of the recipe."""


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_release_of_every_kind_is_shown_and_clicked(
    visit: Visits, kinds_world: Path, tmp_path: Path, make_site: MakeSite, name: str
) -> None:
    kind, changes = KINDS[name]
    release = build_kind(kind, kinds_world, tmp_path / "built", *changes).folder
    evaluate(str(release), QUICK)
    points = read_points(release)
    rows = len(points.table)
    with FileServer(make_site(release), fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        assert page.call("shown") == rows
        several = len(set(points.ids())) < rows
        noun = "points" if several else "patches"
        assert f"{rows} of {rows} {noun} shown" in page.text()
        assert several == (name == "several years")
        assert sum(page.call("counts").values()) >= rows - 1
        text = page.page.text_content("#inspector") or ""
        assert ("Measured over folds" in text) == ("folds" in name)
        page.click(2)
        assert ("Fold" in (page.page.text_content("#inspector .facts") or "")) == ("folds" in name)
        expected = points.near(2)
        found = page.near(min(SHOWN, rows - 1))
        assert [(one["id"], one["year"]) for one in found] == [one[:2] for one in expected]
        assert 0 not in page.pictures(1 + len(found))
        page.is_clean(server.url)


def test_a_release_of_one_patch_is_shown_without_neighbours(
    visit: Visits, demo_root: Path, tmp_path: Path, make_site: MakeSite
) -> None:
    release = make_release(demo_root, tmp_path / "one", patches=1)
    with FileServer(make_site(release), fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        assert page.call("shown") == 1
        page.click(0, "map")
        assert 0 not in page.pictures(1)
        assert page.near(0) == []
        page.is_clean(server.url)


@pytest.mark.slow
def test_what_the_points_do_not_show_is_told_in_words(
    visit: Visits, kinds_world: Path, tmp_path: Path, make_site: MakeSite
) -> None:
    """Embeddings of other years than the patches' own, patches that are missing, and folds."""
    release = build_kind("nearest", kinds_world, tmp_path / "built").folder
    site = make_site(release)
    points = read_points(release)
    years = points.table.select(["year", "observed_year"]).to_pylist()
    others = [row for row, one in enumerate(years) if one["observed_year"] != one["year"]]
    assert others
    change_points(site / "data", lambda told: told.update(missing=1673))
    with FileServer(site, fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        text = page.page.text_content("#inspector") or ""
        assert "1,673 more patches are missing from the release; its card says why." in text
        assert f"{len(others)} patches have the embedding of another year than their own" in text
        page.click(others[0])
        year, observed = (years[others[0]][name] for name in ("year", "observed_year"))
        page.near(SHOWN)
        shown = page.page.text_content("#inspector .facts") or ""
        assert f"Year{year} (embedding of {observed})" in shown
        page.is_clean(server.url)


MARKUP = """<img src=x onerror="alert(1)"><b class=bad>&amp;</b><script>alert(2)</script>"""


def test_markup_in_names_is_shown_as_it_is_and_never_becomes_an_element(
    visit: Visits, demo_site: Path, tmp_path: Path
) -> None:
    site = Path(shutil.copytree(demo_site, tmp_path / "site"))
    points = read_points(site / "data")
    rows = len(points.table)

    def about(told: dict[str, Any]) -> None:
        told["label_names"] = [f"{MARKUP}{number}" for number in range(len(told["label_names"]))]
        told["attribution"] = MARKUP
        for scheme in told["schemes"]:
            scheme["name"] = MARKUP + scheme["name"]

    split = told_split(points)
    change_points(
        site / "data",
        about,
        id=[f"{MARKUP}{row}" for row in range(rows)],
        **{split: [MARKUP] * rows},
    )
    particulars = json.loads((site / "atlas.json").read_text())
    particulars |= {"name": MARKUP, "version": MARKUP, "home": "javascript:alert(3)"}
    (site / "atlas.json").write_text(json.dumps(particulars))
    with FileServer(site, fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        page.click(6)
        page.near(SHOWN)
        assert 0 not in page.pictures(1 + SHOWN)
        text = page.page.text_content("body") or ""
        assert text.count(MARKUP) > 3
        made = "[src=x], .bad, [href^='javascript'], script:not([src])"
        assert page.page.locator(made).count() == 0
        page.is_clean(server.url)


def told_split(points: Points) -> str:
    """The column of the first scheme."""
    return str(points.about["schemes"][0]["split"])


def test_a_filter_that_nothing_passes_says_so(visit: Visits, served: FileServer) -> None:
    page = visit().open(served.url + "/#q=no-such-patch")
    assert page.call("shown") == 0
    assert set(page.call("counts").values()) <= {0}
    page.is_clean(served.url)
