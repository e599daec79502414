"""Drafts of recipes that fit tables and folders: what is recognised, what is unclear, what builds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hfaef.catalog import open_catalog
from hfaef.catalog.inspect import inspect
from hfaef.cli.build import init
from hfaef.errors import CatalogError, RecipeError
from hfaef.recipe.read import read_recipe
from hfaef.recipe.write import write_draft
from support.drafts import PLACES, WORDS, keys, opened, proposed, unclear, write_table


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_points_without_splits_get_blocks_of_ground() -> None:
    draft = inspect(write_table("points.csv"))
    assert keys(draft) == {
        "kind": "table",
        "path": Path("points.csv"),
        "size": 64,
        "make_splits": {"spatial": {"km": 20, "seed": 0}},
    }
    assert unclear(draft) == {"years", "size"}
    catalog = opened(draft)
    assert catalog.schemes == ("spatial",)
    assert {patch.splits["spatial"] for patch in catalog.patches} == {
        "train",
        "validation",
        "test",
    }


def test_blocks_shrink_until_no_split_is_empty() -> None:
    near = inspect(
        write_table("points.csv", lon=[11.3 + 0.008 * row for row in range(25)], lat=[48.1] * 25)
    )
    made = keys(near)["make_splits"]
    assert isinstance(made, dict)
    assert made["spatial"]["km"] < 20, "two blocks hold no three splits"
    assert len({patch.splits["spatial"] for patch in opened(near).patches}) == 3


@pytest.mark.parametrize("count", [4, 5, 6, 8, 10, 12])
@pytest.mark.parametrize("spread", [0.05, 0.5, 5.0])
def test_of_few_points_half_or_more_are_for_training(count: int, spread: float) -> None:
    random = np.random.default_rng(count)
    lon, lat = (start + random.uniform(0, spread, count) for start in (11.3, 48.1))
    columns = {"id": [f"p{n}" for n in range(count)], "label": ["a", "b"] * (count // 2)}
    columns["label"] += ["a"] * (count % 2)
    draft = inspect(write_table("points.csv", **columns, lon=lon.tolist(), lat=lat.tolist()))
    catalog = opened(draft)
    splits = [patch.splits.get("spatial", "train") for patch in catalog.patches]
    assert 2 * splits.count("train") >= count
    assert {*splits} == ({"train", "validation", "test"} if catalog.schemes else {"train"})
    assert catalog.schemes or spread == 0.05, "a country has room for blocks"


def test_patches_too_close_together_are_all_for_training() -> None:
    draft = inspect(write_table("points.csv", lon=[11.3] * 25, lat=[48.1] * 25))
    assert "make_splits" not in keys(draft)
    assert "make_splits" in unclear(draft)
    assert opened(draft).schemes == ()


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (
            ["Forest;Water", "Forest", "", "Water", "Town"] * 5,
            {"target": "classes", "separator": ";"},
        ),
        (["a,b", "a", "b", "c", "a,c"] * 5, {"target": "classes", "separator": ","}),
        (["Forest, old", "Forest, young", "Town", "Town", "Town"] * 5, {}),
        ([f"{row}.5" for row in range(25)], {"target": "number"}),
        (["1.0", "2.0"] * 12 + ["1.0"], {}),
        ([str(row % 3) for row in range(25)], {}),
    ],
)
def test_the_target_follows_from_the_labels_of_a_csv(labels: list[object], found: dict) -> None:
    path = Path("points.csv")
    write_table("points.csv", label=[f'"{label}"' for label in labels])
    draft = inspect(path)
    assert {key: keys(draft).get(key) for key in found} == found
    assert keys(draft).get("target", "class") == found.get("target", "class")
    assert opened(draft).target == found.get("target", "class")


@pytest.mark.parametrize("labels", [["Forest, old", "Forest, young", "Town"], ["1.0", "2.0"]])
def test_labels_that_may_mean_two_things_are_said_to(labels: list[object]) -> None:
    draft = inspect(write_table("points.csv", label=(labels * 13)[:25]))
    assert "target" in unclear(draft)


@pytest.mark.parametrize(
    ("labels", "target"),
    [
        ([["a"], ["a", "b"], [], ["b"], ["a"]] * 5, "classes"),
        ([0.5, 1.5, 2.5, 0.5, 1.5] * 5, "number"),
        ([1, 2, 3, 1, 2] * 5, "class"),
    ],
)
def test_the_target_follows_from_the_types_of_a_parquet(labels: list[object], target: str) -> None:
    draft = inspect(write_table("points.parquet", label=labels))
    assert opened(draft).target == target


def test_years_splits_folds_and_others_are_recognised() -> None:
    draft = inspect(
        write_table(
            "points.csv",
            year=[2016 + row % 3 for row in range(25)],
            split=["train", "val", "", "Test", "dev"] * 5,
            cv_fold=[row % 5 for row in range(25)],
            country=["DE"] * 25,
            mask=["x"] * 25,
        )
    )
    assert draft.years is None
    found = keys(draft)
    assert (found["year"], found["schemes"], found["folds"]) == ("year", ["split"], ["cv_fold"])
    assert "make_splits" not in found
    others = proposed(draft)
    assert others["nearest_year"] is True
    assert others["unassigned"] == "drop"
    assert others["keep"] == ["country"]
    assert others["ignore"] == ["mask"], "a name of hfaef's own"
    catalog = opened(draft)
    assert catalog.own_years
    assert (catalog.schemes, catalog.folds) == (("split",), ("cv_fold",))


def test_years_all_before_the_first_give_way_to_the_nearest() -> None:
    draft = inspect(write_table("points.csv", year=[2015] * 25))
    assert keys(draft)["nearest_year"] is True


@pytest.mark.parametrize(
    ("column", "taken"),
    [("survey_date", True), ("obs_year", True), ("created_date", False), ("dates_seen", False)],
)
def test_dates_of_the_label_are_its_year_and_said_to_be_unclear(column: str, taken: bool) -> None:
    draft = inspect(write_table("points.csv", **{column: ["2019-07-01"] * 25}))
    assert (keys(draft).get("year") == column) == taken
    assert ("year" in unclear(draft)) == taken


def test_a_split_column_of_a_few_numbers_holds_folds() -> None:
    draft = inspect(write_table("points.csv", split=[row % 5 for row in range(25)]))
    assert keys(draft)["folds"] == ["split"]
    assert opened(draft).folds == ("split",)


def test_a_split_column_of_anything_else_is_left_alone_and_said_to_be() -> None:
    draft = inspect(write_table("points.csv", split=[f"tile{row}" for row in range(25)]))
    assert keys(draft)["schemes"] == []
    assert "schemes" in unclear(draft)
    assert opened(draft).schemes == ("spatial",)


@pytest.mark.parametrize("column", ["split", "subset", "my_set", "fold"])
def test_words_for_splits_with_a_few_others_are_a_scheme_to_be_mended(column: str) -> None:
    words = [*WORDS[:22], "eval", "blue", "eval"]
    path = write_table("points.csv", **{column: words})
    draft = inspect(path)
    assert keys(draft)["schemes"] == [column]
    assert "folds" not in keys(draft)
    assert "make_splits" not in keys(draft)
    assert unclear(draft) == {"years", "size", "schemes"}
    [line] = [line for line in draft.patches if line.key == "schemes"]
    assert line.comment.endswith("others: eval (2), blue (1)")
    assert draft.to_do == (
        (
            f"write train, validation, test or nothing in the column `{column}` instead of eval (2), "
            "blue (1)"
        ),
    )
    with pytest.raises(CatalogError, match=rf"row 23 .*has the split 'eval' in '{column}'"):
        opened(draft)
    write_table("points.csv", **{column: [w if w in WORDS else "" for w in words]})
    assert open_catalog(read_recipe("mine.toml")).schemes == (column,)


def test_one_word_for_a_split_is_enough_for_no_folds() -> None:
    draft = inspect(write_table("points.csv", split=["1", "2", "3", "4", "Test"] * 5))
    assert "folds" not in keys(draft)
    assert "schemes" in unclear(draft)


def test_a_column_that_is_called_set_and_names_other_things_is_no_scheme() -> None:
    draft = inspect(write_table("points.csv", set=["Corine", "Lucas", "Dev", "Osm", "Glc"] * 5))
    assert "schemes" not in keys(draft)
    assert draft.to_do == ()


def test_rows_that_cannot_be_placed_do_not_stop_the_recipe() -> None:
    lat: list[object] = [lat for _, lat in PLACES]
    draft = inspect(write_table("points.csv", lat=["91", "north", *lat[2:]]))
    assert proposed(draft)["skip_bad"] is True
    assert "skip_bad" in unclear(draft)
    bad = dict(draft.found)["bad"]
    assert bad.startswith("2 of 25 patches cannot be used (p0 lies at")
    with pytest.raises(CatalogError, match=r"row 1 .*row 2 .*patches\.skip_bad=true"):
        opened(draft)
    text = Path("mine.toml").read_text()
    Path("mine.toml").write_text(text.replace("# skip_bad", "skip_bad"))
    catalog = open_catalog(read_recipe("mine.toml"))
    assert (len(catalog.patches), len(catalog.unreadable)) == (23, 2)


def test_where_all_are_bad_no_key_is_the_way_out() -> None:
    with pytest.raises(CatalogError, match="row 1 ") as caught:
        inspect(write_table("points.csv", lat=["91"] * 25))
    assert caught.value.hint == "mend the table"
    root = Path("patches/x")
    root.mkdir(parents=True)
    (root / "a.tif").write_bytes(b"no picture")
    with pytest.raises(CatalogError, match=r"a\.tif is no readable GeoTIFF") as caught:
        inspect(root.parent)
    assert caught.value.hint == "mend or remove what is wrong"


def test_a_row_without_a_geometry_does_not_stop_the_recipe(shared: Path) -> None:
    path = shared.parent / "cases/gj-null-geometry/points.geojson"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    draft = inspect(path)
    assert "has no geometry" in dict(draft.found)["bad"]
    assert "skip_bad" in unclear(draft)


def test_geometries_of_several_kinds_are_counted() -> None:
    ring = [[11.3, 48.3], [11.31, 48.3], [11.31, 48.31], [11.3, 48.3]]
    shapes = [("Polygon", [ring]), ("Point", ring[0]), ("LineString", ring)]
    features = [
        {
            "type": "Feature",
            "properties": {"id": kind, "label": "x"},
            "geometry": {"type": kind, "coordinates": positions},
        }
        for kind, positions in shapes
    ]
    Path("a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    draft = inspect(Path("a.geojson"))
    assert dict(draft.found)["geometries"] == (
        "Point 1 (size x size pixels round each), LineString 1 (the box around each), "
        "Polygon 1 (the box around each)"
    )
    assert "size" in keys(draft)


def test_the_last_line_says_that_the_table_is_mended_before_the_plan() -> None:
    path = write_table("points.csv")
    assert init("whole", path).lines[-1] == "then:       hfaef plan whole.toml"
    path.write_text(path.read_text().replace("id;label", "ID;label", 1))
    *_, todo, last = init("mine", path).lines
    assert todo == "before it builds: rename the column `ID` to `id`"
    assert last == "when that is done: hfaef plan mine.toml"


def test_names_of_another_case_or_word_are_to_be_renamed() -> None:
    path = write_table("points.csv")
    text = path.read_text().replace("id;label;lon;lat", "ID;Label;Longitude;Latitude", 1)
    path.write_text(text)
    draft = inspect(path)
    assert draft.to_do == (
        "rename the column `ID` to `id`",
        "rename the column `Label` to `label`",
        "rename the column `Longitude` to `lon`",
        "rename the column `Latitude` to `lat`",
    )
    written = write_draft("mine", draft).read_text()
    assert "# TO DO before it builds: rename the column `Longitude` to `lon`" in written
    path.write_text(text.replace("ID;Label;Longitude;Latitude", "id;label;lon;lat", 1))
    assert len(open_catalog(read_recipe("mine.toml")).patches) == 25


def test_polygons_have_no_size() -> None:
    ring = [[11.3, 48.3], [11.31, 48.3], [11.31, 48.31], [11.3, 48.3]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {"id": "a", "label": "x"}, "geometry": geometry}
    Path("a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    draft = inspect(Path("a.geojson"))
    assert "size" not in keys(draft)
    assert len(opened(draft).patches) == 1


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"id": ["p"] * 25}, "patch p occurs twice"),
        ({"label": [""] * 25}, "has no label"),
        ({"year": ["soon"] * 25}, "row 1 .*'soon', which is no"),
        ({"lat": ["91"] * 25}, "row 1"),
    ],
)
def test_input_that_cannot_be_used_is_refused(columns: dict, word: str) -> None:
    with pytest.raises(CatalogError, match=word):
        inspect(write_table("points.csv", **columns))


def test_a_table_without_places_or_labels_is_refused() -> None:
    Path("a.csv").write_text("id,label\na,b\n")
    with pytest.raises(CatalogError, match="no place columns"):
        inspect(Path("a.csv"))
    Path("b.csv").write_text("id,lon,lat\na,11.3,48.1\n")
    with pytest.raises(CatalogError, match="no column 'label'"):
        inspect(Path("b.csv"))
    with pytest.raises(CatalogError, match="there is no file or folder"):
        inspect(Path("nowhere"))


def test_names_of_any_letters_come_back_as_they_are() -> None:
    draft = inspect(write_table('päth "x" #1.csv', **{'a "b" # c': ["x"] * 25}))
    assert opened(draft)
    text = Path("mine.toml").read_text(encoding="utf-8")
    Path("mine.toml").write_text(text.replace("# keep", "keep"), encoding="utf-8")
    kept = open_catalog(read_recipe("mine.toml")).kept
    assert [column.name for column in kept] == ['a "b" # c']


def test_a_recipe_that_is_there_is_never_overwritten() -> None:
    draft = inspect(write_table("points.csv"))
    Path("mine.toml").write_text("mine")
    with pytest.raises(RecipeError, match=r"^there is a mine\.toml already"):
        write_draft("mine", draft)
    assert Path("mine.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("case", "found"),
    [
        ("shape-own-years/points.csv", {"year": "year"}),
        ("shape-folds/points.csv", {"folds": ["fold"]}),
        (
            "shape-several-labels/points.csv",
            {"target": "classes", "separator": ";", "schemes": ["split"]},
        ),
        ("shape-several-labels/points.geojson", {"target": "classes"}),
        ("polygons-squares/squares.geojson", {}),
        ("csv-leading-zeros/points.csv", {}),
        ("pq-decimal/points.parquet", {}),
        ("ee-crs/patches", {"kind": "geotiffs"}),
    ],
)
def test_shapes_that_people_have_are_recognised_and_open(
    shared: Path, case: str, found: dict
) -> None:
    path = shared.parent / "cases" / case
    if not path.exists():
        pytest.skip(f"{path} is not there")
    draft = inspect(path)
    assert {key: keys(draft)[key] for key in found} == found
    assert opened(draft).patches


@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("csv-latin1/points.csv", "not UTF-8"),
        ("csv-empty-label/points.csv", "has no label"),
        ("csv-dup-columns/points.csv", "'label' twice"),
        ("gj-mixed-label-types/points.geojson", "a number among others"),
        ("tif-at-root/patches", r"mosaic\.tif lies beside"),
    ],
)
def test_faults_of_input_are_refused_as_a_build_refuses_them(
    shared: Path, case: str, word: str
) -> None:
    path = shared.parent / "cases" / case
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with pytest.raises(CatalogError, match=word):
        inspect(path)
