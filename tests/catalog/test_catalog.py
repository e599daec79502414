from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Catalog, Patch, Unreadable, sort_patches
from hfaef.catalog.splits import assign, read_list, read_schemes
from hfaef.core.grid import Grid
from hfaef.core.names import encode_id
from hfaef.errors import CatalogError
from hfaef.recipe.model import Recipe
from support.images import images_recipe, write_images

GRID = Grid("EPSG:32632", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), 64, 64)


def patch(identity: str = "a", label: str = "x", split: str = "train", year: int = 2018) -> Patch:
    return Patch(identity, GRID, label, {"random": split}, year)


def catalog(*patches: Patch, labels: tuple[str, ...] = ("x", "y")) -> Catalog:
    return Catalog(sort_patches(patches), labels, ("random",))


@pytest.mark.parametrize("identity", ["a/b", "..", "a b", "a.b", "", "é", "a" * 201, "a\n"])
def test_an_id_that_could_leave_its_folder_is_refused(identity: str) -> None:
    with pytest.raises(CatalogError, match="patch id"):
        catalog(patch(identity))


def test_the_same_id_twice_is_refused() -> None:
    with pytest.raises(CatalogError, match="patch a occurs twice"):
        catalog(patch(), patch())


def test_the_same_id_in_two_years_is_two_patches() -> None:
    assert len(catalog(patch(), patch(year=2019)).patches) == 2


def test_a_label_that_is_not_listed_is_refused() -> None:
    with pytest.raises(CatalogError, match="patch a has the label 'z'"):
        catalog(patch(label="z"))


def test_labels_listed_twice_are_refused() -> None:
    with pytest.raises(CatalogError, match="listed twice"):
        catalog(patch(), labels=("x", "x"))


@pytest.mark.parametrize("label", ["", "a\nb", "a\u200b"])
def test_a_label_that_nobody_can_read_is_refused(label: str) -> None:
    with pytest.raises(CatalogError, match="the label"):
        catalog(patch(label=label), labels=(label,))


def test_a_patch_is_readable_or_not() -> None:
    with pytest.raises(CatalogError, match="patch a occurs twice"):
        Catalog((patch(),), ("x",), ("random",), unreadable=(Unreadable("a", "x", "is cut off"),))


def test_an_empty_catalog_is_refused() -> None:
    with pytest.raises(CatalogError, match="no patch"):
        catalog()


def test_a_few_patches_are_spread_over_the_catalog() -> None:
    whole = catalog(*(patch(f"p{number:03d}") for number in range(100)))
    assert [patch.id for patch in whole.first(4).patches] == ["p000", "p025", "p050", "p075"]
    assert whole.first(None) == whole
    assert len(whole.first(1000).patches) == 100


def test_a_list_names_patches_whatever_their_folder_and_extension(tmp_path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("Forest_1.jpg\n\n  Forest/Forest_2.tif\r\nForest_3\nC:\\x\\Forest_4.png\n")
    assert read_list(path) == ["Forest_1", "Forest_2", "Forest_3", "Forest_4"]


def test_a_list_names_patches_with_dots_as_their_files_or_their_ids(tmp_path) -> None:
    path = tmp_path / "train.txt"
    names = ["plot.1.tif", "x/plot.2.tif", "plot.3", "plot_0x2E_4", "plot.5.jpg", "Wa\u0308ld.tif"]
    path.write_text("\ufeff" + "\n".join(names))
    id_of = {f"plot.{number}": f"plot_0x2E_{number}" for number in range(1, 6)}
    id_of["Wäld"] = "W_0xE4_ld"
    splits_of, notes = read_schemes({"random": {"train": path}}, id_of)
    assert splits_of == {identity: {"random": "train"} for identity in id_of.values()}
    assert notes == []


def test_a_list_tells_a_patch_from_one_with_a_longer_name(tmp_path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("a\na.b\n")
    assert read_list(path, {"a", "a.b"}) == ["a", "a.b"]
    assert read_list(path, {"a"}) == ["a", "a"]


def test_a_list_that_is_not_utf8_is_named_with_its_line(tmp_path) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(b"a\nW\xe4ld\n")
    with pytest.raises(CatalogError, match=r"train\.txt is not UTF-8: line 2"):
        read_list(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_list_that_cannot_be_read_is_named(tmp_path, content: bytes | None) -> None:
    path = tmp_path / "train.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CatalogError, match=r"train\.txt"):
        read_list(path)


def test_a_patch_in_two_splits_is_refused() -> None:
    with pytest.raises(CatalogError, match="patch a is in two splits of the scheme 'random'"):
        assign("random", {"train": ["a", "b"], "test": ["a"]}, ["a", "b"])


def test_a_patch_left_out_is_refused() -> None:
    with pytest.raises(CatalogError, match="leaves out patch b and 1 more"):
        assign("random", {"train": ["a"]}, ["a", "b", "c"])


def test_lists_of_another_data_set_are_refused() -> None:
    with pytest.raises(CatalogError, match="name no patch"):
        assign("random", {"train": ["q"], "test": []}, ["a"])


def test_names_of_other_patches_are_counted() -> None:
    split_of, notes = assign("random", {"train": ["a", "q", "r"]}, ["a"])
    assert split_of == {"a": "train"}
    assert "2 patches" in notes[0]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(0, 2), min_size=1))
def test_every_patch_gets_the_split_that_names_it(splits: dict[str, int]) -> None:
    names = ("train", "validation", "test")
    lists = {name: [i for i, n in splits.items() if names[n] == name] for name in names}
    split_of, notes = assign("random", lists, splits.keys())
    assert split_of == {identity: names[number] for identity, number in splits.items()}
    assert not notes
    assert np.all([split in names for split in split_of.values()])


def test_a_catalog_of_images_knows_the_file_of_each_patch(tmp_path: Path) -> None:
    root = write_images(tmp_path / "patches", 3)
    catalog = open_catalog(images_recipe(root))
    assert catalog.files == {
        "P0": root / "Forest/P0.tif",
        "P1": root / "River/P1.tif",
        "P2": root / "Forest/P2.tif",
    }


def test_a_file_is_known_by_its_patchs_id_with_a_table_of_labels_too(tmp_path: Path) -> None:
    root = write_images(tmp_path / "patches", 2)
    (root / "Forest/P0.tif").rename(root / "a plot.1.tif")
    (tmp_path / "labels.csv").write_text("file,label\na plot.1.tif,Dune\nP1.tif,Heath\n")
    recipe = images_recipe(root, table=tmp_path / "labels.csv")
    assert open_catalog(recipe).files == {
        encode_id("a plot.1"): root / "a plot.1.tif",
        "P1": root / "River/P1.tif",
    }


def test_rows_of_a_table_have_no_files(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("id,label,lon,lat\na,Forest,11,48\n")
    table = {"kind": "table", "path": tmp_path / "points.csv"}
    recipe = Recipe.model_validate(
        {"name": "t", "years": [2018], "patches": table, "source": {"kind": "cog", "root": "aef"}}
    )
    assert open_catalog(recipe).files == {}


def test_where_images_lie_makes_no_other_catalog(tmp_path: Path) -> None:
    one, other = (open_catalog(images_recipe(write_images(tmp_path / name))) for name in "ab")
    assert one.files != other.files
    assert one == other
