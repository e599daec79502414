"""A release built from the one before keeps its notes, and scores and figures of the same rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from build.test_pipeline import demo_recipe

from hfaef.build.pipeline import build
from hfaef.build.status import read_status
from hfaef.errors import ReleaseError
from hfaef.release.card.additions import Carryover, choose_notes, write_figures
from hfaef.release.card.notes import BEGIN, read_notes
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import read_manifest
from hfaef.release.format.scores import SCORES
from hfaef.release.handle import open_folder
from servers.hub.fixtures import Client
from support.pushes import NAME, finish, push
from support.releases import fresh_copy, make_release

ADDED = (SCORES, "figures/balance.png", "figures/map.png")
WORDS = "## Read this first\n\nPatch 7 is **odd**."


def write_notes(folder: Path, words: str) -> None:
    card = folder / "README.md"
    card.write_text(card.read_text("utf-8").replace(BEGIN, f"{BEGIN}\n{words}"), "utf-8")


def notes_of(folder: Path) -> str:
    return read_notes((folder / "README.md").read_text("utf-8"))


def added(folder: Path) -> set[str]:
    return {file.path for file in read_manifest(folder).files} & {*ADDED}


@pytest.fixture(scope="module")
def before(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with notes, scores and figures; do not write there."""
    pytest.importorskip("sklearn")
    from hfaef.evaluation.evaluate import Settings, evaluate

    folder = build(demo_recipe(demo_root), tmp_path_factory.mktemp("before") / "release").folder
    evaluate(str(folder), Settings(poolings=["mean"], probes=("knn",)))
    write_figures(folder)
    write_notes(folder, WORDS)
    shutil.rmtree(folder / ".staging")
    return folder


def test_the_same_rows_take_over_notes_scores_and_figures(
    before: Path, demo_root: Path, tmp_path: Path
) -> None:
    built = build(demo_recipe(demo_root), tmp_path / "next", previous=open_folder(before))
    assert notes_of(built.folder) == WORDS
    assert f"the notes of {before} are taken over" in built.notes
    assert any(note.endswith("kept: the rows are the same") for note in built.notes)
    assert added(built.folder) == {*ADDED}
    for path in ADDED:
        assert (built.folder / path).read_bytes() == (before / path).read_bytes()
    assert check_folder(built.folder) == []
    again = build(demo_recipe(demo_root), built.folder, previous=open_folder(before))
    assert not [note for note in again.notes if "the notes of" in note]


def test_other_rows_take_over_notes_and_ask_for_new_scores_and_figures(
    before: Path, demo_root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "next"
    built = build(demo_recipe(demo_root), folder, limit=39, previous=open_folder(before))
    assert notes_of(folder) == WORDS
    assert f"the notes of {before} are taken over" in built.notes
    words = f"left out: run `hfaef eval {folder}` and `hfaef show {folder}` again"
    assert any(f"{' and '.join(ADDED)} told of other rows" in note for note in built.notes)
    assert any(words in note for note in built.notes)
    assert added(folder) == set()
    assert check_folder(folder) == []
    status = read_status(folder)
    assert {*status.stale} == {*ADDED}
    assert status.next_command == f"hfaef eval {folder}"


def test_scores_that_were_changed_are_named_before_anything_is_read(
    before: Path, demo_root: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(before, tmp_path / "copy"))
    (copy / SCORES).write_text((copy / SCORES).read_text() + " ")
    with pytest.raises(ReleaseError, match=rf"{SCORES}.*SHA-256"):
        build(demo_recipe(demo_root), tmp_path / "next", previous=open_folder(copy))
    assert not (tmp_path / "next/.staging/ledger.sqlite").exists()


def test_a_damaged_mark_in_the_card_before_is_named(
    before: Path, demo_root: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(before, tmp_path / "copy"))
    card = copy / "README.md"
    card.write_text(card.read_text("utf-8").replace(BEGIN, ""), "utf-8")
    with pytest.raises(ReleaseError, match=rf"README.md of {copy} cannot be read.*hfaef check"):
        build(demo_recipe(demo_root), tmp_path / "next", previous=open_folder(copy))


def test_a_folders_own_notes_and_a_file_come_first_and_what_is_left_out_is_said(
    own_release: Path, tmp_path: Path
) -> None:
    other = Carryover("before", WORDS, tmp_path, ())
    assert choose_notes(own_release, None, other, replace=False) == (
        WORDS,
        ("the notes of before are taken over",),
    )
    file = tmp_path / "notes.md"
    file.write_text("Of the file.\n", "utf-8")
    assert choose_notes(own_release, file, other, replace=False) == (
        "Of the file.",
        (f"the notes of before are left out: card.notes names {file}",),
    )
    write_notes(own_release, "My own.")
    assert choose_notes(own_release, None, other, replace=False) == (
        "My own.",
        (f"the notes of before are left out: {own_release / 'README.md'} has its own",),
    )
    assert choose_notes(own_release, None, None, replace=False) == ("My own.", ())


@pytest.mark.slow
def test_notes_and_figures_of_a_version_on_the_hub_go_on(
    client: Client, demo_root: Path, tmp_path: Path
) -> None:
    release = make_release(demo_root, tmp_path / "made", patches=20)
    drawn = fresh_copy(release, tmp_path / "drawn")
    write_figures(drawn)
    write_notes(drawn, WORDS)
    assert push(client, drawn)["version"] == "1.0.0"
    recipe = tmp_path / "made/hfaef.toml"
    options = ("--from", f"{NAME}@1.0.0", "--out", tmp_path / "next", "--json")
    result = finish(client.hfaef("build", recipe, *options))
    assert result["exit"] == 0, result
    assert f"the notes of {NAME}@1.0.0 are taken over" in result["notes"]
    assert notes_of(tmp_path / "next") == WORDS
    assert added(tmp_path / "next") == {"figures/balance.png", "figures/map.png"}
