"""A source whose every pixel is known and whose faults follow a script, and an executor in
made-up time.

Both stand at the project's own seams, `Source` and `ReadExecutor`; nothing is replaced behind a
library's back.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from hfaef.build.batches.queue import KindOf
from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import Asked, Batch, Check, Completed, Result
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ReadOne
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.core.grid import WGS84, Grid, project
from hfaef.core.quantize import NODATA
from hfaef.errors import SourceError, Throttled, TooBig, Transient
from hfaef.sources.base import BatchKind, Pixels
from hfaef.sources.demo.field import Field

Fault = Callable[[], Exception]

USUAL: tuple[Fault, ...] = (
    lambda: Throttled("429 too many requests"),
    lambda: Transient("503 unavailable"),
    lambda: Transient("connection reset"),
    lambda: Transient("the answer was cut off"),
)


def patches(count: int, side: int = 4, year: int = 2018) -> list[Patch]:
    """Patches in a row in one UTM zone."""
    return [
        Patch(
            id=f"P{number:06d}",
            grid=Grid(
                "EPSG:32632",
                (10.0, 0.0, 400_000.0 + 50 * (number % 4000), 0.0, -10.0, 5.3e6 + number // 4000),
                side,
                side,
            ),
            label="Land",
            splits={},
            year=year,
        )
        for number in range(count)
    ]


def truth(grid: Grid, year: int, world: Field | None = None) -> np.ndarray:
    """What a `FieldSource` must give on a grid."""
    lon, lat = project(*grid.centres(), grid.crs, WGS84)
    return (world or Field()).codes(lon, lat, year)


@dataclass
class FieldSource:
    """Gives the closed-form field; called from many threads."""

    max_requests: int = 40
    max_reads: int = 40
    latency: float = 0.0
    """Seconds a read takes."""
    share: float = 0.0
    """Of reads that fail, at random."""
    faults: tuple[Fault, ...] = USUAL
    stall_share: float = 0.0
    """Of reads that hang until the source is released."""
    max_pixels: int = 1 << 30
    always: Mapping[str, Fault] = field(default_factory=dict)
    """Places (`Grid.transform` as text) that always fail."""
    seed: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._random = np.random.default_rng(self.seed)
        self.released = threading.Event()
        self.under_way = self.peak = 0
        self.reads: Counter[str] = Counter()

    def read(self, grid: Grid, year: int) -> Pixels:
        key = str(grid.transform)
        with self._lock:
            self.reads[key] += 1
            self.under_way += 1
            self.peak = max(self.peak, self.under_way)
            draw, which = self._random.random(), self._random.integers(len(self.faults))
        try:
            if draw < self.stall_share:
                self.released.wait()
                raise Transient("stalled")
            if self.latency:
                time.sleep(self.latency)
            if key in self.always:
                error = self.always[key]()
                raise error
            if draw < self.stall_share + self.share:
                error = self.faults[which]()
                raise error
            if grid.height * grid.width > self.max_pixels:
                raise TooBig("too many pixels")
            codes = truth(grid, year)
            return Pixels(codes, (f"field {year}",), resampled=False, received=codes.nbytes)
        finally:
            with self._lock:
                self.under_way -= 1

    def close(self) -> None:
        self.released.set()


@dataclass
class BatchSource(FieldSource):
    """A `FieldSource` that gives several patches with one request, as it is told to."""

    most: int = 16
    """Patches of a request."""
    memory: int = 1 << 30
    """Patches that it can compute together."""
    off: int = 0
    """Columns that pixels which come together lie off; a lie, unless it is 0."""
    blank: frozenset[str] = frozenset()
    """Places (`Grid.transform` as text) that it says have no data, together with others."""
    refusal: Fault | None = None
    """What it answers to all batches."""
    lies_after: int = 0
    """Batches that are right before `off` counts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.batches: list[int] = []
        """Patches of each request that held several, in the order of the requests."""

    def batch_kind(self, grid: Grid, year: int) -> BatchKind | None:
        return BatchKind((year, grid.height, grid.width), self.most, "field")

    def read_batch(self, grids: Sequence[Grid], year: int) -> list[Pixels | SourceError]:
        with self._lock:
            self.batches.append(len(grids))
            off = self.off if len(self.batches) > self.lies_after else 0
            draw, which = self._random.random(), self._random.integers(len(self.faults))
        if draw < self.stall_share:
            self.released.wait()
            raise Transient("stalled")
        if self.latency:
            time.sleep(self.latency)
        if self.refusal is not None:
            raise self.refusal()
        if draw < self.stall_share + self.share:
            error = self.faults[which]()
            raise error
        if len(grids) > self.memory:
            raise TooBig("user memory limit exceeded")
        return [self._together(grid, year, off, number) for number, grid in enumerate(grids)]

    def _together(self, grid: Grid, year: int, off: int, number: int) -> Pixels | SourceError:
        key = str(grid.transform)
        if key in self.always:
            error = self.always[key]()
            if not isinstance(error, SourceError):
                raise error
            return error
        a, b, c, d, e, f = grid.transform
        moved = Grid(grid.crs, (a, b, c + off * a, d, e, f), grid.height, grid.width)
        codes = truth(moved, year)
        if key in self.blank:
            codes = np.full_like(codes, NODATA)
        origins = (f"field {year}",)
        return Pixels(
            codes, origins, resampled=False, requests=int(not number), received=codes.size
        )


