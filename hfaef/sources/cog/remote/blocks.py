"""Chunks of tiles: each is fetched once, decoded once, and cut for all patches that need it.

A block is an internal tile of all 64 bands, some 45 MB for the 256 KiB that a patch takes from it.
So when a patch needs one, the parts of all patches that are expected are cut from each chunk as it
arrives, and the chunk is dropped. Parts wait on a shelf until their patch is read. What was decoded
before something failed is kept, and only the rest is fetched again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import accumulate, chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfaef.core.grid import Grid
from hfaef.core.quantize import BANDS, NODATA
from hfaef.errors import HfaefError, SourceError, Throttled, Transient
from hfaef.sources.cog.http import ObjectMeta, Remote, VersionChanged
from hfaef.sources.cog.remote.spill import SpillBuffer
from hfaef.sources.cog.remote.tiff import ZSTD, Level
from hfaef.sources.cog.tile_store import Cost

RUN_BYTES = 8_000_000
"""Bytes that one request asks for at most; a chunk has some 700,000."""

_GAP_BYTES = 16
_GAP_SHARE = 0.01
"""Bytes between chunks, in all and of the chunk that follows, that are fetched along rather than
asked round; GDAL puts 8 between chunks of a COG."""

NEIGHBOURS = 8
"""Blocks side by side that are fetched together: in a file that lies band after band, only the
chunks of neighbours lie side by side."""

_RECENT_BYTES = 256 << 20
"""Decoded blocks that are kept when nobody said what will be read."""

Place = tuple[int, int, int]
"""Level, block row and block column."""

Who = tuple[Grid, int]
"""A patch as a source knows it: its grid and the year."""

Flat = npt.NDArray[np.intp]
"""Places of pixels in a block, counted row by row."""


@dataclass(frozen=True)
class Chunk:
    """One band of one block in the file."""

    start: int
    count: int
    place: Place
    band: int


@dataclass(frozen=True)
class Run:
    """Chunks that one request brings, in the order of the file."""

    start: int
    count: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Tile:
    """The file that blocks belong to."""

    path: str
    found: ObjectMeta
    compression: int
    levels: tuple[Level, ...]


class Targets:
    """Says for whom a block is cut.

    Args:
        flats: for a place, those whose parts are to be cut, and which pixels of the block.
        sure: whether a block at a place is needed in any case.
    """

    def __init__(
        self,
        flats: Callable[[Place], Mapping[Who, Flat]],
        sure: Callable[[Place], bool],
    ) -> None:
        self.flats = flats
        self.sure = sure


def plan_runs(chunks: Iterable[Chunk]) -> list[Run]:
    """Requests for these chunks: side by side in the file, in one as far as `RUN_BYTES` goes."""
    runs: list[Run] = []
    group: list[Chunk] = []
    end = 0
    for chunk in sorted(chunks, key=lambda chunk: chunk.start):
        apart = not 0 <= chunk.start - end <= _GAP_BYTES + _GAP_SHARE * chunk.count
        if group and (apart or chunk.start + chunk.count - group[0].start > RUN_BYTES):
            runs.append(Run(group[0].start, end - group[0].start, tuple(group)))
            group = []
        group.append(chunk)
        end = chunk.start + chunk.count
    if group:
        runs.append(Run(group[0].start, end - group[0].start, tuple(group)))
    return runs


@dataclass
class _Load:
    """A block that is being fetched, or was until something failed."""

    place: Place
    spans: Mapping[Who, slice]
    """Which of the pixels below are whose."""
    flat: Flat
    """Pixels of the block for all of them: cut at once, as threads get in each other's way."""
    parts: npt.NDArray[np.int8]
    """Filled band by band: int8 (64, pixels)."""
    waiting: set[int] = field(default_factory=lambda: set(range(BANDS)))
    """Bands that are not there yet."""
    decoded: dict[int, npt.NDArray[np.int8]] | None = None
    """Whole bands, where they are kept."""
    ended: threading.Event | None = None
    """Set when the attempt that is under way ends; None if none is."""
    error: Exception | None = None
    """What the last attempt failed with."""


