"""TARGET: a folder that is there, or a name on the Hub."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.errors import InputError
from hfaef.hub.target import HubTarget, parse_target
from hfaef.release.version import Version

WORDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=20)
NUMBERS = st.integers(0, 99)


@given(WORDS, WORDS, st.builds(Version, NUMBERS, NUMBERS, NUMBERS), st.booleans())
def test_what_is_written_is_what_is_read(
    owner: str, name: str, version: Version, tag: bool
) -> None:
    repo_id = f"no-folder-{owner}/{name}"
    assert parse_target(repo_id) == HubTarget(repo_id, None)
    text = f"{repo_id}@{version.tag if tag else version}"
    assert parse_target(text) == HubTarget(repo_id, version)


def test_a_folder_goes_before_a_repository_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ada/patches").mkdir(parents=True)
    assert parse_target("ada/patches") == Path("ada/patches")
    assert parse_target("ada/patches@1.0.0") == HubTarget("ada/patches", Version(1, 0, 0))
    assert parse_target(str(tmp_path)) == tmp_path


def test_a_folder_that_is_not_there_in_one_that_is_is_no_name_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").mkdir()
    with pytest.raises(InputError, match="there is no folder build/nothere in build"):
        parse_target("build/nothere")
    assert parse_target("build/nothere@1.0.0") == HubTarget("build/nothere", Version(1, 0, 0))


@pytest.mark.parametrize(
    "text", ["nowhere", "a/b/c", "/nowhere/x", "../x/y", "./a/b", "a/..", "a--b/c", "a/b c"]
)
def test_what_is_neither_is_refused(text: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"is neither a folder nor OWNER/NAME\[@VERSION\]"):
        parse_target(text)


def test_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada/patches").write_text("")
    with pytest.raises(InputError, match="neither a folder nor"):
        parse_target("ada/patches")


@pytest.mark.parametrize("version", ["newest", "1.0", "1.0.0@2.0.0"])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    with pytest.raises(InputError, match="is no version; give three numbers"):
        parse_target(f"no-folder/x@{version}")


def test_a_recipe_in_place_of_a_release_is_named_as_one(tmp_path):
    recipe = tmp_path / "own.toml"
    recipe.write_text("")
    with pytest.raises(InputError, match=r"own\.toml is a recipe") as raised:
        parse_target(str(recipe))
    assert f"`hfaef build {recipe}`" in raised.value.hint
