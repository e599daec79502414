"""GeoTIFFs whose labels stand in a table: how rows name files, and what is on one side alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio

from hfaef.catalog.patch import Catalog
from hfaef.errors import CatalogError
from hfaef.recipe.columns import KeptColumn
from support.table_formats import by_id, open_recipe, splits_of, write_table


def write_tiffs(root: Path, *names: str) -> Path:
    """Small GeoTIFFs some kilometres apart."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        affine = rasterio.Affine(10, 0, 600_000 + 5000 * number, 0, -10, 5_400_000)
        profile = {"count": 1, "dtype": "uint8", "crs": "EPSG:32632", "transform": affine}
        with rasterio.open(path, "w", driver="GTiff", height=8, width=8, **profile) as file:
            file.write(np.ones((1, 8, 8), np.uint8))
    return root


def open_labelled(
    root: Path, columns: dict[str, Sequence[object]], name: str = "labels.csv", **patches: object
) -> Catalog:
    """The catalog of a folder with a table beside it."""
    table = write_table(root.parent / name, columns)
    available = patches.pop("available", None)
    section = {"kind": "geotiffs", "root": root, "table": table, **patches}
    return open_recipe(section, available=available)  # type: ignore[arg-type]


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    return write_tiffs(tmp_path / "patches", "a.tif", "b.tif", "c.TIFF")


def test_files_in_one_folder_get_their_labels_from_a_table(flat: Path) -> None:
    found = open_labelled(flat, {"id": ["c", "a", "b"], "label": ["Bog", "Forest", "Bog"]})
    assert by_id(found, "label") == {"a": "Forest", "b": "Bog", "c": "Bog"}
    assert [patch.id for patch in found.patches] == ["a", "b", "c"]
    assert found.label_names == ("Bog", "Forest")
    assert found.patches[1].grid.transform[2] == 605_000
    assert found.notes == ()


def test_files_in_nested_folders_get_their_labels_from_a_table(tmp_path: Path) -> None:
    root = write_tiffs(tmp_path / "patches", "a.tif", "north/b.tif", "north/far/c.tif")
    found = open_labelled(root, {"id": ["a", "b", "c"], "label": ["x", "y", "z"]})
    assert by_id(found, "label") == {"a": "x", "b": "y", "c": "z"}


@pytest.mark.parametrize(
    "names",
    [
        ["a", "b", "plot.1"],
        ["a.tif", "b.tif", "plot.1.tif"],
        ["a.jpg", "b.TIFF", "plot.1.png"],
        ["images/a.tif", "./b.tif", "/data/x/plot.1.tif"],
        ["images\\a.tif", "C:\\data\\b.tif", "plot.1"],
        [" a ", "b", "plot.1.tif "],
    ],
)
def test_rows_name_files_whatever_their_folder_and_extension(
    tmp_path: Path, names: list[str]
) -> None:
    root = write_tiffs(tmp_path / "patches", "a.tif", "b.tif", "plot.1.tif")
    found = open_labelled(root, {"id": names, "label": ["x", "y", "z"]})
    assert by_id(found, "label") == {"a": "x", "b": "y", "plot_0x2E_1": "z"}


@pytest.mark.parametrize("column", ["file", "filename", "file_name", "image", "name", "path"])
def test_the_column_that_names_files_may_have_other_names_which_is_told(
    flat: Path, column: str
) -> None:
    found = open_labelled(flat, {"label": ["x", "y", "x"], column: ["a.tif", "b.tif", "c.tif"]})
    assert by_id(found, "label") == {"a": "x", "b": "y", "c": "x"}
    assert found.notes == (f"files are named by the column {column!r}",)


def test_the_column_id_comes_first_among_those_that_may_name_files(flat: Path) -> None:
    columns = {"name": ["?", "?", "?"], "id": ["a", "b", "c"], "label": ["x", "y", "x"]}
    found = open_labelled(flat, columns)
    assert by_id(found, "label") == {"a": "x", "b": "y", "c": "x"}
    assert found.notes == (
        "columns not used: name; `patches.keep` keeps them, `patches.ignore` leaves them out",
    )


def test_a_table_without_a_column_that_names_files_is_refused(flat: Path) -> None:
    with pytest.raises(
        CatalogError,
        match=r"labels\.csv has no column that names files; call it `id`, or one of file, filename",
    ):
        open_labelled(flat, {"tile": ["a", "b", "c"], "label": ["x", "y", "x"]})