class Blocks:
    """Fetches blocks over a remote; used from many threads.

    Args:
        remote: where files are.
        shelf: where parts wait for their patch.
        threads: requests under way at once; decoding happens in the same threads.
        keep: whether decoded blocks are kept for a while, as nobody says what will be read.
    """

    def __init__(
        self, remote: Remote, shelf: SpillBuffer, threads: int, *, keep: bool = True
    ) -> None:
        self.keep = keep
        self._remote = remote
        self._shelf = shelf
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hfaef-range")
        self._lock = threading.Lock()
        self._loads: dict[tuple[str, Place], _Load] = {}
        self._recent: OrderedDict[tuple[str, Place], dict[int, npt.NDArray[np.int8]]]
        self._recent = OrderedDict()

    def close(self) -> None:
        """End all threads; requests that did not start yet are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def cut(self, tile: Tile, places: Sequence[Place], who: Who, targets: Targets) -> Cost:
        """Have the parts of these blocks on the shelf: of this owner, under (path, place).

        Raises:
            Changed: if the file is another one than it was when it was opened.
            SourceError: of the first thing that failed; the next call goes on from there.
        """
        cost = Cost()
        while True:
            with self._lock:
                missing = [p for p in places if not self._shelf.has(who, (tile.path, p))]
                missing = [p for p in missing if not self._from_recent(tile, p, who, targets)]
                if not missing:
                    return cost
                mine, others = self._begin(tile, missing, who, targets)
            if mine:
                spent = self._run(tile, mine)
                cost = cost.plus(spent)
            for load, ended in others:
                ended.wait()
                if load.error is not None:
                    raise _again(load.error)

    def _from_recent(self, tile: Tile, place: Place, who: Who, targets: Targets) -> bool:
        bands = self._recent.get((tile.path, place))
        if bands is None:
            return False
        self._recent.move_to_end((tile.path, place))
        flat = targets.flats(place)[who]
        part = np.stack([bands[band].take(flat) for band in range(BANDS)])
        self._shelf.put(who, (tile.path, place), part)
        return True

    def _begin(
        self, tile: Tile, missing: list[Place], who: Who, targets: Targets
    ) -> tuple[list[_Load], list[tuple[_Load, threading.Event]]]:
        """Loads that this thread shall do, and those that others are at."""
        mine: list[_Load] = []
        others: list[tuple[_Load, threading.Event]] = []
        for place in dict.fromkeys(chain(missing, *map(self._beside(tile, targets), missing))):
            load = self._loads.get((tile.path, place))
            if load is not None and load.ended is not None:
                if place in missing:
                    others.append((load, load.ended))
                continue
            if load is None or (place in missing and who not in load.spans):
                load = self._loads[tile.path, place] = self._new(place, targets)
            load.ended, load.error = threading.Event(), None
            mine.append(load)
        return mine, others

    def _beside(self, tile: Tile, targets: Targets) -> Callable[[Place], list[Place]]:
        """Neighbours of a block in its row that will be needed anyway and are not there yet."""

        def beside(place: Place) -> list[Place]:
            level, row, column = place
            width = tile.levels[level].starts.shape[2]
            found: list[Place] = []
            for steps in (range(column + 1, width), range(column - 1, -1, -1)):
                for other in steps:
                    if len(found) == NEIGHBOURS - 1 or not targets.sure((level, row, other)):
                        break
                    found.append((level, row, other))
            return found

        return beside

    def _new(self, place: Place, targets: Targets) -> _Load:
        flats = targets.flats(place)
        ends = accumulate(flat.size for flat in flats.values())
        spans = {
            who: slice(end - flats[who].size, end) for who, end in zip(flats, ends, strict=True)
        }
        flat = np.concatenate(list(flats.values()))
        parts = np.empty((BANDS, flat.size), np.int8)
        return _Load(place, spans, flat, parts, decoded={} if self.keep else None)

    def _run(self, tile: Tile, loads: list[_Load]) -> Cost:
        """Fetch what these loads wait for."""
        by_place = {load.place: load for load in loads}
        runs = plan_runs(chain.from_iterable(_chunks(tile, load) for load in loads))
        stop = threading.Event()
        error: Exception | None = None
        try:
            futures = [self._pool.submit(self._fetch, tile, run, by_place, stop) for run in runs]
            wait(futures)
            error = _worst(futures)
            done = [run for run, future in zip(runs, futures, strict=True) if _went_well(future)]
        finally:
            self._end(tile, loads, error)
        errors = [load.error for load in loads if load.error is not None]
        if errors:
            raise errors[0]
        return Cost(sum(len(run.chunks) for run in done), sum(run.count for run in done))

    def _fetch(
        self, tile: Tile, run: Run, loads: Mapping[Place, _Load], stop: threading.Event
    ) -> None:
        """Fetch a run and cut its chunks as they arrive."""
        if stop.is_set():
            return
        try:
            with self._remote.stream(tile.path, run.start, run.count, tile.found) as body:
                position = run.start
                for chunk in run.chunks:
                    body.take(chunk.start - position)
                    content = body.take(chunk.count)
                    position = chunk.start + chunk.count
                    _cut(loads[chunk.place], chunk, _decode(tile, chunk, content))
        except (Throttled, VersionChanged):
            # Asking on would make it worse, or is in vain.
            stop.set()
            raise

    def _end(self, tile: Tile, loads: list[_Load], error: Exception | None) -> None:
        with self._lock:
            for load in loads:
                try:
                    if load.waiting:
                        load.error = error or Transient(f"{tile.path}: was not read to the end")
                    else:
                        del self._loads[tile.path, load.place]
                        for who, span in load.spans.items():
                            part = np.ascontiguousarray(load.parts[:, span])
                            self._shelf.put(who, (tile.path, load.place), part)
                        self._remember(tile, load)
                except HfaefError as full:
                    load.error = full
                finally:
                    if load.ended is not None:
                        load.ended.set()
                    load.ended = None

    def _remember(self, tile: Tile, load: _Load) -> None:
        if not load.decoded:
            return
        self._recent[tile.path, load.place] = load.decoded
        size = next(iter(load.decoded.values())).nbytes * BANDS
        while len(self._recent) > max(1, _RECENT_BYTES // size):
            self._recent.popitem(last=False)


def _chunks(tile: Tile, load: _Load) -> list[Chunk]:
    """Chunks that a load still waits for; those that are not in the file are cut here."""
    number, row, column = load.place
    level = tile.levels[number]
    chunks = []
    for band in sorted(load.waiting):
        count = int(level.counts[band, row, column])
        chunk = Chunk(int(level.starts[band, row, column]), count, load.place, band)
        if count:
            chunks.append(chunk)
        else:
            nothing = np.full(level.block_width * level.block_height, NODATA, np.int8)
            _cut(load, chunk, nothing)
    return chunks


def _decode(tile: Tile, chunk: Chunk, content: bytes) -> npt.NDArray[np.int8]:
    """The pixels of a chunk, int8, row by row."""
    level = tile.levels[chunk.place[0]]
    size = level.block_width * level.block_height
    if tile.compression == ZSTD:
        try:
            content = pa.Codec("zstd").decompress(content, size, asbytes=False)
        except (OSError, pa.ArrowException) as error:
            raise Transient(f"{tile.path}: damaged bytes came") from error
    if len(content) != size:
        raise Transient(f"{tile.path}: damaged bytes came")
    return np.frombuffer(content, np.int8)


def _cut(load: _Load, chunk: Chunk, pixels: npt.NDArray[np.int8]) -> None:
    # All places are within the block; another mode would copy once more.
    pixels.take(load.flat, out=load.parts[chunk.band], mode="clip")
    if load.decoded is not None:
        load.decoded[chunk.band] = pixels
    load.waiting.discard(chunk.band)


def _went_well(future: Future[None]) -> bool:
    return not future.cancelled() and future.exception() is None


def _worst(futures: Iterable[Future[None]]) -> Exception | None:
    """The error that decides what to do: a change, a refusal, then any other."""
    ended = [future for future in futures if not future.cancelled()]
    errors = [error for future in ended if (error := future.exception()) is not None]
    order = (VersionChanged, Throttled)
    errors.sort(key=lambda error: next((n for n, k in enumerate(order) if isinstance(error, k)), 9))
    found = errors[0] if errors else None
    if found is not None and not isinstance(found, Exception):
        raise found
    return found


def _again(error: Exception) -> Exception:
    """The same error for another thread: one object would gather the traces of all."""
    if isinstance(error, Throttled):
        return Throttled(error.message, error.hint, delay=error.delay)
    if isinstance(error, SourceError):
        return type(error)(error.message, error.hint)
    return error
