"""A patch that was begun and is not done, and its reads: those under way and those to come."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field

from hfaef.catalog.patch import Patch

_MOST_DOUBTS = 3
"""Reads of one patch that may be doubtful; the next one is waited for."""


@dataclass(eq=False)
class PatchState:
    """What was done for a patch so far."""

    patch: Patch
    attempts: int = 0
    """Reads that were begun."""
    faults: int = 0
    """Reads that failed for reasons that pass, while the source was not down."""
    refusals: int = 0
    hangs: int = 0
    """Reads that were given up."""
    doubts: int = 0
    """Reads that were doubtful, and begun once more."""
    seconds: float = 0.0
    """Spent on reads that ended."""
    reason: str = ""
    """What the last read failed with."""
    tickets: set[int] = field(default_factory=set)
    """Of its reads under way."""
    current: int | None = None
    """The one of them that is not doubtful, if there is one."""
    waiting: bool = False
    """Whether it waits for another try."""

    @property
    def pixels(self) -> int:
        """Of the patch."""
        return self.patch.grid.height * self.patch.grid.width

    @property
    def pursued(self) -> bool:
        """Whether a read of it that is not doubtful is under way or to come."""
        return self.waiting or self.current is not None

    @property
    def idle(self) -> bool:
        """Whether no read of it is under way or to come."""
        return not self.tickets and not self.waiting


@dataclass(eq=False)
class ReadAttempt:
    """A read under way."""

    effort: PatchState
    started: float
    doubtful: bool = False
    """Whether another read took its place."""


class InFlight:
    """All that is open; used by one thread."""

    def __init__(self) -> None:
        self.readings: dict[int, ReadAttempt] = {}
        """Reads under way by ticket, the oldest first."""
        self.doubtful = 0
        """How many of them are doubtful."""
        self.open = 0
        """Patches begun and not done."""
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, PatchState]] = []
        """A heap by the time of the next try; the number settles ties."""

    def __bool__(self) -> bool:
        return self.open > 0

    @property
    def active(self) -> int:
        """Reads under way that are not doubtful."""
        return len(self.readings) - self.doubtful

    def begin(self, patch: Patch) -> PatchState:
        """A patch that is begun."""
        self.open += 1
        return PatchState(patch)

    def start(self, effort: PatchState, now: float) -> int:
        """Take note of a read that starts; gives its ticket, which no other read has."""
        ticket = next(self._numbers)
        self.readings[ticket] = ReadAttempt(effort, now)
        effort.tickets.add(ticket)
        effort.current = ticket
        effort.attempts += 1
        return ticket

    def end(self, ticket: int, now: float) -> ReadAttempt:
        """Take note of a read that ended, or is not waited for any more."""
        reading = self.readings.pop(ticket)
        self.doubtful -= reading.doubtful
        effort = reading.effort
        effort.tickets.discard(ticket)
        if effort.current == ticket:
            effort.current = None
        effort.seconds += now - reading.started
        return reading

    def may_doubt(self, reading: ReadAttempt) -> bool:
        """Whether a read may become doubtful."""
        return not reading.doubtful and reading.effort.doubts < _MOST_DOUBTS

    def doubt(self, ticket: int, now: float) -> None:
        """Take note of a read that is doubtful; its patch waits for another one."""
        reading = self.readings[ticket]
        reading.doubtful = True
        reading.effort.current = None
        reading.effort.doubts += 1
        self.doubtful += 1
        self.wait(reading.effort, now)

    def wait(self, effort: PatchState, until: float) -> None:
        """Let a patch wait for its next try."""
        effort.waiting = True
        heapq.heappush(self._waiting, (until, next(self._numbers), effort))

    @property
    def next_due(self) -> float | None:
        """When the next try is due; None if none is to come."""
        return self._waiting[0][0] if self._waiting else None

    def take_due(self, now: float) -> PatchState | None:
        """A patch whose next try is due."""
        if not self._waiting or self._waiting[0][0] > now:
            return None
        _, _, effort = heapq.heappop(self._waiting)
        effort.waiting = False
        return effort

    def done(self, effort: PatchState) -> None:
        """Take note of a patch that is done, or given up; none of its reads is under way."""
        self.open -= 1
        if effort.waiting:
            effort.waiting = False
            self._waiting = [entry for entry in self._waiting if entry[2] is not effort]
            heapq.heapify(self._waiting)

    def all_open(self) -> list[PatchState]:
        """All patches that are begun and not done."""
        efforts = [reading.effort for reading in self.readings.values()]
        efforts += [effort for _, _, effort in self._waiting]
        return list(dict.fromkeys(efforts))

    def forgive(self, seconds: float) -> None:
        """Do not count seconds in which the machine slept."""
        for reading in self.readings.values():
            reading.started += seconds
