"""Blocks of tiles: each is fetched once, decoded once, and cut for all patches that need it.

A block is an internal tile of all 64 bands, some 45 MB for the 256 KiB that a patch takes from it.
So the parts of all announced patches are cut from each chunk (one band of a block) as it arrives,
and the chunk is dropped. Parts wait in a buffer until their patch is read. What was decoded before
something failed is kept, and only the rest is fetched again; a block with a chunk that is damaged
in the file itself is given up.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import accumulate, chain

import numpy as np
import pyarrow as pa

from hfaef.core.quantize import BANDS, NODATA
from hfaef.errors import HfaefError, PermanentError, SourceError, Throttled, Transient
from hfaef.sources.cog.http import ObjectMeta, Remote, VersionChanged
from hfaef.sources.cog.remote.spill import SpillBuffer
from hfaef.sources.cog.remote.tiff import ZSTD, Header
from hfaef.sources.cog.tile_store import Codes, Indices, PatchKey, Traffic

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
"""Decoded blocks that are kept if no patch was announced."""

_DAMAGED_TRIES = 3
"""Times that a chunk of a file that has not changed may come damaged: then it lies there so."""

BlockIndex = tuple[int, int, int]
"""Level, block row and block column."""

PixelIndices = Indices
"""Pixels of a block, counted row by row."""


@dataclass(frozen=True)
class Chunk:
    """One band of one block in the file."""

    start: int
    count: int
    block: BlockIndex
    band: int


@dataclass(frozen=True)
class Run:
    """Chunks that one request brings, in the order of the file."""

    start: int
    count: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class TileFile:
    """The file that blocks belong to, as it was when its header was read."""

    path: str
    meta: ObjectMeta
    header: Header


@dataclass(frozen=True)
class BlockRequest:
    """Blocks of a tile that one patch needs, and what is to be cut from them along with it."""

    patch: PatchKey
    blocks: Sequence[BlockIndex]
    pixels: Callable[[BlockIndex], Mapping[PatchKey, PixelIndices]]
    """All patches that a block is to be cut for, with their pixels in it."""
    needed: Callable[[BlockIndex], bool]
    """Whether announced patches need another block in any case."""


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
class BlockFetch:
    """A block that is being fetched, or was until something failed."""

    block: BlockIndex
    spans: Mapping[PatchKey, slice]
    """Which of the pixels below are whose."""
    pixels: PixelIndices
    """Of all patches: cut at once, as threads get in each other's way."""
    parts: Codes
    """Filled band by band: int8 (64, pixels)."""
    missing: set[int] = field(default_factory=lambda: set(range(BANDS)))
    """Bands that are not decoded yet."""
    decoded: dict[int, Codes] | None = None
    """Whole bands, where they are kept."""
    ended: threading.Event | None = None
    """Set when the attempt that is under way ends; None if none is."""
    error: Exception | None = None
    """What the last attempt failed with."""


