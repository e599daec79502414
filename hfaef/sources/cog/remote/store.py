"""Tiles behind a web address: headers once a tile, chunks once a build, versions watched."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hfaef.core.grid import Affine, Grid, project
from hfaef.errors import PermanentError
from hfaef.recipe.model import Cog
from hfaef.sources.cog.cache import cache_folder, cache_key
from hfaef.sources.cog.http import CONNECTIONS, ObjectMeta, Remote, VersionChanged, address_of
from hfaef.sources.cog.index import NAME, Entry, TileIndex, read_index
from hfaef.sources.cog.open_index import download, find_index
from hfaef.sources.cog.remote.blocks import Blocks, Flat, Place, Targets, Tile, Who
from hfaef.sources.cog.remote.headers import keep_header, kept_header
from hfaef.sources.cog.remote.spill import SpillBuffer
from hfaef.sources.cog.remote.tiff import FIRST_BYTES, Header, read_header
from hfaef.sources.cog.tile_store import Cost, locate

_OPEN_TILES = 128
"""Tiles whose header is kept in memory: 0.1 MB each."""


def open_served(section: Cog) -> tuple[ServedTiles, TileIndex]:
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
    return ServedTiles(remote), index


@dataclass
class _Opened:
    """A tile whose header was read."""

    header: Header
    found: ObjectMeta
    fresh: bool
    """Whether the header came from the server, not from the cache."""
    needs: dict[int, _Needs]
    """By overview, as far as anybody asked."""


@dataclass(frozen=True)
class _Needs:
    """Which blocks of a tile are needed by whom, of those that are expected."""

    who: dict[Place, list[Who]]
    sure: set[Place]
    """Blocks that are needed in any case, as they hold pixels of a patch in the tile's own CRS."""


