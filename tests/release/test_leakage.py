"""Pairs of splits that come near each other, against squares in a plane and against geodesics."""

import numpy as np
import pyproj
import pytest

from hfaef.core.grid import Grid
from hfaef.release.leakage import audit, near_pairs

NAMES = ("train", "validation", "test")


def ring(east, north, side=640.0, crs="EPSG:32632"):
    return Grid(crs, (10.0, 0.0, east, 0.0, -10.0, north), int(side / 10), int(side / 10)).ring()


def squares(corners):
    return np.array([ring(500_000 + east, 5_000_000 + north) for east, north in corners])


def square(lon, lat, side=0.001):
    return [
        (lon, lat),
        (lon, lat - side),
        (lon + side, lat - side),
        (lon + side, lat),
        (lon, lat),
    ]


@pytest.mark.parametrize(
    ("corner", "near", "shares"),
    [
        ((0, 0), True, 640 * 640),
        ((630, 0), True, 10 * 640),
        ((639, 639), True, 1),
        ((641, 0), True, 0),
        ((1639, 0), True, 0),
        ((1642, 0), False, 0),
        ((0, -1639), True, 0),
        ((1340, 1340), True, 0),  # 990 m from corner to corner
        ((1350, 1350), False, 0),  # 1,004 m
    ],
)
def test_distance_is_between_outlines(corner, near, shares):
    # UTM's scale at the central meridian is 0.9996: a metre on the map is 1.0004 on the ground.
    pairs, shared = near_pairs(squares([(0, 0), corner]))
    assert len(pairs) == near
    if near:
        assert shared[0] == pytest.approx(shares * 1.0004**2, rel=1e-3, abs=0.02)


@pytest.mark.parametrize("latitude", [-60.0, 0.5, 47.0, 80.0])
def test_one_kilometre_is_that_of_the_ellipsoid(latitude):
    geod = pyproj.Geod(ellps="WGS84")

    for azimuth in (90, 0):
        for metres, near in ((999.5, 1), (1000.5, 0)):
            start = (10.001, latitude) if azimuth == 90 else (10.0, latitude)
            lon, lat, _ = geod.fwd(*start, azimuth, metres)
            other = square(lon, lat) if azimuth == 90 else square(lon, lat + 0.001)
            pairs, _ = near_pairs(np.array([square(10.0, latitude), other]))
            assert len(pairs) == near, (azimuth, metres)


def test_patches_of_two_zones_are_compared():
    zone = Grid("EPSG:32633", (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), 64, 64)
    lon, lat = ring(730_000, 5_000_000)[0]
    x, y = pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform(lon, lat)
    moved = Grid(zone.crs, (10.0, 0.0, x, 0.0, -10.0, y), 64, 64).ring()
    pairs, shared = near_pairs(np.array([ring(730_000, 5_000_000), moved]))
    assert len(pairs) == 1
    assert shared[0] > 300_000


def test_leaks_are_counted_by_patch_and_by_pair():
    rings = squares([(0, 0), (320, 0), (1000, 0), (50_000, 0), (50_640, 0)])
    splits = {
        "random": ["train", "train", "test", "test", "validation"],
        "spatial": ["train", "train", "train", "test", "test"],
    }
    leaks = {(leak.scheme, leak.first, leak.second): leak for leak in audit(rings, splits, NAMES)}
    assert set(leaks) == {
        ("random", "train", "validation"),
        ("random", "train", "test"),
        ("random", "validation", "test"),
        ("spatial", "train", "test"),
    }
    beside = leaks["random", "train", "test"]
    assert (beside.patches, beside.near, beside.near_pairs) == (2, 1, 2)
    assert (beside.overlapping, beside.overlapping_pairs) == (0, 0)
    touching = leaks["random", "validation", "test"]
    assert (touching.near, touching.overlapping) == (1, 0)
    apart = leaks["spatial", "train", "test"]
    assert (apart.near, apart.near_pairs) == (0, 0)


def test_overlap_counts_patches_of_the_second_split():
    leaks = audit(squares([(0, 0), (320, 0), (400, 0)]), {"s": ["train", "train", "test"]}, NAMES)
    assert [(leak.overlapping, leak.overlapping_pairs) for leak in leaks] == [(1, 2)]


def test_pairs_are_those_of_comparing_all_with_all():
    import shapely

    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 20_000, (150, 2))
    pairs, _ = near_pairs(squares(corners))
    flat = shapely.box(*corners.T, *(corners + 640).T)
    distance = shapely.distance(flat[:, None], flat[None, :]) * 1.0004
    expected = {(i, j) for i, j in np.argwhere(distance <= 1000).tolist() if i < j}
    # A pair within half a metre of 1 km may fall on either side.
    unsure = {(i, j) for i, j in np.argwhere(abs(distance - 1000) < 0.5).tolist()}
    assert {tuple(pair) for pair in pairs.tolist()} - unsure == expected - unsure


def test_nothing_near_nothing():
    assert near_pairs(squares([(0, 0)]))[0].shape == (0, 2)
