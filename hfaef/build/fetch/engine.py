"""From a source into the store: what is read when, how much at once, what is tried again.

One thread decides all of it; a crew (threads here, or a cluster) does nothing but read. So there
is one limit, one owner of retries and one writer of the ledger, however many machines read.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from hfaef.build.fetch.attempts import InFlight, PatchState, ReadAttempt
from hfaef.build.fetch.breaker import CircuitBreaker
from hfaef.build.fetch.latency import LatencyTracker
from hfaef.build.fetch.read import Read
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import Completed, ReadExecutor
from hfaef.build.fetch.window import ConcurrencyLimit, Rate
from hfaef.build.staging.ledger import Outcome
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.core.progress import Advance, progress
from hfaef.errors import (
    CredentialsError,
    HfaefError,
    SourceError,
    Throttled,
    Transient,
)

_LOG = logging.getLogger(__name__)

_OPEN = 4
"""Patches begun and not done, by the ceiling; those that wait for another try among them."""

_TICK = 0.5
"""Seconds after which what is shown is brought up to date, though nothing happened."""

_MAX_HANGS = 2
"""Times that a read of a patch may hang before the patch is given up."""

_FEW = 4
"""What part of the limit may be under way and silent without a doubt about the source itself."""

_SUSPENDED = 5.0
"""Seconds: a wait that took this much longer than asked for was a sleep of the machine."""


def fetch(
    patches: Sequence[Patch],
    crew: ReadExecutor,
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


class _Engine:
    """One run: decides, until no patch is open."""

    def __init__(
        self,
        wanted: list[Patch],
        crew: ReadExecutor,
        store: Store,
        rate: Rate,
        policy: Policy,
        clock: Callable[[], float],
        advance: Advance,
    ) -> None:
        self._new = deque(wanted)
        self._crew = crew
        self._store = store
        self._window = ConcurrencyLimit(crew.size)
        self._rate = rate
        self._policy = policy
        self._clock = clock
        self._advance = advance
        self._last_untried = 0
        """Patches left to begin when none is left that was never tried."""
        self._efforts = InFlight()
        self._pace = LatencyTracker(policy)
        self._answered = clock()
        """When the last answer came."""
        self._outage = CircuitBreaker(policy, _OPEN * self._window.ceiling, self._answered)
        self._full = False
        """Whether the limit was reached when the last answers were awaited."""
        self._hangs = 0
        """Reads given up since the last answer."""
        self._refusals = self._retries = self._missing = 0
        """In the whole run; for those who watch."""

    def run(self, untried: int) -> None:
        """Read all there is; so many of the first were never tried, in no build before."""
        self._last_untried = len(self._new) - untried
        while self._new or self._efforts:
            now = self._clock()
            self._look_after(now)
            self._begin(now)
            self._full = self._efforts.active >= self._limit()
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
        while self._efforts.active < self._limit():
            if self._held(now):
                return
            effort = self._efforts.take_due(now)
            if effort is None:
                if not self._new or self._efforts.open >= _OPEN * self._window.ceiling:
                    return
                effort = self._efforts.begin(self._new.popleft())
            ticket = self._efforts.start(effort, now)
            self._rate.started(now)
            self._crew.start(ticket, effort.patch)

    def _limit(self) -> int:
        return 1 if self._outage.down else self._window.limit

    def _held(self, now: float) -> float:
        """Seconds until a read may start, as far as limits over time go."""
        return max(self._window.pause(now), self._rate.wait(now), self._outage.pause(now))

    def _pause(self, now: float) -> float:
        """Seconds until there is something to decide, unless an answer comes first."""
        times = [_TICK]
        times += [self._decide_at(reading) - now for reading in self._readings()]
        if self._efforts.active < self._limit():
            due = self._efforts.next_due
            times.append(max(self._held(now), math.inf if due is None else due - now))
        return max(0.0, min(times))

    def _readings(self) -> Iterable[ReadAttempt]:
        return self._efforts.readings.values()

    def _settle(self, answer: Completed) -> None:
        """Take note of an answer: a patch is done, given up, or to be tried again."""
        now = self._clock()
        reading = self._efforts.end(answer.ticket, now)
        effort = reading.effort
        self._answered, self._hangs = now, 0
        match answer.result:
            case Read() as read:
                self._window.accepted(full=self._full)
                self._outage.over(now)
                self._pace.answered(now - reading.started, effort.pixels)
                self._record(effort, read)
            case Throttled() as error:
                self._window.refused(reading.started, now, error.delay)
                self._refusals += 1
                effort.refusals += 1
                self._again(effort, error, effort.refusals, now)
            case Transient() as error:
                self._window.failed()
                self._fault(effort, error, now)
            case CredentialsError() as error:
                raise error
            case SourceError() as error:
                self._window.accepted(full=self._full)
                self._outage.over(now)
                self._give_up(effort, error.message)
            case HfaefError() as error:
                raise error
            case error if effort.idle:
                # One patch that trips over a mistake of ours or a library's must not end the run.
                self._window.failed()
                self._lose(effort, f"{type(error).__name__}: {error}")
            case _:
                self._window.failed()

    def _fault(self, effort: PatchState, error: Transient, now: float) -> None:
        """Take note of a read that failed, in the account of its patch unless the source is down."""
        if not self._outage.down:
            effort.faults += 1
        if effort.faults >= self._policy.attempts or effort.hangs >= _MAX_HANGS:
            # A doubtful read may still be answered; if it is not, this comes up again.
            if effort.idle:
                self._lose(effort, f"{error.message} ({effort.attempts} tries)")
        else:
            self._again(effort, error, effort.attempts - effort.refusals - effort.doubts, now)

    def _again(
        self, effort: PatchState, error: Throttled | Transient, tries: int, now: float
    ) -> None:
        """Try a patch again later, unless the source has been down for too long."""
        effort.reason = error.message
        if effort.pursued:
            return  # it was begun once more already, when this read was doubtful
        self._retries += 1
        wait = self._policy.wait(error, max(tries, 1))
        _LOG.info("%s is read again in %.1f s: %s", effort.patch.id, wait, error.message)
        self._efforts.wait(effort, now + wait)
        self._outage.failed(id(effort), error, now)
        if self._outage.too_long(now):
            self._surrender(effort, now)

    def _lose(self, effort: PatchState, reason: str) -> None:
        """Give up a patch without a plain no of the source; many of them mean more."""
        self._give_up(effort, reason)
        self._outage.lost(id(effort))
        if self._outage.given_up >= self._policy.outage_patches and self._more():
            raise SourceError(
                f"{self._outage.given_up} patches in a row could not be had; the last, "
                f"{effort.patch.id}: {reason}",
                "run the same command again later; what is staged is kept",
            )

    def _more(self) -> bool:
        """Whether there are patches about which the ledger says nothing."""
        return len(self._new) > self._last_untried

    def _surrender(self, last: PatchState, now: float) -> None:
        """Give up all patches that are open, and the run, if there would be more."""
        for effort in self._efforts.all_open():
            self._give_up(effort, f"{effort.reason or 'no answer'} ({effort.attempts} tries)")
        more = self._more()
        self._new.clear()
        if more:
            raise SourceError(
                f"the source is down: no good answer for {self._outage.seconds(now):,.0f} s; "
                f"the last, to {last.patch.id}: {last.reason}",
                "run the same command again later; what is staged is kept",
            )

    def _look_after(self, now: float) -> None:
        """Begin once more what is doubtful, and give up what is hopeless."""
        for ticket, reading in list(self._efforts.readings.items()):
            if ticket not in self._efforts.readings:
                continue  # its patch was given up
            if now < self._decide_at(reading):
                continue
            if now >= self._hopeless_at(reading):
                self._give_up_read(ticket, now)
            else:
                _LOG.info("%s does not answer; it is asked once more", reading.effort.patch.id)
                self._efforts.doubt(ticket, now)
                self._crew.doubt(ticket)
                self._retries += 1

    def _give_up_read(self, ticket: int, now: float) -> None:
        """Leave a read behind that will not be answered any more."""
        self._crew.abandon(ticket)
        reading = self._efforts.end(ticket, now)
        effort = reading.effort
        self._window.failed()
        self._hangs += 1
        enough = min(self._crew.size, self._policy.outage_patches, _MAX_HANGS * self._efforts.open)
        last = not self._new and self._efforts.open == 1
        if self._hangs >= enough and not last:
            raise SourceError(
                f"the source hangs: no answer for {now - self._answered:,.0f} s, to "
                f"{self._hangs} reads",
                "run the same command again later; what is staged is kept",
            )
        error = Transient(f"no answer in {now - reading.started:,.0f} s")
        if last or self._answered > reading.started:
            effort.hangs += 1
            self._fault(effort, error, now)
        else:
            # Nobody was answered, so it is not this patch.
            self._again(effort, error, 1, now)

    def _decide_at(self, reading: ReadAttempt) -> float:
        """When something is to be decided about a read."""
        hopeless = self._hopeless_at(reading)
        # While none of many is answered, waiting on is cheaper than asking again.
        if (
            (self._answered <= reading.started and not self._few())
            or self._efforts.doubtful >= self._crew.size
            or not self._efforts.may_doubt(reading)
        ):
            return hopeless
        effort = reading.effort
        patience = self._pace.doubtful_after(effort.pixels, effort.doubts)
        return min(hopeless, reading.started + patience)

    def _few(self) -> bool:
        """Whether so few reads are under way that their silence may be chance, as at the end."""
        few = max(self._limit() // _FEW, 1)
        return not self._outage.down and self._efforts.active <= few

    def _hopeless_at(self, reading: ReadAttempt) -> float:
        return reading.started + self._pace.hopeless_after(reading.effort.pixels)

    def _forgive(self, seconds: float) -> None:
        """Do not count seconds in which the machine slept."""
        self._efforts.forgive(seconds)
        self._answered += seconds
        self._outage.forgive(seconds)

    def _close(self, effort: PatchState) -> None:
        """Be done with a patch; its other reads are not waited for."""
        for ticket in list(effort.tickets):
            self._crew.abandon(ticket)
            self._efforts.end(ticket, self._clock())
        self._efforts.done(effort)

    def _record(self, effort: PatchState, read: Read) -> None:
        self._close(effort)
        self._store.record(
            Outcome(
                effort.patch.year,
                effort.patch.id,
                fetched=True,
                attempts=effort.attempts,
                seconds=effort.seconds,
                requests=read.requests,
                bytes=read.received,
                origins=read.origins,
                resampled=read.resampled,
            )
        )
        self._advance(self._note())

    def _give_up(self, effort: PatchState, reason: str) -> None:
        self._close(effort)
        _LOG.info("%s is given up: %s", effort.patch.id, reason)
        self._missing += 1
        self._store.record(
            Outcome(
                effort.patch.year,
                effort.patch.id,
                fetched=False,
                reason=" ".join(reason.split()),
                attempts=effort.attempts,
                seconds=effort.seconds,
            )
        )
        self._advance(self._note())

    def _note(self) -> str:
        """The state of the run for those who watch."""
        words = [f"{self._efforts.active} of {self._limit()} under way"]
        for count, what in (
            (self._refusals, "throttled"),
            (self._retries, "tried again"),
            (self._missing, "missing"),
        ):
            if count:
                words.append(f"{count:,} {what}")
        return ", ".join(words)
