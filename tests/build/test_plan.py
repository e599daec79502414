from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
import rasterio
from build.test_pipeline import demo_recipe
from conftest import World as Tiles
from hypothesis import given, settings
from hypothesis import strategies as st

from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import read_patch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.pipeline import build
from hfaef.build.plan import (
    cog_cost,
    earth_engine_cost,
    make_plan,
    request_count,
    sort_by_block,
)
from hfaef.build.staging.store import Store
from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Patch
from hfaef.core.aef import TILE, Tile, overview_level
from hfaef.core.grid import WGS84, Grid, project, utm_crs
from hfaef.core.quantize import dequantize, quantize
from hfaef.recipe.model import Cog, EarthEngine
from hfaef.sources import open_source
from hfaef.sources.base import Prefetching
from hfaef.sources.cog.tiling import Block, block_of, blocks_of
from hfaef.sources.demo import tiles
from hfaef.sources.demo.bigtiff import write_chunks
from servers.earthengine import Service, World, tiles_around
from servers.earthengine.client import TOKEN, isolate, source_of
from servers.files import FileServer
from support.fakes import patches

ENGINE = EarthEngine(kind="earthengine", batch=1)
IN_BATCHES = EarthEngine(kind="earthengine")
PUBLISHED = Cog(kind="cog", root="https://data.example/aef")


