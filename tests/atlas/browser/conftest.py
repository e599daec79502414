"""Fixtures: a browser for each file of tests, pages in it, and sites of small releases."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hfaef.atlas.content import read_folder
from hfaef.atlas.site import write_site
from servers.files import FileServer
from support.atlas import POLICY, MakeSite
from support.browser import Visits, started_browser, visits_of
from support.once import made_once

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a file."""
    with started_browser() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visits]:
    """Opens pages that end with the test."""
    with visits_of(browser) as visit:
        yield visit


@pytest.fixture(scope="session")
def evaluated_release(demo_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small release of the demo with scores and predictions; do not write there."""
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    from hfaef.evaluation.evaluate import Settings, evaluate

    def make(folder: Path) -> None:
        shutil.copytree(demo_release, folder / demo_release.name)
        evaluate(str(folder / demo_release.name), Settings(poolings=("mean",), quick=True))

    return made_once(tmp_path_factory, "atlas-release", make) / demo_release.name


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    """Writes the site of a release, with its data."""

    def make(release: Path) -> Path:
        scratch = tmp_path / f"scratch-{release.parent.name}"
        scratch.mkdir(exist_ok=True)
        return write_site(
            tmp_path / f"site-{release.parent.name}", read_folder(release, scratch)
        ).folder

    return make


@pytest.fixture(scope="session")
def demo_site(evaluated_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the demo's release, with its data; do not write there."""

    def make(folder: Path) -> None:
        (folder / "scratch").mkdir()
        write_site(folder / "site", read_folder(evaluated_release, folder / "scratch"))

    return made_once(tmp_path_factory, "atlas-site", make) / "site"


@pytest.fixture(scope="module")
def served(demo_site: Path) -> Iterator[FileServer]:
    """Serves the site of the demo's release under the strict policy."""
    with FileServer(demo_site, fail=lambda _: POLICY) as server:
        yield server
