"""From a source into the store: what is read when, how much at once, what is tried again.

One thread decides all of it; a crew (threads here, or a cluster) does nothing but read. So there
is one limit, one owner of retries and one writer of the ledger, however many machines read.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hfaef.adaptive import Rate, Window
from hfaef.catalog import Patch
from hfaef.crew import Answer, Crew
from hfaef.errors import (
    CredentialsError,
    HfaefError,
    SourceError,
    Throttled,
    Transient,
)
from hfaef.outage import Outage
from hfaef.progress import Advance, progress
from hfaef.read import Read
from hfaef.retry import Policy
from hfaef.store import Outcome, Store

_OPEN = 4
"""Patches begun and not done, by the ceiling; those that wait for another try among them."""

_TICK = 0.5
"""Seconds after which what is shown is brought up to date, though nothing happened."""

_RECENT = 100
_ENOUGH = 20
"""Reads of late that tell how long a read takes, and how few of them tell something."""

_MAX_HANGS = 2
"""Times that a read of a patch may hang before the patch is given up."""

_SUSPENDED = 5.0
"""Seconds: a wait that took this much longer than asked for was a sleep of the machine."""


def fetch(
    patches: Sequence[Patch],
    crew: Crew,
    store: Store,
    *,
    per_minute: int | None = None,
    policy: Policy | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Stage the pixels of all patches that are not staged yet, and write down what happened.

    Args:
        patches: what the build needs, in the order in which it is best read; those staged before
            are passed over.
        crew: reads and stages; closed at the end, however that comes.
        store: gets outcomes.
        per_minute: reads that may start in a minute.
        policy: what is tried again, and how long.
        clock: seconds that never go back.

    Raises:
        CredentialsError: if the source lets nobody in.
        SourceError: if it seems to be down, or to hang.
        FolderError: if the store cannot be written.
    """
    tried = {key: outcome.fetched for key, outcome in store.outcomes().items()}
    untried = [patch for patch in patches if (patch.year, patch.id) not in tried]
    again = [patch for patch in patches if tried.get((patch.year, patch.id)) is False]
    # Those that failed before come last: a build that is cut short has then tried others.
    wanted = untried + again
    try:
        if wanted:
            with progress("fetch", len(wanted)) as advance:
                engine = _Engine(
                    wanted, crew, store, Rate(per_minute), policy or Policy(), clock, advance
                )
                engine.run(len(untried))
    finally:
        crew.close()


@dataclass
class _Open:
    """A patch that was begun and is not done."""

    patch: Patch
    attempts: int = 0
    faults: int = 0
    refusals: int = 0
    hangs: int = 0
    started: float = 0.0
    """When the read that is under way began."""
    seconds: float = 0.0
    """Spent on reads that ended."""
    reason: str = ""
    """What the last read failed with."""


