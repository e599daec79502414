"""What is asked of a server for blocks side by side and tiles on top of one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources.cog.test_source import GRIDS, YEAR

from hfaef.core.aef import BLOCK, Tile
from hfaef.core.aef import TILE as TILE_SIDE
from hfaef.core.grid import Grid
from hfaef.core.quantize import NODATA
from hfaef.recipe.model import Cog
from hfaef.sources import open_source
from hfaef.sources.cog.index import NAME
from hfaef.sources.cog.remote.spill import SpillBuffer
from hfaef.sources.demo.bigtiff import CELL, Cells, Order, write_tiff
from hfaef.sources.demo.tiles import write_index
from servers.files import FileServer
from support.tile_stores import CLUSTER, remote_source, tiles
from support.unit_codes import filled

pytestmark = pytest.mark.usefixtures("sources")

TILE = Tile("EPSG:32632", 1, 64)


def write(root: Path, files: Mapping[str, Cells], order: Order = "bands") -> None:
    """A store of files that all lie where `TILE` does."""
    write_index(root, [(YEAR, TILE)])
    (row,) = pq.read_table(root / NAME).to_pylist()
    rows = [{**row, "path": f"{YEAR}/{TILE.zone}/{name}.tiff"} for name in files]
    pq.write_table(pa.Table.from_pylist(rows), root / NAME)
    for name, cells in files.items():
        path = root / str(YEAR) / TILE.zone / f"{name}.tiff"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tiff(
            path, [cells], epsg=32632, transform=TILE.grid.transform, side=TILE_SIDE, order=order
        )


def patch(block_row: int, block_column: int) -> Grid:
    """The first cell of a block, north-up."""
    west = TILE.west + block_column * BLOCK * 10
    north = TILE.south + (block_row * BLOCK + CELL) * 10
    return Grid(TILE.crs, (10, 0, west, 0, -10, north), CELL, CELL)


@pytest.fixture
def rows() -> dict[tuple[int, int], np.ndarray]:
    """Two rows of eight blocks with data in the first cell of each."""
    per_block = BLOCK // CELL
    return {
        (row * per_block, column * per_block): filled(10 * row + column, CELL, CELL)
        for row in range(2)
        for column in range(8)
    }


@pytest.mark.parametrize(("order", "most"), [("bands", 64), ("blocks", 8)])
def test_chunks_side_by_side_come_eight_to_a_request(
    tmp_path: Path, rows: Cells, order: Order, most: int
) -> None:
    write(tmp_path, {"xa": rows}, order)
    with FileServer(tmp_path) as server:
        source = remote_source(server)
        grids = [patch(0, column) for column in range(8)]
        source.prefetch([(grid, YEAR) for grid in grids])
        with ThreadPoolExecutor(8) as pool:
            read = list(pool.map(lambda grid: source.read(grid, YEAR), grids))
        for column, pixels in enumerate(read):
            assert np.array_equal(pixels.codes, filled(column, CELL, CELL))
        assert sum(pixels.requests for pixels in read) == 512  # chunks
        asked = [r for r in server.requests if tiles(r) and r.range and r.range[0]]
        assert len(asked) <= most


def test_a_block_that_nobody_expects_is_not_fetched_with_its_neighbour(
    tmp_path: Path, rows: Cells
) -> None:
    write(tmp_path, {"xa": rows})
    with FileServer(tmp_path) as server:
        source = remote_source(server)
        source.prefetch([(patch(0, 3), YEAR), (patch(0, 5), YEAR)])
        assert source.read(patch(0, 3), YEAR).requests == 64
        assert source.read(patch(0, 5), YEAR).requests == 64


def test_a_part_that_is_put_again_takes_room_once(tmp_path: Path) -> None:
    buffer = SpillBuffer(tmp_path, room=200)
    part = np.ones((64, 3), np.int8)
    for key in ("a", "a", "b", "b"):
        buffer.put("patch", key, part)
    assert buffer._held == part.nbytes  # the second is in a file
    assert np.array_equal(buffer.get("patch", "b"), part)
    buffer.drop("patch")
    assert buffer._held == 0
    assert buffer.get("patch", "a") is None
    assert not list(tmp_path.rglob("*.npy"))


@pytest.fixture(params=["folder", "server"])
def overlapping(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The root of two tiles at one place: the one that comes first has data in its west alone."""
    west = filled(1, CELL, CELL)
    west[:, :, CELL // 2 :] = NODATA
    write(tmp_path, {"xa": {(0, 0): filled(2, CELL, CELL)}, "xb": {(0, 0): west}})
    if request.param == "folder":
        yield str(tmp_path)
    else:
        with FileServer(tmp_path) as server:
            yield server.url


def test_where_tiles_overlap_the_last_name_with_data_counts(overlapping: str) -> None:
    source = open_source(Cog(kind="cog", root=overlapping))
    pixels = source.read(patch(0, 0), YEAR)
    source.close()
    assert np.array_equal(pixels.codes[:, :, : CELL // 2], filled(1, CELL, CELL // 2))
    assert np.array_equal(pixels.codes[:, :, CELL // 2 :], filled(2, CELL, CELL // 2))
    names = [origin.partition("@")[0].rpartition("/")[2] for origin in pixels.origins]
    assert names == ["xb.tiff", "xa.tiff"]


def test_nothing_is_kept_of_patches_that_were_read(server: FileServer) -> None:
    source = remote_source(server)
    grids = [*CLUSTER, *GRIDS.values()]
    source.prefetch([(grid, YEAR) for grid in grids])
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda grid: source.read(grid, YEAR), grids))
    buffer, reader = source._tiles._buffer, source._tiles._reader
    assert (buffer._arrays, buffer._held) == ({}, 0)
    assert (reader._fetches, len(reader._recent)) == ({}, 0)
