"""Geometries of every kind, and the grids that lie on them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from hfaef.catalog.tables.geometry import make_grids, places_of_shapes, read_shapes
from hfaef.core.grid import WGS84, Grid
from hfaef.errors import CatalogError
from support.tables import POINT, grid_of, read, read_shape, square


@given(
    st.integers(1, 60), st.integers(20_000, 80_000), st.integers(100, 900_000), st.integers(1, 300)
)
def test_a_square_on_the_lattice_is_its_own_pixels(
    zone: int, column: int, row: int, pixels: int
) -> None:
    crs = f"EPSG:{32600 + zone}"
    shape = square(crs, column * 10, row * 10, pixels * 10)
    middle = float(shape.centroid.x)
    inside = all(int((x + 180) // 6) + 1 == zone for x in (middle - 1e-4, middle + 1e-4))
    (found,) = make_grids(places_of_shapes(read_shapes([shape.wkb], WGS84)), 64, 10)
    if not inside or shape.bounds[2] - shape.bounds[0] > 90:
        return
    assert found == Grid(
        crs, (10.0, 0.0, column * 10.0, 0.0, -10.0, (row + pixels) * 10.0), pixels, pixels
    )


@pytest.mark.parametrize("resolution", [10, 20, 40])
def test_a_square_is_exact_at_every_resolution(tmp_path: Path, resolution: int) -> None:
    side = 64 * resolution
    shape = square("EPSG:32632", 500_000 + 50 * 40, 5_360_000, side)
    grid = grid_of(read_shape(tmp_path, shape, resolution=resolution))
    assert (grid.height, grid.width) == (64, 64)
    assert grid.transform == (resolution, 0, 502_000, 0, -resolution, 5_360_000 + side)


def test_a_polygon_beside_the_lattice_is_covered(tmp_path: Path) -> None:
    grid = grid_of(read_shape(tmp_path, square("EPSG:32632", 600_003, 5_360_007, 640)))
    assert (grid.height, grid.width) == (65, 65)
    assert grid.transform[2] == 600_000
    assert grid.transform[5] == 5_360_650


def test_points_and_areas_may_be_mixed(tmp_path: Path) -> None:
    found = read_shape(tmp_path, POINT, square("EPSG:32632", 600_000, 5_360_000, 200), size=32)
    assert [patch.grid.width for patch in found.patches] == [32, 20]


def test_collections_with_an_area_or_a_point_are_read(tmp_path: Path) -> None:
    area = square("EPSG:32632", 600_000, 5_360_000)
    line = shapely.LineString([(11.5, 48.1), (11.6, 48.1)])
    found = read_shape(
        tmp_path,
        shapely.GeometryCollection([area]),
        shapely.GeometryCollection([POINT]),
        shapely.GeometryCollection([shapely.GeometryCollection([area]), area.boundary]),
    )
    assert [patch.grid.width for patch in found.patches] == [64] * 3
    with pytest.raises(CatalogError, match=r"row 1: patch p0 .* neither an area nor a point"):
        read_shape(tmp_path, shapely.GeometryCollection([line]))


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        (None, "row 2: patch p1 has no geometry"),
        (shapely.Point(), "patch p1 has an empty geometry"),
        (shapely.GeometryCollection(), "patch p1 has an empty geometry"),
        ({"type": "Point"}, "geometry that cannot be read"),
        ({"type": "Point", "coordinates": ["11,5", "48"]}, "geometry that cannot be read"),
        ({"type": "Polygon", "coordinates": [[[11, 48]]]}, "geometry that cannot be read"),
        ({"type": "Pin", "coordinates": [11, 48]}, "geometry that cannot be read"),
        ({"type": "Point", "coordinates": [math.nan, 48]}, "patch p1 has no place"),
        (
            shapely.Point(191.5, 48.1),
            "lies at lon 191.5, lat 48.1, and .*; longitudes go from -180 to 180",
        ),
        (
            shapely.Point(11.5, 88),
            "lat 88, .* lat -80 to 84 and lon -180 to 180; are longitude and",
        ),
        (shapely.Point(48.1, -180), "; are longitude and latitude exchanged?"),
        (shapely.Point(-100, 95), "lat 95, and embeddings are there from lat -80 to 84"),
        (shapely.box(-179.99, 48, 179.99, 48.01), "crosses the antimeridian"),
        (shapely.Point(179.9999, 0.0), "crosses the antimeridian"),
        (shapely.Point(-179.9999, 70.0), "crosses the antimeridian"),
        (shapely.box(11, 48, 12, 49), r"is \d+ x \d+ pixels, over 4,096 a side"),
    ],
)
def test_a_place_that_no_grid_can_have_is_refused_with_its_row(
    tmp_path: Path, shape: object, word: str
) -> None:
    with pytest.raises(CatalogError, match=word) as caught:
        read_shape(tmp_path, POINT, shape)
    assert "row 2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_ten_faults_are_named_and_the_others_counted(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"row 11: patch p10 has no geometry; and 3 more; mend"):
        read_shape(tmp_path, POINT, *[None] * 13)


def test_rows_without_a_place_may_be_skipped_and_are_named_as_missing(tmp_path: Path) -> None:
    found = read_shape(tmp_path, None, POINT, shapely.Point(191, 48), skip_bad=True)
    assert [patch.id for patch in found.patches] == ["p1"]
    assert [(gone.id, gone.label) for gone in found.unreadable] == [("p0", "x"), ("p2", "x")]
    assert found.unreadable[0].reason == "has no geometry"
    words = r"shapes.geojson: .*no patch \(1 are unreadable\): patch p0 has no geometry"
    with pytest.raises(CatalogError, match=words):
        read_shape(tmp_path, None, skip_bad=True)


LINE = shapely.LineString([(11.5, 48.1), (11.51, 48.11)])
SQUARE = shapely.box(11.5, 48.1, 11.51, 48.11)
MIXTURE = "geometries of several kinds, or neither points nor polygons: "


@pytest.mark.parametrize(
    ("shapes", "kinds"),
    [
        (
            [POINT, SQUARE, POINT, LINE],
            (
                "Point 2 (8 x 8 pixels round each), LineString 1 (the box around each), "
                "Polygon 1 (the box around each)"
            ),
        ),
        ([LINE], "LineString 1 (the box around each)"),
        ([shapely.MultiPoint([(11.5, 48.1), (11.6, 48.1)])], "MultiPoint 1 (the box around each)"),
        (
            [SQUARE, shapely.GeometryCollection([POINT, SQUARE])],
            "GeometryCollection 1 (the box around each), Polygon 1 (the box around each)",
        ),
    ],
)
def test_kinds_of_geometries_are_counted_with_the_patches_that_they_become(
    tmp_path: Path, shapes: list[object], kinds: str
) -> None:
    assert MIXTURE + kinds in read_shape(tmp_path, *shapes, size=8).notes


@pytest.mark.parametrize(
    "shapes", [[POINT, POINT], [SQUARE, shapely.MultiPolygon([SQUARE])], [POINT, None]]
)
def test_points_alone_or_polygons_alone_need_no_words(tmp_path: Path, shapes: list[object]) -> None:
    found = read_shape(tmp_path, *shapes, skip_bad=True)
    assert not [note for note in found.notes if note.startswith(MIXTURE)]


def test_where_no_row_has_a_place_skipping_is_no_way_out(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        read_shape(tmp_path, None, None)
    assert caught.value.hint == "mend the table"


def test_coordinates_that_are_texts_are_read(tmp_path: Path) -> None:
    texts = {"type": "Point", "coordinates": ["11.5", "48.1"]}
    assert grid_of(read_shape(tmp_path, texts)) == grid_of(read_shape(tmp_path, POINT))


def test_heights_are_not_used_and_told(tmp_path: Path) -> None:
    found = read_shape(tmp_path, shapely.Point(11.5, 48.1, 500))
    assert grid_of(found) == grid_of(read_shape(tmp_path, POINT))
    assert found.notes == ("not used: heights of the geometries",)


@pytest.mark.parametrize("kind", [4, 5, 6, 7, 11, 12, 0x20000007, 1007, 2006, 3004])
@pytest.mark.parametrize("order", ["little", "big"])
def test_wkb_in_wkb_without_end_is_refused_with_its_row(
    tmp_path: Path, kind: int, order: Literal["little", "big"]
) -> None:
    head = bytes([order == "little"]) + kind.to_bytes(4, order) + (1).to_bytes(4, order)
    shapes = [POINT.wkb, head * 300_000]
    pq.write_table(
        pa.table({"id": ["a", "b"], "label": ["x", "x"], "geometry": shapes}),
        tmp_path / "a.parquet",
    )
    with pytest.raises(CatalogError, match="row 2: patch b has a geometry that cannot be read"):
        read(tmp_path / "a.parquet")


def test_wkt_in_wkt_without_end_is_refused_with_its_row(tmp_path: Path) -> None:
    deep = "GEOMETRYCOLLECTION (" * 300_000 + "POINT (1 1)" + ")" * 300_000
    (tmp_path / "a.csv").write_text(f"id,label,geometry\na,x,POINT (11 48)\nb,x,{deep}\n")
    with pytest.raises(CatalogError, match=r"row 2 \(line 3\): patch b has a geometry that cannot"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("parts", [1, 900])
def test_many_areas_of_a_row_are_one_place(tmp_path: Path, parts: int) -> None:
    areas = [square("EPSG:32632", 600_000 + 10 * n, 5_360_000, 10) for n in range(parts)]
    shape = shapely.GeometryCollection([shapely.MultiPolygon([area]) for area in areas])
    grid = grid_of(read_shape(tmp_path, shape))
    assert (grid.height, grid.width) == (1, parts)
    pq.write_table(
        pa.table({"id": ["a"], "label": ["x"], "geometry": [shape.wkb]}), tmp_path / "a.parquet"
    )
    assert grid_of(read(tmp_path / "a.parquet")) == grid