class ServedTiles:
    """Tiles of a remote; used from many threads.

    Args:
        remote: where they are.
        folder: of the cache.
    """

    def __init__(self, remote: Remote, folder: Path | None = None) -> None:
        self.max_requests = CONNECTIONS
        self._remote = remote
        self._folder = folder or cache_folder()
        self._shelf = SpillBuffer(self._folder)
        self.blocks = Blocks(remote, self._shelf, CONNECTIONS)
        self._lock = threading.Lock()
        self._opening: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._opened: OrderedDict[str, _Opened] = OrderedDict()
        self._pinned: dict[str, ObjectMeta] = {}
        """Versions of which some pixel was taken in this build."""
        self._expected: Counter[Who] = Counter()
        self._near: defaultdict[str, list[Who]] = defaultdict(list)
        """For each tile, who may need it."""
        self._costs: defaultdict[Who, Cost] = defaultdict(Cost)

    def expect(self, grid: Grid, year: int, entries: Sequence[Entry]) -> None:
        """As of `Tiles`."""
        self.blocks.keep = False
        self._expected[grid, year] += 1
        if self._expected[grid, year] == 1:
            for entry in entries:
                self._near[entry.path].append((grid, year))

    @contextmanager
    def open(self, entry: Entry, overview: int) -> Iterator[ServedTile]:
        """As of `Tiles`."""
        opened = self._open(entry)
        number = _number(opened.header, overview, entry)
        yield ServedTile(self, entry, overview, number, opened)

    def finish(self, grid: Grid, year: int) -> Cost:
        """As of `Tiles`."""
        who = (grid, year)
        with self._lock:
            cost = self._costs.pop(who, Cost())
            self._expected[who] -= 1
            if self._expected[who] <= 0:
                del self._expected[who]
                self._shelf.drop(who)
        return cost

    def close(self) -> None:
        """As of `Tiles`."""
        self.blocks.close()
        self._shelf.close()
        self._remote.close()

    def needs(self, entry: Entry, opened: _Opened, tile: ServedTile, overview: int) -> _Needs:
        """Who needs which blocks of a tile, of those that are expected."""
        with self._opening[entry.path]:
            if overview not in opened.needs:
                who: defaultdict[Place, list[Who]] = defaultdict(list)
                sure: set[Place] = set()
                for asker in self._near.get(entry.path, ()):
                    if asker in self._expected and asker[0].overview() == overview:
                        places = tile.places_of(asker[0])
                        for place in places:
                            who[place].append(asker)
                        if asker[0].crs == entry.crs:
                            sure.update(places)
                opened.needs[overview] = _Needs(dict(who), sure)
            return opened.needs[overview]

    def is_expected(self, who: Who) -> bool:
        """Whether a patch was announced and is not read yet."""
        return who in self._expected

    def cut(self, tile: Tile, places: list[Place], who: Who, targets: Targets) -> None:
        """Have the parts of blocks on the shelf.

        Raises:
            PermanentError: if the file was changed since something was read from it.
            SourceError: of the kind that says what to do about it.
        """
        with self._lock:
            pinned = self._pinned.setdefault(tile.path, tile.found)
        if pinned != tile.found:
            raise _changed(tile.path, pinned)
        cost = self.blocks.cut(tile, places, who, targets)
        with self._lock:
            self._costs[who] = self._costs[who].plus(cost)

    def part(self, who: Who, path: str, place: Place) -> npt.NDArray[np.int8]:
        """A part from the shelf, int8 (64, pixels)."""
        return self._shelf.look(who, (path, place))

    def reopen(self, entry: Entry, opened: _Opened) -> _Opened:
        """A tile whose header turned out to be another one's.

        Raises:
            PermanentError: if pixels were taken from the file as it was.
        """
        self._header_path(entry).unlink(missing_ok=True)
        with self._lock:
            if self._opened.get(entry.path) is opened:
                del self._opened[entry.path]
            if opened.fresh:
                raise _changed(entry.path, opened.found)
            if self._pinned.get(entry.path) == opened.found:
                del self._pinned[entry.path]
        return self._open(entry)

    def _open(self, entry: Entry) -> _Opened:
        with self._opening[entry.path]:
            with self._lock:
                opened = self._opened.get(entry.path)
                if opened is not None:
                    self._opened.move_to_end(entry.path)
                    return opened
            opened = self._cached(entry) or self._fetched(entry)
            with self._lock:
                self._opened[entry.path] = opened
                while len(self._opened) > _OPEN_TILES:
                    self._opened.popitem(last=False)
            return opened

    def _fetched(self, entry: Entry) -> _Opened:
        first, found = self._remote.part(entry.path, 0, FIRST_BYTES)

        def read(start: int, count: int) -> bytes:
            if start + count <= len(first):
                return first[start : start + count]
            with self._remote.stream(entry.path, start, count, found) as body:
                return body.take(count)

        try:
            header = read_header(read, found.size)
        except ValueError as error:
            raise PermanentError(f"the tile {entry.path} {error}") from error
        except VersionChanged:
            raise _changed(entry.path, found) from None
        if found.version:
            keep_header(self._header_path(entry), header, found)
        return _Opened(header, found, fresh=True, needs={})

    def _cached(self, entry: Entry) -> _Opened | None:
        read = kept_header(self._header_path(entry))
        return _Opened(*read, fresh=False, needs={}) if read else None

    def _header_path(self, entry: Entry) -> Path:
        key = cache_key(f"{self._remote.base}/{entry.path}")
        return self._folder / "headers" / key[:2] / f"{key}.npz"


