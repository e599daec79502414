"""Several patches in one request: the same bytes as one by one, on a service that knows them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sources.earthengine.test_source import GRIDS, HOLES, utm

from hfaef.build.staging.identity import source_identity
from hfaef.core.grid import Grid
from hfaef.core.quantize import NODATA
from hfaef.errors import BatchRefused, PermanentError, TooBig, Transient
from hfaef.recipe.model import EarthEngine, Recipe
from hfaef.sources.base import Batching, Pixels
from hfaef.sources.earthengine.limits import MAX_BYTES, batch_kind
from hfaef.sources.earthengine.limits import POINTS as AS_POINTS
from servers.earthengine import Conduct, Fault, Service, World, tiles_around
from servers.earthengine.client import TOKEN, expected, isolate, section, source_of

YEAR = 2018
SECTION = EarthEngine(kind="earthengine")


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)


WIDE = [utm(32, 9.2 + 0.01 * step, 50.1, size=64) for step in range(20)]
SHAPED = [replace(grid, height=24, width=24) for grid in GRIDS.values()]
"""Every sort of grid, as patches of one shape."""
POINTS = [utm(32, 9.2 + 0.003 * step, 50.1 + 0.002 * (step % 7), size=1) for step in range(300)]
POINTS += [
    Grid("EPSG:32632", (10.0, 0, x, 0, -10.0, 5_554_020.0), 1, 1)
    for x in np.arange(284_900.0, 285_600.0, 10.0).tolist()
]
"""Along a border of zones, and over a hole on it."""


@pytest.fixture(scope="module")
def world() -> World:
    return World(tiles_around([*GRIDS.values(), *WIDE, *POINTS], (YEAR, 2019), HOLES))


@pytest.fixture
def service(world: World) -> Iterator[Service]:
    with Service(world) as running:
        yield running


def codes_of(results: Sequence[Pixels | Exception]) -> list[np.ndarray]:
    assert all(isinstance(result, Pixels) for result in results)
    return [result.codes for result in results if isinstance(result, Pixels)]


def require_as_alone(service: Service, grids: Sequence[Grid], year: int = YEAR) -> None:
    with source_of(service) as source:
        together = source.read_batch(grids, year)
        asked = (
            service.conduct.tally.requests["pixels"] + service.conduct.tally.requests["features"]
        )
        assert asked == 1
        alone = [source.read(grid, year) for grid in grids]
    for grid, one, other in zip(grids, codes_of(together), alone, strict=True):
        assert one.tobytes() == other.codes.tobytes()
        assert (one == expected(service.world, grid, year)).all()
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Pixels)
        assert (one.origins, one.resampled, one.means) == (
            other.origins,
            other.resampled,
            other.means,
        )
        assert one.received == other.received
    assert sum(one.requests for one in together if isinstance(one, Pixels)) == 1


@pytest.mark.parametrize("first", range(0, len(SHAPED), 3))
def test_patches_of_every_crs_place_and_affine_come_together_as_alone(
    service: Service, first: int
) -> None:
    """Lattice or not, borders, corners, zones, the south, lon/lat, rotated, WKT: each once first."""
    require_as_alone(service, [*SHAPED[first:], *SHAPED[:first]])


def test_sixteen_patches_of_64_pixels_are_one_request(service: Service) -> None:
    require_as_alone(service, WIDE[:16])


def test_a_hole_and_another_year_are_the_patchs_own(service: Service) -> None:
    grids = [utm(32, 9.2, 50.1, size=64), *WIDE[3:6]]
    require_as_alone(service, grids, 2019)
    holes = [(expected(service.world, grid, 2019)[0] == NODATA).any() for grid in grids]
    assert holes == [True, False, False, False]


def test_hundreds_of_points_are_one_request(service: Service) -> None:
    require_as_alone(service, POINTS)
    assert service.conduct.tally.requests["features"] == 1


@pytest.mark.parametrize("size", [2, 5, 8])
def test_small_patches_are_points_too(service: Service, size: int) -> None:
    grids = [replace(utm(32, 9.2 + step / 100, 50.1, size=8), height=size) for step in range(6)]
    require_as_alone(service, grids)
    assert service.conduct.tally.requests["features"] == 1


def test_pages_shorter_than_asked_for_are_read_on(service: Service) -> None:
    service.conduct.max_features = 70
    with source_of(service) as source:
        found = source.read_batch(POINTS[:200], YEAR)
    for grid, codes in zip(POINTS[:200], codes_of(found), strict=True):
        assert (codes == expected(service.world, grid, YEAR)).all()
    assert service.conduct.tally.requests["features"] == 3
    assert sum(one.requests for one in found if isinstance(one, Pixels)) == 3


@settings(
    max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["EPSG:32632", "EPSG:32631", "EPSG:32633"]),
            st.floats(-200, 200),
            st.floats(-200, 200),
            st.floats(8, 12),
            st.floats(8, 12),
            st.sampled_from([(1, 0, 0, -1), (0.8, 0.6, 0.6, -0.8), (1, 0, 0, 1)]),
        ),
        min_size=2,
        max_size=5,
    )
)
def test_any_affines_come_together_as_the_closed_form(
    service: Service, places: list[tuple[str, float, float, float, float, tuple[float, ...]]]
) -> None:
    grids = []
    for crs, x, y, across, down, (a, b, d, e) in places:
        near = utm(int(crs[-2:]), 9.2, 50.1)
        west, north = near.transform[2] + x, near.transform[5] + y
        grids.append(Grid(crs, (a * across, b * down, west, d * across, e * down, north), 9, 11))
    with source_of(service) as source:
        found = codes_of(source.read_batch(grids, YEAR))
    for grid, codes in zip(grids, found, strict=True):
        assert (codes == expected(service.world, grid, YEAR)).all()


def test_pixels_moved_half_a_pixel_off_are_others(service: Service) -> None:
    service.conduct.half_a_pixel_off = True
    with source_of(service) as source:
        found = codes_of(source.read_batch(WIDE[:4], YEAR))
        assert (source.read(WIDE[0], YEAR).codes == expected(service.world, WIDE[0], YEAR)).all()
    for grid, codes in zip(WIDE[:4], found, strict=True):
        assert (codes != expected(service.world, grid, YEAR)).any()


@pytest.mark.parametrize(
    ("operation", "grids"),
    [
        ("Image.changeProj", WIDE[:3]),
        ("Image.reproject", WIDE[:3]),
        ("Image.cat", WIDE[:3]),
        ("Image.regexpRename", WIDE[:3]),
        ("Image.reduceRegions", POINTS[:3]),
        ("Reducer.forEach", POINTS[:3]),
    ],
)
def test_a_server_that_does_not_know_an_operation_reads_no_batches(
    service: Service, operation: str, grids: list[Grid]
) -> None:
    service.conduct.unknown = frozenset({operation})
    with source_of(service) as source:
        with pytest.raises(BatchRefused, match=operation):
            source.read_batch(grids, YEAR)
        assert source.read(grids[0], YEAR).codes.any()


def test_more_than_there_is_memory_for_is_too_big(service: Service) -> None:
    service.conduct.max_bands = 300
    with source_of(service) as source:
        with pytest.raises(TooBig, match="memory"):
            source.read_batch(WIDE[:8], YEAR)
        assert len(codes_of(source.read_batch(WIDE[:4], YEAR))) == 4


@pytest.mark.parametrize(
    "message",
    [
        "Computation timed out.",
        "Too many bands (512), more than 256.",
        "Request payload size exceeds the limit: 10485760 bytes.",
        "Output of image computation is too large.",
    ],
)
def test_what_is_too_much_together_may_pass_in_halves(service: Service, message: str) -> None:
    service.conduct.plan([Fault("status", 400, message)])
    with source_of(service) as source, pytest.raises(TooBig, match=message[:15]):
        source.read_batch(WIDE[:8], YEAR)


def test_a_patch_that_the_server_cannot_read_makes_no_refusal_of_batches(service: Service) -> None:
    with source_of(service) as source, pytest.raises(PermanentError, match="could not be parsed"):
        source.read_batch([SHAPED[0], replace(SHAPED[1], crs="ESRI:54009")], YEAR)


@pytest.mark.parametrize("kind", ["garbage", "html", "truncate", "reset"])
@pytest.mark.parametrize("grids", [WIDE[:3], POINTS[:3]], ids=["images", "points"])
def test_broken_answers_may_pass(service: Service, kind: str, grids: list[Grid]) -> None:
    service.conduct.plan([Fault(kind)])  # type: ignore[arg-type]
    with source_of(service) as source:
        with pytest.raises(Transient):
            source.read_batch(grids, YEAR)
        assert len(codes_of(source.read_batch(grids, YEAR))) == 3


def test_patches_that_are_not_aefs_stand_in_their_place_as_errors(service: Service) -> None:
    service.conduct.plan([Fault("zero")])
    with source_of(service) as source:
        found = source.read_batch(WIDE[:3], YEAR)
    assert all(isinstance(one, Transient) for one in found)


def kinds(grid: Grid, **keys: object) -> tuple[bool, int] | None:
    made = batch_kind(grid, YEAR, section_of(**keys))
    return made and (made.way == AS_POINTS, made.most)


def section_of(**keys: object) -> EarthEngine:
    return EarthEngine(**{"kind": "earthengine", **keys})


@pytest.mark.parametrize(
    ("side", "kind"),
    [
        (1, (True, 1000)),
        (2, (True, 1000)),
        (3, (True, 555)),
        (8, (True, 78)),
        (9, (False, 16)),
        (64, (False, 16)),
        (156, (False, 16)),
        (157, (False, 15)),
        (256, (False, 6)),
        (400, (False, 2)),
        (500, None),
        (4096, None),
    ],
)
def test_as_many_as_bands_and_bytes_allow(side: int, kind: tuple[bool, int] | None) -> None:
    grid = utm(32, 9.2, 50.1, size=side)
    assert kinds(grid) == kind
    if kind and not kind[0]:
        assert kind[1] * side * side * 64 * 2 <= MAX_BYTES
        assert kind[1] * 64 <= 1024


def test_the_recipe_may_ask_for_fewer_or_none() -> None:
    grid, small = utm(32, 9.2, 50.1, size=64), utm(32, 9.2, 50.1, size=1)
    assert kinds(grid, batch=4) == (False, 4)
    assert kinds(small, batch=4) == (True, 4)
    assert kinds(grid, batch=100) == (False, 16)
    assert kinds(grid, batch=1) is kinds(small, batch=1) is None
    assert kinds(grid, reader="xee") is None


@pytest.mark.parametrize("value", ["all", 0, -3, 2.5, True, None, "1"])
def test_what_is_no_number_of_patches_is_refused_in_one_sentence(value: object) -> None:
    with pytest.raises(ValidationError, match='"auto", or how many patches, 1 or more') as caught:
        section_of(batch=value)
    assert caught.value.error_count() == 1


def test_how_patches_are_read_is_no_part_of_a_release() -> None:
    text = 'name = "P"\nyears = [2018]\n[patches]\nkind = "table"\npath = "p.csv"\nsize = 8\n'
    recipes = [
        Recipe(**{**tomllib.loads(text), "source": section_of(batch=batch)})
        for batch in ("auto", 1, 7)
    ]
    assert len({recipe.digest() for recipe in recipes}) == 1
    assert len({str(source_identity(recipe.source)) for recipe in recipes}) == 1


def test_small_patches_beside_the_lattice_are_images() -> None:
    assert kinds(utm(32, 9.2, 50.1, size=4, off=1.5)) == (False, 16)
    assert kinds(utm(32, 9.2, 50.1, size=4, step=9.99)) == (False, 16)
    assert kinds(replace(GRIDS["lon/lat"], height=2, width=2)) == (False, 16)


def test_points_of_other_zones_or_years_are_of_another_kind_and_images_of_other_zones_are_not() -> (
    None
):
    point = utm(32, 9.2, 50.1, size=1)
    other = replace(point, crs="EPSG:32633")
    assert batch_kind(point, YEAR, SECTION) != batch_kind(other, YEAR, SECTION)
    assert batch_kind(point, YEAR, SECTION) != batch_kind(point, 2019, SECTION)
    far = replace(WIDE[0], crs="EPSG:32633")
    assert batch_kind(WIDE[0], YEAR, SECTION) == batch_kind(far, YEAR, SECTION)


def test_the_source_says_that_it_reads_batches(service: Service) -> None:
    with source_of(service) as source:
        assert isinstance(source, Batching)
    assert section(service).batch == "auto"
    assert Conduct().max_bands == 1024
