"""Pixels from Earth Engine: the real clients, on a service whose every pixel is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyproj
import pytest

from hfaef.build.fetch.read import read_grid
from hfaef.build.fetch.retry import Policy
from hfaef.core.grid import Grid, canonical_crs, project, utm_zone
from hfaef.core.quantize import NODATA
from hfaef.errors import PermanentError, RecipeError, TooBig
from hfaef.sources.earthengine.limits import MAX_SIDE, fits, max_pixels
from servers.earthengine import Conduct, Service, Tile, World, tiles_around
from servers.earthengine.client import PROJECT, TOKEN, expected, isolate, source_of

YEAR = 2018
SIDE = 163_840.0


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)


def utm(
    zone: int,
    longitude: float,
    latitude: float,
    *,
    size: int = 24,
    step: float = 10.0,
    off: float = 0.0,
    south: bool = False,
) -> Grid:
    """A grid round a place, on the lattice or `off` metres beside it."""
    crs = f"EPSG:{(32700 if south else 32600) + zone}"
    x, y = (float(v) for v in project(np.array(longitude), np.array(latitude), "EPSG:4326", crs))
    west, north = (round(v / 10) * 10 + off for v in (x - size * 5, y + size * 5))
    return Grid(crs, (step, 0.0, west, 0.0, -step, north), size, size)


# Zones 31 and 32 meet at 6 degrees east; an image of 32N ends 163,840 m east of its middle.
BORDER = Grid("EPSG:32632", (10.0, 0, 500_000 + SIDE - 120, 0, -10.0, 5_500_000.0), 24, 24)
CORNER = Grid("EPSG:32632", (9.97, 0, 500_000 - 101.3, 0, -9.98, 5_242_880 + 83.1), 24, 24)
GRIDS = {
    "lattice": utm(32, 9.2, 50.1),
    "off the lattice": utm(32, 9.2, 50.1, step=9.983, off=3.21),
    "image border": BORDER,
    "image corner": CORNER,
    "zone border in 32N": utm(32, 6.0, 50.1, size=40, off=1.7),
    "zone border in 31N": utm(31, 6.0, 50.1, size=40),
    "wrong zone": utm(33, 9.2, 50.1),
    "south": utm(34, 20.5, -33.3, south=True),
    "lon/lat": Grid("EPSG:4326", (1e-4, 0, 5.9990, 0, -1e-4, 50.1), 20, 24),
    "rotated": Grid("EPSG:32632", (8.0, 6.0, 512_345.6, 6.0, -8.0, 5_543_210.9), 24, 20),
    "as WKT": Grid(
        canonical_crs("+proj=laea +lat_0=52.1 +lon_0=10 +datum=WGS84"),
        (10.0, 0, -3000.0, 0, -10.0, 4000.0),
        24,
        24,
    ),
}
HOLES = (
    ("32N", (513_000.0, 5_549_600.0, 514_400.0, 5_549_800.0)),
    ("32N", (285_000.0, 5_553_900.0, 285_500.0, 5_554_100.0)),
)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    tiles = tiles_around([*GRIDS.values(), utm(32, 9.2, 50.1, size=64)], (YEAR, 2019), HOLES)
    with Service(World(tiles)) as running:
        yield running


@pytest.mark.parametrize("name", GRIDS)
def test_every_pixel_is_the_closed_form_at_its_place(service: Service, name: str) -> None:
    grid = GRIDS[name]
    with source_of(service) as source:
        pixels = source.read(grid, YEAR)
    wanted = expected(service.world, grid, YEAR)
    assert (wanted != NODATA).any()
    assert (pixels.codes != wanted).sum() == 0


def test_the_grids_cross_what_they_should() -> None:
    tiles = tiles_around([BORDER], (YEAR,))
    assert len({tile.west for tile in tiles if tile.zone == "32N"}) == 2
    assert len([tile for tile in tiles_around([CORNER], (YEAR,)) if tile.zone == "32N"]) == 4


@pytest.mark.parametrize("crs", ["ESRI:54009", pyproj.CRS("ESRI:54009").to_wkt()])
def test_a_crs_that_the_server_cannot_read_is_refused_there(service: Service, crs: str) -> None:
    with source_of(service) as source, pytest.raises(PermanentError, match="could not be parsed"):
        source.read(replace(GRIDS["as WKT"], crs=crs), YEAR)


@pytest.mark.parametrize("name", ["ESRI:54009", "ESRI:102014", "+proj=igh +datum=WGS84"])
def test_every_canonical_crs_can_be_read_there(service: Service, name: str) -> None:
    crs = canonical_crs(name)
    x, y = (float(v) for v in project(np.array(9.15), np.array(50.12), "EPSG:4326", crs))
    grid = Grid(crs, (10.0, 0, x, 0, -10.0, y), 8, 8)
    with source_of(service) as source:
        codes = source.read(grid, YEAR).codes
    assert (codes == expected(service.world, grid, YEAR)).all()
    assert (codes != NODATA).any()


@pytest.mark.parametrize("name", [name for name in GRIDS if name != "as WKT"])
def test_both_readers_give_the_same_bytes(service: Service, name: str) -> None:
    answers = []
    for reader in ("pixels", "xee"):
        with source_of(service, reader=reader) as source:
            answers.append(source.read(GRIDS[name], YEAR))
    assert answers[0].codes.tobytes() == answers[1].codes.tobytes()
    assert answers[0].origins == answers[1].origins


def test_years_differ(service: Service) -> None:
    with source_of(service, years=[YEAR, 2019]) as source:
        first, second = (source.read(GRIDS["lattice"], year).codes for year in (YEAR, 2019))
    assert (first != second).any()
    assert (second == expected(service.world, GRIDS["lattice"], 2019)).all()


def test_a_hole_falls_through_to_another_zone_or_is_nodata(service: Service) -> None:
    whole = World(tiles_around([*GRIDS.values(), utm(32, 9.2, 50.1, size=64)], (YEAR,)))
    seen = set()
    for grid in (utm(32, 9.2, 50.1, size=64), GRIDS["zone border in 32N"]):
        with source_of(service) as source:
            codes = source.read(grid, YEAR).codes
        assert (codes == expected(service.world, grid, YEAR)).all()
        without_hole = expected(whole, grid, YEAR)
        changed = (codes != without_hole).any(axis=0)
        assert changed.any()
        seen.add(bool((codes[:, changed] == NODATA).all()))
    assert seen == {True, False}


def test_of_overlapping_images_the_higher_index_lies_on_top() -> None:
    # Beside the lattice, so that their pixels differ.
    low = Tile("xa", "32N", 500_000.0, 5_540_000.0, (YEAR,))
    high = Tile("xb", "32N", 500_003.0, 5_540_004.0, (YEAR,))
    grid = utm(32, 9.2, 50.1)
    for tiles in ((low, high), (high, low)):
        with Service(World(tiles)) as service, source_of(service) as source:
            codes = source.read(grid, YEAR).codes
        assert (codes == expected(World((high,)), grid, YEAR)).all()
    assert (codes != expected(World((low,)), grid, YEAR)).any()


@pytest.mark.parametrize("reader", ["pixels", "xee"])
def test_a_place_without_data_is_nodata_and_no_zeros_and_its_patch_fails_for_good(
    service: Service, reader: str
) -> None:
    inside_hole = Grid("EPSG:32632", (10.0, 0, 513_100.0, 0, -10.0, 5_549_790.0), 10, 10)
    with source_of(service, reader=reader) as source:
        for grid in (utm(32, 9.2, 20.0), inside_hole):
            assert (source.read(grid, YEAR).codes == NODATA).all()
            with pytest.raises(PermanentError, match=r"^no data there in 2018"):
                read_grid(source, grid, YEAR, Policy())


def test_no_wrong_pixel_on_all_real_eurosat_grids(eurosat_grids: dict[str, Grid]) -> None:
    grids = list(eurosat_grids.values())
    wrong = 0
    with Service(World(tiles_around(grids, (YEAR,)))) as service:
        with source_of(service, years=[YEAR]) as source:
            for grid in grids:
                pixels = source.read(grid, YEAR)
                wrong += int((pixels.codes != expected(service.world, grid, YEAR)).sum())
                assert pixels.resampled
        requests = service.conduct.tally.requests
    assert len(grids) == 100
    assert wrong == 0
    assert requests["pixels"] == 100
    assert sum(requests.values()) - 100 <= 10


def test_a_patch_costs_one_request_and_a_build_four_more(service: Service) -> None:
    service.conduct.tally.requests.clear()
    with source_of(service) as source:
        source.read(GRIDS["lattice"], YEAR)
        source.read(GRIDS["zone border in 32N"], YEAR)
    assert service.conduct.tally.requests == {
        "discovery": 2,
        "algorithms": 1,
        "value": 1,
        "pixels": 2,
    }


def test_xee_costs_two_requests_a_patch(service: Service) -> None:
    with source_of(service, reader="xee") as source:
        service.conduct.tally.requests.clear()
        assert source.read(GRIDS["lattice"], YEAR).requests == 2
    assert service.conduct.tally.requests == {"value": 1, "pixels": 1}


def test_origins_and_resampled_say_what_was_read(service: Service) -> None:
    with source_of(service) as source:
        pixels = {name: source.read(grid, YEAR) for name, grid in GRIDS.items()}
    assert pixels["lattice"].origins == (
        "GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL 2018, dataset 1.1, model 2.1",
    )
    whole = {"lattice", "image border", "zone border in 31N", "wrong zone", "south"}
    assert {name for name, answer in pixels.items() if not answer.resampled} == whole


def test_requests_carry_project_tag_and_agent(service: Service) -> None:
    tally = service.conduct.tally
    tally.tags.clear()
    tally.agents.clear()
    tally.projects.clear()
    with source_of(service, workload_tag="eurosat-2018") as source:
        source.read(GRIDS["lattice"], YEAR)
    assert set(tally.tags) == {"eurosat-2018"}
    assert any(agent.startswith("hfaef/") for agent in tally.agents)
    assert tally.projects[PROJECT] == 3


def test_years_of_the_collection_are_known_before_the_first_patch(service: Service) -> None:
    with source_of(service) as source:
        assert source.years == (YEAR, 2019)
        with pytest.raises(RecipeError, match=r"2020.*choose among 2018, 2019"):
            source.require([YEAR, 2020])
        with pytest.raises(RecipeError, match="choose among 2018, 2019"):
            source.read(GRIDS["lattice"], 2020)


def test_a_grid_over_the_servers_limit_is_split_and_joined() -> None:
    grid = utm(32, 9.2, 50.1, size=31, step=9.99)
    whole = 31 * 31 * 64 * 2
    for allowed, requests in ((whole, 1), (whole - 1, 1 + 2), (whole // 3, 1 + 2 + 4)):
        conduct = Conduct(max_bytes=allowed)
        with Service(World(tiles_around([grid], (YEAR,))), conduct) as service:
            with source_of(service) as source:
                pixels = read_grid(source, grid, YEAR, Policy())
            assert (pixels.codes == expected(service.world, grid, YEAR)).all()
            assert service.conduct.tally.requests["pixels"] == requests


STRIP = Grid("EPSG:32632", (0.1, 0, 512_000.0, 0, -0.1, 5_549_400.0), 1, MAX_SIDE + 1)


@pytest.mark.parametrize(("reader", "side"), [("pixels", 640), ("xee", 400)])
def test_a_grid_over_the_known_limit_is_not_asked_for(
    service: Service, reader: str, side: int
) -> None:
    with source_of(service, reader=reader) as source:
        service.conduct.tally.requests.clear()
        with pytest.raises(TooBig, match=rf"^{side} x {side} pixels.*{reader} holds"):
            source.read(utm(32, 9.2, 50.1, size=side), YEAR)
        with pytest.raises(TooBig, match=r"^1 x 32,769 pixels.*and 32,768 a side"):
            source.read(STRIP, YEAR)
    assert not service.conduct.tally.requests


def test_a_grid_over_the_known_limit_comes_whole_in_two_requests(service: Service) -> None:
    with source_of(service) as source:
        service.conduct.tally.requests.clear()
        pixels = read_grid(source, STRIP, YEAR, Policy())
    assert pixels.requests == sum(service.conduct.tally.requests.values()) == 2
    assert (pixels.codes == expected(service.world, STRIP, YEAR)).all()


def test_a_big_grid_whose_one_half_has_no_data_is_joined_too() -> None:
    tile = Tile("xa", "32N", 500_000.0, 5_540_000.0, (YEAR,))
    grid = Grid("EPSG:32632", (10.0, 0, 499_840.0, 0, -10.0, 5_549_790.0), 16, 32)
    with Service(World((tile,)), Conduct(max_bytes=16 * 16 * 64 * 2)) as service:
        with source_of(service) as source:
            codes = read_grid(source, grid, YEAR, Policy()).codes
        assert (codes == expected(service.world, grid, YEAR)).all()
    assert (codes[:, :, :16] == NODATA).all()
    assert (codes[:, :, 16:] != NODATA).any()


def test_limits_are_known_beforehand() -> None:
    assert max_pixels("pixels") == 627**2 + 87 == 393_216
    assert max_pixels("xee") == 157_286
    grid = Grid("EPSG:32632", (10.0, 0, 0, 0, -10.0, 0), 627, 627)
    assert fits(grid, "pixels")
    assert not fits(grid, "xee")
    assert not fits(Grid(grid.crs, grid.transform, 628, 628), "pixels")
    assert not fits(Grid(grid.crs, grid.transform, 1, MAX_SIDE + 1), "pixels")


@pytest.mark.parametrize(("height", "width"), [(7, 4), (4, 7), (2, 1), (1, 2), (5, 5)])
def test_halves_are_the_whole(height: int, width: int) -> None:
    grid = Grid("EPSG:32632", (8.0, 6.0, 512_345.6, 6.0, -8.0, 5_543_210.9), height, width)
    first, second, axis = grid.halves()
    for whole, one, two in zip(grid.centres(), first.centres(), second.centres(), strict=True):
        np.testing.assert_allclose(np.concatenate([one, two], axis=axis - 1), whole, rtol=1e-15)
    assert abs(first.height * first.width - second.height * second.width) <= max(height, width)


def test_a_pixel_has_no_halves() -> None:
    with pytest.raises(ValueError, match="empty"):
        Grid("EPSG:32632", (10.0, 0, 0, 0, -10.0, 0), 1, 1).halves()


@pytest.mark.parametrize(
    ("crs", "zone"),
    [
        ("EPSG:32632", "32N"),
        ("EPSG:32701", "1S"),
        ("EPSG:32660", "60N"),
        ("EPSG:32661", None),
        ("EPSG:4326", None),
        ("EPSG:25832", None),
    ],
)
def test_utm_zones(crs: str, zone: str | None) -> None:
    assert utm_zone(crs) == zone
