"""What a server says cannot steer a terminal, hide text, or fill a row."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.core.net.text import LONGEST, clean_text
from hfaef.errors import HfaefError, Throttled, one_line


@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_a_cleaned_text_is_one_line_of_what_is_shown(text: str) -> None:
    cleaned = clean_text(text)
    assert len(cleaned) <= LONGEST
    hidden = {"Cc", "Cs", "Zl", "Zp", "Co", "Cn"}
    assert not hidden & {unicodedata.category(letter) for letter in cleaned}
    assert cleaned == cleaned.strip()
    assert clean_text(cleaned) == cleaned


@pytest.mark.parametrize("text", ["Öde See", "森林", '"a-tag"', "क्\u200dष", "v1 (β)", ""])
def test_words_of_any_script_stay(text: str) -> None:
    assert clean_text(text) == text


def test_what_is_cut_says_so() -> None:
    assert clean_text("x" * 5_000_000) == "x" * (LONGEST - 1) + "…"
    assert clean_text("a" * 20, 10) == "aaaaaaaaa…"


def test_what_steers_a_terminal_or_hides_words_is_gone() -> None:
    assert clean_text("a\x1b[2Jb\x9bc\r\nd\x00e\u202ef") == "a [2Jb c d e f"


@pytest.mark.parametrize("kind", [HfaefError, Throttled])
def test_no_error_carries_control_characters(kind: type[HfaefError]) -> None:
    error = kind("the server said \x1b[31mred\x1b[0m", "type \u202ethis\x07")
    assert error.message == one_line("the server said  [31mred [0m")
    assert str(error) == "the server said [31mred [0m; type this"
