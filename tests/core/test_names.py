from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfaef.core.names import (
    clean,
    decode_id,
    encode_id,
    fault_of,
    file_name,
    folder_names,
    printable,
    require_id,
    require_path,
    same_word,
)
from support.names import text_of_file_name

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


HOSTILE = [
    "../x",
    "/etc/x",
    "..",
    ".",
    ".hidden",
    "a/b",
    "a\\b",
    "C:x",
    "a\x00",
    "a\n",
    "",
    "x" * 201,
    "Öde",
    "%2e",
    "a ",
]


@pytest.mark.parametrize("text", [*HOSTILE, b"a", 1, None])
def test_an_id_that_is_none_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not of 1 to 200 letters"):
        require_id(text)


@given(st.text())
def test_an_id_is_one_part_of_a_path_everywhere(text: str) -> None:
    try:
        name = require_id(text)
    except ValueError:
        return
    for kind in (PurePosixPath, PureWindowsPath):
        assert kind(name).parts == (name,)
    assert encode_id(text) == text


@pytest.mark.parametrize(
    "path",
    [
        *HOSTILE,
        "../a.tar",
        "/a.tar",
        "data/../a.tar",
        "data//a.tar",
        "data/*.tar",
        "a.tar\n",
        "data/.a.tar",
        "data/a",
        "C:/a.tar",
        f"{'a' * 1000}.tar",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is none of a release's files"):
        require_path(path)


def test_a_path_of_a_release_is_taken() -> None:
    for path in ("missing.parquet", "data/2018/random=train/spatial=test/00000.parquet"):
        assert require_path(path) == path
    assert require_path("data/random=*/*.tar", pattern=True) == "data/random=*/*.tar"
    with pytest.raises(ValueError, match="none of a release's files"):
        require_path("../*.tar", pattern=True)


FREE = st.text(max_size=40) | st.text("aAbBß/.\\ %~CONcon", max_size=6)


@given(FREE)
@example("CON")
@example("com1.txt")
@example("..")
@example(" a. ")
@example("%2F")
@example("\ud800")
def test_a_text_is_the_name_of_a_file_on_any_disk_and_comes_back(text: str) -> None:
    name = file_name(text)
    for kind in (PurePosixPath, PureWindowsPath):
        assert kind(name).parts == (name,)
        assert not kind(name).is_absolute()
    assert name[0] != "."
    assert name[-1] not in ". "
    assert not set(name) & set('/\\:*?"<>|\x00\n')
    assert len(name.encode()) <= 200
    if "%~" not in name or not text:
        assert text_of_file_name(name) == text


@pytest.mark.parametrize("label", ["Öde See", "森林", "العربية", "Dry, rocky (a)", "x_3"])
def test_a_label_of_any_script_is_its_own_folder(label: str) -> None:
    assert folder_names([label]) == (label,)


@given(st.lists(st.text("aAbß\u017f/. é\u0301", max_size=4), unique=True, max_size=12))
@example(["Forest", "forest", "FOREST", "fOrest", "%66orest", ""])
def test_no_two_labels_share_a_folder_even_where_case_is_not_told(labels: list[str]) -> None:
    names = folder_names(labels)
    folded = {unicodedata.normalize("NFKC", name).casefold() for name in names}
    assert len(folded) == len(labels)
    assert [text_of_file_name(name) for name in names] == labels


def test_a_label_that_is_listed_twice_or_endless_has_a_folder_of_its_own() -> None:
    long = ["森" * 200, "森" * 199, "/" * 200, "a" * 199 + "é", "b", "b"]
    names = folder_names(long)
    assert len(set(names)) == len(long)
    assert all(len(name.encode()) <= 204 for name in names)


def test_what_a_disk_takes_for_one_is_told_apart_by_letters_written_as_in_a_url() -> None:
    assert folder_names(["Forest", "forest", "a/b", "..", "CON"]) == (
        "Forest",
        "%66orest",
        "a%2Fb",
        "%2E%2E",
        "%43ON",
    )
