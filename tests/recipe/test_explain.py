"""What a refused recipe is told: every key, what may stand there, the form of a value."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe.test_recipe import MINIMAL

from hfaef.errors import RecipeError
from hfaef.recipe.read import read_recipe


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "hfaef.toml"
    path.write_text(MINIMAL)
    return path


def test_all_that_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    with pytest.raises(RecipeError) as caught:
        read_recipe(str(path))
    words = "name: missing (and 2 more: patches: missing; source: missing)"
    assert caught.value.message == f"{path}: {words}"


def test_of_many_faults_the_first_are_named_and_the_others_counted(recipe_file: Path) -> None:
    changes = [f"card.key{number:02d}=1" for number in range(20)]
    with pytest.raises(
        RecipeError, match=r"and 19 more: card.key01: .*card.key10: [^;]*; \.\.\.\)"
    ):
        read_recipe(str(recipe_file), changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("years=2016", "years: a list of years, of which there are 2017 to "),
        ("years=2018", "as in `--set years=[2018]`"),
        ("years=[2016]", "years.0: there is no 2016, only 2017 to "),
        ("years=[2018, 2200]", "years.1: there is no 2200, only 2017 to "),
        ("card.tags=forest", 'card.tags: a list, as in `--set card.tags=[".."]`'),
        ("card=x", "card: a table of keys, as in `[card]`"),
        ("source=x", "source: a table of keys, as in `[source]`"),
        ("patches.splits=x", "patches.splits: a table of keys, as in `[patches.splits]`"),
    ],
)
def test_the_form_of_a_value_is_shown(recipe_file: Path, change: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(str(recipe_file), [change])
    assert words.replace('".."', '"..."') in caught.value.message
