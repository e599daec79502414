"""A release that is built and copied in no time, for tests that damage it in many ways."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.once import made_once
from support.releases import make_release


@pytest.fixture(scope="session")
def smallest(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of a dozen patches in one split scheme; do not write there."""

    def make(folder: Path) -> None:
        make_release(demo_root, folder, patches=12)

    return made_once(tmp_path_factory, "smallest", make) / "release"


@pytest.fixture
def own_smallest(smallest: Path, tmp_path: Path) -> Path:
    """The same to write to: with the ledger of its build, and without the pixels."""
    staged = shutil.ignore_patterns("pixels")
    return Path(shutil.copytree(smallest, tmp_path / smallest.name, ignore=staged))