def blocks_by_pixel(grid: Grid) -> set[Block]:
    """Blocks of a grid in its own zone, of every pixel centre."""
    x, y = grid.centres()
    columns = np.floor((x - 500_000) / 10_240).astype(int)
    rows = np.floor(y / 10_240).astype(int)
    places = np.unique(columns + 1j * rows)
    return {
        Block(Tile(grid.crs, c // 8, r // 8), c % 8, r % 8)
        for c, r in zip(places.real.astype(int), places.imag.astype(int), strict=True)
    }


@settings(max_examples=40)
@given(
    st.floats(450_000, 550_000),
    st.floats(4_000_000, 6_000_000),
    st.integers(16, 1500),
    st.floats(9.9, 10.1),
)
def test_blocks_are_those_of_the_pixels(x: float, y: float, side: int, step: float) -> None:
    grid = Grid("EPSG:32632", (step, 0.0, x, 0.0, -step, y), side, side)
    expected = blocks_by_pixel(grid)
    found = set(blocks_of([grid]))
    assert expected <= found
    # A pixel's centre may stop short of a block that its edge reaches into.
    assert len(found) <= len(expected) + 2 * side // 1024 + 5


def test_patches_share_their_blocks() -> None:
    grids = [Grid("EPSG:32632", (10, 0, 510_000.0 + 3 * n, 0, -10, 5.3e6), 8, 8) for n in range(50)]
    assert len(blocks_of(grids)) == 1
    assert len({block_of(grid) for grid in grids}) == 1


def test_a_patch_in_anothers_zone_is_looked_up_where_it_lies() -> None:
    x, y = project(np.array([12.5]), np.array([48.0]), WGS84, "EPSG:32632")
    grid = Grid("EPSG:32632", (10, 0, float(x[0]), 0, -10, float(y[0])), 64, 64)
    assert {block.tile.crs for block in blocks_of([grid])} == {"EPSG:32633"}


def test_a_patch_on_a_border_of_zones_is_looked_up_in_both() -> None:
    x, y = project(np.array([12.049]), np.array([48.0]), WGS84, "EPSG:32632")
    grid = Grid("EPSG:32632", (10, 0, float(x[0]), 0, -10, float(y[0])), 64, 64)
    assert {block.tile.crs for block in blocks_of([grid])} == {"EPSG:32632", "EPSG:32633"}


def test_patches_in_degrees_and_in_the_south_have_blocks_too() -> None:
    grid = Grid(WGS84, (1e-4, 0, -70.0, 0, -1e-4, -33.0), 64, 64)
    [block, *_] = blocks_of([grid])
    assert block.tile.crs == utm_crs(-70.0, -33.0) == "EPSG:32719"
    assert block.tile.row < 0


@pytest.mark.parametrize(
    ("side", "requests"), [(64, 1), (627, 1), (628, 2), (1254, 4), (1256, 8), (4096, 64)]
)
def test_parts_of_a_large_patch_are_counted_as_they_are_read(side: int, requests: int) -> None:
    assert request_count(side, side, "pixels") == requests


def test_a_strip_is_counted_in_parts_too() -> None:
    """A side has a limit of its own, whatever the other one is."""
    assert request_count(1, 32_768, "pixels") == 1
    assert request_count(1, 32_769, "pixels") == 2
    assert request_count(32_769, 1, "xee") == 4


def test_earth_engine_needs_a_request_a_patch_and_few_more() -> None:
    cost = earth_engine_cost(patches(27_000, side=64), ENGINE)
    assert cost.requests == 27_004
    assert cost.bytes == pytest.approx(7.1e9, rel=0.01)
    assert cost.seconds == pytest.approx(270, rel=0.01)


def test_batches_need_a_sixteenth_of_the_requests_and_few_checks() -> None:
    cost = earth_engine_cost(patches(27_000, side=64), IN_BATCHES)
    assert cost.requests == 4 + 1688 + cost.checks < 1800
    assert cost.checks == 16 + 54 + 1
    assert cost.bytes == pytest.approx(7.1e9, rel=0.01)
    assert cost.pixels == 27_000 * 4096
    assert (cost.requests_one_by_one, cost.seconds_one_by_one) == (
        27_004,
        earth_engine_cost(patches(27_000, side=64), ENGINE).seconds,
    )
    assert cost.seconds < cost.seconds_one_by_one / 5


def test_points_need_a_thousandth_of_the_requests_and_few_checks() -> None:
    points = [
        replace(patch, grid=replace(patch.grid, transform=(10.0, 0, 4e5 + 10 * n, 0, -10.0, 5e6)))
        for n, patch in enumerate(patches(10_000, side=1))
    ]
    cost = earth_engine_cost(points, IN_BATCHES)
    assert cost.requests - 4 - cost.checks == 10
    assert cost.requests < 100


def test_published_files_cost_whole_blocks() -> None:
    cost = cog_cost(patches(40, side=64), PUBLISHED)
    assert (cost.units, cost.requests, cost.bytes) == (1, 64, 45_000_000)


def test_years_share_nothing() -> None:
    both = [*patches(40, side=64), *patches(40, side=64, year=2019)]
    assert cog_cost(both, PUBLISHED).units == 2


def test_patches_of_a_unit_are_read_one_after_another() -> None:
    shuffled = patches(3000)
    np.random.default_rng(0).shuffle(shuffled)
    seen = [block_of(patch.grid) for patch in sort_by_block(shuffled)]
    changes = sum(one != other for one, other in itertools.pairwise(seen))
    assert changes == len(set(seen)) - 1


def test_the_plan_of_the_demo_is_what_its_build_then_counts(
    demo_root: Path, tmp_path: Path
) -> None:
    recipe = demo_recipe(demo_root)
    plan = make_plan(recipe, open_catalog(recipe))
    built = build(recipe, tmp_path / "out")
    with Store(tmp_path / "out") as store:
        outcomes = store.outcomes().values()
    cost = plan.costs[0]
    assert cost.source == "cog"
    assert cost.requests == pytest.approx(sum(o.requests for o in outcomes), rel=0.1)
    assert cost.bytes == pytest.approx(sum(o.bytes for o in outcomes), rel=0.1)
    staged = sum(path.stat().st_size for path in (tmp_path / "out/.staging").rglob("*.npy"))
    assert plan.staged_bytes == staged
    released = sum(file.bytes for file in built.manifest.files)
    assert plan.disk_bytes == pytest.approx(staged + released, rel=0.1)


@pytest.mark.parametrize("metres", [20, 40, 80, 160])
def test_a_plan_for_coarser_pixels_is_what_is_then_counted(
    demo_root: Path, tmp_path: Path, metres: int
) -> None:
    recipe = demo_recipe(
        demo_root,
        "patches.kind=table",
        f"patches.path={demo_root / 'data/demo/points.csv'}",
        "patches.target=number",
        "patches.size=16",
        f"patches.resolution={metres}",
    )
    catalog = open_catalog(recipe)
    assert {overview_level(patch.grid) for patch in catalog.patches} == {
        round(np.log2(metres / 10))
    }
    cost = make_plan(recipe, catalog).costs[0]
    requests, received = counted(recipe.source, list(catalog.patches), tmp_path)
    assert cost.requests == pytest.approx(requests, rel=0.1)
    assert cost.bytes == pytest.approx(received, rel=0.1)


def test_published_overviews_cost_fewer_blocks_and_the_small_ones_less_of_one() -> None:
    def cost(metres: int) -> tuple[int, int]:
        step = metres * 1024
        grids = [
            Grid("EPSG:32632", (metres, 0, 500_000, 0, -metres, step * (20 + n)), 64, 64)
            for n in range(4)
        ]
        found = cog_cost(
            [Patch(f"P{n}", grid, "Land", {}, 2018) for n, grid in enumerate(grids)], PUBLISHED
        )
        return found.units, found.bytes

    assert cost(10) == cost(80) == (4, 4 * 45_000_000)
    assert cost(160) == (4, 45_000_000)


@pytest.mark.parametrize(
    ("reader", "sides"), [("pixels", [64] * 58 + [640, 700]), ("xee", [64] * 12 + [128])]
)
def test_the_plan_for_earth_engine_is_what_its_service_then_counts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reader: Literal["pixels", "xee"],
    sides: list[int],
) -> None:
    """Two patches are too big for one request; however busy the machine is, none is hedged."""
    policy = Policy(min_hedge_delay=Policy().deadline)
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)
    grids = [
        Grid("EPSG:32632", (9.97, 0, 512_345.6, 0, -9.98, 5_549_210.9), side, side)
        for side in sides
    ]
    wanted = [Patch(f"P{number}", grid, "Land", {}, 2018) for number, grid in enumerate(grids)]
    plan = earth_engine_cost(wanted, ENGINE.model_copy(update={"reader": reader}))
    with (
        Service(World(tiles_around(grids, (2018,)))) as service,
        source_of(service, reader=reader, timeout=policy.deadline) as source,
        Store(tmp_path / "out") as store,
    ):
        executor = ThreadExecutor(partial(read_patch, source, store.pixels, policy), 8)
        fetch(wanted, executor, store, policy=policy)
        outcomes = store.outcomes().values()
        counted = sum(service.conduct.tally.requests.values())
    assert all(outcome.fetched for outcome in outcomes)
    assert plan.requests == counted
    assert plan.requests - 4 == sum(outcome.requests for outcome in outcomes)
    assert plan.bytes == sum(outcome.bytes for outcome in outcomes)


