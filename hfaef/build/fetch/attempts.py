"""Patches that were begun and are not done: their reads under way, and their retries to come."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field

from hfaef.catalog.patch import Patch


@dataclass(eq=False)
class PatchState:
    """In-flight state of one patch: attempts, a retry waiting, outstanding and hedged reads."""

    patch: Patch
    attempts: int = 0
    """Reads that were started."""
    failures: int = 0
    """Reads that failed for reasons that pass, while the source was not down."""
    refusals: int = 0
    """Reads that were throttled."""
    timeouts: int = 0
    """Reads abandoned at their deadline."""
    hedges: int = 0
    """Reads that were hedged."""
    seconds: float = 0.0
    """Spent on reads that ended."""
    reason: str = ""
    """What the last read failed with."""
    reads: dict[int, ReadAttempt] = field(default_factory=dict)
    """Reads under way by id; not more than one of them is not hedged."""
    waiting: bool = False
    """Whether another read of it is due, now or later."""

    @property
    def pixels(self) -> int:
        """Pixels of a band."""
        return self.patch.grid.height * self.patch.grid.width

    @property
    def has_primary(self) -> bool:
        """Whether a read of it that is not hedged is under way or to come."""
        return self.waiting or not all(read.hedged for read in self.reads.values())

    @property
    def idle(self) -> bool:
        """Whether no read of it is under way or to come."""
        return not self.reads and not self.waiting


@dataclass(eq=False)
class ReadAttempt:
    """A read under way."""

    state: PatchState
    started: float
    hedged: bool = False
    """Whether its patch is read once more, beside it."""


class InFlight:
    """All patches that are open (begun and not done), and their reads; used by one thread."""

    def __init__(self) -> None:
        self.reads: dict[int, ReadAttempt] = {}
        """Reads under way by id, the oldest first."""
        self.hedged = 0
        """How many of them are hedged."""
        self.open: list[PatchState] = []
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, PatchState]] = []
        """A heap by the time at which the next read is due; the number settles ties."""

    @property
    def active(self) -> int:
        """Reads under way that are not hedged; these are what the limit counts."""
        return len(self.reads) - self.hedged

    def open_patch(self, patch: Patch) -> PatchState:
        """Begin a patch."""
        state = PatchState(patch)
        self.open.append(state)
        return state

    def close_patch(self, state: PatchState) -> None:
        """Be done with a patch, of which no read is under way."""
        self.open.remove(state)
        if state.waiting:
            state.waiting = False
            self._waiting = [entry for entry in self._waiting if entry[2] is not state]
            heapq.heapify(self._waiting)

    def start(self, state: PatchState, now: float) -> int:
        """Begin a read; gives its id, which no other read has."""
        read_id = next(self._numbers)
        self.reads[read_id] = state.reads[read_id] = ReadAttempt(state, now)
        state.attempts += 1
        return read_id

    def end(self, read_id: int, now: float) -> ReadAttempt:
        """Take out a read that completed or was abandoned."""
        read = self.reads.pop(read_id)
        self.hedged -= read.hedged
        del read.state.reads[read_id]
        read.state.seconds += now - read.started
        return read

    def hedge(self, read_id: int, now: float) -> None:
        """Let a read go on, and another read of its patch be due."""
        read = self.reads[read_id]
        read.hedged = True
        read.state.hedges += 1
        self.hedged += 1
        self.schedule(read.state, now)

    def schedule(self, state: PatchState, due: float) -> None:
        """Let another read of a patch be due at a time."""
        state.waiting = True
        heapq.heappush(self._waiting, (due, next(self._numbers), state))

    @property
    def next_due(self) -> float | None:
        """When the next read is due; None if none is to come."""
        return self._waiting[0][0] if self._waiting else None

    def take_due(self, now: float) -> PatchState | None:
        """A patch of which a read is due."""
        if self.next_due is None or self.next_due > now:
            return None
        _, _, state = heapq.heappop(self._waiting)
        state.waiting = False
        return state