class _Engine:
    """One run: decides, until no patch is open."""

    def __init__(
        self,
        wanted: list[Patch],
        crew: Crew,
        store: Store,
        rate: Rate,
        policy: Policy,
        clock: Callable[[], float],
        advance: Advance,
    ) -> None:
        self._new = deque(wanted)
        self._crew = crew
        self._store = store
        self._window = Window(crew.size)
        self._rate = rate
        self._policy = policy
        self._clock = clock
        self._advance = advance
        self._last_untried = 0
        """Patches left to begin when none is left that was never tried."""
        self._tickets = itertools.count()
        self._under_way: dict[int, _Open] = {}
        self._waiting: list[tuple[float, int, _Open]] = []
        """A heap by the time of the next try; the number settles ties."""
        self._took: deque[float] = deque(maxlen=_RECENT)
        self._usual: float | None = None
        """Seconds that nine of ten reads of late took."""
        self._answered = clock()
        """When the last answer came."""
        self._outage = Outage(policy, _OPEN * self._window.ceiling, self._answered)
        self._hangs = 0
        """Reads left behind since the last answer."""
        self._refusals = self._retries = self._missing = 0
        """In the whole run; for those who watch."""

    def run(self, untried: int) -> None:
        """Read all there is; so many of the first were never tried, in no build before."""
        self._last_untried = len(self._new) - untried
        while self._new or self._under_way or self._waiting:
            now = self._clock()
            self._abandon_late(now)
            self._begin(now)
            timeout = self._pause(now)
            answer = self._crew.next(timeout)
            overrun = self._clock() - now - timeout
            if overrun > _SUSPENDED:
                self._forgive(overrun)
            while answer is not None:
                self._settle(answer)
                answer = self._crew.next(0.0)
            self._advance(self._note(), 0)

    def _begin(self, now: float) -> None:
        """Start what may start now: what is due again first, then what is new."""
        while len(self._under_way) < self._limit():
            if self._held(now):
                return
            if self._waiting and self._waiting[0][0] <= now:
                _, _, opened = heapq.heappop(self._waiting)
            elif self._new and self._open_count() < _OPEN * self._window.ceiling:
                opened = _Open(self._new.popleft())
            else:
                return
            opened.attempts += 1
            opened.started = now
            ticket = next(self._tickets)
            self._under_way[ticket] = opened
            self._rate.started(now)
            self._crew.start(ticket, opened.patch)

    def _limit(self) -> int:
        return 1 if self._outage.down else self._window.limit

    def _held(self, now: float) -> float:
        """Seconds until a read may start, as far as limits over time go."""
        return max(self._window.pause(now), self._rate.wait(now), self._outage.pause(now))

    def _open_count(self) -> int:
        return len(self._under_way) + len(self._waiting)

    def _pause(self, now: float) -> float:
        """Seconds until there is something to decide, unless an answer comes first."""
        times = [_TICK]
        times += [opened.started + self._late_after(opened) - now for opened in self._running()]
        if len(self._under_way) < self._limit():
            due = self._waiting[0][0] - now if self._waiting else math.inf
            times.append(max(self._held(now), due))
        return max(0.0, min(times))

    def _running(self) -> Iterable[_Open]:
        return self._under_way.values()

    def _settle(self, answer: Answer) -> None:
        """Take note of an answer: a patch is done, given up, or to be tried again."""
        now = self._clock()
        under_way = len(self._under_way)
        opened = self._under_way.pop(answer.ticket)
        seconds = now - opened.started
        opened.seconds += seconds
        self._answered, self._hangs = now, 0
        match answer.result:
            case Read() as read:
                self._window.accepted(under_way)
                self._outage.over(now)
                self._time(seconds)
                self._record(opened, read)
            case Throttled() as error:
                self._window.refused(opened.started, now, error.delay)
                self._refusals += 1
                opened.refusals += 1
                self._again(opened, error, opened.refusals, now)
            case Transient() as error:
                self._window.failed()
                self._fault(opened, error, now)
            case CredentialsError() as error:
                raise error
            case SourceError() as error:
                self._window.accepted(under_way)
                self._outage.over(now)
                self._give_up(opened, error.message)
            case HfaefError() as error:
                raise error
            case error:
                # One patch that trips over a mistake of ours or a library's must not end the run.
                self._window.failed()
                self._lose(opened, f"{type(error).__name__}: {error}")

    def _time(self, seconds: float) -> None:
        """Take note of how long a read took."""
        self._took.append(seconds)
        if len(self._took) >= _ENOUGH:
            self._usual = sorted(self._took)[9 * len(self._took) // 10]

    def _fault(self, opened: _Open, error: Transient, now: float) -> None:
        """Take note of a read that failed, in the account of its patch unless the source is down."""
        if not self._outage.down:
            opened.faults += 1
        if opened.faults >= self._policy.attempts or opened.hangs >= _MAX_HANGS:
            self._lose(opened, f"{error.message} ({opened.attempts} tries)")
        else:
            self._again(opened, error, opened.attempts - opened.refusals, now)

    def _again(self, opened: _Open, error: Throttled | Transient, tries: int, now: float) -> None:
        """Try a patch again later, unless the source has been down for too long."""
        self._retries += 1
        opened.reason = error.message
        wait = self._policy.wait(error, tries)
        heapq.heappush(self._waiting, (now + wait, next(self._tickets), opened))
        self._outage.failed(id(opened), error, now)
        if self._outage.too_long(now):
            self._surrender(opened, now)

    def _lose(self, opened: _Open, reason: str) -> None:
        """Give up a patch without a plain no of the source; many of them mean more."""
        self._give_up(opened, reason)
        self._outage.lost(id(opened))
        if self._outage.given_up >= self._policy.outage_patches and self._more():
            raise SourceError(
                f"{self._outage.given_up} patches in a row could not be had; the last, "
                f"{opened.patch.id}: {reason}",
                "run the same command again later; what is staged is kept",
            )

    def _more(self) -> bool:
        """Whether there are patches about which the ledger says nothing."""
        return len(self._new) > self._last_untried

    def _surrender(self, last: _Open, now: float) -> None:
        """Give up all patches that are open, and the run, if there would be more."""
        for ticket in self._under_way:
            self._crew.abandon(ticket)
        for opened in [*self._under_way.values(), *(entry[2] for entry in self._waiting)]:
            self._give_up(opened, f"{opened.reason or 'no answer'} ({opened.attempts} tries)")
        self._under_way.clear()
        self._waiting.clear()
        more = self._more()
        self._new.clear()
        if more:
            raise SourceError(
                f"the source is down: no good answer for {self._outage.seconds(now):,.0f} s; "
                f"the last, to {last.patch.id}: {last.reason}",
                "run the same command again later; what is staged is kept",
            )

    def _abandon_late(self, now: float) -> None:
        """Leave reads behind that take too long."""
        late = [
            (ticket, opened)
            for ticket, opened in self._under_way.items()
            if now - opened.started >= self._late_after(opened)
        ]
        for ticket, opened in late:
            if ticket not in self._under_way:
                return  # the run was given up
            self._crew.abandon(ticket)
            del self._under_way[ticket]
            opened.seconds += now - opened.started
            # One that is left behind early, because others are quicker, is a fault like others.
            opened.hangs += now - opened.started >= self._policy.deadline
            self._hangs += 1
            if self._hangs >= min(self._crew.size, self._policy.outage_patches):
                raise SourceError(
                    f"the source hangs: no answer for {now - self._answered:,.0f} s, to "
                    f"{self._hangs} reads",
                    "run the same command again later; what is staged is kept",
                )
            self._window.failed()
            words = f"no answer in {now - opened.started:,.0f} s"
            self._fault(opened, Transient(words), now)

    def _late_after(self, opened: _Open) -> float:
        """Seconds after which a read under way is late."""
        grid = opened.patch.grid
        # While nobody is answered, waiting on is cheaper than asking again.
        usual = self._usual if self._answered > opened.started else None
        return self._policy.late_after(grid.height * grid.width, usual)

    def _forgive(self, seconds: float) -> None:
        """Do not count seconds in which the machine slept."""
        for opened in self._running():
            opened.started += seconds
        self._answered += seconds
        self._outage.forgive(seconds)

    def _record(self, opened: _Open, read: Read) -> None:
        self._store.record(
            Outcome(
                opened.patch.year,
                opened.patch.id,
                fetched=True,
                attempts=opened.attempts,
                seconds=opened.seconds,
                requests=read.requests,
                bytes=read.received,
                origins=read.origins,
                resampled=read.resampled,
            )
        )
        self._advance(self._note())

    def _give_up(self, opened: _Open, reason: str) -> None:
        self._missing += 1
        self._store.record(
            Outcome(
                opened.patch.year,
                opened.patch.id,
                fetched=False,
                reason=" ".join(reason.split()),
                attempts=opened.attempts,
                seconds=opened.seconds,
            )
        )
        self._advance(self._note())

    def _note(self) -> str:
        """The state of the run for those who watch."""
        words = [f"{len(self._under_way)} of {self._limit()} under way"]
        for count, what in (
            (self._refusals, "throttled"),
            (self._retries, "tried again"),
            (self._missing, "missing"),
        ):
            if count:
                words.append(f"{count:,} {what}")
        return ", ".join(words)
