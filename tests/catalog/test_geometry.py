"""Geometries of every kind of file, in any CRS, and the grids that lie on them."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from hfaef.catalog import table
from hfaef.catalog.patch import Catalog
from hfaef.catalog.tables.geometry import make_grids, places_of_shapes, read_shapes
from hfaef.core.grid import WGS84, Grid, project
from hfaef.errors import CatalogError
from hfaef.recipe.patches import Table

POINT = shapely.Point(11.5, 48.1)


def read(path: Path, **changes: object) -> Catalog:
    return table.read(Table.model_validate({"kind": "table", "path": path, **changes}), 2018)


def read_shape(folder: Path, *shapes: object, crs: object = ..., **changes: object) -> Catalog:
    """A GeoJSON of these geometries: shapely's, or objects as they are."""
    features = [
        {
            "type": "Feature",
            "properties": {"id": f"p{number}", "label": "x"},
            "geometry": shape
            if isinstance(shape, dict | None)
            else shapely.geometry.mapping(shape),
        }
        for number, shape in enumerate(shapes)
    ]
    content = {"type": "FeatureCollection", "features": features}
    if crs is not ...:
        content["crs"] = crs
    (folder / "shapes.geojson").write_text(json.dumps(content))
    return read(folder / "shapes.geojson", **changes)


def grid_of(catalog: Catalog) -> Grid:
    return catalog.patches[0].grid


def square(crs: str, left: int, bottom: int, side: int = 640) -> shapely.Polygon:
    """A square in metres, in degrees with six decimals."""
    box = shapely.box(left, bottom, left + side, bottom + side)
    lon, lat = project(*shapely.get_coordinates(box).T, crs, WGS84)
    return shapely.Polygon(np.round(np.stack([lon, lat], axis=1), 6))


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
        (shapely.Point(191.5, 48.1), r"lies at \(191.5, 48.1, .*within UTM's"),
        (shapely.Point(11.5, 88), "lies at"),
        (shapely.Point(48.1, -180), "lies at"),
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
    with pytest.raises(CatalogError, match=r"no patch \(1 are unreadable\)"):
        read_shape(tmp_path, None, skip_bad=True)


def test_coordinates_that_are_texts_are_read(tmp_path: Path) -> None:
    texts = {"type": "Point", "coordinates": ["11.5", "48.1"]}
    assert grid_of(read_shape(tmp_path, texts)) == grid_of(read_shape(tmp_path, POINT))


def test_heights_are_not_used_and_told(tmp_path: Path) -> None:
    found = read_shape(tmp_path, shapely.Point(11.5, 48.1, 500))
    assert grid_of(found) == grid_of(read_shape(tmp_path, POINT))
    assert found.notes == ("not used: heights of the geometries",)


# --- Coordinate reference systems


@pytest.mark.parametrize("code", [25832, 32633, 3035, 3857, 4258, 2180, 4979])
@pytest.mark.parametrize("kind", ["geojson", "geoparquet", "gpkg", "fgb", "shp"])
def test_a_square_is_the_same_in_whatever_crs_it_is_written(
    tmp_path: Path, code: int, kind: str
) -> None:
    if kind == "geojson" and code == 2180:
        code = 31467
    box = shapely.box(600_000, 5_360_000, 600_640, 5_360_640)
    corners = project(*shapely.get_coordinates(box).T, "EPSG:32632", f"EPSG:{code}")
    shape = shapely.Polygon(np.stack(corners, axis=1))
    if kind == "geojson":
        name = {"name": f"urn:ogc:def:crs:EPSG::{code}"}
        found = read_shape(tmp_path, shape, crs={"type": "name", "properties": name})
    else:
        frame = geopandas.GeoDataFrame({"id": ["a"], "label": ["x"]}, geometry=[shape], crs=code)
        path = tmp_path / f"shapes.{kind}"
        frame.to_parquet(path) if kind == "geoparquet" else frame.to_file(path)
        found = read(path)
    shift = 1 if code in (2180, 31467) else 0  # their datums are known to a metre
    grid = grid_of(found)
    assert grid.crs == "EPSG:32632"
    assert abs(grid.height - 64) <= shift
    assert abs(grid.width - 64) <= shift
    if not shift:
        assert grid.transform == (10, 0, 600_000, 0, -10, 5_360_640)


