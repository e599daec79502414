"""A crew that reads on a Dask cluster.

The engine stays where it is: it decides, and writes the ledger. Workers read and stage in a place
that all of them see. A lost worker's reads are given to another one by Dask.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from hfaef.build.cluster import Cluster
from hfaef.build.fetch.read import Read, read_patch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import THREADS, Completed
from hfaef.build.staging.pixels import StagedPixels
from hfaef.catalog.patch import Patch
from hfaef.errors import HfaefError, Transient
from hfaef.sources.base import Source

if TYPE_CHECKING:
    from distributed import Semaphore

_DESERTED_SECONDS = 60
"""How long a cluster may be without a worker; a lost one is started again in a few."""


class DaskExecutor:
    """A crew whose reads run on the workers of a cluster.

    Args:
        cluster: where.
        open_source: opens the source, once in each worker.
        staged: in a place that all workers see.
        policy: of the build.
        size: reads at once, all workers together.
    """

    def __init__(
        self,
        cluster: Cluster,
        open_source: Callable[[], Source],
        staged: StagedPixels,
        policy: Policy,
        size: int,
    ) -> None:
        from distributed import Semaphore

        self.size = min(size, cluster.threads())
        self._cluster = cluster
        self._name = f"hfaef-{uuid.uuid4().hex}"
        self._plugin = _reader_plugin(open_source, staged, policy)
        cluster.client.register_plugin(self._plugin, name=self._name)
        # The engine starts no more than this many; but a worker that was taken for lost may read
        # on while its reads are done again elsewhere.
        with cluster.client.as_current():
            self._places = Semaphore(max_leases=self.size, name=self._name)
        self._futures: dict[int, Any] = {}
        self._deserted: float | None = None
        """Since when there has been no worker."""
        self._answers: SimpleQueue[Completed] = SimpleQueue()

    def start(self, ticket: int, patch: Patch) -> None:
        """As of `ReadExecutor`."""
        future = self._cluster.client.submit(
            _read_in_worker,
            patch,
            self._name,
            ticket,
            self._places,
            key=f"{self._name}-{ticket}",
            pure=False,
        )
        self._futures[ticket] = future
        future.add_done_callback(partial(self._settle, ticket))

    def next(self, timeout: float) -> Completed | None:
        """As of `ReadExecutor`.

        Raises:
            HfaefError: if the cluster is gone.
        """
        try:
            while (answer := self._answers.get(timeout=timeout)).ticket not in self._futures:
                continue
        except Empty:
            self._require_workers()
            return None
        self._deserted = None
        del self._futures[answer.ticket]
        return answer

    def doubt(self, ticket: int) -> None:
        """As of `ReadExecutor`."""
        # Not in this thread: a worker that is gone may keep the message waiting.
        threading.Thread(target=self._let_go, args=[ticket], daemon=True).start()

    def abandon(self, ticket: int) -> None:
        """As of `ReadExecutor`; what a worker still stages is right, and does no harm."""
        self._futures.pop(ticket).cancel()
        self.doubt(ticket)

    def _let_go(self, ticket: int) -> None:
        """Have the worker that reads for a ticket give others its thread and its place."""
        with contextlib.suppress(Exception):
            self._cluster.client.run(_let_go_in_worker, self._name, ticket, on_error="ignore")

    def close(self) -> None:
        """As of `ReadExecutor`."""
        futures, self._futures = list(self._futures.values()), {}
        client = self._cluster.client
        if client.status == "running":
            client.cancel(futures)
            client.unregister_worker_plugin(self._name)
            # Workers that still read give their places back; then nobody asks for more.
            if not futures and not self._places.get_value():
                self._places.close()

    def _require_workers(self) -> None:
        """Raise HfaefError if the scheduler is gone, or no worker was there for long."""
        lost = ""
        if self._cluster.client.status != "running":
            lost = f"the connection to the cluster at {self._cluster.address} is lost"
        elif self._cluster.client.nthreads():
            self._deserted = None
        else:
            now = time.monotonic()
            self._deserted = self._deserted or now
            if now - self._deserted > _DESERTED_SECONDS:
                lost = f"the cluster at {self._cluster.address} has lost all of its workers"
        if lost:
            raise HfaefError(lost, "run the same command again; what is staged is kept")

    def _settle(self, ticket: int, future: Any) -> None:
        """Take a future's result; called by a thread of the client."""
        result: Read | Exception
        try:
            result = future.result()
        except CancelledError:
            return  # it was let go, maybe while its result was on the way
        except Exception as error:  # noqa: BLE001 - the engine decides what it means
            lost = type(error).__name__ == "KilledWorker"
            result = Transient("its worker was lost, several times") if lost else error
        self._answers.put(Completed(ticket, result))


class _Reading:
    """A read under way in a worker."""

    def __init__(self) -> None:
        self.result: Read | Exception | None = None
        self.stirred = threading.Event()
        """Set when it ended, or is doubtful."""
        self.ended = threading.Event()


def _reader_plugin(open_source: Callable[[], Source], staged: StagedPixels, policy: Policy) -> Any:
    """What each worker holds for the time of a build: its own connection to the source."""
    from distributed import WorkerPlugin

    class Reader(WorkerPlugin):  # type: ignore[misc]
        """Opens the source when it is first needed."""

        deadline = policy.deadline

        def setup(self, worker: Any) -> None:  # noqa: ARG002
            self._lock = threading.Lock()
            self._source: Source | None = None
            self.readings: dict[int, _Reading] = {}

        def teardown(self, worker: Any) -> None:  # noqa: ARG002
            if self._source is not None:
                self._source.close()

        def read(self, reading: _Reading, patch: Patch) -> None:
            try:
                with self._lock:
                    if self._source is None:
                        self._source = open_source()
                reading.result = read_patch(self._source, staged, policy, patch)
            except HfaefError as error:
                reading.result = error
            except Exception as error:  # noqa: BLE001 - one that may not survive being sent
                reading.result = RuntimeError(f"{type(error).__name__}: {error}")
            reading.ended.set()
            reading.stirred.set()

    return Reader()


def _read_in_worker(patch: Patch, name: str, ticket: int, places: Semaphore) -> Read | Exception:
    """Read a patch; an error is a result, so that workers do not report it as a failed task.

    The read has a thread of its own, as it may hang: then it holds up nobody else.
    """
    from distributed import get_worker, secede

    reader = get_worker().plugins[name]
    reading = reader.readings[ticket] = _Reading()
    try:
        with places:
            work = threading.Thread(
                target=reader.read, args=[reading, patch], name=THREADS, daemon=True
            )
            work.start()
            reading.stirred.wait()
        if not reading.ended.is_set():
            secede()
            reading.ended.wait(reader.deadline)
    finally:
        reader.readings.pop(ticket, None)
    return reading.result or Transient("no answer")


def _let_go_in_worker(name: str, ticket: int, dask_worker: Any) -> None:
    """Let the read for a ticket go on without its place, if it is in this worker."""
    reader = dask_worker.plugins.get(name)
    reading = reader and reader.readings.get(ticket)
    if reading:
        reading.stirred.set()
