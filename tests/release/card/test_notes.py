"""People's words in a card: the notes stay, and no edit outside them is erased unsaid."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.build.pipeline import build
from hfaef.errors import FolderError, RecipeError, ReleaseError
from hfaef.recipe.read import read_recipe
from hfaef.release.card.additions import write_figures
from hfaef.release.card.edits import fill_notes, remember_card
from hfaef.release.card.notes import BEGIN, END, read_notes, read_notes_file, without_notes
from hfaef.release.card.render import render_card, write_card
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import read_manifest
from hfaef.release.format.scores import read_evaluation
from support.releases import inside, make_release

WORDS = "## Read this first\n\nPatch 7 is **odd**: `{{ 1 + 1 }}`, größer als 森林."


def edit(folder: Path, old: str, new: str) -> None:
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8")
    assert text.count(old) == 1
    card.write_text(text.replace(old, new), encoding="utf-8")


def notes_of(folder: Path) -> str:
    return read_notes((folder / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("staging", [True, False], ids=["where it was built", "a copy"])
def test_notes_survive_card_and_show(own_release: Path, *, staging: bool) -> None:
    if not staging:
        shutil.rmtree(own_release / ".staging", ignore_errors=True)
    edit(own_release, BEGIN, f"{BEGIN}\n{WORDS}")
    write_card(own_release)
    write_figures(own_release)
    assert notes_of(own_release) == WORDS
    assert check_folder(own_release) == []


def test_notes_survive_eval(own_release: Path) -> None:
    pytest.importorskip("sklearn")
    from hfaef.evaluation.evaluate import Settings, evaluate

    edit(own_release, BEGIN, f"{BEGIN}\n{WORDS}")
    evaluate(str(own_release), Settings(poolings=["mean"], probes=["knn"]))
    assert notes_of(own_release) == WORDS


@pytest.mark.parametrize("staging", [True, False], ids=["where it was built", "a copy"])
def test_an_edit_outside_the_notes_stops_and_is_shown(own_release: Path, *, staging: bool) -> None:
    if not staging:
        shutil.rmtree(own_release / ".staging", ignore_errors=True)
    edit(own_release, "## Load it\n", "## Load it\n\nMind the gap.\n")
    before = {path: path.read_bytes() for path in own_release.rglob("*") if path.is_file()}
    for write in (write_card, write_figures):
        with pytest.raises(ReleaseError, match=r"README.md was edited outside its notes") as caught:
            write(own_release)
        assert "+Mind the gap." in caught.value.details
        assert len(caught.value.details) < 45
        assert BEGIN in caught.value.hint
        assert "--replace-card" in caught.value.hint
    after = {path: path.read_bytes() for path in own_release.rglob("*") if path.is_file()}
    assert before == after


@pytest.mark.parametrize("staging", [True, False], ids=["where it was built", "a copy"])
def test_a_difference_that_stops_shows_no_line_of_the_notes(
    own_release: Path, *, staging: bool
) -> None:
    if not staging:
        shutil.rmtree(own_release / ".staging", ignore_errors=True)
    edit(own_release, BEGIN, f"{BEGIN}\n{WORDS}")
    edit(own_release, "## Load it\n", "## Load it\n\nMind the gap.\n")
    with pytest.raises(ReleaseError) as caught:
        write_card(own_release)
    changed = [line for line in caught.value.details[2:] if line[:1] in "+-"]
    assert "+Mind the gap." in changed
    assert {line[1:] for line in changed} <= {"Mind the gap.", ""}


def test_replacing_a_card_keeps_its_notes(own_release: Path) -> None:
    edit(own_release, BEGIN, f"{BEGIN}\n{WORDS}")
    edit(own_release, "## Load it\n", "## Load it\n\nMind the gap.\n")
    text = write_card(own_release, replace=True).read_text(encoding="utf-8")
    assert "Mind the gap." not in text
    assert read_notes(text) == WORDS


@pytest.mark.parametrize("mark", [BEGIN, END])
def test_a_mark_that_is_gone_stops(own_release: Path, mark: str) -> None:
    edit(own_release, mark, WORDS)
    with pytest.raises(ReleaseError, match="edited outside"):
        write_card(own_release)
    assert WORDS in (own_release / "README.md").read_text(encoding="utf-8")


def test_a_card_without_the_section_gets_one(own_release: Path) -> None:
    shutil.rmtree(own_release / ".staging", ignore_errors=True)
    old = render_card(read_manifest(own_release), read_evaluation(own_release), None)
    assert BEGIN not in old
    (own_release / "README.md").write_text(old, encoding="utf-8")
    write_card(own_release)
    assert notes_of(own_release) == ""
    assert BEGIN in (own_release / "README.md").read_text(encoding="utf-8")


def test_line_ends_of_an_editor_are_no_edit(own_release: Path) -> None:
    card = own_release / "README.md"
    card.write_bytes(card.read_bytes().replace(b"\n", b"\r\n"))
    write_card(own_release)
    assert b"\r" not in card.read_bytes()


def test_a_card_that_is_not_utf8_is_named(own_release: Path) -> None:
    (own_release / "README.md").write_bytes(b"\xff\xfe")
    with pytest.raises(ReleaseError, match=r"README\.md: not UTF-8"):
        write_card(own_release)
    write_card(own_release, replace=True)
    assert check_folder(own_release) == []


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")))
def test_notes_of_any_text_go_round(words: str) -> None:
    kept = words.strip("\n")
    card = f"above\n{BEGIN}\n\n{kept}\n\n{END}\nbelow\n"
    if {BEGIN, END} & {line.strip() for line in kept.split("\n")}:
        return
    assert read_notes(card) == kept
    assert without_notes(card) == f"above\n{BEGIN}\n{END}\nbelow\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"\xff\xfe", "not UTF-8"),
        (f"a\n{END}\nb".encode(), "holds a line"),
    ],
)
def test_a_notes_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "notes.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=words) as caught:
        read_notes_file(path)
    assert "card.notes" in caught.value.message
    assert str(path) in caught.value.message


def test_a_notes_file_wins_over_what_it_said_last_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.md"
    file.write_text("one\n", encoding="utf-8")
    assert fill_notes(tmp_path, "by hand", None) == "by hand"
    assert fill_notes(tmp_path, "", file) == "one"
    assert fill_notes(tmp_path, "one", file) == "one"
    remember_card(tmp_path, "card", said="one")
    file.write_text("two\n", encoding="utf-8")
    assert fill_notes(tmp_path, "one", file) == "two"
    with pytest.raises(FolderError, match=r"notes\.md") as caught:
        fill_notes(tmp_path, "one, and more", file)
    assert "README.md" in caught.value.message


@pytest.mark.slow
def test_a_second_build_keeps_notes_and_takes_those_of_a_file(
    demo_root: Path, tmp_path: Path
) -> None:
    release = make_release(demo_root, tmp_path / "work", patches=20)
    edit(release, BEGIN, f"{BEGIN}\n{WORDS}")
    with inside(tmp_path / "work"):
        build(read_recipe(None), Path("release"), threads=1)
        assert notes_of(release) == WORDS
        Path("notes.md").write_text("Of the file.", encoding="utf-8")
        recipe = read_recipe(None, ["card.notes=notes.md"])
        assert "notes" not in recipe.portable()["card"]
        with pytest.raises(FolderError, match=r"notes\.md"):
            build(recipe, Path("release"), threads=1)
        edit(release, WORDS, "")
        build(recipe, Path("release"), threads=1)
        assert notes_of(release) == "Of the file."
        edit(release, "## Load it\n", "## Load it\n\nMind the gap.\n")
        with pytest.raises(ReleaseError, match="edited outside"):
            build(recipe, Path("release"), threads=1)
        build(recipe, Path("release"), threads=1, replace_card=True)
    assert notes_of(release) == "Of the file."
