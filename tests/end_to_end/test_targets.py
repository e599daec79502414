"""A target that is not there, and a release.json that is none: one line, and the right exit code."""

from __future__ import annotations

import pytest
from end_to_end.test_cli import run_all

COMMANDS = {
    "show": ["show", "TARGET"],
    "status": ["status", "TARGET"],
    "check": ["check", "TARGET"],
    "eval": ["eval", "TARGET"],
    "card": ["card", "TARGET"],
    "diff": ["diff", "TARGET", "TARGET"],
    "atlas": ["atlas", "TARGET"],
    "atlas --site": ["atlas", "TARGET", "--site", "site"],
    "export": ["export", "TARGET", "--to", "gis"],
    "push": ["push", "TARGET", "ada/patches", "--dry-run"],
}


NOT_THERE = ("nowhere", "no/where/at/all", "a file", "/nowhere")
MANIFEST = b'{"format": 1, "name": "Patches", "files": []}'
CUT_OFF = {f"cut {length}": MANIFEST[:length] for length in (0, 1, 20, len(MANIFEST) - 1)}

Outcome = tuple[str, str, int, str, str]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """Target, command, exit code, output and errors of every command on every target."""
    folder = tmp_path_factory.mktemp("targets")
    (folder / "a file").write_text("")
    for name, content in CUT_OFF.items():
        (folder / name).mkdir()
        (folder / name / "release.json").write_bytes(content)
    before = {path for path in folder.rglob("*") if ".hf" not in path.parts}
    pairs = [(target, command) for target in (*NOT_THERE, *CUT_OFF) for command in COMMANDS]
    asked = [
        [target if word == "TARGET" else word for word in COMMANDS[command]]
        for target, command in pairs
    ]
    found = run_all(*asked, folder=folder)
    assert {path for path in folder.rglob("*") if ".hf" not in path.parts} == before
    return [(*pair, *one) for pair, one in zip(pairs, found, strict=True)]


def test_a_target_that_is_not_there_ends_every_command_with_2(outcomes: list[Outcome]) -> None:
    for target, command, code, output, errors in outcomes:
        if target in NOT_THERE:
            assert (code, output) == (2, ""), (command, errors)
            assert len(errors.splitlines()) == 1
            assert target in errors
            assert "fault in hfaef" not in errors


def test_a_release_whose_manifest_was_cut_off_ends_in_one_line(outcomes: list[Outcome]) -> None:
    for target, command, code, _, errors in outcomes:
        if target in CUT_OFF:
            assert code == 1, (command, errors)
            assert errors.startswith(f"error: {target}/release.json is not JSON: "), command
            assert len(errors.splitlines()) == 1
