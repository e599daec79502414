"""A target that is not there, and a release.json that is none: one line, and the right exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from end_to_end.test_cli import run_all

COMMANDS = {
    "show": ["show", "TARGET"],
    "status": ["status", "TARGET"],
    "check": ["check", "TARGET"],
    "eval": ["eval", "TARGET"],
    "card": ["card", "TARGET"],
    "diff": ["diff", "TARGET", "TARGET"],
    "export": ["export", "TARGET", "--to", "gis"],
    "push": ["push", "TARGET", "ada/patches", "--dry-run"],
}


def outcomes(folder: Path, target: str) -> dict[str, tuple[int, str, str]]:
    asked = [[target if word == "TARGET" else word for word in one] for one in COMMANDS.values()]
    return dict(zip(COMMANDS, run_all(*asked, folder=folder), strict=True))


@pytest.mark.parametrize("target", ["nowhere", "no/where/at/all", "a file", "/nowhere"])
def test_a_target_that_is_not_there_ends_every_command_with_2(tmp_path: Path, target: str) -> None:
    (tmp_path / "a file").write_text("")
    for command, (code, output, errors) in outcomes(tmp_path, target).items():
        assert (code, output) == (2, ""), (command, errors)
        assert len(errors.splitlines()) == 1
        assert target in errors
        assert "fault in hfaef" not in errors
    assert [path.name for path in tmp_path.iterdir() if path.name != ".hf"] == ["a file"]


def test_a_release_whose_manifest_was_cut_off_ends_in_one_line(
    own_release: Path, tmp_path: Path
) -> None:
    manifest = own_release / "release.json"
    content = manifest.read_bytes()
    for cut in (0, 1, len(content) // 2, len(content) - 3):
        manifest.write_bytes(content[:cut])
        for command, (code, _, errors) in outcomes(tmp_path, str(own_release)).items():
            assert code == 1, (command, errors)
            assert errors.startswith(f"error: {manifest} is not JSON: "), command
            assert len(errors.splitlines()) == 1
