"""What `hfaef` says to those who type it for the first time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hfaef
from hfaef.cli.main import COMMANDS
from hfaef.recipe.read import built_in


def typed(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hfaef", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize(("words", "code"), [([], 2), (["-h"], 0), (["--help"], 0)])
def test_alone_it_shows_its_commands_and_no_error(
    tmp_path: Path, words: list[str], code: int
) -> None:
    done = typed(*words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (code, "")
    assert all(f" {name} " in done.stdout for name in COMMANDS)


def test_it_says_its_version(tmp_path: Path) -> None:
    done = typed("--version", folder=tmp_path)
    assert (done.stdout, done.returncode) == (f"hfaef {hfaef.__version__}\n", 0)


def test_help_lists_all_built_in_recipes_and_no_types(tmp_path: Path) -> None:
    done = typed("build", "-h", folder=tmp_path)
    words = set(done.stdout.replace(",", " ").replace(";", " ").split())
    assert set(built_in()) <= words
    assert not {word for word in words if word.startswith("<")}
    assert {"DIR", "KEY=VALUE", "RECIPE"} <= words


def test_a_shell_can_complete_its_commands(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hfaef"],
        cwd=tmp_path,
        env={"_HFAEF_COMPLETE": "complete_bash", "COMP_WORDS": "hfaef do", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["doctor"]
    assert "--install-completion" in typed("--help", folder=tmp_path).stdout


def test_the_schema_of_recipes_is_printed_for_editors(tmp_path: Path) -> None:
    for option in ([], ["--json"], ["-q"]):
        schema = json.loads(typed("recipe", "schema", *option, folder=tmp_path).stdout)
        assert {"name", "years", "patches", "source", "pack", "card"} <= schema["properties"].keys()
        assert schema["additionalProperties"] is False


@pytest.mark.parametrize("flag", [[], ["--skip-bad"]])
def test_skipping_bad_patches_sets_the_recipes_key(tmp_path: Path, flag: list[str]) -> None:
    changes = ["--set", "demo.patches=20", "--set", "patches.skip_bad=maybe"]
    done = typed("plan", "demo", *changes, *flag, folder=tmp_path)
    assert done.returncode == (0 if flag else 2)
    assert ("patches.skip_bad" in done.stderr) == (not flag)


@pytest.mark.parametrize("command", ["build", "plan"])
def test_a_path_that_is_not_there_ends_in_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far/one.toml").write_text(
        'name = "t"\nyears = [2018]\n[patches]\nkind = "table"\npath = "p.csv"\n'
        '[source]\nkind = "cog"\nroot = "aef"\n'
    )
    done = typed(command, "far/one.toml", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: patches.path: far/p.csv is not there; relative paths in far/one.toml count from "
        f"its folder, {tmp_path / 'far'}, those of --set from {tmp_path}\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["status", "x" * 300],
        ["build", "demo", "--out", "x" * 300],
        ["plan", "demo", "--set", f"demo.root={'x' * 300}"],
    ],
    ids=lambda words: words[0],
)
def test_a_path_that_no_disk_takes_is_named(tmp_path: Path, words: list[str]) -> None:
    done = typed(*words, folder=tmp_path)
    assert done.returncode == 2
    assert "x" * 300 in done.stderr
    assert "too long" in done.stderr
    assert "fault in hfaef" not in done.stderr
