"""Geometries in any coordinate reference system that a file may name."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from hfaef.core.grid import project
from hfaef.errors import CatalogError
from support.tables import POINT, grid_of, read, read_shape


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