@pytest.mark.parametrize(
    "crs",
    [
        {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
        {"type": "name", "properties": {"name": "EPSG:4326"}},
        {"type": "EPSG", "properties": {"code": 4326}},
    ],
)
def test_old_geojson_names_lon_lat_in_many_ways(tmp_path: Path, crs: object) -> None:
    assert grid_of(read_shape(tmp_path, POINT, crs=crs)) == grid_of(read_shape(tmp_path, POINT))


@pytest.mark.parametrize(
    ("crs", "word"),
    [
        (None, "is unknown"),
        ({"type": "link", "properties": {"href": "https://example.org"}}, "is unknown"),
        ({"type": "name", "properties": {"name": "EPSG:1"}}, "not a usable CRS"),
        ({"type": "name", "properties": {"name": "EPSG:5701"}}, "not a CRS of places"),
        ("EPSG:4326", "is unknown"),
    ],
)
def test_geojson_of_an_unknown_crs_is_refused(tmp_path: Path, crs: object, word: str) -> None:
    with pytest.raises(CatalogError, match=word):
        read_shape(tmp_path, POINT, crs=crs)


# --- GeoParquet and its relatives


def write_geo(path: Path, geo: dict[str, object] | None, **columns: object) -> Path:
    content = pa.table({"id": ["a"], "label": ["x"], **columns})
    if geo is not None:
        content = content.replace_schema_metadata({"geo": json.dumps(geo)})
    pq.write_table(content, path)
    return path


UTM = pyproj.CRS("EPSG:32632")
IN_UTM = shapely.Point(600_000, 5_360_000)


@pytest.mark.parametrize(
    ("column", "shape"),
    [
        ({"encoding": "WKB"}, POINT),
        ({"encoding": "WKB", "crs": UTM.to_json_dict()}, IN_UTM),
        ({"crs": UTM.to_json_dict()}, IN_UTM),
        ({"encoding": "WKB", "crs": UTM.to_wkt()}, IN_UTM),
        ({"encoding": "WKB", "crs": pyproj.CRS("OGC:CRS84").to_json_dict()}, POINT),
        ({"encoding": "WKB", "crs": pyproj.CRS("EPSG:4326").to_json_dict()}, POINT),
    ],
)
def test_geoparquet_of_any_version_names_column_and_crs(
    tmp_path: Path, column: dict[str, object], shape: shapely.Point
) -> None:
    geo = {"version": "0.1.0", "primary_column": "place", "columns": {"place": column}}
    found = read(write_geo(tmp_path / "a.parquet", geo, place=[shape.wkb]))
    lon, lat = (
        (shape.x, shape.y)
        if shape is POINT
        else project(*map(np.array, (shape.x, shape.y)), "EPSG:32632", WGS84)
    )
    west, south, east, north = grid_of(found).bounds()
    assert (west + east) / 2 == pytest.approx(float(lon), abs=1e-4)
    assert (south + north) / 2 == pytest.approx(float(lat), abs=1e-4)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("geo", "word"),
    [
        ({"primary_column": "g", "columns": {"g": {"encoding": "WKB", "crs": None}}}, "is unknown"),
        ({"primary_column": "g", "columns": {"g": {"encoding": "TWKB"}}}, "encoded as 'TWKB'"),
        ({"primary_column": "h", "columns": {"h": {"encoding": "WKB"}}}, "'h', which it lacks"),
        ({"primary_column": "g", "columns": {}}, "'g', which it lacks"),
        ({"primary_column": "g", "columns": {"g": {"crs": "EPSG:1"}}}, "not a usable CRS"),
        ([1], "cannot read the table"),
    ],
)
def test_geoparquet_that_cannot_be_placed_is_refused(tmp_path: Path, geo, word: str) -> None:
    with pytest.raises(CatalogError, match=word):
        read(write_geo(tmp_path / "a.parquet", geo, g=[POINT.wkb]))


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
@pytest.mark.parametrize(
    "shape",
    [
        POINT,
        shapely.MultiPoint([POINT]),
        square("EPSG:32632", 600_000, 5_360_000),
        shapely.MultiPolygon([square("EPSG:32632", 600_000, 5_360_000)]),
    ],
    ids=lambda shape: shape.geom_type,
)
def test_native_encodings_are_read(tmp_path: Path, encoding: str, shape: shapely.Geometry) -> None:
    frame = geopandas.GeoDataFrame({"id": ["a"], "label": ["x"]}, geometry=[shape], crs=4326)
    frame.to_parquet(tmp_path / "a.parquet", geometry_encoding=encoding)
    grid = grid_of(read(tmp_path / "a.parquet"))
    assert (grid.height, grid.width) == (64, 64)


