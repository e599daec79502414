"""Tiles behind HTTP: each header and each block is fetched once a build, versions are watched."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hfaef.core.aef import LATTICE, overview_level
from hfaef.core.files import cache_folder
from hfaef.core.grid import Affine, Grid, project
from hfaef.errors import PermanentError
from hfaef.recipe.model import Cog
from hfaef.sources.cog.http import CONNECTIONS, ObjectMeta, Remote, VersionChanged, address_of
from hfaef.sources.cog.index import NAME, Entry, TileIndex, read_index
from hfaef.sources.cog.open_index import download, find_index
from hfaef.sources.cog.remote.blocks import (
    BlockIndex,
    BlockRequest,
    PixelIndices,
    SharedBlockReader,
    TileFile,
)
from hfaef.sources.cog.remote.spill import SpillBuffer
from hfaef.sources.cog.remote.tiff import FIRST_BYTES, Header, read_header
from hfaef.sources.cog.tile_store import Codes, Indices, Mask, PatchKey, Traffic, locate

_OPEN_TILES = 512
"""Tiles whose header is kept in memory: 0.1 MB each."""


def open_remote(section: Cog) -> tuple[RemoteTileStore, TileIndex]:
    """The tiles behind a recipe's address, and their index.

    Raises:
        InputError: if there is no index.
        SourceError: if the server does not give it.
    """
    remote = Remote(address_of(section.root), section.hosts)
    if section.index:
        index = find_index(Path(), section.index)
    else:
        index = read_index(download(remote, NAME))
    return RemoteTileStore(remote), index


@dataclass(frozen=True)
class _Demand:
    """Blocks of one level of a tile that announced patches need."""

    patches: dict[BlockIndex, list[PatchKey]]
    certain: set[BlockIndex]
    """Needed in any case, as they hold pixels of a patch in the tile's own CRS."""


@dataclass(frozen=True)
class _OpenTile:
    """A tile whose header was read."""

    file: TileFile
    demands: dict[int, _Demand] = field(default_factory=dict)
    """By overview, as far as one was read."""


class RemoteTileStore:
    """Tiles below one address; used from many threads.

    Args:
        remote: where they are.
        folder: for parts that do not fit into memory.
    """

    def __init__(self, remote: Remote, folder: Path | None = None) -> None:
        self.max_requests = CONNECTIONS
        self._remote = remote
        self._buffer = SpillBuffer(folder or cache_folder())
        self._reader = SharedBlockReader(remote, self._buffer, CONNECTIONS)
        self._lock = threading.Lock()
        self._opening: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._open_tiles: OrderedDict[str, _OpenTile] = OrderedDict()
        self._refused: dict[str, str] = {}
        """Files whose header was read, and why they are no tiles of AEF's."""
        self._versions: dict[str, ObjectMeta] = {}
        """Of files that blocks were read from: they must not change during a build."""
        self._announced: Counter[PatchKey] = Counter()
        self._near: defaultdict[str, list[PatchKey]] = defaultdict(list)
        """For each tile, announced patches that it may hold."""
        self._traffic: defaultdict[PatchKey, Traffic] = defaultdict(Traffic)

    def prefetch(self, patch: PatchKey, entries: Sequence[Entry]) -> None:
        """Blocks are from now on cut for the announced patches alone, and not kept."""
        self._reader.keep_decoded = False
        self._announced[patch] += 1
        if self._announced[patch] == 1:
            for entry in entries:
                self._near[entry.path].append(patch)

    @contextmanager
    def open(self, entry: Entry, overview: int) -> Iterator[RemoteTile]:
        """The tile, whose header is fetched unless it was of late."""
        with self._opening[entry.path]:
            opened = self._open_tiles.get(entry.path)
            if opened is None:
                opened = _OpenTile(self._fetch_header(entry.path))
            with self._lock:
                self._open_tiles[entry.path] = opened
                self._open_tiles.move_to_end(entry.path)
                while len(self._open_tiles) > _OPEN_TILES:
                    self._open_tiles.popitem(last=False)
        yield RemoteTile(self, entry, overview, opened)

    def finish(self, patch: PatchKey) -> Traffic:
        """What was fetched in the name of a patch."""
        with self._lock:
            traffic = self._traffic.pop(patch, Traffic())
            self._announced[patch] -= 1
            if self._announced[patch] <= 0:
                del self._announced[patch]
                self._buffer.drop(patch)
        return traffic

    def drop_cache(self) -> None:
        """Forget headers, and blocks that no announced patch waits for."""
        with self._lock:
            self._open_tiles.clear()
        self._reader.drop_cache()

    def close(self) -> None:
        """Close connections and drop what waits."""
        self._reader.close()
        self._buffer.close()
        self._remote.close()

    def demand(self, tile: RemoteTile) -> _Demand:
        """Blocks of a tile that announced patches need."""
        with self._opening[tile.entry.path]:
            demands = tile.opened.demands
            if tile.overview not in demands:
                patches: defaultdict[BlockIndex, list[PatchKey]] = defaultdict(list)
                certain: set[BlockIndex] = set()
                for patch in self._near.get(tile.entry.path, ()):
                    grid, _ = patch
                    if self.is_announced(patch) and overview_level(grid) == tile.overview:
                        blocks = tile.blocks_of(grid)
                        for block in blocks:
                            patches[block].append(patch)
                        if grid.crs == tile.entry.crs:
                            certain.update(blocks)
                demands[tile.overview] = _Demand(dict(patches), certain)
            return demands[tile.overview]

    def is_announced(self, patch: PatchKey) -> bool:
        """Whether a patch was announced and is not read yet."""
        return patch in self._announced

    def read(self, file: TileFile, request: BlockRequest) -> list[Codes]:
        """The patch's parts of blocks, int8 (64, pixels).

        Raises:
            PermanentError: if the file changed since something was read from it.
            SourceError: of the kind that says what to do about it.
        """
        with self._lock:
            known = self._versions.setdefault(file.path, file.meta)
        if known != file.meta:
            raise _changed(file.path, known)
        try:
            parts, traffic = self._reader.read(file, request)
        except VersionChanged:
            raise _changed(file.path, known) from None
        with self._lock:
            self._traffic[request.patch] += traffic
        return parts

    def _fetch_header(self, path: str) -> TileFile:
        if path in self._refused:
            raise PermanentError(self._refused[path])
        first, meta = self._remote.read_range(path, 0, FIRST_BYTES)

        def read(start: int, count: int) -> bytes:
            if start + count <= len(first):
                return first[start : start + count]
            with self._remote.stream_range(path, start, count, meta) as body:
                return body.read_exactly(count)

        try:
            return TileFile(path, meta, read_header(read, meta.size))
        except ValueError as error:
            self._refused[path] = f"the tile {path} {error}"
            raise PermanentError(self._refused[path]) from error
        except VersionChanged:
            raise _changed(path, meta) from None


