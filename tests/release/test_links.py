"""A release from a stranger with symbolic links in it: nothing is read or written through one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from build.test_pipeline import demo_recipe

from hfaef.build.pipeline import build
from hfaef.cli.main import run
from hfaef.cli.terminal.output import Output
from hfaef.core.files import folder_lock, links_in, make_real_folders
from hfaef.errors import FolderError, ReleaseError
from hfaef.hub.push import push
from hfaef.release.card.additions import add_files
from hfaef.release.check import check_folder
from hfaef.release.format.paths import locked_release, put_into_release

SECRET = b"of somebody else"

PLANTED = ["release.json.part", ".staging/a.part", ".staging", ".staging/lock", "data", "figures"]
PLANTED += ["figures/map.png", "README.md", "evaluation.json", "release.json"]

COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "card": lambda folder: ["card", str(folder)],
    "show": lambda folder: ["show", str(folder)],
    "show --out": lambda folder: ["show", str(folder), "--out", f"{folder}.png"],
    "eval": lambda folder: ["eval", str(folder), "--pooling", "mean", "--probe", "knn"],
    "atlas": lambda folder: ["atlas", str(folder)],
    "export": lambda folder: ["export", str(folder), "--to", f"{folder}-gis"],
}


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of somebody else, which holds a file."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "file").write_bytes(SECRET)
    return folder


def plant(release: Path, name: str, victim: Path) -> None:
    """A link of this name that leads to the victim's folder, or to the file in it."""
    path = release / name
    folder = name in {".staging", "data", "figures"}
    if path.is_dir():
        path.rename(victim.parent / "moved")
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(victim if folder else victim / "file", target_is_directory=folder)


def untouched(victim: Path) -> bool:
    return [path.name for path in victim.iterdir()] == ["file"] and (
        victim / "file"
    ).read_bytes() == SECRET


def typed(arguments: list[str], capsys, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["hfaef", *arguments])
    code = run(Output())
    return code, capsys.readouterr().err


@pytest.mark.parametrize("name", PLANTED[:-1])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_refuses_a_release_with_a_link_and_names_it(
    own_smallest: Path, victim: Path, command: str, name: str, capsys, monkeypatch
) -> None:
    plant(own_smallest, name, victim)
    code, words = typed(COMMANDS[command](own_smallest), capsys, monkeypatch)
    assert code == 1
    assert f"holds a symbolic link, {name}" in words
    assert len(words.splitlines()) <= 2
    assert untouched(victim)
    assert not Path(f"{own_smallest}-gis").exists()
    assert not Path(f"{own_smallest}.png").exists()


@pytest.mark.parametrize("name", PLANTED)
def test_check_names_every_link_and_reads_nothing_through_it(
    own_smallest: Path, victim: Path, name: str
) -> None:
    plant(own_smallest, name, victim)
    [finding] = check_folder(own_smallest)
    assert str(finding) == f"{name}: is a link, which is not published"


@pytest.mark.parametrize("name", PLANTED)
def test_a_build_and_a_push_refuse_it(
    own_smallest: Path, demo_root: Path, victim: Path, name: str
) -> None:
    plant(own_smallest, name, victim)
    with pytest.raises(ReleaseError, match="holds a symbolic link"):
        build(demo_recipe(demo_root), own_smallest)
    with pytest.raises(ReleaseError, match=r"holds a symbolic link|is not JSON"):
        push(own_smallest, "owner/name")
    assert untouched(victim)


@pytest.mark.parametrize("name", [".staging", "figures", ".staging/lock"])
def test_what_writes_refuses_a_link_that_comes_after_the_look_at_the_folder(
    own_smallest: Path, victim: Path, name: str
) -> None:
    plant(own_smallest, name, victim)
    if name == ".staging/lock":
        with pytest.raises(FolderError, match="it is a link"), folder_lock(own_smallest, name, ""):
            pass
    else:
        with pytest.raises(NotADirectoryError, match="it is a link"):
            put_into_release(own_smallest, "figures/map.png", b"new")
        with pytest.raises(FolderError, match=r"cannot write .*: it is a link"):
            add_files(own_smallest, {"figures/map.png": b"new"})
    assert untouched(victim)


def test_the_folder_of_a_release_may_be_a_link_itself(own_smallest: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(own_smallest)
    with locked_release(tmp_path / "other"):
        put_into_release(tmp_path / "other", "figures/map.png", b"new")
    assert (own_smallest / "figures/map.png").read_bytes() == b"new"


def test_links_are_found_at_any_depth_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/up").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert links_in(tmp_path) == ["a/b/up", "gone"]
    assert make_real_folders(tmp_path, "a/b/c/d") == tmp_path / "a/b/c/d"
    with pytest.raises(NotADirectoryError):
        make_real_folders(tmp_path, "a/b/up/c")


@pytest.mark.parametrize("command", ["card", "show", "eval"])
def test_two_commands_in_one_folder_exclude_each_other(
    own_smallest: Path, command: str, capsys, monkeypatch
) -> None:
    before = (own_smallest / "README.md").read_bytes()
    with locked_release(own_smallest):
        code, words = typed(COMMANDS[command](own_smallest), capsys, monkeypatch)
        assert code == 2
        assert f"another hfaef is at work in {own_smallest}" in words
        assert (own_smallest / "README.md").read_bytes() == before
    code, words = typed(COMMANDS[command](own_smallest), capsys, monkeypatch)
    assert (code, words.count("another hfaef")) == (0, 0)


def test_a_build_and_a_push_wait_for_no_other_command(own_smallest: Path, demo_root: Path) -> None:
    with locked_release(own_smallest):
        with pytest.raises(FolderError, match="another hfaef is at work"):
            build(demo_recipe(demo_root), own_smallest)
        with pytest.raises(FolderError, match="another hfaef is at work"):
            push(own_smallest, "owner/name")


def test_what_only_reads_needs_no_lock_and_writes_nothing(
    own_smallest: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    def held() -> set[tuple[str, int]]:
        return {(str(path), path.stat().st_mtime_ns) for path in own_smallest.rglob("*")}

    with locked_release(own_smallest):
        before = held()
        for arguments in (
            ["check", str(own_smallest)],
            ["diff", str(own_smallest), str(own_smallest)],
            ["export", str(own_smallest), "--to", str(tmp_path / "gis")],
            ["show", str(own_smallest), "--out", str(tmp_path / "all.png")],
            [
                "eval",
                str(own_smallest),
                "--probe",
                "knn",
                "--pooling",
                "mean",
                "--out",
                str(tmp_path / "scores.json"),
            ],
        ):
            assert typed(arguments, capsys, monkeypatch)[0] == 0
        assert held() == before
    assert json.loads((tmp_path / "scores.json").read_bytes())["scores"]
