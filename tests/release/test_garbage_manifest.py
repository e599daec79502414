"""A manifest that was tampered with: a card, a difference, findings or one line; no traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hfaef.errors import HfaefError, ReleaseError
from hfaef.release.card.render import front_matter, render_card
from hfaef.release.diff import compare
from hfaef.release.format.manifest import Manifest, parse_manifest, read_manifest
from hfaef.release.handle import Release, open_folder

Path_ = tuple[str | int, ...]

ODD = st.sampled_from(
    [None, True, 0, -1, 10**30, 1.5, "", "x", "\ud800", "a\x00b", "{{ 1 }}", [], [[]], {}, {"a": 1}]
)


def paths(content: Any, above: Path_ = ()) -> list[Path_]:
    """Where the values of a manifest stand, those of long lists only once."""
    found = [above] if above else []
    if isinstance(content, dict):
        for key, value in content.items():
            found += paths(value, (*above, key))
    elif isinstance(content, list) and content:
        found += paths(content[0], (*above, 0))
    return found


def changed(content: Any, path: Path_, value: Any, *, gone: bool) -> bytes:
    content = copy.deepcopy(content)
    place = content
    for key in path[:-1]:
        place = place[key]
    if gone:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(content).encode()


def refusal(make: Callable[[], object]) -> str:
    """In which line something is refused; empty if it is not."""
    try:
        str(make()).encode()
    except HfaefError as error:
        return str(error)
    return ""


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_one_wrong_value_ends_in_no_traceback(demo_release: Path, data: st.DataObject) -> None:
    content = json.loads((demo_release / "release.json").read_bytes())
    path = data.draw(st.sampled_from(paths(content)))
    text = changed(content, path, data.draw(ODD), gone=data.draw(st.booleans()))
    said = refusal(lambda: parse_manifest(text, "release.json"))
    assert not said or said.startswith("release.json ")
    if not said:
        manifest = parse_manifest(text, "release.json")
        known = open_folder(demo_release)
        odd = Release("odd", manifest, known.fetch, known.open)
        for make in (
            lambda: render_card(manifest),
            lambda: front_matter(manifest),
            lambda: [*compare(known, odd).lines()],
            lambda: [*compare(odd, known).lines()],
        ):
            said += refusal(make)
    assert len(said) < 500
    assert "\n" not in said


@pytest.mark.parametrize("section", ["card", "pack", "source"])
@pytest.mark.parametrize("value", [None, 1, "x", []])
def test_a_section_of_the_recipe_that_is_no_table_is_refused(
    demo_release: Path, section: str, value: Any
) -> None:
    content = json.loads((demo_release / "release.json").read_bytes())
    content["recipe"][section] = value
    with pytest.raises(ReleaseError, match=rf"release.json is no manifest: recipe: .*{section}: "):
        parse_manifest(json.dumps(content).encode(), "release.json")


def test_keys_of_a_later_version_in_the_recipe_are_let_through(demo_release: Path) -> None:
    content = json.loads((demo_release / "release.json").read_bytes())
    for section in ("card", "pack", "source"):
        content["recipe"][section]["later"] = {"a": [1]}
    found = parse_manifest(json.dumps(content).encode(), "release.json")
    assert isinstance(found, Manifest)
    assert found.recipe == content["recipe"]
    assert found.model_copy(update={"recipe": {}}) == read_manifest(demo_release).model_copy(
        update={"recipe": {}}
    )


@given(st.text(st.characters(), min_size=1))
@example("\ud83d\ude00")
@example("\ud800")
@example("\\ud800")
@example("\U0001f600")
def test_half_a_character_is_refused_and_a_whole_one_kept(demo_release: Path, text: str) -> None:
    content = json.loads((demo_release / "release.json").read_bytes())
    content["recipe"]["card"]["description"] = text
    written = json.dumps(content).encode()
    try:
        found = parse_manifest(written, "release.json").recipe["card"]["description"]
    except ReleaseError:
        with pytest.raises(UnicodeEncodeError):
            json.loads(written)["recipe"]["card"]["description"].encode()
    else:
        assert found.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")
