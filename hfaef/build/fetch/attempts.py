"""Patches and batches that were begun and are not done: reads under way, and retries to come."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from functools import cached_property

from hfaef.build.fetch.read import Asked, Batch, Check, Read
from hfaef.build.staging.ledger import Outcome
from hfaef.catalog.patch import Patch
from hfaef.core.net.text import clean_text
from hfaef.errors import count_of

_SHOWN = 60
"""Characters of the source's last words that those who watch see."""


@dataclass(eq=False)
class Suspicion:
    """Patches whose batch was refused without a word of batches, and that are read alone now."""

    left: int
    """How many are not done."""
    reason: str
    """What the batch was refused with."""
    guilty: bool = False
    """Whether one of them is refused alone, too."""


@dataclass(eq=False)
class ReadState:
    """In-flight state of what is read at once, a patch, a batch or a check.

    That is attempts, a retry waiting, outstanding and hedged reads.
    """

    asked: Asked
    suspicion: Suspicion | None = None
    """What a patch alone tells of the batch that it was in."""
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
    def patches(self) -> tuple[Patch, ...]:
        """The patches that it is about."""
        match self.asked:
            case Batch(patches):
                return patches
            case Check(patch):
                return (patch,)
        return (self.asked,)

    @property
    def name(self) -> str:
        """The patch, or the first one and how many others."""
        others = len(self.patches) - 1
        return self.patches[0].id + (f" and {count_of(others, 'other')}" if others else "")

    @cached_property
    def pixels(self) -> int:
        """Pixels of a band, of all patches."""
        return sum(patch.grid.height * patch.grid.width for patch in self.patches)

    def outcomes(
        self, read: Read | None, reason: str = "", *, permanent: bool = False
    ) -> list[Outcome]:
        """Rows of the ledger for its patches: what was read, or why nothing was."""
        return [
            Outcome(
                patch.year,
                patch.id,
                fetched=read is not None,
                reason=" ".join(reason.split()),
                attempts=self.attempts,
                seconds=self.seconds / len(self.patches),
                permanent=permanent,
                **(vars(read) if read else {}),
            )
            for patch in self.patches
        ]

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

    state: ReadState
    started: float
    hedged: bool = False
    """Whether the same is read once more, beside it."""


class InFlight:
    """All that is open (begun and not done), and the reads; used by one thread."""

    def __init__(self) -> None:
        self.reads: dict[int, ReadAttempt] = {}
        """Reads under way by id, the oldest first."""
        self.hedged = 0
        """How many of them are hedged."""
        self.open: list[ReadState] = []
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, ReadState]] = []
        """A heap by the time at which the next read is due; the number settles ties."""

    @property
    def active(self) -> int:
        """Reads under way that are not hedged; these are what the limit counts."""
        return len(self.reads) - self.hedged

    def begin(self, asked: Asked) -> ReadState:
        """Begin a patch, batch or check."""
        state = ReadState(asked)
        self.open.append(state)
        return state

    def done(self, state: ReadState) -> None:
        """Be done with what no read is under way of."""
        self.open.remove(state)
        if state.waiting:
            state.waiting = False
            self._waiting = [entry for entry in self._waiting if entry[2] is not state]
            heapq.heapify(self._waiting)

    def start(self, state: ReadState, now: float) -> int:
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
        """Let a read go on, and another one of the same be due."""
        read = self.reads[read_id]
        read.hedged = True
        read.state.hedges += 1
        self.hedged += 1
        self.schedule(read.state, now)

    def schedule(self, state: ReadState, due: float) -> None:
        """Let another read of the same be due at a time."""
        state.waiting = True
        heapq.heappush(self._waiting, (due, next(self._numbers), state))

    @property
    def next_due(self) -> float | None:
        """When the next read is due; None if none is to come."""
        return self._waiting[0][0] if self._waiting else None

    def take_due(self, now: float) -> ReadState | None:
        """What a read is due of."""
        if self.next_due is None or self.next_due > now:
            return None
        _, _, state = heapq.heappop(self._waiting)
        state.waiting = False
        return state


@dataclass
class Tally:
    """What those who watch a run see of it."""

    refusals: int = 0
    retries: int = 0
    missing: int = 0
    last_words: str = ""
    """What the source refused with, or failed with, since the last good answer."""

    def note(self, active: int, limit: int) -> str:
        """The state of a run with so many reads under way."""
        words = [f"{active} of {limit} under way"]
        for count, what in (
            (self.refusals, "throttled"),
            (self.retries, "tried again"),
            (self.missing, "missing"),
        ):
            if count:
                words.append(f"{count:,} {what}")
        if self.last_words:
            words.append(f"last answer: {clean_text(self.last_words, _SHOWN)}")
        return ", ".join(words)
