from __future__ import annotations

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import transform_bounds

from hfaef.core.aef import on_lattice
from hfaef.core.grid import WGS84, Grid, canonical_crs, misplaced, outlines, project, utm_crs


def test_centres_are_rasterios(utm_grid: Grid) -> None:
    x, y = utm_grid.centres()
    affine = rasterio.Affine(*utm_grid.transform)
    rows, columns = np.indices((64, 48))
    expected = rasterio.transform.xy(affine, rows.ravel(), columns.ravel(), offset="center")
    np.testing.assert_allclose(x.ravel(), expected[0])
    np.testing.assert_allclose(y.ravel(), expected[1])
    assert x.shape == y.shape == (64, 48)


@pytest.mark.parametrize("turn", [0.0, 2.5])
def test_a_mesh_broadcasts_to_the_centres_to_the_last_bit(utm_grid: Grid, turn: float) -> None:
    a, _, c, _, e, f = utm_grid.transform
    grid = Grid(utm_grid.crs, (a, turn, c, turn, e, f), utm_grid.height, utm_grid.width)
    for one, whole in zip(np.broadcast_arrays(*grid.mesh()), grid.centres(), strict=True):
        assert np.array_equal(one, whole)


def test_bounds_are_those_of_real_patches(shared, eurosat_grids: dict[str, Grid]) -> None:
    import csv

    with (shared / "eurosat/eurosat100_bounds.csv").open() as file:
        for row in csv.DictReader(file):
            expected = [float(row[key]) for key in ("lon_min", "lat_min", "lon_max", "lat_max")]
            assert eurosat_grids[row["name"]].bounds() == pytest.approx(expected, abs=2e-7)


@given(st.floats(200_000, 800_000), st.floats(100_000, 9_000_000), st.integers(1, 60))
def test_bounds_are_rasterios(x: float, y: float, zone: int) -> None:
    grid = Grid(f"EPSG:{32600 + zone}", (10.0, 0.0, x, 0.0, -10.0, y), 64, 64)
    expected = transform_bounds(grid.crs, WGS84, x, y - 640, x + 640, y)
    if expected[2] < expected[0]:
        with pytest.raises(ValueError, match="antimeridian"):
            grid.bounds()
    else:
        assert grid.bounds() == pytest.approx(expected, abs=1e-6)


def test_ring_is_closed_and_counter_clockwise(utm_grid: Grid) -> None:
    ring = shapely.Polygon(utm_grid.ring()).exterior
    assert utm_grid.ring()[0] == utm_grid.ring()[-1]
    assert ring.is_ccw


def test_a_south_up_grid_becomes_north_up_over_the_same_ground() -> None:
    grid = Grid("EPSG:32632", (10.0, 0.0, 600_000.0, 0.0, 10.0, 5_000_000.0), 20, 30)
    turned = grid.north_up()
    assert turned.transform == (10.0, 0.0, 600_000.0, 0.0, -10.0, 5_000_200.0)
    assert turned.bounds() == pytest.approx(grid.bounds())
    assert np.array_equal(turned.centres()[1], grid.centres()[1][::-1])


def test_a_rotated_grid_stays_as_it_is() -> None:
    grid = Grid("EPSG:32632", (8.0, 6.0, 600_000.0, 6.0, -8.0, 5_000_000.0), 20, 30)
    assert grid.north_up() == grid


@pytest.mark.parametrize(
    ("transform", "aligned"),
    [
        ((10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), True),
        ((10.0, 0.0, 500_005.0, 0.0, -10.0, 5_000_000.0), False),
        ((9.99, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), False),
        ((10.0, 0.0, 500_000.0, 0.0, 10.0, 5_000_000.0), False),
    ],
)
def test_whether_a_grid_lies_on_the_lattice(transform, aligned: bool) -> None:
    assert on_lattice(Grid("EPSG:32632", transform, 64, 64)) is aligned


