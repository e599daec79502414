"""The picture of the atlas that `hfaef show` adds to a release where there is a browser."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest
from PIL import Image

from hfaef.atlas import picture
from hfaef.atlas.picture import SIZE, find_browser
from hfaef.cli.atlas import draw_atlas
from hfaef.cli.main import run
from hfaef.cli.terminal.output import Output
from hfaef.release.card.additions import write_figures
from hfaef.release.check import check_folder
from hfaef.release.format.paths import ATLAS_PICTURE
from support.browser import LACKING


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that alone is on the PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_the_card_shows_a_picture_of_points_in_several_colours(own_release: Path) -> None:
    if find_browser() is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(LACKING)
    notes: list[str] = []

    def atlas() -> dict[str, bytes]:
        figures, said = draw_atlas(own_release)
        notes.extend(said)
        return figures

    made = write_figures(own_release, more=atlas)
    assert notes == []
    assert own_release / ATLAS_PICTURE in made
    with Image.open(io.BytesIO((own_release / ATLAS_PICTURE).read_bytes())) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", SIZE)
        colours = drawn.convert("RGB").getcolors(1 << 20) or []
    vivid = [colour for count, colour in colours if count > 20 and max(colour) - min(colour) > 90]
    assert len(vivid) >= 3
    assert f"]({ATLAS_PICTURE})" in (own_release / "README.md").read_text()
    assert check_folder(own_release) == []


@pytest.mark.usefixtures("on_path")
def test_without_a_browser_it_is_left_out_with_a_line(
    own_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture, "_ELSEWHERE", ())
    figures, (note,) = draw_atlas(own_release)
    assert figures == {}
    assert "install Chromium or Chrome" in note


def test_a_browser_that_ends_at_once_is_named_and_the_picture_left_out(
    own_release: Path, on_path: Path
) -> None:
    program = on_path / "chromium"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    figures, (note,) = draw_atlas(own_release)
    assert figures == {}
    assert f"{program} draws no picture" in note
    assert "with 3" in note


def test_an_evaluation_says_that_the_picture_is_of_before_it(
    own_release: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_release / ATLAS_PICTURE).write_bytes(b"a picture")
    words = ("eval", str(own_release), "--quick", "--probe", "knn")
    monkeypatch.setattr("sys.argv", ["hfaef", *words])
    assert run(Output()) == 0
    said = capsys.readouterr().err
    assert f"{ATLAS_PICTURE} shows the page before this evaluation" in said
    assert f"hfaef show {own_release} draws it again" in said
