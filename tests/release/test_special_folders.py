"""Folders whose path `datasets` takes for more than a name: refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from build.test_pipeline import demo_recipe
from pydantic import ValidationError

import hfaef
from hfaef.build.pipeline import build
from hfaef.core.names import special_in
from hfaef.errors import FolderError
from hfaef.recipe.model import Recipe
from hfaef.release.check import check_folder
from support.releases import fresh_copy

SPECIAL = {
    "a*b": "*",
    "a?b": "?",
    "a[b]c": "[b]",
    "a::b": "::",
    "${HOME}": "${HOME",
    "$HOME": "$HOME",
    "x.py": ".py",
}
FAILS = ("a[b]c", "a::b", "x.py")
"""Where nothing is loaded; from the others, files of other folders may be."""
PLAIN = [
    "a[b",
    "a]b",
    "a{b}c",
    "~",
    "US$5",
    "x.py.d",
    "%41",
    "a!b",
    "a#b",
    "Öde See",
    ".a",
    "__a__",
]


@pytest.mark.parametrize("name", SPECIAL)
def test_what_datasets_cannot_load_is_refused_before_anything_is_done(
    demo_release: Path, demo_root: Path, tmp_path: Path, name: str
) -> None:
    folder = fresh_copy(demo_release, tmp_path / name)
    if name in FAILS:
        with pytest.raises((FileNotFoundError, RuntimeError)):
            datasets.load_dataset(str(folder), split="train", streaming=True)
    with pytest.raises(FolderError) as caught:
        hfaef.load(folder)
    assert f"the path {folder} holds {SPECIAL[name]!r}, which `datasets` takes" in str(caught.value)
    assert caught.value.hint == "move it to another folder"
    [finding] = check_folder(folder)
    assert caught.value.message in finding.problem
    with pytest.raises(FolderError) as caught:
        build(demo_recipe(demo_root), tmp_path / name / "new.py")
    assert caught.value.hint == "choose another --out"
    assert not (tmp_path / name / "new.py").exists()


@pytest.mark.parametrize("name", ["a*b", "a[b]c", "a::b"])
def test_a_folder_above_counts_too_also_where_it_is_the_one_that_one_is_in(
    demo_release: Path,
    demo_root: Path,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = fresh_copy(demo_release, tmp_path / name / "release")
    monkeypatch.chdir(folder.parent)
    for target in (folder, "release"):
        with pytest.raises(FolderError, match="takes for more than a name"):
            hfaef.load(target)
    with pytest.raises(FolderError, match="takes for more than a name"):
        build(demo_recipe(demo_root), Path("new"))
    assert [path.name for path in Path().iterdir()] == ["release"]


def test_other_signs_are_names_and_load(demo_release: Path, tmp_path: Path) -> None:
    for name in PLAIN:
        folder = fresh_copy(demo_release, tmp_path / name / "release")
        assert special_in(str(folder)) is None
        rows = hfaef.load(folder, "test", config="pooled", streaming=True)
        assert len(list(rows)) == hfaef.load(demo_release, "test", config="pooled").num_rows, name


@pytest.mark.parametrize("sign", ["*", "?", "[a]", "{", "::", "/", "$HOME", "="])
def test_names_of_schemes_and_releases_hold_no_such_sign(demo_root: Path, sign: str) -> None:
    content = demo_recipe(demo_root).model_dump(mode="json", exclude_none=True)
    lists = content["patches"]["splits"]
    for changed in (
        {"name": f"a{sign}b"},
        {"patches": {**content["patches"], "splits": {f"a{sign}b": lists["random"]}}},
    ):
        with pytest.raises(ValidationError, match="should match pattern"):
            Recipe.model_validate({**content, **changed})