class ServedTile:
    """As `lookup.Tile`."""

    def __init__(
        self, tiles: ServedTiles, entry: Entry, overview: int, number: int, opened: _Opened
    ) -> None:
        a, b, c, d, e, f = opened.header.transform
        times = 2.0**overview
        level = opened.header.levels[number]
        self.crs = opened.header.crs
        self.transform: Affine = (a * times, b, c, d, e * times, f)
        self.width, self.height = level.width, level.height
        self.version = opened.found.version
        self._tiles = tiles
        self._entry = entry
        self._overview = overview
        self._number = number
        self._level = level
        self._opened = opened

    def look_up(
        self,
        grid: Grid,
        year: int,
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
        wanted: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.int8]:
        """As of `lookup.Tile`."""
        who = (grid, year)
        blocks = self._blocks(rows, columns)
        numbers = _distinct(blocks[wanted])
        places = [self._place(number) for number in numbers]
        opened = self._opened
        try:
            self._tiles.cut(self._file(opened), places, who, self._targets(who, opened))
        except VersionChanged:
            self._opened = self._tiles.reopen(self._entry, opened)
            self.version = self._opened.found.version
            if not _alike(self._opened.header, opened.header):
                raise _changed(self._entry.path, opened.found) from None
            targets = self._targets(who, self._opened)
            try:
                self._tiles.cut(self._file(self._opened), places, who, targets)
            except VersionChanged:
                raise _changed(self._entry.path, self._opened.found) from None
        if len(places) == 1 and wanted.all():
            return self._tiles.part(who, self._entry.path, places[0])
        parts = [self._tiles.part(who, self._entry.path, place) for place in places]
        # Where among all parts, side by side, each pixel is: taken at once, by a tenth of the time.
        order = np.zeros(wanted.shape, np.intp)
        inside, before = self._inside(grid), 0
        for number, part in zip(numbers, parts, strict=True):
            order[inside & (blocks == number)] = np.arange(before, before + part.shape[1])
            before += part.shape[1]
        return np.concatenate(parts, axis=1).take(order[wanted], axis=1)

    def places_of(self, grid: Grid) -> list[Place]:
        """Blocks that hold pixels of a grid."""
        rows, columns, inside = self._locate(grid)
        return [self._place(n) for n in _distinct(self._blocks(rows, columns)[inside])]

    def _targets(self, who: Who, opened: _Opened) -> Targets:
        needs = self._tiles.needs(self._entry, opened, self, self._overview)

        def flats(place: Place) -> Mapping[Who, Flat]:
            askers = [asker for asker in needs.who.get(place, ()) if self._tiles.is_expected(asker)]
            return {asker: self._flat(asker[0], place) for asker in dict.fromkeys([who, *askers])}

        def sure(place: Place) -> bool:
            return place in needs.sure and any(map(self._tiles.is_expected, needs.who[place]))

        return Targets(flats, sure)

    def _flat(self, grid: Grid, place: Place) -> Flat:
        """Places in a block of a grid's pixels that lie there, row by row of the grid."""
        rows, columns, inside = self._locate(grid)
        _, row, column = place
        across = self._level.starts.shape[2]
        here = inside & (self._blocks(rows, columns) == row * across + column)
        down = rows - row * self._level.block_height
        right = columns - column * self._level.block_width
        return np.asarray((down * self._level.block_width + right)[here])

    def _locate(
        self, grid: Grid
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        return locate(self, *project(*grid.mesh(), grid.crs, self.crs))

    def _inside(self, grid: Grid) -> npt.NDArray[np.bool_]:
        return self._locate(grid)[2]

    def _blocks(
        self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.intp]:
        """The number of each pixel's block, counted row by row."""
        across = self._level.starts.shape[2]
        row, column = rows // self._level.block_height, columns // self._level.block_width
        return np.asarray(row * across + column)

    def _place(self, number: int) -> Place:
        row, column = divmod(number, self._level.starts.shape[2])
        return self._number, row, column

    def _file(self, opened: _Opened) -> Tile:
        header = opened.header
        return Tile(self._entry.path, opened.found, header.compression, header.levels)


def _distinct(numbers: npt.NDArray[np.intp]) -> list[int]:
    """Distinct numbers, sorted; mostly there is but one."""
    if numbers.size and numbers.min() == numbers.max():
        return [int(numbers[0])]
    return [int(number) for number in np.unique(numbers)]


def _number(header: Header, overview: int, entry: Entry) -> int:
    """Which level of a header is an overview."""
    full = header.levels[0]
    wanted = tuple(-(-side // 2**overview) for side in (full.width, full.height))
    for number, level in enumerate(header.levels):
        if (level.width, level.height) == wanted:
            return number
    raise PermanentError(f"the tile {entry.path} has no overview of {10 * 2**overview} m")


def _changed(path: str, found: ObjectMeta) -> PermanentError:
    return PermanentError(
        f"the tile {path} was changed on the server while it was read: it was {found.version}",
        "run the same command again to read what is missing from the tile as it is now",
    )


def _alike(one: Header, other: Header) -> bool:
    """Whether pixels lie at the same places, in the same blocks."""

    def shape(header: Header) -> object:
        sizes = [
            (level.width, level.height, level.block_width, level.block_height)
            for level in header.levels
        ]
        return header.crs, header.transform, sizes

    return shape(one) == shape(other)
