from __future__ import annotations

import ast
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import hfaef
from hfaef import errors
from hfaef.cli.main import COMMANDS
from hfaef.errors import retry_after


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


_UNQUOTED = re.compile(rf"\bhfaef ({'|'.join(COMMANDS)}) (\S+ )*$")


def test_no_command_is_printed_with_a_word_that_is_not_quoted() -> None:
    """Commands with words of the user are made by `command_line`, which quotes them."""
    package = Path(hfaef.__file__).parent
    found = [
        f"{path.relative_to(package)}:{part.lineno}"
        for path in package.rglob("*.py")
        for text in ast.walk(ast.parse(path.read_text()))
        if isinstance(text, ast.JoinedStr)
        for part, follows in pairwise(text.values)
        if isinstance(part, ast.Constant) and isinstance(follows, ast.FormattedValue)
        if _UNQUOTED.search(str(part.value))
    ]
    assert found == []


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


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("7", 7, 7),
        ("0.5", 0.5, 0.5),
        ("-3", 0, 0),
        ("Wed, 01 Jan 2199 00:00:00 GMT", 1e9, 1e10),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 0, 0),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(header: str, low: float, high: float) -> None:
    seconds = retry_after(header)
    assert seconds is not None
    assert low <= seconds <= high


@pytest.mark.parametrize("header", [None, "", "soon", "Wed, 99 Jan 2020 00:00:00 GMT"])
def test_a_header_that_is_neither_asks_for_no_delay(header: str | None) -> None:
    assert retry_after(header) is None


@given(st.text(max_size=40) | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [+-]?\w*"))
@example("nan")
@example("inf")
@example("Wed, 01 Jan 2020 00:00:00 -0000")
@example("Wed, 01 Jan 99999999999 00:00:00 GMT")
@example("Wed, 01 Jan 2020 00:00:00 +999999")
def test_no_header_does_more_than_ask_for_no_delay(header: str) -> None:
    seconds = retry_after(header)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ["patch"], "0 patches"),
        (1, ["patch"], "1 patch"),
        (2, ["class"], "2 classes"),
        (27_000, ["row"], "27,000 rows"),
        (1, ["patch is", "patches are"], "1 patch is"),
        (3, ["patch is", "patches are"], "3 patches are"),
    ],
)
def test_a_count_of_one_is_singular(number: int, words: list[str], said: str) -> None:
    assert errors.count_of(number, *words) == said


_WITHOUT_SINGULAR = re.compile(
    r"(?<!of )(?<!the )\{[^{}]*(len\(|:,|count|rows|patches)[^{}]*\} (\w+ )?"
    r"(patches|rows|labels|files|vectors|points|requests|batches|blocks|shards|classes|columns)\b"
)


def test_no_count_is_printed_without_a_singular() -> None:
    """A number before a plural comes of `count_of`; ``3 of 7 patches`` needs none."""
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted(Path(hfaef.__file__).parent.rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1)
        if _WITHOUT_SINGULAR.search(line)
    ]
    assert found == []