class RemoteTile:
    """One level of a tile behind HTTP."""

    def __init__(
        self, store: RemoteTileStore, entry: Entry, overview: int, opened: _OpenTile
    ) -> None:
        header = opened.file.header
        a, b, c, d, e, f = header.transform
        scale = 2.0**overview
        self._number = _level_number(header, overview, entry)
        self._level = header.levels[self._number]
        self.crs = header.crs
        self.transform: Affine = (a * scale, b, c, d, e * scale, f)
        self.width, self.height = self._level.width, self._level.height
        self.version = opened.file.meta.version
        self.entry = entry
        self.overview = overview
        self.opened = opened
        self._store = store

    def sample(self, patch: PatchKey, rows: Indices, columns: Indices, wanted: Mask) -> Codes:
        """Fetch the blocks that hold wanted pixels, or wait until another patch has them."""
        block_numbers = self._block_numbers(rows, columns)
        numbers = _distinct(block_numbers[wanted])
        parts = self._store.read(self.opened.file, self._request(patch, numbers))
        if len(parts) == 1 and wanted.all():
            return parts[0]
        # Where among all parts, side by side, each pixel is: one take needs a tenth of the time.
        order = np.zeros(wanted.shape, np.intp)
        inside, before = self._locate(patch[0])[2], 0
        for number, part in zip(numbers, parts, strict=True):
            order[inside & (block_numbers == number)] = np.arange(before, before + part.shape[1])
            before += part.shape[1]
        return np.concatenate(parts, axis=1).take(order[wanted], axis=1)

    def blocks_of(self, grid: Grid) -> list[BlockIndex]:
        """Blocks that hold pixels of a grid."""
        rows, columns, inside = self._locate(grid)
        return [self._block(n) for n in _distinct(self._block_numbers(rows, columns)[inside])]

    def _request(self, patch: PatchKey, numbers: list[int]) -> BlockRequest:
        demand = self._store.demand(self)

        def pixels(block: BlockIndex) -> Mapping[PatchKey, PixelIndices]:
            others = filter(self._store.is_announced, demand.patches.get(block, ()))
            return {each: self._pixels(each[0], block) for each in dict.fromkeys([patch, *others])}

        def needed(block: BlockIndex) -> bool:
            announced = map(self._store.is_announced, demand.patches.get(block, ()))
            return block in demand.certain and any(announced)

        return BlockRequest(patch, [self._block(number) for number in numbers], pixels, needed)

    def _pixels(self, grid: Grid, block: BlockIndex) -> PixelIndices:
        """Pixels of a block that a grid's pixels are in, row by row of the grid."""
        rows, columns, inside = self._locate(grid)
        _, row, column = block
        level = self._level
        here = (
            inside & (rows // level.block_height == row) & (columns // level.block_width == column)
        )
        down, right = rows - row * level.block_height, columns - column * level.block_width
        return np.asarray((down * level.block_width + right)[here])

    def _locate(self, grid: Grid) -> tuple[Indices, Indices, Mask]:
        return locate(self, *project(*grid.mesh(), grid.crs, self.crs))

    def _block_numbers(self, rows: Indices, columns: Indices) -> Indices:
        """The number of each pixel's block, counted row by row."""
        across = self._level.starts.shape[2]
        row, column = rows // self._level.block_height, columns // self._level.block_width
        return np.asarray(row * across + column)

    def _block(self, number: int) -> BlockIndex:
        row, column = divmod(number, self._level.starts.shape[2])
        return self._number, row, column


def _distinct(numbers: Indices) -> list[int]:
    """Distinct numbers, sorted; mostly there is but one."""
    if numbers.size and numbers.min() == numbers.max():
        return [int(numbers[0])]
    return [int(number) for number in np.unique(numbers)]


def _level_number(header: Header, overview: int, entry: Entry) -> int:
    """Which level of a header is an overview."""
    full = header.levels[0]
    wanted = tuple(-(-side // 2**overview) for side in (full.width, full.height))
    for number, level in enumerate(header.levels):
        if (level.width, level.height) == wanted:
            return number
    metres = round(LATTICE * 2**overview)
    raise PermanentError(f"the tile {entry.path} has no overview of {metres} m")


def _changed(path: str, meta: ObjectMeta) -> PermanentError:
    return PermanentError(
        f"the tile {path} was changed on the server while it was read: it was {meta.version}",
        "run the same command again to read what is missing from the tile as it is now",
    )
