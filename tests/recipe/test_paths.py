"""Paths in a recipe: what they count from, and what must be there."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from hfaef.errors import RecipeError
from hfaef.recipe.model import Card, Cog, Demo
from hfaef.recipe.patches import Geotiffs, Table, TorchGeo
from hfaef.recipe.paths import PATHS, require_inputs
from hfaef.recipe.read import read_recipe
from support.recipes import MINIMAL

PLACES = """
name = "trial"
years = [2018]
[patches]
kind = "{kind}"
{patches}
[source]
kind = "cog"
root = "{root}"
index = "{index}"
[demo]
root = "demo"
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe in a folder below the working folder."""
    (tmp_path / "recipes").mkdir()
    monkeypatch.chdir(tmp_path)
    return Path("recipes/one.toml")


def test_relative_paths_count_from_the_recipes_own_folder(elsewhere: Path) -> None:
    splits = '[patches.splits.random]\ntrain = "lists/train.txt"\nval = "/lists/val.txt"'
    patches = f'root = "patches"\n{splits}'
    text = PLACES.format(kind="geotiffs", patches=patches, root="aef", index="aef/index.parquet")
    elsewhere.write_text(text)
    recipe = read_recipe(str(elsewhere))
    assert isinstance(recipe.patches, Geotiffs)
    assert recipe.patches.root == Path("recipes/patches")
    assert recipe.patches.splits["random"] == {
        "train": Path("recipes/lists/train.txt"),
        "validation": Path("/lists/val.txt"),
    }
    assert isinstance(recipe.source, Cog)
    assert (recipe.source.root, recipe.source.index) == ("recipes/aef", "recipes/aef/index.parquet")
    assert recipe.demo is not None
    assert recipe.demo.root == Path("recipes/demo")


def test_urls_absolute_paths_and_changes_stay_as_they_are_written(elsewhere: Path) -> None:
    url = "https://host.example/aef"
    text = PLACES.format(kind="table", patches='path = "/points.csv"', root=url, index="s3://b/i")
    elsewhere.write_text(text)
    recipe = read_recipe(str(elsewhere), ["demo.root=there"])
    assert isinstance(recipe.patches, Table)
    assert isinstance(recipe.source, Cog)
    assert recipe.patches.path == Path("/points.csv")
    assert (recipe.source.root, recipe.source.index) == (url, "s3://b/i")
    assert recipe.demo is not None
    assert recipe.demo.root == Path("there")


def test_every_key_that_holds_a_path_counts_from_the_recipes_folder() -> None:
    models: list[tuple[str, type[BaseModel]]] = [
        ("patches", Geotiffs),
        ("patches", TorchGeo),
        ("patches", Table),
        ("demo", Demo),
        ("card", Card),
    ]
    named = {
        f"{section}.{key}"
        for section, model in models
        for key, field in model.model_fields.items()
        if "Path" in str(field.annotation)
    }
    assert named <= set(PATHS)


def test_a_path_that_is_not_there_is_named_with_the_folder_that_it_counts_from(
    elsewhere: Path, tmp_path: Path
) -> None:
    elsewhere.write_text(MINIMAL)
    with pytest.raises(RecipeError) as caught:
        require_inputs(read_recipe(str(elsewhere)), str(elsewhere))
    assert caught.value.message == "patches.root: recipes/patches is not there"
    assert f"recipes/one.toml count from its folder, {tmp_path / 'recipes'}" in caught.value.hint
    (tmp_path / "recipes/patches").mkdir()
    changes = ["patches.splits.random.train=none.txt"]
    with pytest.raises(RecipeError) as caught:
        require_inputs(read_recipe(str(elsewhere), changes), str(elsewhere))
    assert caught.value.message == "patches.splits.random.train: none.txt is not there"
    assert f"those of --set from {tmp_path}" in caught.value.hint
    require_inputs(read_recipe(str(elsewhere)), str(elsewhere))


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("name", ["demo", "eurosat"])
def test_what_is_written_or_downloaded_first_is_not_looked_for(name: str) -> None:
    require_inputs(read_recipe(name), name)
