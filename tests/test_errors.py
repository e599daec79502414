from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import hfaef
from hfaef import errors


@pytest.mark.parametrize(
    "words",
    [
        ["hfaef", "check", "build/my data"],
        ["hfaef", "check", "it's"],
        ["hfaef", "push", "a;b", "$HOME", "*", ""],
        ["hfaef", "check", Path("Öde See")],
    ],
)
def test_a_command_line_is_split_by_a_shell_into_its_words(words: list[object]) -> None:
    assert shlex.split(errors.command_line(*words)) == [str(word) for word in words]


def test_words_that_need_no_quotes_have_none() -> None:
    words = ["hfaef", "diff", "OWNER/NAME@1.0.0", "build/my-dataset"]
    assert errors.command_line(*words) == "hfaef diff OWNER/NAME@1.0.0 build/my-dataset"


def test_it_is_installed_from_the_repository_that_its_metadata_name() -> None:
    url = "https://github.com/isaaccorley/hfaef"
    assert errors.repository() == url
    assert errors.requirement() == f"hfaef @ git+{url}"
    assert errors.requirement("eval") == f"hfaef[eval] @ git+{url}"


def test_a_checkout_gets_an_extra_with_uv_and_keeps_the_others() -> None:
    root = str(Path(hfaef.__file__).parents[1])
    if errors.checkout() is None:
        pytest.skip("hfaef is not installed from a checkout")
    assert errors.checkout() == root
    assert errors.install_command("eval") == f"uv sync --inexact --extra eval --directory {root}"
    assert errors.upgrade_command() == f"git -C {root} pull"
