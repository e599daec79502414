from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import World
from sources.cog.test_source import GRIDS, YEAR, grid_box

from hfaef.core.grid import Grid
from hfaef.core.quantize import NODATA, dequantize
from hfaef.errors import (
    CredentialsError,
    InputError,
    PermanentError,
    SourceError,
    Throttled,
    Transient,
)
from hfaef.recipe.model import Cog
from hfaef.sources import open_source
from hfaef.sources.demo.overviews import mean_codes
from servers.files import SLOW_DOWN, Fault, FileServer, Request
from support.tile_stores import (
    ACROSS,
    CLUSTER,
    ON_LATTICE,
    local_source,
    read_with_retries,
    remote_source,
    tiles,
)

pytestmark = pytest.mark.usefixtures("sources")


@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("name", GRIDS)
def test_a_remote_tile_gives_what_the_file_gives(
    served_world: World, server: FileServer, name: str, announced: bool
) -> None:
    source = remote_source(server)
    if announced:
        source.prefetch([(grid, YEAR) for grid in GRIDS.values()])
    pixels, same = (
        source.read(GRIDS[name], YEAR),
        local_source(served_world).read(GRIDS[name], YEAR),
    )
    assert np.array_equal(pixels.codes, same.codes)
    assert pixels.resampled == same.resampled
    assert [origin.partition("@")[0] for origin in pixels.origins] == list(same.origins)


