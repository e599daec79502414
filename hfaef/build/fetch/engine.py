"""From a source into staging: what is read when, how much at once, what is tried again.

One thread decides all of it; an executor (threads here, or a cluster) reads, and itself retries
only the parts of a patch or batch that is too big and the writing of pixels. So there is one limit,
one place that decides whether a patch is read again, and one writer of the ledger.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence

from hfaef.build.batches.queue import BatchQueue, KindOf, Remaining, remaining
from hfaef.build.batches.reads import LATER, BatchReads
from hfaef.build.batches.trust import Trust
from hfaef.build.fetch.attempts import InFlight, ReadAttempt, ReadState, Tally
from hfaef.build.fetch.breaker import CircuitBreaker
from hfaef.build.fetch.concurrency_limit import ConcurrencyLimit
from hfaef.build.fetch.latency import LatencyTracker
from hfaef.build.fetch.read import (
    BatchRead,
    Check,
    Checked,
    Completed,
    Read,
    ReadExecutor,
    Result,
)
from hfaef.build.fetch.retry import Policy
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.core.net.text import clean_text
from hfaef.core.progress import Advance, progress
from hfaef.errors import (
    CredentialsError,
    HfaefError,
    NoDataError,
    QuotaExhausted,
    SourceError,
    Throttled,
    Transient,
)
from hfaef.sources.rate_limiter import RateLimiter

_LOG = logging.getLogger(__name__)

_OPEN = 4
"""Reads open (begun and not done) by the ceiling; those that wait for a retry are among them."""

_TICK = 0.5
"""Seconds after which what is shown is brought up to date, though nothing happened."""

_MAX_TIMEOUTS = 2
"""Reads of a patch that may pass their deadline before the patch is given up."""

_CHANCE = 4
"""A silence of this part of the limit, or less, may be chance: it says nothing about the source."""

_SUSPENDED = 5.0
"""Seconds: a wait that took this much longer than asked for was a sleep of the machine."""


def fetch(
    patches: Sequence[Patch],
    executor: ReadExecutor,
    store: Store,
    *,
    kind_of: KindOf | None = None,
    per_minute: int | None = None,
    policy: Policy | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[str, ...]:
    """Stage the pixels of all patches that are not staged yet, and write down what happened.

    What came together with others counts when a check came after it, be it in this build.

    Args:
        patches: what the build needs, in the order in which it is best read; those staged before,
            and those where the source has nothing, are passed over.
        executor: reads and stages; closed at the end, however that comes.
        store: gets outcomes.
        kind_of: what patches are read together; by default none are.
        per_minute: reads that may start in a minute.
        policy: what is tried again, and how long.
        clock: seconds that never go back.

    Returns:
        What the user should know.

    Raises:
        CredentialsError: if the source lets nobody in.
        QuotaExhausted: if it gives nothing more for days.
        SourceError: if it seems to be down, or to hang.
        FolderError: if the store cannot be written.
    """
    work = remaining(patches, store.outcomes())
    try:
        if not work:
            return ()
        with progress("fetch", len(work.untried) + len(work.failed)) as advance:
            rate = RateLimiter(per_minute)
            engine = _Engine(executor, store, rate, policy or Policy(), clock, advance, kind_of)
            return engine.run(work)
    finally:
        executor.close()


class _Engine:
    """One run: decides, until no patch is open."""

    def __init__(
        self,
        executor: ReadExecutor,
        store: Store,
        rate: RateLimiter,
        policy: Policy,
        clock: Callable[[], float],
        advance: Advance,
        kind_of: KindOf | None,
    ) -> None:
        self._new = BatchQueue(kind_of)
        """Patches to begin: first those about which the ledger says nothing."""
        self._executor = executor
        self._store = store
        self._rate = rate
        self._policy = policy
        self._clock = clock
        self._advance = advance
        self._suspended = 0.0
        """Seconds that the machine slept; they count nowhere."""
        self._last_answer = self._now()
        self._in_flight = InFlight()
        self._trust = Trust()
        self._batches = BatchReads(self._new, self._trust, store, self._in_flight, self._leave)
        self._concurrency = ConcurrencyLimit(executor.size)
        self._latency = LatencyTracker(policy)
        self._max_open = _OPEN * self._concurrency.ceiling
        self._breaker = CircuitBreaker(policy, self._max_open, self._last_answer)
        self._full = False
        """Whether the limit was reached when the last answers were awaited."""
        self._timeouts = 0
        """Reads abandoned at their deadline since the last answer."""
        self._tally = Tally()

    def run(self, work: Remaining) -> tuple[str, ...]:
        """Read all patches; gives what the user should know."""
        # In this order, as a build that is cut short has then tried others.
        self._new.add(work.untried)
        self._new.add_last(work.failed)
        self._batches.check_earlier(work.unchecked)
        while self._new or self._in_flight.open or self._batches.check_last():
            now = self._now()
            self._check_overdue(now)
            self._start_reads(now)
            self._full = self._in_flight.active >= self._limit()
            timeout = self._time_to_next_decision(now)
            completed = self._executor.next(timeout)
            overrun = self._now() - now - timeout
            if overrun > _SUSPENDED:
                self._suspended += overrun
            while completed is not None:
                self._settle(completed)
                completed = self._executor.next(0.0)
            self._show(0)
        return self._batches.notes

    def _now(self) -> float:
        return self._clock() - self._suspended

    def _limit(self) -> int:
        return 1 if self._breaker.down else self._concurrency.limit

    def _hold(self, now: float) -> float:
        """Seconds until a read may start, as far as limits over time go."""
        pause = max(self._concurrency.pause(now), self._breaker.pause(now))
        return max(pause, self._rate.next_start(now) - now)

    def _start_reads(self, now: float) -> None:
        """Start what may start now: what is due again first, then what is new."""
        if self._batches.mistrusted:
            self._show(-self._batches.drop())
            if self._batches.mistrusted:
                return
        while self._in_flight.active < self._limit() and not self._hold(now):
            state = self._in_flight.take_due(now)
            if state is None:
                if not self._new or len(self._in_flight.open) >= self._max_open:
                    return
                state = self._in_flight.begin(self._new.take())
            read_id = self._in_flight.start(state, now)
            self._rate.reserve(now)
            self._executor.start(read_id, state.asked)

    def _time_to_next_decision(self, now: float) -> float:
        """Seconds until there is something to decide, unless a read completes first."""
        times = [_TICK, *(self._decide_at(read) - now for read in self._in_flight.reads.values())]
        if self._in_flight.active < self._limit() and not self._batches.mistrusted:
            due = self._in_flight.next_due
            times.append(max(self._hold(now), math.inf if due is None else due - now))
        return max(0.0, min(times))

    def _settle(self, completed: Completed) -> None:
        """Act on a read that ended: what it was for is done, given up, or to be tried again."""
        now = self._now()
        read = self._in_flight.end(completed.read_id, now)
        self._last_answer, self._timeouts = now, 0
        if isinstance(completed.result, Exception):
            self._fail(read, completed.result, now)
        else:
            self._answered(now)
            self._latency.record(now - read.started, read.state.pixels)
            self._accept(read.state, completed.result)

    def _fail(self, read: ReadAttempt, error: Exception, now: float) -> None:
        """Act on a read that ended in an error."""
        state = read.state
        match error:
            case Throttled():
                self._concurrency.record_refusal(read.started, now, self._policy.delay(error))
                self._tally.refusals += 1
                state.refusals += 1
                self._retry(state, error, now)
            case Transient():
                self._concurrency.record_failure()
                self._retry_or_give_up(state, error, now)
            case CredentialsError() | QuotaExhausted():
                raise error
            case SourceError():
                self._answered(now)
                self._refuse(state, error)
            case HfaefError():
                raise error
            case _:
                # One patch that trips over a mistake of ours or a library's must not end the run.
                self._concurrency.record_failure()
                if state.idle:
                    self._give_up(state, f"{type(error).__name__}: {clean_text(error, 500)}")

    def _answered(self, now: float) -> None:
        """Count a good answer: pixels, or a plain no."""
        self._concurrency.record_success(full=self._full)
        self._breaker.record_success(now)
        self._tally.last_words = ""

    def _accept(self, state: ReadState, result: Result) -> None:
        """Act on what was read."""
        match result:
            case Read():
                self._finish(state, result)
            case BatchRead():
                outcomes = self._batches.finish(state, result)
                self._tally.missing += sum(not outcome.fetched for outcome in outcomes)
                self._show(len(outcomes))
            case Checked():
                self._batches.finish_check(state, result)

    def _refuse(self, state: ReadState, error: SourceError) -> None:
        """Act on a plain no."""
        if isinstance(state.asked, Patch):
            self._finish(state, reason=error.message, permanent=isinstance(error, NoDataError))
        else:
            self._batches.refuse(state, error)

    def _retry_or_give_up(self, state: ReadState, error: Transient, now: float) -> None:
        """Count a failure against its patch, unless the source is down, and act on it."""
        down = self._breaker.down
        if not down:
            state.failures += 1
            self._batches.record_failure(state)
        hopeless = state.failures >= self._policy.attempts or self._batches.hopeless(state)
        if not hopeless and state.timeouts < _MAX_TIMEOUTS:
            self._retry(state, error, now)
            if down and not self._in_flight.active:
                self._batches.part_probe(state, error.message)
        elif state.idle:  # else a hedged read may still bring it, or this comes up again
            self._give_up(state, f"{error.message} ({state.attempts} tries)")

    def _retry(self, state: ReadState, error: Throttled | Transient, now: float) -> None:
        """Try a patch again later, unless the source has been down for too long."""
        state.reason = self._tally.last_words = error.message
        if state.has_primary:
            return  # it was started once more already, when this read was hedged
        throttled = isinstance(error, Throttled)
        tries = state.refusals if throttled else state.attempts - state.refusals - state.hedges
        self._tally.retries += 1
        wait = self._policy.wait(error, max(tries, 1))
        _LOG.info("%s is read again in %.1f s: %s", state.name, wait, error.message)
        self._in_flight.schedule(state, now + wait)
        self._breaker.record_failure(state, error, now)
        # A batch that fails says nothing of patches alone, of which one is asked for first.
        if (throttled or len(state.patches) == 1) and self._breaker.exhausted(error, now):
            self._give_up_all(state, now)

    def _give_up(self, state: ReadState, reason: str) -> None:
        """Give up a patch without a plain no of the source; many of them mean more."""
        if not isinstance(state.asked, Patch):
            self._batches.give_up(state, reason)
            return
        self._finish(state, reason=reason)
        self._breaker.record_given_up(state)
        if self._breaker.given_up >= self._policy.outage_patches and self._new.untried:
            raise SourceError(
                f"{self._breaker.given_up} patches in a row could not be had; the last, "
                f"{state.name}: {reason}",
                LATER,
            )

    def _give_up_all(self, last: ReadState, now: float) -> None:
        """Give up all that is open, and the run, if there would be more."""
        for state in list(self._in_flight.open):
            self._finish(state, reason=f"{state.reason or 'no answer'} ({state.attempts} tries)")
        more = self._new.untried or self._trust.unchecked
        self._new.clear()
        if more:
            raise SourceError(
                f"the source is down: no good answer for {self._breaker.silence(now):,.0f} s; "
                f"the last, to {last.name}: {last.reason}",
                LATER,
            )

    def _check_overdue(self, now: float) -> None:
        """Hedge reads that take long, and abandon those past their deadline."""
        for read_id, read in list(self._in_flight.reads.items()):
            if read_id not in self._in_flight.reads:
                continue  # its patch was given up
            if now >= self._latency.decide_at(read, hedge=False):
                self._abandon(read_id, now)
            elif now >= self._decide_at(read):
                _LOG.info("%s does not answer; it is asked once more", read.state.name)
                self._in_flight.hedge(read_id, now)
                self._executor.free_slot(read_id)
                self._tally.retries += 1

    def _abandon(self, read_id: int, now: float) -> None:
        """Leave a read behind at its deadline."""
        self._executor.abandon(read_id)
        read = self._in_flight.end(read_id, now)
        self._concurrency.record_failure()
        self._timeouts += 1
        patches = len(self._in_flight.open)
        enough = min(self._executor.size, self._policy.outage_patches, _MAX_TIMEOUTS * patches)
        last = not self._new and patches == 1
        if self._timeouts >= enough and not last:
            raise SourceError(
                f"the source hangs: no answer for {now - self._last_answer:,.0f} s, to "
                f"{self._timeouts} reads",
                LATER,
            )
        error = Transient(f"no answer in {now - read.started:,.0f} s")
        if last or self._last_answer > read.started:
            read.state.timeouts += 1
            self._retry_or_give_up(read.state, error, now)
        else:
            # Nobody was answered, so it is not this patch.
            self._retry(read.state, error, now)

    def _decide_at(self, read: ReadAttempt) -> float:
        """When a read is hedged, or abandoned if it is not hedged before."""
        # While none of many is answered, waiting on is cheaper than asking again.
        waiting = self._last_answer <= read.started and not self._few_active()
        full = self._in_flight.hedged >= self._executor.size
        return self._latency.decide_at(read, hedge=not (waiting or full))

    def _few_active(self) -> bool:
        """Whether so few reads are under way that their silence may be chance, as at the end."""
        few = max(self._limit() // _CHANCE, 1)
        return not self._breaker.down and self._in_flight.active <= few

    def _finish(
        self,
        state: ReadState,
        read: Read | None = None,
        reason: str = "",
        *,
        permanent: bool = False,
    ) -> None:
        """Write down what came of patches, of one if it was read; other reads are not waited for."""
        self._leave(state)
        if isinstance(state.asked, Check):
            return
        if read is None:
            self._tally.missing += len(state.patches)
            _LOG.info("%s is given up: %s", state.name, reason)
        self._store.record(*state.outcomes(read, reason, permanent=permanent))
        self._show(len(state.patches))
        if state.suspicion is not None:
            self._batches.clear(state.suspicion, given=read is not None or permanent)

    def _leave(self, state: ReadState) -> None:
        """Be done with what is open, without waiting for its reads."""
        for read_id in list(state.reads):
            self._executor.abandon(read_id)
            self._in_flight.end(read_id, self._now())
        self._in_flight.done(state)

    def _show(self, steps: int) -> None:
        """Show those who watch that so many patches are done."""
        self._advance(self._tally.note(self._in_flight.active, self._limit()), steps)
