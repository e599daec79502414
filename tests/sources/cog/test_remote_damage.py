"""Bytes that are wrong in the file itself: asked for a few times, then given up, and only they."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sources.cog.test_remote_blocks import patch, write
from sources.cog.test_source import YEAR

from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import read_patch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.core.aef import BLOCK
from hfaef.core.grid import Grid
from hfaef.errors import PermanentError, Transient
from hfaef.sources.cog.remote.tiff import Header, read_header
from hfaef.sources.demo.bigtiff import CELL
from servers.files import Fault, FileServer, Request
from support import unit_codes
from support.tile_stores import remote_source, tiles

pytestmark = pytest.mark.usefixtures("sources")

BLOCKS = 4
BAD = 1
"""The column of the block with a damaged chunk."""
BAND = 17
QUICK = Policy(first_wait=0.01, longest_wait=0.02)


def damaged(content: bytes) -> bytes:
    return bytes(len(content))


def bomb(content: bytes) -> bytes:
    """A chunk that decodes to more than a block has, by a little and by much."""
    made = pa.Codec("zstd").compress(bytes(1 << 26), asbytes=True)
    assert len(made) <= len(content)
    return made + bytes(len(content) - len(made))


def short(content: bytes) -> bytes:
    made = pa.Codec("zstd").compress(bytes(100), asbytes=True)
    return made + bytes(len(content) - len(made))


def noise(column: int) -> np.ndarray:
    """Codes that do not compress, so that a chunk has room for others."""
    return unit_codes.noise(column, CELL, CELL)


def northup(column: int) -> np.ndarray:
    """The same from north to south, while AEF's files go from south to north."""
    return noise(column)[:, ::-1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A row of blocks with data in the first cell of each."""
    cells = {(0, column * (BLOCK // CELL)): noise(column) for column in range(BLOCKS)}
    write(tmp_path, {"xa": cells}, "bands")
    return tmp_path


def tile_path(root: Path) -> Path:
    (path,) = root.glob("*/*/*.tiff")
    return path


def header_of(path: Path) -> Header:
    content = path.read_bytes()
    return read_header(lambda start, count: content[start : start + count], len(content))


def spoil(path: Path, change: Callable[[bytes], bytes]) -> tuple[int, int]:
    """Change one chunk; gives its place."""
    level = header_of(path).levels[0]
    (row,) = np.flatnonzero(level.counts[BAND, :, BAD])
    start, count = (int(each[BAND, row, BAD]) for each in (level.starts, level.counts))
    with path.open("r+b") as file:
        file.seek(start)
        content = file.read(count)
        file.seek(start)
        file.write(change(content))
    return start, count


def asked_for(request: Request, start: int) -> bool:
    return bool(tiles(request) and request.range and request.range[0] <= start <= request.range[1])


def make_patches(per_block: int) -> list[Patch]:
    """Patches on each block, a few pixels apart."""
    found = []
    for column in range(BLOCKS):
        a, b, c, d, e, f = patch(0, column).transform
        for number in range(per_block):
            grid = Grid("EPSG:32632", (a, b, c + 10 * number, d, e, f), 4, 4)
            found.append(Patch(f"B{column}-{number}", grid, "x", {}, YEAR))
    return found


@pytest.mark.parametrize("change", [damaged, bomb, short])
def test_a_damaged_chunk_is_asked_for_three_times_and_its_neighbours_go_on(
    root: Path, store: Store, change: Callable[[bytes], bytes]
) -> None:
    start, _ = spoil(tile_path(root), change)
    wanted = make_patches(per_block=30)
    with FileServer(root) as server:
        source = remote_source(server)
        source.prefetch([(each.grid, YEAR) for each in wanted])
        read = partial(read_patch, source, store.pixels, QUICK)
        fetch(wanted, ThreadExecutor(read, 8), store, policy=QUICK)
        assert sum(asked_for(request, start) for request in server.requests) == 3
    outcomes = store.outcomes()
    for each in wanted:
        outcome = outcomes[YEAR, each.id]
        bad = each.id.startswith(f"B{BAD}-")
        assert outcome.fetched == (not bad), outcome
        if bad:
            assert f"band {BAND} at byte {start:,} is damaged: it came so 3 times" in outcome.reason
        else:
            column, number = int(each.id[1]), int(each.id.partition("-")[2])
            right = northup(column)[:, :4, number : number + 4]
            assert np.array_equal(store.pixels.read(each), right)


def test_nothing_is_asked_for_again_once_it_is_clear(root: Path) -> None:
    spoil(tile_path(root), damaged)
    with FileServer(root) as server:
        source = remote_source(server)
        for kind in (Transient, Transient, PermanentError):
            with pytest.raises(kind, match="damaged"):
                source.read(patch(0, BAD), YEAR)
        server.forget()
        with pytest.raises(PermanentError, match="came so 3 times"):
            source.read(patch(0, BAD), YEAR)
        assert not server.requests


def test_bytes_that_are_damaged_twice_on_the_way_are_read(root: Path) -> None:
    start, _ = spoil(tile_path(root), lambda content: content)
    with FileServer(root) as server:
        source = remote_source(server)
        left = 2

        def fail(request: Request) -> Fault | None:
            nonlocal left
            if left and asked_for(request, start) and request.range and request.range[0]:
                left -= 1
                return Fault(shift=1)
            return None

        server.fail = fail
        for _ in range(2):
            with pytest.raises(Transient, match="damaged"):
                source.read(patch(0, BAD), YEAR)
        assert np.array_equal(source.read(patch(0, BAD), YEAR).codes, northup(BAD))


def test_a_tile_that_is_cut_off_is_looked_at_once(root: Path, store: Store) -> None:
    path = tile_path(root)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)
    wanted = make_patches(per_block=10)
    with FileServer(root) as server:
        read = partial(read_patch, remote_source(server), store.pixels, QUICK)
        fetch(wanted, ThreadExecutor(read, 8), store, policy=QUICK)
        assert sum(map(tiles, server.requests)) == 1
    reasons = {outcome.reason for outcome in store.outcomes().values()}
    assert len(reasons) == 1
    assert "cut off, or forged" in reasons.pop()
