"""Files and folders appear whole or not at all, and a lock is held by one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hfaef.core.files import atomic_file, atomic_folder, atomic_write, folder_lock
from hfaef.errors import FolderError


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
