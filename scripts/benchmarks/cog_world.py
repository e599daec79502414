"""What the benchmark of the COGs reads: tiles that compress like real ones, and patches on them."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from units import as_units

if TYPE_CHECKING:
    from hfaef.sources.cog.remote.blocks import Chunk

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

YEAR = 2018
SIZE = 64
KINDS = 4
"""Blocks that differ; the others repeat them, as the server and the network cannot tell."""

Patch = tuple[float, float]
"""West and north."""


def real_like(seed: int) -> npt.NDArray[np.int8]:
    """A block whose zstd size is that of real ones, some 0.7 of its pixels: int8 (64, y, x)."""
    random = np.random.default_rng(seed)
    walk = np.cumsum(random.normal(size=(64, 1024, 1024)).astype(np.float32), axis=2)
    walk -= walk.mean(axis=2, keepdims=True)
    noise = random.normal(size=walk.shape).astype(np.float32) * 4
    return as_units(np.clip(walk + noise, -100, 100).astype(np.int8))


def write_world(folder: Path, blocks: int, order: str) -> list[tuple[float, float, int]]:
    """Tiles with so many blocks; gives the west, south and kind of each."""
    from hfaef.core.aef import TILE, Tile
    from hfaef.sources.demo.bigtiff import write_chunks
    from hfaef.sources.demo.tiles import tile_name, write_index

    places, entries = [], []
    kinds = []
    for kind in range(KINDS):
        content = real_like(kind)
        codec = pa.Codec("zstd", compression_level=3)
        kinds.append([codec.compress(band, asbytes=True) for band in content])
    per_tile = 16
    for number in range(-(-blocks // per_tile)):
        tile = Tile("EPSG:32632", number % 4, 64 + number // 4)
        chunks = {}
        for step in range(min(per_tile, blocks - number * per_tile)):
            # Two rows of neighbours: as dense as the clusters of a catalog are.
            row, column = 3 + step // 8, step % 8
            kind = len(places) % KINDS
            chunks |= {(band, row, column): kinds[kind][band] for band in range(64)}
            places.append((tile.west + column * 10_240, tile.south + row * 10_240, kind))
        path = folder / str(YEAR) / tile.zone / tile_name(tile)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_chunks(
            path,
            [chunks],
            epsg=32632,
            transform=tile.grid.transform,
            side=TILE,
            order=order,  # type: ignore[arg-type]
        )
        entries.append((YEAR, tile))
    write_index(folder, entries)
    return places


def scatter(places: list[tuple[float, float, int]], patches: int, seed: int = 0) -> list[Patch]:
    """Patches inside the blocks in turn, in no order; one in eight crosses into a neighbour."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    found = []
    for number in range(patches):
        west, south, _ = places[number % len(places)]
        last = number % len(places) % 16 in (7, 15) or number % len(places) == len(places) - 1
        crossing = number % 8 == 0 and not last and patches > len(places)
        across = 1024 - SIZE // 2 if crossing else chance.randrange(1024 - SIZE)
        up = chance.randrange(1024 - SIZE)
        found.append((west + across * 10, south + (up + SIZE) * 10))
    chance.shuffle(found)
    return found


def grid_of(patch: Patch) -> Any:
    """The grid of a patch, on the lattice."""
    from hfaef.core.grid import Grid

    return Grid("EPSG:32632", (10.0, 0.0, patch[0], 0.0, -10.0, patch[1]), SIZE, SIZE)


def sort_by_block(patches: list[Patch]) -> list[Any]:
    """Grids in the order in which a build reads them."""
    from hfaef.sources.cog.tiling import block_of

    return sorted(map(grid_of, patches), key=block_of)


def tile_of(patch: Patch) -> tuple[str, float, float]:
    """The tile of a patch: its path from the folder on, west and south."""
    from hfaef.core.aef import Tile
    from hfaef.sources.demo.tiles import tile_name

    side = 81_920
    column, row = int((patch[0] - 500_000) // side), int((patch[1] - SIZE * 10) // side)
    tile = Tile("EPSG:32632", column, row)
    return f"{YEAR}/{tile.zone}/{tile_name(tile)}", tile.west, tile.south


def blocks_under(patch: Patch) -> list[tuple[str, int, int]]:
    """The blocks that a patch needs: the tile's path, row and column; no patch crosses a row."""
    path, west, south = tile_of(patch)
    row = int((patch[1] - SIZE * 10 - south) // 10_240)
    first = int((patch[0] - west) // 10_240)
    last = int((patch[0] + SIZE * 10 - 1 - west) // 10_240)
    return [(path, row, column) for column in range(first, last + 1)]


def needed(folder: Path, patches: list[Patch]) -> dict[str, set[Chunk]]:
    """Distinct chunks by their file."""
    from hfaef.sources.cog.remote.blocks import Chunk
    from hfaef.sources.cog.remote.tiff import Level, read_header

    chunks: dict[str, set[Chunk]] = {}
    levels: dict[str, Level] = {}
    for path, row, column in {block for patch in patches for block in blocks_under(patch)}:
        if path not in levels:
            with (folder / path).open("rb") as file:
                head = file.read(1 << 17)
            size = (folder / path).stat().st_size
            header = read_header(lambda start, count, head=head: head[start : start + count], size)
            levels[path], chunks[path] = header.levels[0], set()
        for band in range(64):
            start = int(levels[path].starts[band, row, column])
            count = int(levels[path].counts[band, row, column])
            chunks[path].add(Chunk(start, count, (0, row, column), band))
    return chunks


def wrong(patches: list[Patch], read: list[bytes], places: list[list[float]]) -> int:
    """How many patches are not what was written."""
    kinds: dict[float, npt.NDArray[np.int8]] = {}
    blocks = {(west, south): kind for west, south, kind in places}
    found = 0
    for patch, content in zip(patches, read, strict=True):
        codes = np.frombuffer(content, np.int8).reshape(64, SIZE, SIZE)[:, ::-1]
        _, west, south = tile_of(patch)
        parts = []
        for _, row, column in blocks_under(patch):
            edge, bottom = west + column * 10_240, south + row * 10_240
            kind = blocks[edge, bottom]
            if kind not in kinds:
                kinds[kind] = real_like(int(kind))
            left, up = int((patch[0] - edge) / 10), int((patch[1] - SIZE * 10 - bottom) / 10)
            parts.append(kinds[kind][:, up : up + SIZE, max(0, left) : left + SIZE])
        found += not np.array_equal(codes, np.concatenate(parts, axis=2))
    return found
