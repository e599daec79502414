"""Scores and figures after a second build: kept where they are still true, named where not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from build.test_pipeline import demo_recipe

from hfaef.build.pipeline import build
from hfaef.build.status import read_status
from hfaef.cli.build import status as show_status
from hfaef.recipe.model import Recipe
from hfaef.release.card.additions import write_figures
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import manifest_bytes, read_manifest
from hfaef.release.format.paths import MANIFEST
from hfaef.release.format.scores import SCORES

ADDED = (SCORES, "figures/balance.png", "figures/map.png")


@pytest.fixture(scope="module")
def scored(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build with scores and figures; do not write there."""
    pytest.importorskip("sklearn")
    from hfaef.evaluation.evaluate import Settings, evaluate

    folder = build(demo_recipe(demo_root), tmp_path_factory.mktemp("scored") / "release").folder
    evaluate(str(folder), Settings(poolings=["mean"], probes=("knn",)))
    write_figures(folder)
    return folder


@pytest.fixture
def folder(scored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scored, tmp_path / "release"))


@pytest.fixture
def fewer(demo_root: Path, tmp_path: Path) -> Recipe:
    """The recipe without one patch."""
    shutil.copytree(demo_root / "data/demo/patches", tmp_path / "patches")
    min((tmp_path / "patches").rglob("*.tif")).unlink()
    return demo_recipe(demo_root, f"patches.root={tmp_path / 'patches'}")


def printed(folder: Path) -> str:
    """What `hfaef status` says."""
    return "\n".join(line for line in show_status(folder).lines if isinstance(line, str))


def listed(folder: Path) -> set[str]:
    return {file.path for file in read_manifest(folder).files} & {*ADDED}


def test_the_same_rows_keep_scores_and_figures(folder: Path, demo_root: Path) -> None:
    before = {path: (folder / path).read_bytes() for path in ADDED}
    built = build(demo_recipe(demo_root), folder)
    [note] = built.notes
    assert note.startswith(f"{SCORES} and figures/")
    assert note.endswith("kept: the rows are the same")
    assert {path: (folder / path).read_bytes() for path in ADDED} == before
    assert listed(folder) == {*ADDED}
    assert check_folder(folder) == []


def test_other_rows_ask_for_new_scores_and_figures(folder: Path, fewer: Recipe) -> None:
    built = build(fewer, folder)
    words = f"left out: run `hfaef eval {folder}` and `hfaef show {folder}` again"
    assert any(note.startswith(f"{SCORES} and") and words in note for note in built.notes)
    assert listed(folder) == set()
    assert check_folder(folder) == []
    status = read_status(folder)
    assert {*status.stale} == {*ADDED}
    assert words in printed(folder)
    assert status.next_command == f"hfaef eval {folder}"
    assert not [note for note in build(fewer, folder).notes if "kept" in note]
    write_figures(folder)
    assert read_status(folder).stale == (SCORES,)


def test_scores_that_the_manifest_does_not_list_yet_are_kept(folder: Path, demo_root: Path) -> None:
    """As a kill leaves them between the two."""
    manifest = read_manifest(folder)
    files = tuple(file for file in manifest.files if file.path != SCORES)
    unlisted = manifest.model_copy(update={"files": files})
    (folder / MANIFEST).write_bytes(manifest_bytes(unlisted))
    build(demo_recipe(demo_root), folder)
    assert listed(folder) == {*ADDED}
    assert check_folder(folder) == []


def test_damaged_additions_are_not_carried_over(folder: Path, demo_root: Path) -> None:
    (folder / SCORES).write_text("{}")
    (folder / "figures/map.png").write_text("no picture")
    build(demo_recipe(demo_root), folder)
    assert listed(folder) == {"figures/balance.png"}
    assert {*read_status(folder).stale} == {SCORES, "figures/map.png"}
    assert check_folder(folder) == []


def test_a_published_release_says_as_what(folder: Path) -> None:
    assert read_status(folder).published is None
    manifest = read_manifest(folder).model_copy(update={"repo": "ada/patches", "version": "1.2.0"})
    (folder / MANIFEST).write_bytes(manifest_bytes(manifest))
    status = read_status(folder)
    assert status.published == "ada/patches@1.2.0"
    assert "published as ada/patches@1.2.0" in printed(folder)
    assert (status.summary()["repo"], status.summary()["version"]) == ("ada/patches", "1.2.0")
