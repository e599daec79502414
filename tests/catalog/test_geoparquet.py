"""GeoParquet of any version, and its relatives."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import pytest
import shapely

from hfaef.core.grid import WGS84, project
from hfaef.errors import CatalogError
from support.tables import POINT, grid_of, read, read_shape, square


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
