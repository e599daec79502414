"""Exports and pictures are whole or not there, whenever the process is killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from hfaef.errors import FolderError
from hfaef.release.card.additions import write_figures
from hfaef.release.gis.export import export
from support.kills import run_killed


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(demo_release: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an export holds that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole") / "gis"
    return files(export(demo_release, folder).folder)


def killed_exports(release: Path, place: Path, to: str) -> Iterator[Path]:
    """Folders in which an export was killed with SIGKILL, sooner or later after it began."""
    chance = random.Random(3)
    for number in count():
        folder = place / str(number)
        folder.mkdir()
        command = [sys.executable, "-m", "hfaef", "export", str(release), "--to", to]
        process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not list(folder.rglob("*.part")) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        process.wait()
        yield folder


@pytest.mark.parametrize("to", ["gis", "."])
def test_an_export_killed_at_any_time_is_not_there_and_stands_in_nobodys_way(
    demo_release: Path, whole: dict[str, bytes], tmp_path: Path, to: str
) -> None:
    for _, folder in zip(range(2), killed_exports(demo_release, tmp_path, to), strict=False):
        left = sorted(folder.rglob("*.part"))
        found = {name: held for name, held in files(folder).items() if ".part/" not in name}
        assert found in ({}, {f"gis/{name}": held for name, held in whole.items()}, whole)
        target = folder / "again"
        assert files(export(demo_release, target).folder) == whole
        assert sorted(folder.rglob("*.part")) == left


def test_the_rest_of_a_killed_export_is_named_where_it_is_in_the_way(
    demo_release: Path, tmp_path: Path
) -> None:
    rest = tmp_path / f"gis/gis.{'0' * 32}.part"
    rest.mkdir(parents=True)
    with pytest.raises(FolderError, match=rf"or was cut off \({rest.name}\); wait for it, or remo"):
        export(demo_release, tmp_path / "gis")
    assert rest.is_dir()


def test_an_export_that_was_killed_while_it_was_moved_is_finished(
    demo_release: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    rest = tmp_path / f"gis.{'0' * 32}.whole"
    export(demo_release, rest)
    (rest / "Dune").rename(tmp_path / "Dune")
    with pytest.raises(FolderError, match=r"holds something already \(Dune\)"):
        export(demo_release, tmp_path)
    assert files(tmp_path) == whole


def test_pictures_killed_before_any_change_are_those_before_or_the_new_ones(
    demo_release: Path, tmp_path: Path
) -> None:
    out = tmp_path / "all.png"
    write_figures(demo_release, out)
    new = out.read_bytes()
    killed, number = True, 0
    while killed:
        number += 1
        out.write_bytes(b"old")
        killed = run_killed(lambda: write_figures(demo_release, out), tmp_path, number)
        assert out.read_bytes() == (b"old" if killed else new)
    assert number == 3
