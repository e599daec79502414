"""A second build in the same folder: what is staged is kept by what it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import rasterio
from build.test_missing import table_recipe
from build.test_pipeline import demo_recipe, digests

from hfaef.build.pipeline import Built, build
from hfaef.build.plan import plan
from hfaef.build.status import read_status
from hfaef.errors import FolderError, IncompleteError
from hfaef.recipe.model import Recipe
from hfaef.release.check import check_folder


@pytest.fixture(scope="module")
def first(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(demo_recipe(demo_root), tmp_path_factory.mktemp("first") / "release")


@pytest.fixture
def folder(first: Built, tmp_path: Path) -> Path:
    """The build's folder with all that is staged, to build in again."""
    return Path(shutil.copytree(first.folder, tmp_path / "release"))


@pytest.fixture
def changed(demo_root: Path, tmp_path: Path) -> Recipe:
    """The recipe over three patches less, of which one is moved."""
    shutil.copytree(demo_root / "data/demo/patches", tmp_path / "patches")
    moved, *gone = sorted((tmp_path / "patches").rglob("*.tif"))[:4]
    for path in gone:
        path.unlink()
    with rasterio.open(moved, "r+") as dataset:
        dataset.transform = dataset.transform @ rasterio.Affine.translation(1, 0)
    return demo_recipe(demo_root, f"patches.root={tmp_path / 'patches'}")


def test_only_moved_and_new_patches_are_fetched(
    folder: Path,
    changed: Recipe,
    demo_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fewer = build(changed, folder)
    assert "kept 36 staged patches, 0 new, 1 moved, 3 gone" in fewer.notes
    assert "fetch: 1 of 1" in capsys.readouterr().err
    assert digests(folder) == digests(build(changed, tmp_path / "fresh").folder)
    assert len(list((folder / ".staging/pixels").rglob("*.npy"))) == 37
    assert read_status(folder).fetched == 37
    capsys.readouterr()
    again = build(demo_recipe(demo_root), folder)
    assert "kept 36 staged patches, 3 new, 1 moved, 0 gone" in again.notes
    assert "fetch: 4 of 4" in capsys.readouterr().err
    assert check_folder(folder) == []
    assert build(demo_recipe(demo_root), folder).notes == ()


def test_a_build_that_fails_drops_no_patch_that_left_the_catalog(
    first: Built, folder: Path, demo_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(IncompleteError, match="no patch could be had"):
        build(demo_recipe(demo_root, "years=[2019]"), folder)
    assert digests(folder) == digests(first.folder)
    capsys.readouterr()
    assert build(demo_recipe(demo_root), folder).notes == ()
    assert "fetch" not in capsys.readouterr().err
    assert digests(folder) == digests(first.folder)


def test_an_added_year_is_fetched_alone_and_a_dropped_one_goes(
    first: Built, demo_root: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = build(demo_recipe(demo_root, "years=[2018, 2019]"), folder, allow_missing=True)
    assert "kept 40 staged patches, 40 new, 0 moved, 0 gone" in both.notes
    assert "fetch: 40 of 40" in capsys.readouterr().err
    assert {patch.year for patch in both.manifest.missing} == {2019}
    assert both.manifest.years == (2018,)
    assert check_folder(folder) == []
    build(demo_recipe(demo_root), folder)
    assert "fetch" not in capsys.readouterr().err
    assert digests(folder) == digests(first.folder)


def test_another_source_asks_for_refetch_and_keeps_all_until_then(
    first: Built, folder: Path, demo_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(demo_root / "data/demo/aef", tmp_path / "aef")
    recipe = demo_recipe(demo_root, f"source.root={tmp_path / 'aef'}")
    with pytest.raises(FolderError, match=r"source\.root was .*demo/aef' and is") as caught:
        build(recipe, folder)
    assert "--refetch" in caught.value.hint
    assert digests(folder) == digests(first.folder)
    [note] = build(recipe, folder, refetch=True).notes
    assert note.startswith("40 staged patches were made from another source")
    assert digests(folder) == digests(first.folder)


# --- What `plan` says of it beforehand


def test_a_plan_counts_only_what_is_not_staged(
    folder: Path, changed: Recipe, demo_root: Path, tmp_path: Path
) -> None:
    recipe = demo_recipe(demo_root)
    fresh = plan(recipe, tmp_path / "fresh")
    assert (fresh.patches, fresh.staged, fresh.notes) == (40, 0, ())
    whole = plan(recipe, folder)
    assert (whole.patches, whole.staged) == (40, 40)
    assert [cost.units for cost in whole.costs] == [0, 0]
    assert whole.notes == ("staged already: 40 patches; the costs are of the other 0",)
    assert whole.staged_bytes == fresh.staged_bytes
    for pixels in sorted((folder / ".staging/pixels").rglob("*.npy"))[:3]:
        pixels.unlink()
    assert plan(recipe, folder).costs[1].units == 3
    assert plan(recipe, folder, limit=10).staged <= 10
    # Of the four first, three are gone now, and one is moved.
    moved = plan(changed, folder)
    assert (moved.patches, moved.staged, moved.costs[1].units) == (37, 36, 1)
    assert digests(folder) == digests(Path(shutil.copytree(folder, tmp_path / "copy")))


def test_a_plan_says_which_staged_patches_a_build_stops_at(folder: Path, demo_root: Path) -> None:
    recipe = demo_recipe(demo_root, "source.root=https://data.example/aef")
    found = plan(recipe, folder)
    assert found.staged == 0
    assert found.costs[1].units == 40
    assert any("40 staged patches were made from another source" in note for note in found.notes)


def test_a_plan_leaves_out_patches_of_which_the_source_has_nothing(
    demo_root: Path, tmp_path: Path
) -> None:
    recipe = table_recipe(demo_root, tmp_path, swapped=1, right=5)
    with pytest.raises(IncompleteError):
        build(recipe, tmp_path / "out")
    found = plan(recipe, tmp_path / "out")
    assert found.costs[0].units == found.costs[1].units == 0
    assert found.notes == (
        "staged already: 5 patches, and the source has nothing at 1; the costs are of the other 0",
    )