class Clock:
    """Time that passes when somebody says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class SimulatedExecutor:
    """Reads in made-up time: a service with a latency and a quota, and no waiting for either.

    What it is told of a patch holds for a batch whose first patch that is, too.
    """

    read: ReadOne
    size: int
    clock: Clock
    kind_of: KindOf | None = None
    """What patches are read together."""
    latency: float = 0.3
    latency_a_patch: float = 0.0
    slow: Callable[[Patch, int], float] = lambda _patch, _try: 0.0
    """Seconds that a try of a patch takes beyond the latency."""
    quota: Callable[[float], int] = lambda _now: 1 << 30
    """Reads at once that the service bears at a time."""
    refusal: Callable[[], SourceError] = lambda: Throttled("429 quota exceeded")
    fault: Callable[[Patch, int, float], Exception | None] = lambda _patch, _try, _now: None
    """What a try of a patch ends with instead, by the number of the try and the time."""
    hangs: Callable[[Patch, int], bool] = lambda _patch, _try: False

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, int, Asked, Exception | None]] = []
        self._order = itertools.count()
        self._served: set[int] = set()
        self._active: set[int] = set()
        self.tries: Counter[str] = Counter()
        """By the patch's id; of batches and checks, with what they are before it."""
        self.starts: list[float] = []
        self.refused: list[float] = []
        self.peak = 0
        self.closed = False
        self.hung = 0

    def start(self, read_id: int, asked: Asked) -> None:
        now = self.clock.now
        self.starts.append(now)
        match asked:
            case Batch(patches):
                patch, count, name = patches[0], len(patches), f"batch {patches[0].id}"
            case Check(patch):
                count, name = 1, f"check {patch.id}"
            case patch:
                count, name = 1, patch.id
        self.tries[name] += 1
        tries = self.tries[name]
        self._active.add(read_id)
        self.peak = max(self.peak, len(self._active))
        if self.hangs(patch, tries):
            return
        error: Exception | None
        if len(self._served) >= self.quota(now):
            self.refused.append(now)
            error, took = self.refusal(), 0.01
        else:
            self._served.add(read_id)
            error = self.fault(patch, tries, now)
            took = self.latency + self.latency_a_patch * count + self.slow(patch, tries)
        heapq.heappush(self._events, (now + took, next(self._order), read_id, asked, error))

    def next(self, timeout: float) -> Completed | None:
        until = self.clock.now + timeout
        while self._events and self._events[0][0] <= until:
            when, _, read_id, asked, error = heapq.heappop(self._events)
            self._served.discard(read_id)
            if read_id not in self._active:
                continue
            self.clock.now = max(self.clock.now, when)
            self._active.discard(read_id)
            return Completed(read_id, error or self._result(asked))
        self.clock.now = until
        return None

    def free_slot(self, read_id: int) -> None:
        pass

    def abandon(self, read_id: int) -> None:
        self._active.discard(read_id)
        self._served.discard(read_id)

    def close(self) -> None:
        self.closed = True

    def _result(self, asked: Asked) -> Result | Exception:
        try:
            return self.read(asked, lambda: True)
        except Exception as error:  # noqa: BLE001 - as a thread does
            return error


Simulate = Callable[..., SimulatedExecutor]
"""Makes one, as the fixture `simulate`."""


BATCHES = pytest.mark.parametrize("batch", [1, 16])
"""Patches of a request, for what must hold one by one and together."""


def run(
    wanted: list[Patch],
    executor: SimulatedExecutor,
    store: Store,
    policy: Policy | None = None,
    per_minute: int | None = None,
) -> None:
    clock, kind_of = executor.clock, executor.kind_of
    fetch(
        wanted, executor, store, kind_of=kind_of, per_minute=per_minute, policy=policy, clock=clock
    )


def wrong(store: Store, wanted: list[Patch]) -> list[str]:
    """Ids of patches that are not staged as the field has them."""
    return [p.id for p in wanted if not np.array_equal(store.pixels.read(p), truth(p.grid, p.year))]
