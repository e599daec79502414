"""Files and folders appear whole or not at all, and a lock is held by one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hfaef.core.files import (
    atomic_file,
    atomic_folder,
    atomic_write,
    finish_folder,
    folder_lock,
    is_unfinished,
)
from hfaef.errors import FolderError
from support.kills import run_killed


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    folder = tmp_path / "apart"
    folder.mkdir()
    return folder


def test_a_file_is_new_or_takes_the_place_of_another(tmp_path: Path) -> None:
    for content in (b"one", b"", memoryview(b"three")):
        atomic_write(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert names(tmp_path) == ["a"]


def test_a_file_has_the_rights_of_any_other(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", b"one")
    (tmp_path / "b").write_bytes(b"two")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_until_it_is_whole_the_one_before_is_seen(tmp_path: Path, apart: Path) -> None:
    atomic_write(tmp_path / "a", b"before")
    with atomic_file(tmp_path / "a", apart) as file:
        file.write(b"after")
        assert (tmp_path / "a").read_bytes() == b"before"
        [temporary] = apart.iterdir()
        assert temporary.name.startswith("a.")
        assert temporary.name.endswith(".part")
    assert (tmp_path / "a").read_bytes() == b"after"
    assert names(tmp_path) == ["a", "apart"]


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_file_before_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    atomic_write(tmp_path / "a", b"before")

    def fail() -> None:
        with atomic_file(tmp_path / "a") as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"before"


def test_a_failure_leaves_what_others_are_writing(tmp_path: Path) -> None:
    other = tmp_path / "a.0123.part"
    other.write_bytes(b"half")
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="a"):
        atomic_write(tmp_path / "a", b"one")
    assert names(tmp_path) == ["a", "a.0123.part"]
    assert other.read_bytes() == b"half"


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(
    tmp_path: Path, apart: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    (tmp_path / "elsewhere").write_bytes(b"kept")
    monkeypatch.setattr("hfaef.core.files._temporary", lambda folder, _: folder / "known.part")
    (apart / "known.part").symlink_to(tmp_path / target)
    with pytest.raises(FileExistsError):
        atomic_write(tmp_path / "a", b"one", apart)
    assert names(tmp_path) == ["apart", "apart/known.part", "elsewhere"]
    assert (tmp_path / "elsewhere").read_bytes() == b"kept"
    assert (apart / "known.part").is_symlink()


def test_a_link_in_the_place_of_the_file_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"kept")
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    atomic_write(tmp_path / "a", b"one")
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == b"kept"


def test_a_folder_that_is_not_there_is_not_made_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "gone/a", b"one")
    assert names(tmp_path) == []


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_appears_with_all_that_it_holds(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "above/folder"
    if made:
        folder.mkdir(parents=True)
    with atomic_folder(folder) as unfinished:
        (unfinished / "a").write_bytes(b"one")
        assert folder.exists() == made
        assert unfinished.parent == folder.parent
    assert names(tmp_path) == ["above", "above/folder", "above/folder/a"]
    assert folder.stat().st_mode == folder.parent.stat().st_mode


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_folder_that_fails_is_removed_and_no_other(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "folder.0123.part").mkdir()

    def fail() -> None:
        with atomic_folder(tmp_path / "folder") as unfinished:
            (unfinished / "a").write_bytes(b"one")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == ["folder.0123.part"]


def test_a_folder_that_somebody_filled_meanwhile_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    def write() -> None:
        with atomic_folder(folder) as unfinished:
            (unfinished / "a").write_bytes(b"ours")
            folder.mkdir()
            (folder / "a").write_bytes(b"theirs")

    with pytest.raises(OSError, match="folder"):
        write()
    assert names(tmp_path) == ["folder", "folder/a"]
    assert (folder / "a").read_bytes() == b"theirs"


def test_a_lock_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with folder_lock(tmp_path, "below/lock", "wait"):
            pass

    def second() -> None:
        with folder_lock(tmp_path, "below/lock", "wait"):
            raise AssertionError("held twice")

    with (
        folder_lock(tmp_path, "below/lock", "wait"),
        pytest.raises(FolderError, match=rf"another hfaef is at work in {tmp_path}; wait"),
    ):
        second()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FolderError, match="cannot write"), folder_lock(tmp_path, "x/lock", "wait"):
        pass


def fill(folder: Path) -> None:
    with atomic_folder(folder) as unfinished:
        for name in ("one", "two", "three"):
            (unfinished / name).mkdir()
            (unfinished / name / "a").write_bytes(b"ours")
        (unfinished / "table").write_bytes(b"ours")


FILLED = ["one", "one/a", "table", "three", "three/a", "two", "two/a"]


@pytest.mark.parametrize("before", [None, b"before"])
def test_a_kill_before_any_change_leaves_the_old_file_or_the_new(
    tmp_path: Path, before: bytes | None
) -> None:
    killed, number, seen = True, 0, []
    while killed:
        number += 1
        place = tmp_path / str(number)
        place.mkdir()
        if before is not None:
            (place / "a").write_bytes(before)
        killed = run_killed(lambda place=place: atomic_write(place / "a", b"after"), place, number)
        found = (place / "a").read_bytes() if (place / "a").exists() else None
        assert found in (before, b"after")
        assert all(path.name == "a" or is_unfinished(path) for path in place.iterdir())
        seen.append(found == b"after")
    assert seen == [False] * (number - 1) + [True]
    assert number > 2


@pytest.mark.parametrize("made", [False, True])
def test_a_kill_before_any_change_leaves_no_folder_or_a_whole_one(
    tmp_path: Path, *, made: bool
) -> None:
    killed, number, seen = True, 0, []
    while killed:
        number += 1
        place = tmp_path / str(number)
        (place / "folder" if made else place).mkdir(parents=True)
        killed = run_killed(lambda place=place: fill(place / "folder"), place, number)
        found = names(place / "folder")
        assert found in ([], FILLED)
        seen.append(found == FILLED)
        fill(place / "other")
        assert names(place / "other") == FILLED
    assert seen == [False] * (number - 1) + [True]
    assert number > 8


def test_a_kill_while_the_folder_that_one_is_in_is_filled_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, number, seen = True, 0, []
    while killed:
        number += 1
        place = tmp_path / str(number)
        place.mkdir()
        monkeypatch.chdir(place)
        killed = run_killed(lambda: fill(Path()), place, number)
        # The one who makes up for it may be killed, too.
        for again in (1, 2):
            run_killed(lambda place=place: finish_folder(place), place, again)
        finish_folder(place)
        found = [name for name in names(place) if ".part" not in name]
        assert found in ([], FILLED)
        seen.append(found == FILLED)
    assert seen == sorted(seen)
    assert seen.count(True) > 4


def test_of_two_who_fill_the_folder_that_they_are_in_the_first_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def second() -> None:
        with atomic_folder(Path()) as late:
            (late / "mine").write_bytes(b"theirs")
            fill(Path())
            assert names(late) == ["mine"]

    with pytest.raises(FileExistsError, match="something else was written into it meanwhile"):
        second()
    assert names(tmp_path) == FILLED


@pytest.mark.parametrize("name", ["a.whole", f"a.{'0' * 31}.whole", f"a.{'0' * 32}.wholes"])
def test_folders_of_others_are_not_moved(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "a").write_bytes(b"theirs")
    (tmp_path / f"x.{'0' * 32}.whole").symlink_to(name)
    before = names(tmp_path)
    finish_folder(tmp_path)
    finish_folder(tmp_path / "nowhere")
    assert names(tmp_path) == before