@pytest.mark.parametrize(
    ("transform", "height", "word"),
    [
        ((0.0, 0.0, 1.0, 0.0, 0.0, 1.0), 64, "singular"),
        ((2.0, 4.0, 1.0, 1.0, 2.0, 1.0), 64, "singular"),
        ((10.0, 0.0, float("nan"), 0.0, -10.0, 1.0), 64, "finite"),
        ((10.0, 0.0, 0.0, 0.0, -10.0, 1.0), 0, "empty"),
    ],
)
def test_a_grid_without_extent_is_refused(transform, height: int, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Grid("EPSG:32632", transform, height, 64)


def test_a_place_off_the_earth_is_refused() -> None:
    with pytest.raises(ValueError, match="no place on Earth"):
        Grid(WGS84, (1.0, 0.0, 0.0, 0.0, -1.0, 500.0), 4, 4).bounds()


def test_outlines_of_many_are_those_of_each_in_their_order(eurosat_grids: dict[str, Grid]) -> None:
    turned = Grid("EPSG:32632", (8.0, 6.0, 600_000.0, 6.0, -8.0, 5_000_000.0), 20, 30)
    grids = [*eurosat_grids.values(), turned, Grid(WGS84, (0.1, 0, 8, 0, -0.1, 50), 3, 7)] * 4
    for grid, outline in zip(grids, outlines(grids), strict=True):
        assert outline.bounds == grid.bounds()
        assert outline.ring == grid.ring()
        assert list(shapely.from_wkb(outline.polygon).exterior.coords) == grid.ring()


def test_outlines_end_at_the_first_grid_that_has_none(utm_grid: Grid) -> None:
    off = Grid(WGS84, (1.0, 0.0, 0.0, 0.0, -1.0, 500.0), 4, 4)
    found = outlines([utm_grid, off, utm_grid])
    assert next(found).bounds == utm_grid.bounds()
    with pytest.raises(ValueError, match="no place on Earth"):
        next(found)


def test_grids_without_bounds_are_told_by_their_numbers(utm_grid: Grid) -> None:
    off = Grid(WGS84, (1.0, 0.0, 0.0, 0.0, -1.0, 500.0), 4, 4)
    across = Grid("EPSG:32601", (10.0, 0.0, 166_000.0, 0.0, -10.0, 40_000.0), 64, 64)
    found = misplaced([utm_grid, off] * 200 + [across])
    assert sorted(found) == [*range(1, 400, 2), 400]
    assert "no place on Earth" in found[399]
    assert "antimeridian" in found[400]


def test_one_crs_has_one_name() -> None:
    wkt = rasterio.CRS.from_epsg(32632).to_wkt()
    assert canonical_crs(wkt) == canonical_crs("epsg:32632") == "EPSG:32632"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("OGC:CRS84", "EPSG:4326"),
        ("+proj=longlat +datum=WGS84", "EPSG:4326"),
        ("+proj=utm +zone=32 +datum=WGS84", "EPSG:32632"),
        ("ESRI:102100", "EPSG:3857"),
        ("ESRI:31917", "EPSG:31986"),
        (rasterio.CRS.from_epsg(2180).to_wkt(), "EPSG:2180"),
        (pyproj.CRS("EPSG:3035").to_wkt(), "EPSG:3035"),
    ],
)
def test_a_crs_has_the_code_that_is_equal_to_it_by_whatever_name(text: str, code: str) -> None:
    assert canonical_crs(text) == code


@pytest.mark.parametrize(
    ("text", "code"), [("EPSG:4979", "EPSG:4326"), ("EPSG:25832+7837", "EPSG:25832")]
)
def test_heights_are_left_off(text: str, code: str) -> None:
    assert canonical_crs(text) == code


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("+proj=laea +lat_0=48 +lon_0=11 +datum=WGS84", "Lambert_Azimuthal_Equal_Area"),
        ("ESRI:54009", "Mollweide"),
        (pyproj.CRS("ESRI:102014").to_wkt(), "Lambert_Conformal_Conic_2SP"),
        ("ESRI:54002", "Equirectangular"),
    ],
)
def test_a_crs_without_a_code_is_wkt_1_of_the_same_ground(text: str, method: str) -> None:
    found = canonical_crs(text)
    assert found.startswith("PROJCS[")
    assert f'PROJECTION["{method}"]' in found
    lon, lat = np.linspace(5, 15, 11), np.linspace(45, 55, 11)
    for one, other in zip(
        project(lon, lat, WGS84, found), project(lon, lat, WGS84, text), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "+proj=ob_tran +o_proj=longlat +o_lat_p=30 +o_lon_p=0 +lon_0=10 +datum=WGS84",
        "ESRI:53035",
        "ESRI:37245",
    ],
)
def test_a_crs_that_wkt_1_has_no_words_for_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="WKT 1 cannot say"):
        canonical_crs(text)


@pytest.mark.parametrize("text", ["EPSG:4978", "EPSG:5701", 'LOCAL_CS["x",UNIT["metre",1]]'])
def test_a_crs_that_is_not_of_the_ground_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="places on the ground"):
        canonical_crs(text)


@pytest.mark.parametrize("text", ["", "EPSG:1", "hello"])
def test_what_is_no_crs_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a usable CRS"):
        canonical_crs(text)


@given(st.floats(-180, 180), st.floats(-79, 83))
def test_a_place_lies_in_its_utm_zone(longitude: float, latitude: float) -> None:
    crs = utm_crs(longitude, latitude)
    x, _ = project(np.array([longitude]), np.array([latitude]), WGS84, crs)
    assert 166_000 <= x[0] <= 834_000
    assert crs.startswith("EPSG:326" if latitude >= 0 else "EPSG:327")
