from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from hfaef.errors import RecipeError
from hfaef.recipe.model import Card, Cog, Demo, Recipe
from hfaef.recipe.patches import Geotiffs, Table, TorchGeo
from hfaef.recipe.paths import PATHS, require_inputs
from hfaef.recipe.read import built_in, read_recipe
from hfaef.recipe.write import write_commented

MINIMAL = """
name = "trial"
years = [2018]
[patches]
kind = "geotiffs"
root = "patches"
[source]
kind = "cog"
root = "aef"
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "hfaef.toml"
    path.write_text(MINIMAL)
    return path


def test_a_minimal_recipe_has_sensible_defaults(recipe_file: Path) -> None:
    recipe = read_recipe(str(recipe_file))
    assert isinstance(recipe.patches, Geotiffs)
    assert int(recipe.pack.shard_bytes) == 256_000_000
    assert recipe.card.license == "cc-by-4.0"


@pytest.mark.parametrize("name", sorted(built_in()))
def test_built_in_recipes_are_recipes(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.years or recipe.year_column


def test_demo_and_eurosat_are_built_in() -> None:
    assert {"demo", "eurosat", "eurosat100"} <= built_in().keys()


def test_without_a_name_the_working_folders_recipe_is_read(
    recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recipe_file.parent)
    assert read_recipe(None).name == "trial"


@pytest.mark.parametrize(
    ("change", "key", "word"),
    [
        ("patches.rot=x", "patches.rot", "unknown key"),
        ("patches.kind=shapes", "patches", "geotiffs"),
        ("source.kind=ftp", "source", "cog"),
        ("years=[]", "years", "name at least one, as in `years = [2018]`"),
        ("years=[1999]", "years.0", "2017"),
        ("years=[2018,2018]", "", "twice"),
        ("name=a/b", "name", "pattern"),
        ("name=../x", "name", "pattern"),
        ("pack.format=zarr", "pack.format", "parquet"),
        ("pack.shard_bytes=1kB", "pack.shard_bytes", "1000000"),
        ("patches.splits.id.train=x", "patches.splits", "name of a column"),
        ("patches.splits.Bad.train=x", "patches.splits", "pattern"),
        ("patches.splits.default.train=x", "patches.splits", "name of a column"),
        ("patches.splits.pooled_b.train=x", "patches.splits", "pooled vectors"),
        ("patches.splits.b_2018.train=x", "patches.splits", "of a year"),
        ("patches.splits.2018.train=x", "patches.splits", "pattern"),
        ("patches.labels=['Forest ']", "patches.labels.0", "begins or ends with spaces"),
        ("patches.labels=[' ']", "patches.labels.0", "spaces"),
        ('patches.labels=["a\\u0000"]', "patches.labels.0", "control character U+0000"),
        ("patches.splits.random.dev=x", "patches.splits.random", "validation"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(
    recipe_file: Path, change: str, key: str, word: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(str(recipe_file), [change])
    assert str(recipe_file) in caught.value.message
    assert key in caught.value.message
    assert word in caught.value.message
    assert "\n" not in str(caught.value)


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


def test_labels_are_in_one_unicode_form(recipe_file: Path) -> None:
    recipe = read_recipe(str(recipe_file), ['patches.labels=["Wa\u0308ldchen"]'])
    assert isinstance(recipe.patches, Geotiffs)
    assert recipe.patches.labels == ["Wäldchen"]


def test_a_byte_order_mark_is_no_part_of_a_recipe(recipe_file: Path) -> None:
    recipe_file.write_text(MINIMAL, encoding="utf-8-sig")
    assert read_recipe(str(recipe_file)).name == "trial"


def test_bad_files_are_skipped_in_the_same_recipe(recipe_file: Path) -> None:
    skipping = read_recipe(str(recipe_file), ["patches.skip_bad=true"])
    assert skipping.patches.skip_bad
    assert skipping.digest() == read_recipe(str(recipe_file)).digest()


@pytest.mark.parametrize("change", ["name", "=x", "a..b=1", "name.x=1"])
def test_a_change_that_is_no_key_and_value_is_refused(recipe_file: Path, change: str) -> None:
    with pytest.raises(RecipeError, match="--set"):
        read_recipe(str(recipe_file), [change])


def test_changes_are_toml_values_or_plain_texts(recipe_file: Path) -> None:
    changes = ["years=[2019, 2020]", "card.pretty_name=A name", 'name="quoted"']
    recipe = read_recipe(str(recipe_file), changes)
    assert (recipe.years, recipe.card.pretty_name, recipe.name) == (
        [2019, 2020],
        "A name",
        "quoted",
    )


def test_changing_a_kind_empties_its_table(recipe_file: Path) -> None:
    changes = ["patches.kind=torchgeo", "patches.dataset=EuroSAT100", "patches.root=data"]
    recipe = read_recipe(str(recipe_file), changes)
    assert recipe.patches == TorchGeo(kind="torchgeo", dataset="EuroSAT100", root=Path("data"))


@pytest.mark.parametrize(
    ("text", "word"),
    [(b"name = ", "not TOML"), (b"\xff\xfe", "not UTF-8"), (b"", "name: missing")],
)
def test_a_file_that_is_no_recipe_is_named(tmp_path: Path, text: bytes, word: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(text)
    with pytest.raises(RecipeError, match=word) as caught:
        read_recipe(str(path))
    assert "broken.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("year=2018", "year: unknown key, did you mean `years`? (known here: card, demo, "),
        ("patches.rooot=x", "patches.rooot: unknown key, did you mean `root`? (known here: "),
        (
            "patches.path=x",
            "patches.path: unknown key (known here: folds, ignore, keep, kind, labels, ",
        ),
        (
            "card.license=CC-BY-4.0",
            "card.license: 'CC-BY-4.0' is no licence that the Hub knows, did you mean `cc-by-4.0`?",
        ),
        (
            "card.license=gpl-2.0-or-later",
            "card.license: 'gpl-2.0-or-later' is no licence that the Hub knows",
        ),
        (
            "card.license=",
            "card.license: '' is no licence that the Hub knows (https://huggingface.co/",
        ),
        ("card.tags=['']", "card.tags.0: String should have at least 1 character"),
        ("card.licence=mit", "card.licence: unknown key, did you mean `license`? (known here: "),
        ("demo.sed=1", "demo.sed: unknown key, did you mean `seed`? (known here: patches, "),
        ("patches.kind=geotiff", "patches.kind: one of geotiffs, torchgeo, table, did you mean"),
        ("source.kind=EarthEngine", "source.kind: one of cog, earthengine, did you mean `earth"),
        ("pack.codec=PNG", "pack.codec: one of png, raw, did you mean `png`?"),
    ],
)
def test_the_nearest_right_word_is_named_and_what_is_allowed(
    recipe_file: Path, change: str, words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(str(recipe_file), [change])
    assert f"{recipe_file}: {words}" in caught.value.message
    assert "`hfaef recipe schema`" in caught.value.hint


def test_a_misspelt_key_is_named_before_the_one_that_is_missing_for_it(recipe_file: Path) -> None:
    recipe_file.write_text(MINIMAL.replace("name =", "nam ="))
    with pytest.raises(RecipeError, match=r"nam: unknown key, did you mean `name`.*and 1 more"):
        read_recipe(str(recipe_file))


def test_a_misspelt_built_in_recipe_is_asked_back() -> None:
    with pytest.raises(RecipeError, match="eurosat10, did you mean `eurosat100`"):
        read_recipe("eurosat10")


def test_a_recipe_with_a_byte_order_mark_is_read(recipe_file: Path) -> None:
    recipe_file.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert read_recipe(str(recipe_file)).name == "trial"


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


def test_a_missing_recipe_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=", ".join(built_in())):
        read_recipe(str(tmp_path / "none.toml"))


def test_val_means_validation(recipe_file: Path) -> None:
    recipe = read_recipe(str(recipe_file), ["patches.splits.random.val=lists/val.txt"])
    assert isinstance(recipe.patches, Geotiffs)
    assert list(recipe.patches.splits["random"]) == ["validation"]


def test_the_portable_recipe_knows_nothing_of_machine_or_account(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {
            "name": "trial",
            "years": [2018],
            "patches": {
                "kind": "geotiffs",
                "root": str(tmp_path),
                "splits": {"random": {"train": str(tmp_path / "train.txt")}},
            },
            "source": {"kind": "cog", "root": "https://host.example/aef"},
            "demo": {"root": str(tmp_path)},
        }
    )
    text = str(recipe.portable())
    assert str(tmp_path) not in text
    assert "https://host.example/aef" in text


def test_the_digest_is_the_same_on_two_machines(recipe_file: Path) -> None:
    here = read_recipe(str(recipe_file))
    there = read_recipe(str(recipe_file), ["patches.root=elsewhere", "source.root=/mnt/aef"])
    other = read_recipe(str(recipe_file), ["years=[2019]"])
    assert here.digest() == there.digest() != other.digest()


def test_init_puts_the_name_in_the_place_of_names_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = write_commented("mine").read_text(encoding="utf-8")
    assert 'name = "mine"' in text
    assert "build/mine" in text
    assert "ROOT/LABEL/NAME.tif" in text
    assert "{name}" not in text


def test_init_writes_a_recipe_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_commented("mine")
    assert read_recipe(str(path)).name == "mine"
    with pytest.raises(RecipeError, match=r"cannot write mine.toml"):
        write_commented("mine")


@pytest.mark.parametrize("name", ["", "a b", "../up", "-x"])
def test_init_refuses_a_name_that_cannot_be_one(name: str) -> None:
    with pytest.raises(RecipeError, match="name"):
        write_commented(name)
