"""Rows are compared with what the source gives, in a folder and on the Hub."""

from __future__ import annotations

from pathlib import Path

import pytest
from build.test_pipeline import demo_recipe

from hfaef.build.pipeline import build
from hfaef.build.source_check import check_sample
from hfaef.catalog import open_catalog
from hfaef.errors import InputError
from hfaef.recipe.read import read_recipe
from hfaef.sources.demo.field import Field
from hfaef.sources.demo.tiles import write_store
from servers.hub import Hub
from servers.hub.fixtures import OTHER, Client
from support.pushes import NAME, finish, push
from support.releases import fresh_copy, inside, make_release


@pytest.fixture(scope="module")
def first(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(demo_root, tmp_path_factory.mktemp("first"))


def test_rows_of_a_folder_are_what_the_source_gives(first: Path) -> None:
    with inside(first.parent):
        assert check_sample(str(first), read_recipe(None), 5, seed=1) == (5, [])
        assert check_sample(str(first), read_recipe(None), 500) == (24, [])


@pytest.mark.parametrize("packing", ["pack.codec=raw", "pack.format=webdataset"])
def test_rows_are_compared_however_they_are_packed(
    packing: str, demo_root: Path, tmp_path: Path
) -> None:
    recipe = demo_recipe(demo_root, packing)
    folder = build(recipe, tmp_path / "release", limit=12).folder
    assert check_sample(str(folder), recipe, 12) == (12, [])


def test_a_row_that_the_source_gives_otherwise_is_found(demo_root: Path, tmp_path: Path) -> None:
    folder = build(demo_recipe(demo_root), tmp_path / "release", limit=4).folder
    grids = [patch.grid for patch in open_catalog(demo_recipe(demo_root)).patches]
    write_store(tmp_path / "aef", Field(seed=5), {2018: grids})
    recipe = demo_recipe(demo_root, f"source.root={tmp_path / 'aef'}")
    compared, findings = check_sample(str(folder), recipe, 2)
    assert compared == len(findings) == 2
    assert all("differs from the source in 4,096 of 4,096" in f.problem for f in findings)


def test_a_recipe_of_other_patches_is_refused(first: Path, tmp_path: Path) -> None:
    with inside(first.parent):
        recipe = read_recipe(None)
        (tmp_path / "patches/Town").mkdir(parents=True)
        one = next(Path("patches").glob("*/*.tif"))
        (tmp_path / "patches/Town/Other_1.tif").write_bytes(one.read_bytes())
        section = recipe.patches.model_copy(update={"root": tmp_path / "patches", "splits": {}})
        with pytest.raises(InputError, match="no patch of the recipe"):
            check_sample(str(first), recipe.model_copy(update={"patches": section}), 2)


def test_rows_of_a_published_version_are_read_in_parts(
    hub: Hub, client: Client, first: Path, tmp_path: Path
) -> None:
    assert push(client, fresh_copy(first, tmp_path / "release"))["exit"] == 0
    recipe = first.parent / "hfaef.toml"
    with inside(first.parent):
        command = ["check", f"{NAME}@1.0.0", "--against", recipe, "--sample", "3", "--json"]
        said = finish(client.hfaef(*command, token=OTHER))
    assert (said["exit"], said["findings"], said["compared"]) == (0, [], 3)
    assert hub.failures == []
