"""The section `patches`: what fits its kind and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfaef.errors import RecipeError
from hfaef.recipe.model import Recipe
from hfaef.recipe.patches import Table
from hfaef.recipe.read import read_recipe

TABLE = ["patches.kind=table", "patches.path=points.csv"]


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("patches.size", "true", "a whole number, not the boolean true"),
        ("patches.size", "'64'", "a whole number, not the text '64'"),
        ("patches.size", "64.0", "a whole number, not the float 64.0"),
        ("patches.size", "[64]", "a whole number, not a list"),
        ("patches.resolution", "10.0", "a whole number, not the float 10.0"),
        ("patches.resolution", "true", "one of 10, 20, 40, 80, 160, 320"),
        ("patches.skip_bad", "1", "true or false, not the integer 1"),
        ("patches.nearest_year", "'true'", "true or false, not the text 'true'"),
        ("patches.make_splits.spatial.km", "'20'", "a number, not the text '20'"),
        ("patches.make_splits.random.seed", "0.0", "a whole number, not the float 0.0"),
        ("patches.make_splits.random.shares", "[0.6, '0.2', 0.2]", "a number, not the text '0.2'"),
        ("years", "[2018.0]", "a whole number, not the float 2018.0"),
        ("years", "['2018']", "a whole number, not the text '2018'"),
        ("years", "[true]", "a whole number, not the boolean true"),
        ("pack.label_name", "0", "true or false, not the integer 0"),
        ("pack.shard_bytes", "true", "a number of bytes"),
    ],
)
def test_numbers_and_booleans_of_another_type_are_refused(
    recipe_file: Path, key: str, value: str, word: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(str(recipe_file), [*TABLE, f"{key}={value}"])
    assert f": {key}" in caught.value.message
    assert word in caught.value.message


def test_whole_numbers_stand_for_decimals_and_sizes_for_bytes(recipe_file: Path) -> None:
    changes = [
        *(*TABLE, "patches.size=64", "patches.skip_bad=true", "pack.shard_bytes=5MB"),
        "patches.make_splits.spatial={km = 20, shares = [0.5, 0.25, 0.25]}",
    ]
    recipe = read_recipe(str(recipe_file), changes)
    assert isinstance(recipe.patches, Table)
    assert recipe.patches.make_splits.spatial is not None
    assert recipe.patches.make_splits.spatial.km == 20
    assert (recipe.patches.size, int(recipe.pack.shard_bytes)) == (64, 5_000_000)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        (["patches.schemes=['a', 'a']"], "schemes names 'a' twice"),
        (["patches.schemes=['pooled_b']"], "pooled vectors"),
        (["patches.size=1673"], 'patches.size: .* set `pack.codec = "raw"`'),
        (["patches.size=4097", "pack.codec=raw"], "4096"),
        (["patches.folds=['a', 'a']"], "folds names 'a' twice"),
        (["patches.keep=['a', 'a']"], "keep names 'a' twice"),
        (["patches.schemes=['a']", "patches.folds=['a']"], "folds names 'a' that `schemes` names"),
        (["patches.folds=['a']", "patches.keep=['a']"], "keep names 'a' that `folds` names, too"),
        (["patches.keep=['a']", "patches.ignore=['a']"], "ignore names 'a' that `keep` names, too"),
        (["patches.year=a", "patches.ignore=['a']"], "ignore names 'a', the column of `year`"),
        (
            ["patches.schemes=['random']", "patches.make_splits.random.seed=1"],
            "make_splits names 'random' that `schemes` names, too",
        ),
        (["patches.keep=['crs']"], "keep: 'crs' is the name of one of hfaef's own columns"),
        (["patches.folds=['id']"], "name of a column"),
        (["patches.target=regression"], "patches.target: one of class, classes, number"),
        (["patches.target=number", "patches.labels=['a']"], "labels: a number to predict has no"),
        (['patches.separator=";"'], "separator: it parts several labels; set target = "),
        (["patches.nearest_year=true"], "nearest_year: name the column of the years, in `year`"),
        (["patches.unassigned=ignore"], "patches.unassigned: one of keep, drop"),
        (["patches.make_splits.spatial.km=0"], "patches.make_splits.spatial.km"),
        (["patches.make_splits.spatial.size=9"], "unknown key.*known here: km, seed, shares"),
        (["patches.make_splits.random.shares=[0.5, 0.2, 0.2]"], r"shares add up to 0\.9, not to 1"),
        (["patches.make_splits.random.shares=[1.0, 0.0, 0.0]"], "shares"),
        (["years=[]"], "years: name at least one"),
    ],
)
def test_what_no_table_can_give_is_refused_before_it_is_read(
    recipe_file: Path, changes: list[str], word: str
) -> None:
    with pytest.raises(RecipeError, match=word):
        read_recipe(str(recipe_file), [*TABLE, *changes])


def test_own_years_need_no_years_of_the_recipe(recipe_file: Path) -> None:
    recipe = read_recipe(str(recipe_file), [*TABLE, "patches.year=season", "years=[]"])
    assert (recipe.years, recipe.year_column) == ([], "season")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        *(
            ([f"patches.{key}={value}"], f"{key}: columns are those of `table`, which is not given")
            for key, value in (
                ("year", "a"),
                ("schemes", "['a']"),
                ("folds", "['a']"),
                ("keep", "all"),
                ("ignore", "['a']"),
            )
        ),
        (["patches.target=classes"], "target: a folder a label gives one label a patch"),
        (["patches.target=number"], "name a table of labels"),
        (
            ["patches.splits.a.train=x", "patches.table=t.csv", "patches.folds=['a']"],
            "splits: 'a' is a column of the table, too",
        ),
        (
            ["patches.splits.random.train=x", "patches.make_splits.random.seed=0"],
            "splits: 'random' is made by `make_splits`, too",
        ),
    ],
)
def test_what_folders_of_labels_cannot_give_is_refused(
    recipe_file: Path, changes: list[str], word: str
) -> None:
    with pytest.raises(RecipeError, match=word):
        read_recipe(str(recipe_file), changes)


@pytest.mark.parametrize(
    "key", ["target", "separator", "year", "folds", "keep", "ignore", "unassigned", "make_splits"]
)
def test_torchgeo_has_no_columns(recipe_file: Path, key: str) -> None:
    changes = ["patches.kind=torchgeo", "patches.dataset=EuroSAT100", "patches.root=data"]
    with pytest.raises(
        RecipeError, match=f"patches.{key}: TorchGeo's data sets have their own labels and splits"
    ):
        read_recipe(str(recipe_file), [*changes, f"patches.{key}=classes"])


def test_the_schema_describes_every_key_but_kinds() -> None:
    found = Recipe.model_json_schema()
    for section, shape in {"Recipe": found, **found["$defs"]}.items():
        for key, about in shape["properties"].items():
            assert key == "kind" or about.get("description"), f"{section}.{key}"
    assert found["$defs"]["MakeSplits"]["properties"].keys() == {"random", "spatial"}
    assert found["properties"]["years"]["description"].startswith("Of all patches, unless each")


def test_the_portable_recipe_says_what_of_the_table_was_used(recipe_file: Path) -> None:
    changes = [
        "patches.target=classes",
        'patches.separator=";"',
        "patches.year=season",
        "patches.nearest_year=true",
        "patches.folds=['fold']",
        "patches.keep=['country']",
        "patches.unassigned=drop",
        "patches.make_splits.spatial.km=50",
    ]
    portable = read_recipe(str(recipe_file), [*TABLE, *changes]).portable()
    assert portable["patches"] == {
        "kind": "table",
        "target": "classes",
        "separator": ";",
        "year": "season",
        "nearest_year": True,
        "folds": ["fold"],
        "keep": ["country"],
        "unassigned": "drop",
        "make_splits": {"spatial": {"seed": 0, "shares": [0.6, 0.2, 0.2], "km": 50.0}},
        "size": 64,
        "resolution": 10,
    }
    plain = read_recipe(str(recipe_file), TABLE).portable()
    assert plain["patches"] == {
        "kind": "table",
        "target": "class",
        "size": 64,
        "resolution": 10,
    }


@pytest.mark.parametrize(
    "changes", [["patches.size=1672"], ["patches.size=4096", "pack.codec=raw"]]
)
def test_patches_may_be_as_large_as_readers_of_them_allow(
    recipe_file: Path, changes: list[str]
) -> None:
    assert read_recipe(str(recipe_file), [*TABLE, *changes])
