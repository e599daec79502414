"""What is said of a build's folder from outside, and that looking leaves no trace."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from build.test_pipeline import demo_recipe

from hfaef.build.pipeline import build
from hfaef.build.staging.command import write_command
from hfaef.build.staging.ledger import Outcome, open_ledger, write_outcome
from hfaef.build.status import read_status
from hfaef.cli.build import status as show_status
from hfaef.errors import FolderError, IncompleteError
from hfaef.release.card.additions import remember_stale
from hfaef.release.card.notes import BEGIN
from hfaef.release.card.render import write_card
from hfaef.release.format.manifest import manifest_bytes, read_manifest
from hfaef.release.format.scores import SCORES

LATE = Outcome(2018, "late", fetched=False, reason="not yet")


@pytest.fixture(scope="module")
def built(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(demo_recipe(demo_root), tmp_path_factory.mktemp("built") / "release").folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "my release"))


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    def held() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}

    before = held()
    yield
    assert held() == before


def test_looking_at_a_build_writes_nothing(folder: Path) -> None:
    staging = folder / ".staging"
    assert not list(staging.glob("ledger.sqlite-*"))
    with untouched(folder):
        assert (read_status(folder).fetched, read_status(folder).missing) == (40, ())


def test_looking_at_a_build_at_work_sees_what_it_has_just_written(folder: Path) -> None:
    with closing(open_ledger(folder / ".staging")) as ledger:
        write_outcome(ledger, LATE)
        with untouched(folder):
            assert read_status(folder).missing == (LATE,)
        write_outcome(ledger, LATE)


@pytest.mark.parametrize("index", [True, False], ids=["with its index", "without its index"])
def test_looking_at_a_killed_build_sees_what_it_wrote_last(
    folder: Path, tmp_path: Path, *, index: bool
) -> None:
    with closing(open_ledger(folder / ".staging")) as ledger:
        write_outcome(ledger, LATE)
        killed = Path(shutil.copytree(folder, tmp_path / "killed"))
    assert (killed / ".staging/ledger.sqlite-wal").stat().st_size
    if not index:
        (killed / ".staging/ledger.sqlite-shm").unlink()
    with untouched(killed):
        assert read_status(killed).missing == (LATE,)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_build_in_a_folder_that_nobody_may_write_to_is_looked_at(folder: Path) -> None:
    (folder / ".staging").chmod(0o500)
    assert read_status(folder).fetched == 40


@pytest.mark.parametrize("name", ["ledger.sqlite", "inputs.json", "release.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"no such thing" * 99, None])
def test_what_is_damaged_is_named_in_one_line(
    folder: Path, name: str, content: bytes | None
) -> None:
    path = folder / ("" if name == "release.json" else ".staging") / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    elif name != "ledger.sqlite":
        return  # no build, or no release yet
    if (name, content) == ("ledger.sqlite", b""):
        content = None  # an empty file is a database without a table
    with pytest.raises(Exception, match=rf"{name}.*; ") as caught:
        read_status(folder)
    assert type(caught.value).__name__ in {"FolderError", "ReleaseError"}
    assert "\n" not in str(caught.value)


def test_after_a_build_that_failed_its_command_comes_next(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo_root / "data/demo/aef", tmp_path / "aef")
    tile = min((tmp_path / "aef/2018").rglob("*.tiff"))
    content = tile.read_bytes()
    tile.unlink()
    recipe = demo_recipe(demo_root, f"source.root={tmp_path / 'aef'}")
    words = ["my recipe.toml", "--out", "my release"]
    typed = "hfaef build 'my recipe.toml' --out 'my release'"
    for _ in range(2):
        with pytest.raises(IncompleteError):
            build(recipe, Path("my release"), command=words)
        status = read_status(Path("my release"))
        assert (status.unfinished, status.next_command) == (True, typed)
    tile.write_bytes(content)
    build(recipe, Path("my release"), command=words)
    status = read_status(Path("my release"))
    assert (status.unfinished, status.released_rows) == (False, 40)
    assert status.next_command == "hfaef push 'my release' OWNER/NAME"
    assert status.summary()["unfinished"] is False


def test_a_build_that_failed_where_a_release_is_comes_before_the_push(folder: Path) -> None:
    write_command(folder / ".staging", ["demo"])
    status = read_status(folder)
    assert (status.released_rows, status.next_command) == (40, "hfaef build demo")
    write_command(folder / ".staging", [])
    assert read_status(folder).next_command == f"hfaef build RECIPE --out '{folder}'"


NOTHING = Outcome(2018, "nowhere", fetched=False, reason="nothing there", permanent=True)


@pytest.mark.parametrize(
    ("more", "words", "added"),
    [
        ([NOTHING], ["x.toml"], " --allow-missing"),
        ([NOTHING], ["x.toml", "--limit", "9"], " --allow-missing"),
        ([NOTHING], ["x.toml", "--allow-missing"], ""),
        ([NOTHING, LATE], ["x.toml"], ""),
        ([replace(NOTHING, attempts=0)], ["x.toml"], ""),
        ([], ["x.toml"], ""),
    ],
    ids=["nothing", "trial", "allowed", "one may come", "left out by the recipe", "all there"],
)
def test_the_same_build_does_not_come_next_where_all_that_is_missing_will_never_come(
    folder: Path, more: list[Outcome], words: list[str], added: str
) -> None:
    write_command(folder / ".staging", words)
    with closing(open_ledger(folder / ".staging")) as ledger:
        for outcome in more:
            write_outcome(ledger, outcome)
    assert read_status(folder).next_command == f"hfaef build {' '.join(words)}{added}"


def test_a_build_that_was_killed_before_all_was_tried_goes_on_as_it_is(folder: Path) -> None:
    write_command(folder / ".staging", ["x.toml"])
    with closing(open_ledger(folder / ".staging")) as ledger:
        ledger.execute("DELETE FROM outcomes WHERE rowid IN (SELECT rowid FROM outcomes LIMIT 2)")
        ledger.commit()
        write_outcome(ledger, NOTHING)
    assert read_status(folder).next_command == "hfaef build x.toml"


def test_a_command_that_was_typed_elsewhere_says_where(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.chdir(tmp_path / "a b")
    write_command(folder / ".staging", ["x.toml"])
    monkeypatch.chdir(tmp_path)
    expected = f"cd '{tmp_path / 'a b'}' && hfaef build x.toml"
    assert read_status(folder).next_command == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"words": 1, "folder": ""}',
        b'{"words": [], "folder": "/"}',
        json.dumps({"words": ["\x1b[31mx"], "folder": str(Path.cwd())}).encode(),
        json.dumps({"words": ["x"], "folder": "\n"}).encode(),
    ],
)
def test_a_command_that_no_build_wrote_is_not_shown(folder: Path, content: bytes) -> None:
    (folder / ".staging/command.json").write_bytes(content)
    assert read_status(folder).next_command == f"hfaef build RECIPE --out '{folder}'"


def test_a_strangers_command_is_no_other_program(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_command(folder / ".staging", ["x", ";", "rm -rf ~"])
    assert read_status(folder).next_command == "hfaef build x ';' 'rm -rf ~'"


def test_a_folder_without_a_build_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=rf"no build was started in {tmp_path}/x; hfaef build "):
        read_status(tmp_path / "x")


@pytest.mark.parametrize("staging", [True, False], ids=["where it was built", "a copy"])
def test_a_card_that_was_edited_outside_its_notes_comes_before_the_push(
    folder: Path, *, staging: bool
) -> None:
    if not staging:
        shutil.rmtree(folder / ".staging")
    card = folder / "README.md"
    whole = card.read_text("utf-8")
    card.write_text(whole.replace(BEGIN, f"{BEGIN}\nPatch 7 is odd."), "utf-8")
    assert read_status(folder).next_command == f"hfaef push '{folder}' OWNER/NAME"
    card.write_text(whole.replace("## Load it\n", "## Load it\n\nMind the gap.\n"), "utf-8")
    with untouched(folder):
        status = read_status(folder)
    assert status.next_command == f"hfaef card '{folder}'"
    [said] = status.edits
    assert f"{card} was edited outside its notes" in said
    assert f"hfaef card '{folder}' --replace-card" in said
    lines = show_status(folder).lines
    assert lines[-2:] == [said, f"next: {status.next_command}"]
    assert status.summary()["edits"] == [said]
    write_card(folder, replace=True)
    assert read_status(folder).next_command == f"hfaef push '{folder}' OWNER/NAME"


def test_an_edited_card_comes_before_a_build_and_scores_which_it_stops(folder: Path) -> None:
    remember_stale(folder, (SCORES,))
    assert read_status(folder).next_command == f"hfaef eval '{folder}'"
    write_command(folder / ".staging", ["demo"])
    assert read_status(folder).next_command == "hfaef build demo"
    with (folder / "README.md").open("a") as card:
        card.write("Mind the gap.\n")
    assert read_status(folder).next_command == f"hfaef card '{folder}'"


def test_an_edited_card_of_a_published_release_is_named_all_the_same(folder: Path) -> None:
    manifest = read_manifest(folder).model_copy(update={"repo": "ada/patches", "version": "1.2.0"})
    (folder / "release.json").write_bytes(manifest_bytes(manifest))
    write_card(folder, replace=True)
    with (folder / "README.md").open("a") as card:
        card.write("Mind the gap.\n")
    status = read_status(folder)
    assert status.next_command == "hfaef check ada/patches@1.2.0"
    assert "edited outside its notes" in status.edits[0]


def batch_of(first: int, size: int, **values: Any) -> list[Outcome]:
    return [
        Outcome(2018, f"b{number:03}", fetched=True, together=size, **values)
        for number in range(first, first + size)
    ]


def look_at_batches(folder: Path, *outcomes: Outcome) -> tuple[tuple[int, ...], list[str]]:
    """What is counted of batches, and the lines that say so."""
    staged = next((folder / ".staging/pixels/2018").iterdir())
    with closing(open_ledger(folder / ".staging")) as ledger:
        for outcome in outcomes:
            write_outcome(ledger, outcome)
            if outcome.fetched:
                shutil.copy(staged, staged.with_stem(outcome.id))
    found = read_status(folder)
    lines = [str(line) for line in show_status(folder).lines if " of them in " in str(line)]
    return (found.together, found.batches, found.checks, found.unchecked), lines


def test_batches_of_which_all_is_missing_are_not_said_to_have_brought_something(
    folder: Path,
) -> None:
    first, second = (
        replace(one, fetched=False, reason="no data there", permanent=True, checks=1)
        for one in batch_of(0, 2)
    )
    assert look_at_batches(folder, first, second) == ((0, 0, 0, 0), [])


def test_what_is_missing_of_batches_is_not_among_what_was_fetched_in_them(folder: Path) -> None:
    held = [*batch_of(0, 8), *batch_of(8, 8), *batch_of(16, 4)]
    for number in (0, 1, 2, 8, 16):  # the first of each, among others, which holds the requests
        held[number] = replace(held[number], fetched=False, permanent=True, checks=1)
    held[3] = replace(held[3], checks=2, requests=3)
    held[4] = replace(held[4], together=1)  # it came alone, after its batch
    counts, (line,) = look_at_batches(folder, *held)
    assert counts == (14, 3, 1, 0)
    assert line == "14 of them in 3 batches; 1 was read once more, alone, and was the same"


def test_after_a_kill_amid_checks_what_was_the_same_and_what_waits_are_told_apart(
    folder: Path,
) -> None:
    held = batch_of(0, 16, unchecked=True)
    checked = [replace(one, checks=1) for one in held[:13]]
    counts, (line,) = look_at_batches(folder, *checked, *held[13:])
    assert counts == (16, 1, 13, 16)
    assert line == (
        "16 of them in 1 batch; 13 were read once more, alone, and were the same; "
        "for 16 of them a check is still to come"
    )
