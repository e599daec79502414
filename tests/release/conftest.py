"""A release that is built and copied in no time, for tests that damage it in many ways."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.releases import make_release


@pytest.fixture(scope="session")
def smallest(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of a dozen patches in one split scheme; do not write there."""
    return make_release(demo_root, tmp_path_factory.mktemp("smallest"), patches=12)


@pytest.fixture
def own_smallest(smallest: Path, tmp_path: Path) -> Path:
    """The same to write to: with the ledger of its build, and without the pixels."""
    staged = shutil.ignore_patterns("pixels")
    return Path(shutil.copytree(smallest, tmp_path / smallest.name, ignore=staged))
