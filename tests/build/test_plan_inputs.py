"""What `plan` takes and refuses: folders without an index, years that cannot be had."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest
from build.test_pipeline import demo_recipe

from hfaef.build.plan import plan
from hfaef.errors import RecipeError
from hfaef.recipe.model import Recipe
from hfaef.sources.cog.index import NAME


def test_a_folder_of_tiles_without_an_index_is_planned_from_its_files(
    demo_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(demo_root / "data/demo/aef", tmp_path / "aef")
    (tmp_path / "aef" / NAME).unlink()
    without = plan(demo_recipe(demo_root, f"source.root={tmp_path / 'aef'}"))
    assert without.costs[0] == plan(demo_recipe(demo_root)).costs[0]
    assert without.costs[0].units > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["years=[2018, 2019]"], r"the tiles in .*/aef have no 2019; choose among 2018"),
        (["years=[2099]", "source={kind='earthengine'}"], "no embedding can be there of 2099"),
        (["years=[2099]", "source={kind='cog'}"], "no embedding can be there of 2099"),
    ],
)
def test_years_that_cannot_be_had_are_refused(
    demo_root: Path, changes: list[str], words: str
) -> None:
    recipe = demo_recipe(demo_root)
    content = recipe.model_dump(exclude_none=True) | tomllib.loads("\n".join(changes))
    with pytest.raises(RecipeError, match=words):
        plan(Recipe.model_validate(content))