def test_rasterio_reads_the_same_bytes_from_a_server(served_world: World) -> None:
    # In a process of its own: GDAL may hold Python's lock while it waits for an answer.
    command = [sys.executable, "-m", "servers.files", str(served_world.root)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        url = process.stdout.readline().strip()
        pixels = open_source(Cog(kind="cog", root=url)).read(ON_LATTICE, YEAR)
        path = pixels.origins[0].partition("@")[0]
        with rasterio.open(f"/vsicurl/{url}/{path}", driver="GTiff") as tile:
            south_up = tile.read(window=tile.window(*grid_box(ON_LATTICE)))
        process.stdin.close()
    assert np.array_equal(pixels.codes, south_up[:, ::-1])


def test_the_origin_has_the_tiles_etag(served_world: World, server: FileServer) -> None:
    (origin,) = remote_source(server).read(ON_LATTICE, YEAR).origins
    path, _, etag = origin.partition("@")
    assert etag == server.etag(served_world.root / path).strip('"')


class TestSharing:
    def test_each_chunk_is_fetched_once_whatever_the_order_and_the_threads(
        self, served_world: World, server: FileServer
    ) -> None:
        grids = [*CLUSTER, *GRIDS.values()]
        random.Random(3).shuffle(grids)
        source = remote_source(server)
        source.prefetch([(grid, YEAR) for grid in grids])
        with ThreadPoolExecutor(16) as pool:
            read = list(pool.map(lambda grid: source.read(grid, YEAR), grids))
        same = local_source(served_world)
        assert all(
            np.array_equal(pixels.codes, same.read(grid, YEAR).codes)
            for grid, pixels in zip(grids, read, strict=True)
        )
        ranges = [request for request in server.requests if tiles(request)]
        spans = sorted((r.path, *r.range) for r in ranges if r.range and r.range[0])
        overlaps = [
            (one, two) for one, two in pairwise(spans) if one[0] == two[0] and two[1] <= one[2]
        ]
        assert not overlaps
        headers = Counter(r.path for r in ranges if r.range and not r.range[0])
        assert set(headers.values()) == {1}

    def test_patches_of_one_block_cost_as_much_as_one(self, server: FileServer) -> None:
        source = remote_source(server)
        source.prefetch([(grid, YEAR) for grid in CLUSTER])
        first = source.read(CLUSTER[0], YEAR)
        before = len(server.requests)
        others = [source.read(grid, YEAR) for grid in CLUSTER[1:]]
        assert first.received > 0
        assert len(server.requests) - before <= 1
        assert sum(pixels.received for pixels in others) <= first.received

    def test_unannounced_patches_share_a_block_read_of_late(self, server: FileServer) -> None:
        source = remote_source(server)
        source.read(CLUSTER[0], YEAR)
        before = len(server.requests)
        assert source.read(CLUSTER[1], YEAR).received == 0
        assert len(server.requests) == before

    def test_a_header_is_fetched_once_a_build_and_with_one_request(
        self, server: FileServer
    ) -> None:
        for _ in range(2):
            server.forget()
            source = remote_source(server)
            for grid in CLUSTER:
                source.read(grid, YEAR)
            starts = [request.range[0] for request in server.requests if request.range]
            assert starts.count(0) == 1
            assert min(start for start in starts if start) >= 1 << 16

    def test_a_patch_announced_twice_can_be_read_twice(self, server: FileServer) -> None:
        source = remote_source(server)
        source.prefetch([(ON_LATTICE, YEAR), (ON_LATTICE, YEAR)])
        one, two = source.read(ON_LATTICE, YEAR), source.read(ON_LATTICE, YEAR)
        assert np.array_equal(one.codes, two.codes)
        assert two.received == 0

    def test_a_patch_announced_once_can_be_read_many_times_at_once(
        self, served_world: World, server: FileServer
    ) -> None:
        """As hedged requests do."""
        same = local_source(served_world).read(ACROSS, YEAR)
        for _ in range(5):
            source = remote_source(server)
            source.prefetch([(ACROSS, YEAR)])
            with ThreadPoolExecutor(8) as pool:
                read = list(pool.map(lambda _, source=source: source.read(ACROSS, YEAR), range(8)))
            assert all(np.array_equal(pixels.codes, same.codes) for pixels in read)

    def test_parts_without_room_in_memory_wait_in_files(
        self, served_world: World, server: FileServer
    ) -> None:
        source = remote_source(server)
        source._tiles._buffer._room = 10_000
        source.prefetch([(grid, YEAR) for grid in CLUSTER])
        same = local_source(served_world)
        for grid in CLUSTER:
            assert np.array_equal(source.read(grid, YEAR).codes, same.read(grid, YEAR).codes)
        source.close()
        assert not list(Path(os.environ["HFAEF_CACHE"]).glob("parts-*"))


class TestOverviews:
    GRID = Grid("EPSG:32632", (20, 0, 600_000, 0, -20, 5_299_980), 10, 12)

    def test_pixels_of_20_m_are_renormalised_means(
        self, served_world: World, server: FileServer
    ) -> None:
        pixels = remote_source(server).read(self.GRID, YEAR)
        _, b, c, d, _, f = self.GRID.transform
        fine = (
            local_source(served_world)
            .read(Grid(self.GRID.crs, (10, b, c, d, -10, f), 20, 24), YEAR)
            .codes
        )
        vectors = dequantize(fine).reshape(64, 10, 2, 12, 2).sum(axis=(2, 4))
        assert np.array_equal(pixels.codes, mean_codes(vectors, np.full((10, 12), 4.0)))
        assert pixels.origins[0].endswith(" overview 20 m")
        assert not pixels.resampled

    @pytest.mark.parametrize("metres", [20, 40, 80, 160, 320])
    def test_the_folder_gives_the_same(
        self, served_world: World, server: FileServer, metres: int
    ) -> None:
        left = 500_000 + (600_000 - 500_000) // metres * metres
        top = 5_300_000 // metres * metres
        grid = Grid("EPSG:32632", (metres, 0, left, 0, -metres, top), 4, 4)
        one, two = (
            remote_source(server).read(grid, YEAR),
            local_source(served_world).read(grid, YEAR),
        )
        assert np.array_equal(one.codes, two.codes)
        assert (one.codes != NODATA).any()

    def test_a_tile_without_overviews_is_named(self, tmp_path: Path) -> None:
        from sources.cog.test_source import one_tile_store

        section = one_tile_store(tmp_path)
        grid = Grid("EPSG:32632", (20, 0, 582_020, 0, -20, 64 * 81_920 + 400), 4, 4)
        with pytest.raises(PermanentError, match=r"xtile-0-0\.tiff"):
            open_source(section).read(grid, YEAR)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "kind", "words"),
        [
            (SLOW_DOWN, Throttled, "503"),
            (Fault(429, {"Retry-After": "7"}), Throttled, "429"),
            (Fault(500), Transient, "500"),
            (Fault(reset=True), Transient, None),
            (Fault(cut=10), Transient, None),
            (Fault(declared=10), Transient, None),
            (Fault(shift=1), Transient, "damaged"),
            (Fault(headers={"Content-Range": "bytes 5-9/100"}), SourceError, None),
            (Fault(headers={"Content-Range": "nonsense"}), Transient, "which part"),
            (Fault(whole=True), Transient, "whole file"),
            (Fault(404), PermanentError, "is not there"),
            (Fault(403), PermanentError, "is not there"),
            (Fault(401), CredentialsError, "401"),
            (Fault(418), PermanentError, "418"),
        ],
    )
    def test_what_goes_wrong_is_sorted_by_what_to_do(
        self, server: FileServer, fault: Fault, kind: type[SourceError], words: str | None
    ) -> None:
        source = remote_source(server)
        source.read(ACROSS, YEAR)
        server.fail = lambda request: fault if tiles(request) and request.range[0] else None
        with pytest.raises(kind, match=words) as caught:
            source.read(ON_LATTICE, YEAR)
        if fault.headers.get("Retry-After"):
            assert caught.value.delay == 7
        server.fail = lambda _: None
        if kind in (Throttled, Transient):
            # Bytes beyond those that were declared may spoil the next answer, too.
            assert read_with_retries(source, ON_LATTICE).codes.shape[0] == 64

    def test_one_in_five_answers_wrong_and_no_pixel_is(
        self, served_world: World, server: FileServer
    ) -> None:
        chance = random.Random(1)
        faults = [SLOW_DOWN, Fault(500), Fault(reset=True), Fault(cut=2_000), Fault(declared=50)]

        def fail(request: Request) -> Fault | None:
            wrong = tiles(request) and chance.random() < 0.2
            return chance.choice(faults) if wrong else None

        server.fail = fail
        source, same = remote_source(server), local_source(served_world)
        grids = [*GRIDS.values(), *CLUSTER]
        source.prefetch([(grid, YEAR) for grid in grids])
        with ThreadPoolExecutor(8) as pool:
            read = list(pool.map(lambda grid: read_with_retries(source, grid), grids))
        for grid, pixels in zip(grids, read, strict=True):
            assert np.array_equal(pixels.codes, same.read(grid, YEAR).codes)

    def test_what_came_before_a_failure_is_not_fetched_again(self, server: FileServer) -> None:
        source = remote_source(server)
        grid = GRIDS["in degrees"]
        seen: list[int] = []

        def fail(request: Request) -> Fault | None:
            if tiles(request) and request.range[0]:
                seen.append(request.range[0])
                return Fault(500) if len(seen) % 3 == 0 else None
            return None

        server.fail = fail
        read_with_retries(source, grid)
        failed = Counter(seen)
        assert sum(failed.values()) <= len(failed) + sum(failed.values()) // 3 + 1

    def test_a_server_without_ranges_stops_the_build(self, server: FileServer) -> None:
        server.fail = lambda request: Fault(whole=True) if tiles(request) else None
        source = remote_source(server)
        with pytest.raises(InputError, match="whole files only"):
            source.read(ON_LATTICE, YEAR)
        assert server.sent < 50_000_000

    def test_a_server_that_lets_nobody_in_stops_the_build(self, server: FileServer) -> None:
        server.fail = lambda _: Fault(403)
        with pytest.raises(CredentialsError, match="403"):
            remote_source(server)

    def test_nobody_listens(self) -> None:
        with FileServer(Path()) as gone:
            pass
        with pytest.raises(Transient):
            remote_source(gone)


def test_64_requests_are_under_way_at_once(served_world: World) -> None:
    with FileServer(served_world.root, latency=0.05) as server:
        source = remote_source(server)
        grids = [GRIDS["in degrees"], ACROSS, GRIDS["across tiles"]]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda grid: source.read(grid, YEAR), grids))
        assert 32 < server.peak <= 64


def test_threads_end_with_the_source(server: FileServer) -> None:
    source = remote_source(server)
    source.read(ON_LATTICE, YEAR)
    source.close()
    for thread in threading.enumerate():
        if thread.name.startswith("hfaef-range"):
            thread.join(5)
            assert not thread.is_alive()