@pytest.mark.parametrize("served", [False, True])
def test_the_plan_of_eurosat_is_what_is_then_counted(
    eurosat_world: Tiles, eurosat_grids: dict[str, Grid], tmp_path: Path, served: bool
) -> None:
    """Real places: one patch a tile, some across tiles, some in another zone's numbers."""
    wanted = sort_by_block(
        [Patch(name, grid, "Land", {}, 2018) for name, grid in eurosat_grids.items()]
    )
    with FileServer(eurosat_world.root) as server:
        section = Cog(kind="cog", root=server.url if served else str(eurosat_world.root))
        cost = cog_cost(wanted, section)
        requests, received = counted(section, wanted, tmp_path)
    assert cost.requests == pytest.approx(requests, rel=0.1)
    if not served:  # the world is sparse, which nobody knows of served files
        assert cost.bytes == pytest.approx(received, rel=0.1)


@pytest.mark.slow
def test_the_plan_for_served_files_is_what_is_then_counted_on_real_codes(
    shared: Path, tmp_path: Path
) -> None:
    """A row of four whole blocks, as compressed as the published ones."""
    tile = Tile("EPSG:32632", 0, 64)
    with rasterio.open(shared / "aef/wisconsin_2024_utm16n_16band_10km.tif") as file:
        codes = file.read()
    rows, columns = (1024 - side for side in codes.shape[1:])
    codes = np.pad(codes, ((0, 0), (0, rows), (0, columns)), mode="reflect")
    # Four times the same bands, so half of the length that makes all of them unit vectors.
    values = dequantize(codes)
    codes = quantize(values / (2 * np.linalg.norm(values, axis=0)))
    codec = pa.Codec("zstd", compression_level=1)
    chunks = [codec.compress(band.tobytes(), asbytes=True) for band in codes]
    path = tmp_path / "aef/2018" / tile.zone / tiles.tile_name(tile)
    path.parent.mkdir(parents=True)
    write_chunks(
        path,
        [{(band, 3, column): chunks[band % 16] for band in range(64) for column in range(4)}],
        epsg=32632,
        transform=tile.grid.transform,
        side=TILE,
        order="bands",
    )
    tiles.write_index(tmp_path / "aef", [(2018, tile)])
    places = [(column, step) for column in range(4) for step in range(5)]
    grids = [
        Grid("EPSG:32632", (10, 0, tile.west + 10_240 * c + 1_900 * s, 0, -10, north), 64, 64)
        for c, s in places
        for north in (tile.south + 10_240 * 3.5 + 300 * s,)
    ]
    wanted = [Patch(f"P{number}", grid, "Land", {}, 2018) for number, grid in enumerate(grids)]
    with FileServer(tmp_path / "aef") as server:
        section = Cog(kind="cog", root=server.url)
        cost = cog_cost(wanted, section)
        requests, received = counted(section, wanted, tmp_path)
        sent = server.sent
    assert cost.requests == pytest.approx(requests, rel=0.1)
    assert cost.bytes == pytest.approx(received, rel=0.1)
    assert cost.bytes == pytest.approx(sent, rel=0.1)


def counted(section: Cog, wanted: list[Patch], folder: Path) -> tuple[int, int]:
    """Requests and bytes of a real run, as its ledger has them; every patch is fetched."""
    with closing(open_source(section)) as source, Store(folder / "out") as store:
        if isinstance(source, Prefetching):
            source.prefetch([(patch.grid, patch.year) for patch in wanted])
        executor = ThreadExecutor(partial(read_patch, source, store.pixels, Policy()), 8)
        fetch(wanted, executor, store)
        outcomes = store.outcomes().values()
    assert all(outcome.fetched for outcome in outcomes)
    return sum(o.requests for o in outcomes), sum(o.bytes for o in outcomes)