@pytest.mark.parametrize("version", ["NONE", "V1", "V2", "BOTH"])
def test_tables_of_duckdb_are_read(tmp_path: Path, version: str) -> None:
    import duckdb

    duckdb.sql(
        "COPY (SELECT 'a' AS id, 'x' AS label, 'POINT(11.5 48.1)'::GEOMETRY AS shape) "
        f"TO '{tmp_path}/a.parquet' (FORMAT parquet, GEOPARQUET_VERSION '{version}')"
    )
    assert grid_of(read(tmp_path / "a.parquet")) == grid_of(read_shape(tmp_path, POINT))


def write_arrow(path: Path, kind: str, stated: object, values: object, name: str = "g") -> Path:
    about = {
        b"ARROW:extension:name": kind.encode(),
        b"ARROW:extension:metadata": json.dumps(stated).encode(),
    }
    column = pa.array(values)
    schema = pa.schema(
        [("id", pa.string()), ("label", pa.string()), pa.field(name, column.type, metadata=about)]
    )
    pq.write_table(pa.Table.from_arrays([["a"], ["x"], column], schema=schema), path)
    return path


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("geoarrow.wkb", IN_UTM.wkb),
        ("geoarrow.wkt", IN_UTM.wkt),
        ("geoarrow.point", {"x": 600_000.0, "y": 5_360_000.0}),
        ("geoarrow.point", [600_000.0, 5_360_000.0]),
    ],
)
def test_geoarrow_without_other_metadata_is_read(tmp_path: Path, kind: str, value: object) -> None:
    path = write_arrow(tmp_path / "a.parquet", kind, {"crs": UTM.to_json_dict()}, [value])
    assert grid_of(read(path)).transform == (10, 0, 599_680, 0, -10, 5_360_320)


@pytest.mark.parametrize(
    ("kind", "stated", "word"),
    [("geoarrow.wkb", {}, "is unknown"), ("geoarrow.box", {"crs": "EPSG:4326"}, "encoded as")],
)
def test_geoarrow_that_cannot_be_placed_is_refused(
    tmp_path: Path, kind: str, stated: object, word: str
) -> None:
    with pytest.raises(CatalogError, match=word):
        read(write_arrow(tmp_path / "a.parquet", kind, stated, [POINT.wkb]))


def test_a_column_geometry_without_metadata_is_lon_lat(tmp_path: Path) -> None:
    expected = grid_of(read_shape(tmp_path, POINT))
    for value in (POINT.wkb, POINT.wkt):
        assert grid_of(read(write_geo(tmp_path / "a.parquet", None, geometry=[value]))) == expected
    (tmp_path / "a.csv").write_text("id,label,geometry\na,x,POINT (11.5 48.1)\n")
    assert grid_of(read(tmp_path / "a.csv")) == expected
    (tmp_path / "a.csv").write_text("id,label,geometry\na,x,SRID=25832;POINT (11.5 48.1)\n")
    with pytest.raises(CatalogError, match=r"row 1 \(line 2\): patch a has a geometry that cannot"):
        read(tmp_path / "a.csv")


# --- Files of GIS programs


