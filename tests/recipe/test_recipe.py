"""Recipes as they are read: defaults, changes, what is wrong in them, what is written of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfaef.errors import RecipeError
from hfaef.recipe.model import Recipe
from hfaef.recipe.patches import Geotiffs, TorchGeo
from hfaef.recipe.read import built_in, read_recipe
from hfaef.recipe.write import write_commented
from support.recipes import MINIMAL


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
            "patches.path: unknown key (known here: bands, folds, ignore, keep, kind, ",
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
        ("card.atlas=name", "card.atlas: no OWNER/NAME of a repository on the Hub"),
        ("card.atlas=https://a.b/c", "card.atlas: no OWNER/NAME of a repository on the Hub"),
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


def test_an_atlas_that_is_not_named_is_no_part_of_a_recipe(recipe_file: Path) -> None:
    plain = read_recipe(str(recipe_file))
    assert "atlas" not in plain.portable()["card"]
    named = read_recipe(str(recipe_file), ["card.atlas=ada/atlas"])
    assert named.portable()["card"]["atlas"] == "ada/atlas"
    assert named.digest() != plain.digest()
