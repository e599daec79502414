from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import shapely

from hfaef.catalog import table
from hfaef.catalog.patch import Catalog
from hfaef.core.aef import on_lattice
from hfaef.errors import CatalogError
from hfaef.recipe.patches import Table

POINTS = {
    "id": ["a", "b", "c"],
    "label": ["Forest", "River", "Forest"],
    "lon": [11.5, 12.5, 11.6],
    "lat": [48.1, 48.2, -3.0],
    "split": ["train", "val", "test"],
}


def write(path: Path, columns: dict[str, list[object]]) -> Path:
    match path.suffix:
        case ".csv":
            pa.csv.write_csv(pa.table(columns), path)
        case ".parquet":
            pq.write_table(pa.table(columns), path)
        case ".geojson":
            rows = [
                dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
            ]
            features = [
                {
                    "type": "Feature",
                    "geometry": {"type": "Point", "coordinates": [row.pop("lon"), row.pop("lat")]},
                    "properties": row,
                }
                for row in rows
            ]
            path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def read(path: Path, **changes: object) -> Catalog:
    return table.read(Table.model_validate({"kind": "table", "path": path, **changes}), 2018)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "geojson"])
def test_points_give_the_same_patches_from_any_format(tmp_path: Path, suffix: str) -> None:
    found = read(write(tmp_path / f"points.{suffix}", POINTS))
    assert [patch.id for patch in found.patches] == ["a", "b", "c"]
    assert [patch.grid.crs for patch in found.patches] == ["EPSG:32632", "EPSG:32633", "EPSG:32732"]
    assert [patch.splits for patch in found.patches] == [
        {"split": "train"},
        {"split": "validation"},
        {"split": "test"},
    ]
    assert found.label_names == ("Forest", "River")
    for patch in found.patches:
        assert on_lattice(patch.grid)
        assert (patch.grid.height, patch.grid.width) == (64, 64)


@pytest.mark.parametrize("size", [1, 2, 33, 64])
def test_a_point_lies_in_the_middle_of_its_patch(tmp_path: Path, size: int) -> None:
    found = read(write(tmp_path / "points.csv", POINTS), size=size)
    west, south, east, north = found.patches[0].grid.bounds()
    assert (west + east) / 2 == pytest.approx(11.5, abs=0.0001)
    assert (south + north) / 2 == pytest.approx(48.1, abs=0.0001)


def test_a_box_is_covered(tmp_path: Path) -> None:
    box = {"west": [11.5], "south": [48.1], "east": [11.51], "north": [48.12]}
    found = read(write(tmp_path / "boxes.csv", {"id": ["a"], "label": [3], **box}))
    west, south, east, north = found.patches[0].grid.bounds()
    assert west <= 11.5
    assert south <= 48.1
    assert east >= 11.51
    assert north >= 48.12
    assert on_lattice(found.patches[0].grid)
    assert found.label_names == ("3",)


def test_geometries_are_read_from_geoparquet(tmp_path: Path) -> None:
    shapes = [shapely.Point(11.5, 48.1), shapely.box(11.5, 48.1, 11.51, 48.12)]
    columns = {"id": [1, 2], "label": ["x", "y"], "geometry": shapely.to_wkb(shapes).tolist()}
    found = read(write(tmp_path / "shapes.parquet", columns))
    assert [patch.id for patch in found.patches] == ["1", "2"]
    assert found.patches[0].grid.width == 64


def test_whole_numbers_are_labels_in_their_own_order(tmp_path: Path) -> None:
    columns = {**POINTS, "label": [10, 9, 2]}
    assert read(write(tmp_path / "points.csv", columns)).label_names == ("2", "9", "10")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"lon": [11.5, None, 11.6]}, "patch b has no place"),
        ({"lon": [11.5, 190.0, 11.6]}, "patch b lies at"),
        ({"lat": [48.1, 48.2, 89.0]}, "patch c lies at"),
        ({"label": ["x", None, "y"]}, "row 2"),
        ({"label": [0.5, 1.5, 2.5]}, "texts or whole numbers"),
        ({"split": ["train", "holdout", "test"]}, "patch b has the split 'holdout'"),
        ({"id": ["a", "a", "b"]}, "patch a occurs twice"),
        ({"id": ["a", "../b", "c"]}, "patch id"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, changes, word: str) -> None:
    with pytest.raises(CatalogError, match=word):
        read(write(tmp_path / "points.parquet", {**POINTS, **changes}))


@pytest.mark.parametrize("column", ["id", "label", "lon"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    columns = {name: values for name, values in POINTS.items() if name != column}
    with pytest.raises(CatalogError, match=column):
        read(write(tmp_path / "points.csv", columns))


def test_a_scheme_without_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no column 'spatial'"):
        read(write(tmp_path / "points.csv", POINTS), schemes=["spatial"])


@pytest.mark.parametrize("name", ["none.csv", "points.xlsx", "broken.parquet", "broken.geojson"])
def test_a_file_that_is_no_table_is_named(tmp_path: Path, name: str) -> None:
    if name != "none.csv":
        (tmp_path / name).write_text("not a table")
    with pytest.raises(CatalogError, match=name):
        read(tmp_path / name)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no patch"):
        read(
            write(
                tmp_path / "points.parquet", {name: values[:0] for name, values in POINTS.items()}
            )
        )
