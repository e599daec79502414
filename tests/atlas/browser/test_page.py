"""The page on the demo release: what is clicked, shown, counted, compared and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.files import FileServer
from support.atlas import SHOWN, Points, read_points
from support.browser import Visit, Visits


@pytest.fixture(scope="module")
def points(evaluated_release: Path) -> Points:
    return read_points(evaluated_release)


def assert_neighbours(visit: Visit, points: Points, row: int) -> None:
    """Asserts that the page names those of the evaluation, in its order, with its cosines."""
    found = visit.near(min(SHOWN, len(points.table) - 1))
    expected = points.near(row)
    assert [(one["id"], one["year"]) for one in found] == [one[:2] for one in expected]
    assert [one["cosine"] for one in found] == pytest.approx([one[2] for one in expected], abs=1e-6)
    assert [one["id"] for one in found] == points.near_by_numpy(row)


@pytest.mark.parametrize("pane", ["map", "space"])
def test_a_click_on_a_point_shows_its_patch_and_its_neighbours(
    visit: Visits, served: FileServer, points: Points, pane: str
) -> None:
    page = visit().open(served.url + "/")
    for row in (3, 17):
        page.click(row, pane)
        assert points.ids()[row] in page.text()
        assert_neighbours(page, points, row)
        assert len(page.pictures()) >= 1 + SHOWN
        assert 0 not in page.pictures()
    page.is_clean(served.url)
    assert page.data()
