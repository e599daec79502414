"""Files for people, assistants and services beside the package stay true to it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from hfaef import __version__
from support.documents import wrong_in

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

COMMANDS = re.findall(r"`(hfaef [a-z][^`]*)`", (ROOT / "AGENTS.md").read_text())


@pytest.mark.parametrize("line", COMMANDS)
def test_what_assistants_are_told_to_type_are_commands_and_options(line: str) -> None:
    assert wrong_in(line) == ""


def test_assistants_are_told_of_commands() -> None:
    assert len(COMMANDS) > 10


def test_the_citation_is_of_this_version_license_and_repository() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == __version__
    assert cited["license"] == PROJECT["license"]
    assert cited["repository-code"] == PROJECT["urls"]["Repository"]
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()


def test_hooks_run_what_the_check_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    check = (ROOT / "scripts/check").read_text()
    for hook in hooks:
        assert re.search(rf"^{re.escape(hook['entry'])}\b", check, re.MULTILINE), hook["id"]


def test_the_release_tries_the_wheel_on_each_python_that_is_named() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    named = [
        line.rpartition(" ")[2]
        for line in PROJECT["classifiers"]
        if re.search(r"Python :: 3\.\d+$", line)
    ]
    assert jobs["try"]["strategy"]["matrix"]["python"] == named
    assert jobs["publish"]["needs"] == "try"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}


def test_the_version_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hfaef", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"hfaef {__version__}\n"