@pytest.fixture
def frame() -> geopandas.GeoDataFrame:
    shapes = [POINT, shapely.Point(11.6, 48.2)]
    columns = {"id": ["001", "b"], "label": ["Forest", "Water"], "country": ["DE", "AT"]}
    return geopandas.GeoDataFrame(columns, geometry=shapes, crs=4326)


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "shp"])
def test_files_of_gis_programs_are_read(
    tmp_path: Path, frame: geopandas.GeoDataFrame, suffix: str
) -> None:
    frame.to_file(tmp_path / f"a.{suffix}")
    found = read(tmp_path / f"a.{suffix}")
    grids = {patch.id: patch.grid for patch in found.patches}
    assert set(grids) == {"001", "b"}
    assert found.label_names == ("Forest", "Water")
    assert grids["001"] == grid_of(read_shape(tmp_path, POINT))
    assert found.notes == (
        "columns not used: country; `patches.keep` keeps them, `patches.ignore` leaves them out",
    )


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "shp"])
def test_files_of_gis_programs_without_crs_are_refused(
    tmp_path: Path, frame: geopandas.GeoDataFrame, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    frame.to_file(path)
    frame = frame.set_crs(None, allow_override=True)
    for old in tmp_path.iterdir():
        old.unlink()
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        frame.to_file(path)
    with pytest.raises(CatalogError, match="CRS of its geometries is unknown"):
        read(path)


def test_an_undefined_crs_of_a_geopackage_is_refused(
    tmp_path: Path, frame: geopandas.GeoDataFrame
) -> None:
    frame.to_file(tmp_path / "a.gpkg")
    with sqlite3.connect(tmp_path / "a.gpkg") as file:
        file.execute("UPDATE gpkg_geometry_columns SET srs_id = 0")
        file.execute("UPDATE gpkg_contents SET srs_id = 0")
    file.close()
    with pytest.raises(CatalogError, match="CRS of its geometries is unknown"):
        read(tmp_path / "a.gpkg")


def test_a_geopackage_of_several_layers_is_refused_naming_them(
    tmp_path: Path, frame: geopandas.GeoDataFrame
) -> None:
    for layer in ("one", "two"):
        frame.to_file(tmp_path / "a.gpkg", layer=layer)
    with pytest.raises(CatalogError, match=r"2 layers of geometries \(one, two\)"):
        read(tmp_path / "a.gpkg")


def test_a_geopackages_key_may_be_the_id(tmp_path: Path, frame: geopandas.GeoDataFrame) -> None:
    frame.drop(columns="id").to_file(tmp_path / "a.gpkg", layer_options={"FID": "id"})
    assert [patch.id for patch in read(tmp_path / "a.gpkg").patches] == ["1", "2"]


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "shp"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>/etc/passwd</SrcDataSource>",
        b'{"type": "FeatureCollection", "features": []}',
        b"SQLite format 3\0" + bytes(100),
        b"fgb\x03fgb\x00" + bytes(100),
    ],
)
def test_what_is_no_such_file_is_refused_whatever_else_it_is(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(content)
    with pytest.raises(CatalogError, match=rf"cannot read the table .*a\.{suffix}"):
        read(tmp_path / f"a.{suffix}")


def test_a_shapefile_without_encoding_is_read_as_far_as_nothing_is_guessed(
    tmp_path: Path, frame: geopandas.GeoDataFrame
) -> None:
    frame["label"] = ["Wäldchen", "Water"]
    frame.to_file(tmp_path / "a.shp")
    assert read(tmp_path / "a.shp").label_names == ("Water", "Wäldchen")
    (tmp_path / "a.cpg").unlink()
    with pytest.raises(CatalogError, match=r"letters of 'label' are encoded; write .* into a\.cpg"):
        read(tmp_path / "a.shp")


def test_what_gdal_warns_of_is_told_without_a_path_of_the_machine(
    tmp_path: Path, frame: geopandas.GeoDataFrame
) -> None:
    frame.to_file(tmp_path / "a.gpkg")
    content = (tmp_path / "a.gpkg").read_bytes()
    (tmp_path / "a.gpkg").write_bytes(content[:68] + bytes(4) + content[72:])
    (note,) = read(tmp_path / "a.gpkg").notes[:1]
    assert note == "GDAL says: GPKG: bad application_id=0x00000000 on 'a.gpkg'"


def test_a_shapefile_without_its_index_is_refused(
    tmp_path: Path, frame: geopandas.GeoDataFrame
) -> None:
    frame.to_file(tmp_path / "a.shp")
    (tmp_path / "a.shx").unlink()
    with pytest.raises(CatalogError, match=r"a\.shx"):
        read(tmp_path / "a.shp")
    assert pyogrio.get_gdal_config_option("OGR_SQLITE_PRAGMA") is None