class SharedBlockReader:
    """Fetches blocks over HTTP; used from many threads.

    Args:
        remote: where files are.
        buffer: where parts wait for their patch, by patch, path and block.
        threads: requests under way at once; decoding happens in the same threads.
    """

    def __init__(self, remote: Remote, buffer: SpillBuffer, threads: int) -> None:
        self.keep_decoded = True
        """Whether decoded blocks are kept for a while, as no patch was announced."""
        self._remote = remote
        self._buffer = buffer
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hfaef-range")
        self._lock = threading.Lock()
        self._damaged: Counter[tuple[str, Chunk]] = Counter()
        """How often a chunk of a file came damaged."""
        self._hopeless: dict[tuple[str, BlockIndex], PermanentError] = {}
        """Blocks that are given up."""
        self._fetches: dict[tuple[str, BlockIndex], BlockFetch] = {}
        self._recent: OrderedDict[tuple[str, BlockIndex], dict[int, Codes]] = OrderedDict()

    def drop_cache(self) -> None:
        """Forget decoded blocks that were kept as no patch was announced."""
        with self._lock:
            self._recent.clear()

    def close(self) -> None:
        """End all threads; requests that did not start yet are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def read(self, tile: TileFile, request: BlockRequest) -> tuple[list[Codes], Traffic]:
        """The patch's parts of the requested blocks, int8 (64, pixels), and what was fetched.

        Raises:
            VersionChanged: if the file is another version than the one that was opened.
            PermanentError: if a chunk is damaged in the file.
            SourceError: of the first failure; the next call goes on from there.
        """
        traffic = Traffic()
        while True:
            with self._lock:
                parts = {block: self._part(tile, block, request) for block in request.blocks}
                missing = [block for block, part in parts.items() if part is None]
                if not missing:
                    return [part for part in parts.values() if part is not None], traffic
                for block in missing:
                    if (tile.path, block) in self._hopeless:
                        raise _copy(self._hopeless[tile.path, block])
                mine, others = self._claim(tile, missing, request)
            if mine:
                traffic += self._fetch_blocks(tile, mine)
                for fetch in mine:
                    # Blocks that only others need may be damaged.
                    own = fetch.block in request.blocks
                    if fetch.error and (own or not isinstance(fetch.error, PermanentError)):
                        raise fetch.error
            for fetch, ended in others:
                ended.wait()
                if fetch.error is not None:
                    raise _copy(fetch.error)

    def _part(self, tile: TileFile, block: BlockIndex, request: BlockRequest) -> Codes | None:
        """A part that is there already."""
        part = self._buffer.get(request.patch, (tile.path, block))
        if part is None and (bands := self._recent.get((tile.path, block))):
            self._recent.move_to_end((tile.path, block))
            pixels = request.pixels(block)[request.patch]
            part = np.stack([bands[band].take(pixels) for band in range(BANDS)])
        return part

    def _claim(
        self, tile: TileFile, missing: list[BlockIndex], request: BlockRequest
    ) -> tuple[list[BlockFetch], list[tuple[BlockFetch, threading.Event]]]:
        """Fetches for this thread to do, and those that other threads are at."""
        mine: list[BlockFetch] = []
        others: list[tuple[BlockFetch, threading.Event]] = []
        beside = (_neighbours(tile, block, request) for block in missing)
        for block in dict.fromkeys(chain(missing, *beside)):
            fetch = self._fetches.get((tile.path, block))
            if fetch is not None and fetch.ended is not None:
                if block in missing:
                    others.append((fetch, fetch.ended))
                continue
            if (tile.path, block) in self._hopeless:
                continue
            if fetch is None or (block in missing and request.patch not in fetch.spans):
                fetch = self._fetches[tile.path, block] = self._new(block, request)
            fetch.ended, fetch.error = threading.Event(), None
            mine.append(fetch)
        return mine, others

    def _new(self, block: BlockIndex, request: BlockRequest) -> BlockFetch:
        pixels = request.pixels(block)
        ends = accumulate(each.size for each in pixels.values())
        spans = {
            patch: slice(end - pixels[patch].size, end)
            for patch, end in zip(pixels, ends, strict=True)
        }
        together = np.concatenate(list(pixels.values()))
        parts = np.empty((BANDS, together.size), np.int8)
        return BlockFetch(block, spans, together, parts, decoded={} if self.keep_decoded else None)

    def _fetch_blocks(self, tile: TileFile, fetches: list[BlockFetch]) -> Traffic:
        by_block = {fetch.block: fetch for fetch in fetches}
        runs = plan_runs(chain.from_iterable(_chunks(tile, fetch) for fetch in fetches))
        stop = threading.Event()
        error: Exception | None = None
        try:
            futures = [self._pool.submit(self._fetch_run, tile, r, by_block, stop) for r in runs]
            wait(futures)
            error = _worst(futures)
            done = [run for run, future in zip(runs, futures, strict=True) if _succeeded(future)]
        finally:
            self._end(tile, fetches, error)
        return Traffic(sum(len(run.chunks) for run in done), sum(run.count for run in done))

    def _fetch_run(
        self,
        tile: TileFile,
        run: Run,
        fetches: Mapping[BlockIndex, BlockFetch],
        stop: threading.Event,
    ) -> None:
        """Fetch a run and cut its chunks as they arrive; those after a damaged one, too."""
        if stop.is_set():
            return
        damaged: Transient | None = None
        try:
            with self._remote.stream_range(tile.path, run.start, run.count, tile.meta) as body:
                position = run.start
                for chunk in run.chunks:
                    body.read_exactly(chunk.start - position)
                    content = body.read_exactly(chunk.count)
                    position = chunk.start + chunk.count
                    try:
                        _cut(fetches[chunk.block], chunk.band, _decode(tile, chunk, content))
                    except Transient as error:
                        damaged = error
                        self._count_damaged(tile, chunk)
        except (Throttled, VersionChanged):
            # More requests would make it worse, or are in vain.
            stop.set()
            raise
        if damaged is not None:
            raise damaged

    def _count_damaged(self, tile: TileFile, chunk: Chunk) -> None:
        """Give a block up whose chunk came damaged too often."""
        with self._lock:
            self._damaged[tile.path, chunk] += 1
            if self._damaged[tile.path, chunk] >= _DAMAGED_TRIES:
                self._hopeless[tile.path, chunk.block] = PermanentError(
                    f"{tile.path}: band {chunk.band} at byte {chunk.start:,} is damaged: it came "
                    f"so {_DAMAGED_TRIES} times in the version {tile.meta.version or 'without a name'}",
                )

    def _end(self, tile: TileFile, fetches: list[BlockFetch], error: Exception | None) -> None:
        """Hand over what is complete, and wake those who wait for it."""
        with self._lock:
            for fetch in fetches:
                try:
                    if hopeless := self._hopeless.get((tile.path, fetch.block)):
                        del self._fetches[tile.path, fetch.block]
                        fetch.error = hopeless
                    elif fetch.missing:
                        fetch.error = error or Transient(f"{tile.path}: was not read to the end")
                    else:
                        del self._fetches[tile.path, fetch.block]
                        for patch, span in fetch.spans.items():
                            part = np.ascontiguousarray(fetch.parts[:, span])
                            self._buffer.put(patch, (tile.path, fetch.block), part)
                        self._remember(tile, fetch)
                except HfaefError as full:
                    fetch.error = full
                finally:
                    if fetch.ended is not None:
                        fetch.ended.set()
                    fetch.ended = None

    def _remember(self, tile: TileFile, fetch: BlockFetch) -> None:
        if not fetch.decoded:
            return
        self._recent[tile.path, fetch.block] = fetch.decoded
        size = fetch.decoded[0].nbytes * BANDS
        while len(self._recent) > max(1, _RECENT_BYTES // size):
            self._recent.popitem(last=False)


def _neighbours(tile: TileFile, block: BlockIndex, request: BlockRequest) -> list[BlockIndex]:
    """Blocks beside one in its row that will be needed anyway."""
    level, row, column = block
    width = tile.header.levels[level].starts.shape[2]
    found: list[BlockIndex] = []
    for steps in (range(column + 1, width), range(column - 1, -1, -1)):
        for other in steps:
            if len(found) == NEIGHBOURS - 1 or not request.needed((level, row, other)):
                break
            found.append((level, row, other))
    return found


def _chunks(tile: TileFile, fetch: BlockFetch) -> list[Chunk]:
    """Chunks that are still missing; those that are not in the file are cut here."""
    number, row, column = fetch.block
    level = tile.header.levels[number]
    chunks = []
    for band in sorted(fetch.missing):
        count = int(level.counts[band, row, column])
        if count:
            chunks.append(Chunk(int(level.starts[band, row, column]), count, fetch.block, band))
        else:
            _cut(fetch, band, np.full(level.block_width * level.block_height, NODATA, np.int8))
    return chunks


def _decode(tile: TileFile, chunk: Chunk, content: bytes) -> Codes:
    """The pixels of a chunk, int8, row by row."""
    level = tile.header.levels[chunk.block[0]]
    size = level.block_width * level.block_height
    if tile.header.compression == ZSTD:
        try:
            content = pa.Codec("zstd").decompress(content, size, asbytes=False)
        except (OSError, pa.ArrowException) as error:
            raise Transient(f"{tile.path}: damaged bytes came") from error
    if len(content) != size:
        raise Transient(f"{tile.path}: damaged bytes came")
    return np.frombuffer(content, np.int8)


def _cut(fetch: BlockFetch, band: int, pixels: Codes) -> None:
    # All indices are within the block; another mode would copy once more.
    pixels.take(fetch.pixels, out=fetch.parts[band], mode="clip")
    if fetch.decoded is not None:
        fetch.decoded[band] = pixels
    fetch.missing.discard(band)


def _succeeded(future: Future[None]) -> bool:
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


def _copy(error: Exception) -> Exception:
    """The same error for another thread: one object would gather the traces of all."""
    if isinstance(error, Throttled):
        return Throttled(error.message, error.hint, delay=error.delay)
    if isinstance(error, SourceError):
        return type(error)(error.message, error.hint)
    return error
