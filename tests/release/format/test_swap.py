"""A release is replaced whole, wherever the process is killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from build.test_pipeline import digests

from hfaef.build.status import read_status
from hfaef.errors import FolderError
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import manifest_bytes, read_manifest
from hfaef.release.format.swap import NEW, recover, swap_in
from support.kills import run_killed

NAMES = ("data", "pooled", "figures", "evaluation.json", "missing.parquet", "README.md")
REPLACED = (*NAMES, "release.json")


@pytest.fixture
def folder(demo_release: Path, tmp_path: Path) -> Path:
    """A release with scores, and beside it a new one without: other notes, card and shards."""
    folder = Path(shutil.copytree(demo_release, tmp_path / "release"))
    shutil.rmtree(folder / ".staging")
    (folder / "evaluation.json").write_text("scores")
    new = Path(
        shutil.copytree(demo_release, folder / NEW, ignore=shutil.ignore_patterns(".staging"))
    )
    manifest = read_manifest(new).model_copy(update={"notes": ("new",)})
    (new / "release.json").write_bytes(manifest_bytes(manifest))
    (new / "README.md").write_text("new")
    (new / "missing.parquet").write_text("new")
    next(new.glob("data/*/*/*")).write_text("new")
    return folder


def test_a_kill_before_any_change_leaves_one_whole_release(folder: Path, tmp_path: Path) -> None:
    old = digests(folder)
    new = digests(shutil.copytree(folder / NEW, tmp_path / "new"))
    seen = []
    number = 0
    killed = True
    while killed:
        number += 1
        copy = Path(shutil.copytree(folder, tmp_path / str(number)))
        killed = run_killed(lambda copy=copy: swap_in(copy, REPLACED), copy, number)
        # The one who mends it may be killed, too.
        for again in (1, 2, 3):
            run_killed(lambda copy=copy: recover(copy), copy, again)
        recover(copy)
        found = digests(copy)
        assert found in (old, new)
        seen.append(found == new)
        shutil.rmtree(copy)
    assert number > 15
    assert seen == sorted(seen)
    assert set(seen) == {False, True}


@pytest.mark.parametrize("read", [read_manifest, read_status, check_folder])
def test_whoever_reads_first_finishes_it(folder: Path, read: Callable[[Path], object]) -> None:
    assert run_killed(lambda: swap_in(folder, REPLACED), folder, 12)
    assert not (folder / "README.md").exists() or (folder / NEW).exists()
    read(folder)
    assert (folder / "README.md").read_text() == "new"
    assert read_manifest(folder).notes == ("new",)
    assert not (folder / "evaluation.json").exists()
    assert [path.name for path in (folder / ".staging").iterdir()] in ([], ["swap.lock"])


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"new": ["../x"], "gone": []})])
def test_a_damaged_journal_moves_nothing_and_is_named(folder: Path, content: str) -> None:
    before = digests(folder)
    (folder / ".staging/swap.json").write_text(content)
    with pytest.raises(FolderError, match=r"swap\.json"):
        recover(folder)
    assert digests(folder) == before