def test_rows_for_files_that_are_not_here_are_counted(flat: Path) -> None:
    columns = {"id": ["a", "b", "c", "d", "e/f.tif"], "label": ["x", "y", "x", "gone", "gone"]}
    found = open_labelled(flat, columns)
    assert found.label_names == ("x", "y")
    assert found.notes == ("rows of labels.csv that name no file here: 2",)


def test_files_without_a_row_are_refused_naming_the_first(flat: Path) -> None:
    with pytest.raises(
        CatalogError,
        match=r"labels\.csv has no row for the file b, and 1 more; add rows, or take the files out",
    ):
        open_labelled(flat, {"id": ["a"], "label": ["x"]})


def test_a_file_with_two_rows_is_refused(flat: Path) -> None:
    with pytest.raises(CatalogError, match="patch a occurs twice"):
        open_labelled(flat, {"id": ["a", "a.tif", "b", "c"], "label": ["x"] * 4})


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    root = write_tiffs(tmp_path / "patches", "x/a.tif", "y/a.tif")
    with pytest.raises(CatalogError, match="two files give the patch id a"):
        open_labelled(root, {"id": ["x/a", "y/a"], "label": ["x", "y"]})


def test_rows_that_are_wrong_are_named_as_they_stand_in_their_file(flat: Path) -> None:
    columns = {"id": ["z", "a", "b", "c"], "label": ["x", "x", "", "x"]}
    with pytest.raises(CatalogError, match=r"labels\.csv: row 3 \(line 4\) has no label"):
        open_labelled(flat, columns)
    columns = {"id": ["z", "a", "b", "c"], "label": [1.0, 2.0, float("inf"), 1.0]}
    with pytest.raises(CatalogError, match=r"labels\.parquet: row 3: patch b has the label inf"):
        open_labelled(flat, columns, "labels.parquet", target="number")


# --- What else a table says


def test_years_splits_folds_and_kept_columns_come_from_the_table(flat: Path) -> None:
    columns = {
        "id": ["c", "b", "a", "gone"],
        "label": ["x", "y", "x", "x"],
        "season": ["2019-07-01", "2016", "2018", "2018"],
        "split": ["Train", "test", "", "train"],
        "fold": ["1", "2", "1", "3"],
        "country": ["DE", "AT", "", "CH"],
    }
    found = open_labelled(
        flat, columns, year="season", folds=["fold"], keep=["country"], available=[2018, 2019]
    )
    assert by_id(found, "year") == {"a": 2018, "c": 2019}
    assert by_id(found, "splits") == {
        "a": {"split": "unassigned", "fold": "1"},
        "c": {"split": "train", "fold": "1"},
    }
    assert found.kept == (KeptColumn("country", "string"),)
    assert by_id(found, "kept") == {"a": (None,), "c": ("DE",)}
    assert [(gone.id, gone.year) for gone in found.unreadable] == [("b", 2016)]


def test_a_file_may_have_a_row_for_each_of_its_years(flat: Path) -> None:
    columns = {"id": ["a", "a", "b", "c"], "label": ["x", "y", "x", "x"]}
    found = open_labelled(flat, {**columns, "year": [2018, 2019, 2018, 2018]}, year="year")
    assert [(patch.year, patch.id, patch.label) for patch in found.patches] == [
        (2018, "a", "x"),
        (2018, "b", "x"),
        (2018, "c", "x"),
        (2019, "a", "y"),
    ]


def test_years_of_the_recipe_hold_for_all_files_without_their_own(flat: Path) -> None:
    table = write_table(flat.parent / "t.csv", {"id": ["a", "b", "c"], "label": ["x"] * 3})
    section = {"kind": "geotiffs", "root": flat, "table": table}
    found = open_recipe(section, years=[2018, 2019])
    assert len(found.patches) == 6
    assert {patch.year for patch in found.patches} == {2018, 2019}


@pytest.mark.parametrize(("target", "value"), [("classes", [["x", "y"], [], ["y"]])])
def test_several_labels_come_from_a_table(flat: Path, target: str, value: list[object]) -> None:
    columns = {"id": ["a", "b", "c"], "label": value}
    found = open_labelled(flat, columns, "labels.parquet", target=target)
    assert by_id(found, "label") == {"a": ("x", "y"), "b": (), "c": ("y",)}


def test_numbers_come_from_a_table(flat: Path) -> None:
    columns = {"id": ["a", "b", "c"], "label": ["1.5", "2", "-3"]}
    found = open_labelled(flat, columns, target="number")
    assert by_id(found, "label") == {"a": 1.5, "b": 2.0, "c": -3.0}


