from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfaef.recipe.names import clean, decode_id, encode_id, fault_of, printable, same_word

NAMES = st.text() | st.text("_0x2EFa.-", max_size=24)


@given(NAMES)
@example("_0x2E_0x2E_")
@example("a_0x5F.")
@example("_0x2E.0x2E.")
def test_an_id_gives_back_the_name_it_was_made_of(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]*", encode_id(name))
    assert decode_id(encode_id(name)) == name


@given(NAMES, NAMES)
def test_two_names_have_two_ids(one: str, other: str) -> None:
    assert (encode_id(one) == encode_id(other)) == (one == other)


@given(st.from_regex(r"[A-Za-z0-9-]{1,8}(_[A-Za-z1-9-]{1,8}){0,3}", fullmatch=True))
def test_a_plain_name_is_its_own_id(name: str) -> None:
    assert encode_id(name) == name


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("plot.1", "plot_0x2E_1"),
        ("a b", "a_0x20_b"),
        ("Wäldchen", "W_0xE4_ldchen"),
        ("林", "_0x6797_"),
        ("tile_x20_y30", "tile_x20_y30"),
        ("code_0x20", "code_0x20"),
        ("code_0x20_", "code_0x5F_0x20_"),
    ],
)
def test_other_characters_are_written_as_their_numbers(name: str, identity: str) -> None:
    assert encode_id(name) == identity


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (" Forest\u00a0", "Forest"),
        ("Wa\u0308ldchen", "Wäldchen"),
        ("a  b\n", "a  b"),
        ("001", "001"),
    ],
)
def test_a_name_is_cleaned_of_what_nobody_sees(written: str, name: str) -> None:
    assert clean(written) == name
    assert clean(clean(written)) == name


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("", "empty"),
        ("a\x00b", r"U\+0000"),
        ("a\nb", r"U\+000A"),
        ("a\u200bb", r"U\+200B"),
        ("a\u202eb", r"U\+202E"),
        ("a\u2028b", r"U\+2028"),
        ("a\x85b", r"U\+0085"),
        ("a\udce4b", "not UTF-8"),
    ],
)
def test_what_nobody_sees_inside_a_name_is_a_fault(name: str, word: str) -> None:
    assert re.search(word, fault_of(name) or "")


@pytest.mark.parametrize(
    "name", ["Forest", "10:00", "b'x'", "\u0645\u06cc\u200c\u062e\u0648", "👩\u200d🌾", "a  b"]
)
def test_names_of_any_language_are_fine(name: str) -> None:
    assert fault_of(name) is None


@given(st.text() | st.just("a\udce4"))
def test_a_message_can_be_printed_whatever_it_names(text: str) -> None:
    assert printable(text).isprintable()
    printable(text).encode()


@pytest.mark.parametrize("other", ["forest land", "ForestLand", "Forest Land ", "\uff26orest Land"])
def test_words_that_differ_in_what_nobody_reads_are_the_same(other: str) -> None:
    assert same_word(other) == same_word("Forest Land") != same_word("Forests Land")
