"""What the COG source does without the network, on chunks in memory, against zstd alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from cog_world import YEAR, Patch, needed, sort_by_block

if TYPE_CHECKING:
    from hfaef.sources.cog.http import ObjectMeta
    from hfaef.sources.cog.remote.blocks import Chunk

ROUNDS = 4
"""Each is measured so often, in turn, after one that is not counted."""


class Memory:
    """As `Remote`, of chunks that are in memory: what is left to do is ours, not the network's."""

    base = "memory"

    def __init__(self, folder: Path, chunks: dict[str, set[Chunk]]) -> None:
        self._folder = folder
        self.held: dict[tuple[str, int], bytes] = {}
        for path, found in chunks.items():
            with (folder / path).open("rb") as file:
                for chunk in found:
                    file.seek(chunk.start)
                    self.held[path, chunk.start] = file.read(chunk.count)

    def read_range(self, path: str, start: int, count: int) -> tuple[bytes, ObjectMeta]:
        """A header, from the disk."""
        from hfaef.sources.cog.http import ObjectMeta

        with (self._folder / path).open("rb") as file:
            file.seek(start)
            return file.read(count), ObjectMeta("", (self._folder / path).stat().st_size)

    @contextmanager
    def stream_range(
        self, path: str, start: int, _count: int, _found: ObjectMeta
    ) -> Iterator[Held]:
        """Chunks, one after another."""
        yield Held(self.held, path, start)

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Held:
    """As `Body`, of chunks that are in memory."""

    held: dict[tuple[str, int], bytes]
    path: str
    place: int

    def read_exactly(self, count: int) -> bytes:
        """The next chunk; there is nothing between them."""
        self.place += count
        return self.held[self.path, self.place - count] if count else b""


def decode(folder: Path, patches: list[Patch]) -> dict[str, float]:
    """Seconds of zstd alone, of decoding and cutting, and of looking up the rest."""
    from hfaef.sources.cog.index import NAME, read_index
    from hfaef.sources.cog.remote.store import RemoteTileStore
    from hfaef.sources.cog.source import CogSource
    from hfaef.sources.cog.tiling import blocks_of

    memory = Memory(folder, needed(folder, patches))
    index = read_index(folder / NAME)
    codec = pa.Codec("zstd")
    contents = list(memory.held.values())
    grids = sort_by_block(patches)
    # Those that bring a block, for which all chunks are decoded and cut for all patches.
    first: list[Any] = []
    seen: set[Any] = set()
    for grid in grids:
        if new := set(blocks_of([grid])) - seen:
            first.append(grid)
            seen |= new
    rest = [grid for grid in grids if grid not in set(first)]
    taken = {"alone": 0.0, "decode": 0.0, "look up": 0.0}
    for number in range(1 + ROUNDS):
        started = time.perf_counter()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda c: codec.decompress(c, 1 << 20, asbytes=False).size, contents))
        taken["alone"] += (time.perf_counter() - started) * bool(number)
        source = CogSource(RemoteTileStore(memory), index)  # type: ignore[arg-type]
        source.prefetch([(grid, YEAR) for grid in grids])
        with ThreadPoolExecutor(source.max_requests) as pool:
            for name, some in (("decode", first), ("look up", rest)):
                started = time.perf_counter()
                list(pool.map(lambda grid, source=source: source.read(grid, YEAR), some))
                taken[name] += (time.perf_counter() - started) * bool(number)
        source.close()
    return {**taken, "bytes": ROUNDS * len(contents) << 20}