def test_geometries_of_a_table_are_not_used_which_is_told(flat: Path) -> None:
    places = {"lon": [0.0] * 3, "lat": [0.0] * 3}
    columns = {"id": ["a", "b", "c"], "label": ["x", "y", "x"], **places}
    found = open_labelled(flat, columns, "labels.geojson")
    assert found.patches[0].grid.crs == "EPSG:32632"
    assert found.notes == ("geometries not used: the files say where patches are",)


# --- Lists beside columns


def write_lists(folder: Path, **lists: str) -> dict[str, Path]:
    paths = {name: folder / f"{name}.txt" for name in lists}
    for name, ids in lists.items():
        paths[name].write_text("\n".join(ids.split()))
    return paths


def test_lists_and_columns_of_splits_stand_side_by_side(flat: Path) -> None:
    lists = write_lists(flat.parent, train="a.tif c.tif", test="b.tif")
    columns = {"id": ["c", "b", "a"], "label": ["x"] * 3, "split": ["test", "train", "train"]}
    found = open_labelled(flat, columns, splits={"official": lists})
    assert found.schemes == ("official", "split")
    assert splits_of(found, "official") == {"a": "train", "b": "test", "c": "train"}
    assert splits_of(found, "split") == {"a": "train", "b": "train", "c": "test"}


def test_lists_may_leave_files_out_if_the_recipe_says_what_becomes_of_them(flat: Path) -> None:
    lists = write_lists(flat.parent, train="a.tif", test="b.tif")
    columns = {"id": ["a", "b", "c"], "label": ["x"] * 3}
    with pytest.raises(CatalogError, match=r"leaves out patch c.*patches\.unassigned"):
        open_labelled(flat, columns, splits={"official": lists})
    kept = open_labelled(flat, columns, splits={"official": lists}, unassigned="keep")
    assert splits_of(kept, "official") == {"a": "train", "b": "test", "c": "unassigned"}
    assert kept.notes == ("patches that 'official' gives no split: 1, in `unassigned`",)
    dropped = open_labelled(flat, columns, splits={"official": lists}, unassigned="drop")
    assert splits_of(dropped, "official") == {"a": "train", "b": "test"}
    assert dropped.notes == ("patches without a split, left out: 1",)


def test_folders_of_labels_may_leave_files_without_a_split_too(tmp_path: Path) -> None:
    root = write_tiffs(tmp_path / "patches", "x/a.tif", "y/b.tif", "y/c.tif")
    lists = write_lists(tmp_path, train="a", test="b")
    section = {"kind": "geotiffs", "root": root, "splits": {"official": lists}}
    dropped = open_recipe({**section, "unassigned": "drop"})
    assert splits_of(dropped, "official") == {"a": "train", "b": "test"}


def test_a_column_of_the_name_of_a_list_cannot_be_kept(flat: Path) -> None:
    lists = write_lists(flat.parent, train="a b", test="c")
    columns = {"id": ["a", "b", "c"], "label": ["x"] * 3, "official": ["1", "2", "3"]}
    with pytest.raises(
        CatalogError, match="column 'official' cannot be kept: rows have a scheme's"
    ):
        open_labelled(flat, columns, splits={"official": lists}, keep="all")


# --- Files that cannot be read


def test_files_that_cannot_be_read_are_refused_or_missing_with_what_the_table_says(
    flat: Path,
) -> None:
    (flat / "b.tif").write_bytes(b"no tiff")
    columns = {"id": ["a", "b", "c"], "label": ["x", "y", "x"], "year": [2018, 2019, 2018]}
    with pytest.raises(CatalogError, match=r"b\.tif is no readable GeoTIFF.*skip_bad=true"):
        open_labelled(flat, columns, year="year")
    found = open_labelled(flat, columns, year="year", skip_bad=True)
    assert by_id(found, "label") == {"a": "x", "c": "x"}
    (gone,) = found.unreadable
    assert (gone.id, gone.label, gone.year) == ("b", "y", 2019)
    assert gone.reason == "is no readable GeoTIFF"


def test_a_file_that_is_left_out_need_not_be_readable(flat: Path) -> None:
    (flat / "b.tif").write_bytes(b"no tiff")
    columns = {"id": ["a", "b", "c"], "label": ["x"] * 3, "split": ["train", "", "test"]}
    found = open_labelled(flat, columns, unassigned="drop")
    assert by_id(found, "label") == {"a": "x", "c": "x"}
    assert found.unreadable == ()


def test_a_table_that_is_not_there_is_named(flat: Path) -> None:
    section = {"kind": "geotiffs", "root": flat, "table": flat.parent / "none.csv"}
    with pytest.raises(CatalogError, match=r"there is no table .*none\.csv"):
        open_recipe(section)
