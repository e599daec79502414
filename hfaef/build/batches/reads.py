"""What becomes of batches and checks that were read: rows of the ledger, and more reads."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from hfaef.build.batches.queue import BatchQueue
from hfaef.build.batches.trust import Trust
from hfaef.build.fetch.attempts import InFlight, ReadState, Suspicion
from hfaef.build.fetch.read import Asked, Batch, BatchRead, Check, Checked, Read
from hfaef.build.staging.ledger import Outcome
from hfaef.build.staging.store import Store
from hfaef.errors import BatchRefused, NoDataError, SourceError

_LOG = logging.getLogger(__name__)

LATER = "run the same command again later; what is staged is kept"

_MAX_SPOILT = 3
"""Batches in a row without one usable patch after which patches are read one by one."""

_MAX_FAILURES = 3
"""Failures of a batch, while no other came, after which its patches are read alone: that is far
fewer than of a patch, as it may be the batch that the source cannot give, and nothing is lost."""


class BatchReads:
    """Settles batches and checks for the engine, in its thread.

    Args:
        queue: patches that wait.
        trust: what came together.
        store: gets outcomes.
        in_flight: gets what is to be read at once.
        leave: is done with what is open, without waiting for its reads.
    """

    def __init__(
        self,
        queue: BatchQueue,
        trust: Trust,
        store: Store,
        in_flight: InFlight,
        leave: Callable[[ReadState], None],
    ) -> None:
        self._queue = queue
        self._trust = trust
        self._store = store
        self._in_flight = in_flight
        self._leave = leave
        self._spoilt = 0
        self._failures: Counter[ReadState] = Counter()
        """Of batches that are open, since one had a usable patch."""
        self._reason = ""
        """Why patches are read one by one from now on."""
        self._dropped = 0
        self.mistrusted = False
        """Whether what came together is to be dropped, once no batch is under way."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know: nothing, if all went well."""
        if not self._reason:
            return ()
        dropped = f"; {self._dropped:,} that came together were read again" if self._dropped else ""
        return (f"patches were read one by one: {self._reason}{dropped}",)

    def end(self, reason: str) -> None:
        """Read patches one by one from now on, which is said once."""
        self._queue.split()
        if not self._reason:
            self._reason = reason
            _LOG.info("patches are read one by one from now on: %s", reason)

    def _mistrust(self, reason: str) -> None:
        """Read patches one by one, those that came together and were not checked, too."""
        if self._reason:
            self._reason += f"; {reason}"
            _LOG.info("what came together is read again: %s", reason)
        self.end(reason)
        self.mistrusted = True

    def finish(self, state: ReadState, read: BatchRead) -> tuple[Outcome, ...]:
        """Write down what came of a batch; what it lacks and what checks it is read alone."""
        self._leave(state)
        count = len(state.patches)
        outcomes, alone, came = [], [], []
        for patch, result in zip(state.patches, read.results, strict=True):
            if not isinstance(result, Read | NoDataError):
                alone.append(patch)
                continue
            fetched = isinstance(result, Read)
            came.append(Check(patch, fetched))
            outcomes.append(
                Outcome(
                    patch.year,
                    patch.id,
                    fetched=fetched,
                    reason="" if isinstance(result, Read) else result.message,
                    attempts=state.attempts,
                    seconds=state.seconds / count,
                    permanent=not fetched,
                    together=count,
                    unchecked=True,
                    **(vars(result) if isinstance(result, Read) else {}),
                )
            )
        self._store.record(*outcomes)
        kind = self._queue.kind(state.patches[0])
        if read.largest < count:
            self._queue.shrink(kind, read.largest)
        if came:
            self._spoilt = 0
            self._failures.clear()
        else:
            self._count_spoilt("had no usable patch")
        self._open(alone)
        self._open(self._trust.came(kind.way, came))
        return tuple(outcomes)

    def _count_spoilt(self, what: str) -> None:
        """Count a batch without one usable patch; so many in a row are the last."""
        self._spoilt += 1
        if self._spoilt >= _MAX_SPOILT:
            self.end(f"{_MAX_SPOILT} batches in a row {what}")

    def record_failure(self, state: ReadState) -> None:
        """Count a failure that passes, while the source is not down; only those of batches count."""
        if isinstance(state.asked, Batch):
            self._failures[state] += 1

    def hopeless(self, state: ReadState) -> bool:
        """Whether it is a batch that is not to be tried again, as its patches may come alone."""
        if not isinstance(state.asked, Batch):
            return False
        return bool(self._reason) or self._failures[state] >= _MAX_FAILURES

    def part_probe(self, state: ReadState, reason: str) -> None:
        """Let the patches of a batch that waits for a retry be read alone: a source that is down for
        batches may give patches.
        """
        if isinstance(state.asked, Batch) and state.waiting:
            self.part(state, reason)

    def part(self, state: ReadState, reason: str, *, refused: bool = False) -> None:
        """Let the patches of a batch be read alone.

        Args:
            state: of the batch.
            reason: why.
            refused: whether the source said no without a word of batches; if it gives all of the
                patches alone, it meant the batch.
        """
        self._leave(state)
        self._failures.pop(state, None)
        _LOG.info("%s are read one by one: %s", state.name, reason)
        suspicion = Suspicion(len(state.patches), reason) if refused else None
        for alone in self._open(state.patches):
            alone.suspicion, alone.attempts = suspicion, state.attempts

    def refuse(self, state: ReadState, error: SourceError) -> None:
        """Let the patches of a batch be read alone, to which the source said no.

        What it says no to alone, though it gave it together with others, is not trusted.
        """
        if isinstance(state.asked, Check):
            self.finish_check(state, Checked(same=False), error.message)
            return
        unknown = isinstance(error, BatchRefused)
        if unknown:
            self.end(f"the source does not give several at once: {error.message}")
        self.part(state, error.message, refused=not unknown)

    def give_up(self, state: ReadState, reason: str) -> None:
        """Let the patches of a batch be read alone that cannot be had.

        Raises:
            SourceError: if it is a check that cannot be had.
        """
        if isinstance(state.asked, Check):
            what = f"{state.name} came together with others and cannot be checked"
            raise SourceError(f"{what}: {reason}", LATER)
        self._count_spoilt(f"could not be had: {reason}")
        self.part(state, reason)

    def clear(self, suspicion: Suspicion, *, given: bool) -> None:
        """Count a patch whose batch was refused, and whether it was given alone."""
        suspicion.left -= 1
        suspicion.guilty |= not given
        if not suspicion.left and not suspicion.guilty:
            self.end(f"the source gives alone what it refuses together ({suspicion.reason})")

    def finish_check(self, state: ReadState, read: Checked, failed: str = "") -> None:
        """Trust what came together, or none of it any more.

        Args:
            state: of the check.
            read: what it came to.
            failed: why the patch cannot be had alone, if that is so.
        """
        self._leave(state)
        if self.mistrusted:
            return
        (patch,) = state.patches
        if read.same:
            self._store.count_check((patch.year, patch.id), read.requests, read.bytes)
            self._store.trust(self._trust.passed())
            return
        what = f"cannot be read alone: {failed}" if failed else "is another than it is alone"
        self._mistrust(f"{patch.id} came together with others, and {what}")

    def drop(self) -> int:
        """Drop what came together without a good check, and let it be read alone; gives how much.

        Not while a batch is under way: what it stages late must not come after that.
        """
        if any(isinstance(read.state.asked, Batch) for read in self._in_flight.reads.values()):
            return 0
        for state in list(self._in_flight.open):
            if isinstance(state.asked, Check):
                self._leave(state)
            elif isinstance(state.asked, Batch):
                self.part(state, self._reason)
        dropped, lost = self._store.drop_unchecked(), self._trust.lost()
        again = [check.patch for key, check in lost.items() if key in dropped]
        self._queue.add(again)
        self._dropped += len(again)
        self.mistrusted = False
        return len(again)

    def check_earlier(self, unchecked: Sequence[Check]) -> None:
        """Check what came together in earlier builds."""
        self._open(self._trust.before(unchecked))

    def check_last(self) -> bool:
        """Check what is not checked when all else is done; whether there is such."""
        return bool(self._open(self._trust.after()))

    def _open(self, asked: Iterable[Asked]) -> list[ReadState]:
        """Let something be read now."""
        states = [self._in_flight.begin(one) for one in asked]
        for state in states:
            self._in_flight.schedule(state, 0.0)
        return states
