"""Reads on the workers of a Dask cluster.

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
from hfaef.build.fetch.read import Asked, Batch, Completed, Result, read_asked
from hfaef.build.fetch.retry import Policy
from hfaef.build.staging.pixels import StagedPixels
from hfaef.errors import HfaefError, Transient
from hfaef.sources.base import Source

if TYPE_CHECKING:
    from distributed import Semaphore

_NO_WORKERS_SECONDS = 60
"""How long a cluster may be without a worker; a lost one is started again in a few."""

_GONE = (OSError, RuntimeError, CancelledError, AttributeError)
"""What a client raises whose scheduler does not answer (OSError) or which was closed meanwhile: its
pool (RuntimeError), what waits (CancelledError), its scheduler, which is None then (AttributeError)."""


class DaskExecutor:
    """A `ReadExecutor` whose reads run on the workers of a cluster.

    Args:
        cluster: where.
        open_source: opens the source, once in each worker.
        staged: in a place that all workers see.
        policy: of the build.
        size: reads at once, all workers together.
    """

    hung = 0
    """Reads hang in the workers, which are other processes."""

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
        plugin = _reader_plugin(open_source, staged, policy)
        cluster.client.register_plugin(plugin, name=self._name)
        # The engine starts no more than this many; but a worker that was taken for lost may read
        # on while its reads are done again elsewhere.
        with cluster.client.as_current():
            self._slots = Semaphore(max_leases=self.size, name=self._name)
        self._futures: dict[int, Any] = {}
        self._without_workers: float | None = None
        """Since when there has been no worker."""
        self._completed: SimpleQueue[Completed] = SimpleQueue()

    def start(self, read_id: int, asked: Asked) -> None:
        """Submit a read to the scheduler.

        Raises:
            TypeError: if it is of a batch: what a worker stages late must be right.
        """
        if isinstance(asked, Batch):
            raise TypeError("workers read patches one by one")
        future = self._cluster.client.submit(
            _read_in_worker,
            asked,
            self._name,
            read_id,
            self._slots,
            key=f"{self._name}-{read_id}",
            pure=False,
        )
        self._futures[read_id] = future
        future.add_done_callback(partial(self._on_done, read_id))

    def next(self, timeout: float) -> Completed | None:
        """The next read that ended on any worker.

        Raises:
            HfaefError: if the cluster is gone.
        """
        try:
            while (completed := self._completed.get(timeout=timeout)).read_id not in self._futures:
                continue
        except Empty:
            self._require_workers()
            return None
        self._without_workers = None
        del self._futures[completed.read_id]
        return completed

    def free_slot(self, read_id: int) -> None:
        """Have the worker take the read off its thread pool, and give its lease back."""
        # Not in this thread: a worker that is gone may keep the message waiting.
        threading.Thread(target=self._release, args=[read_id], daemon=True).start()

    def abandon(self, read_id: int) -> None:
        """Cancel a read; what a worker still stages is right, and does no harm."""
        self._futures.pop(read_id).cancel()
        self.free_slot(read_id)

    def close(self) -> None:
        """Cancel all reads, and take the source away from the workers."""
        futures, self._futures = list(self._futures.values()), {}
        client = self._cluster.client
        if client.status == "running":
            client.cancel(futures)
            client.unregister_worker_plugin(self._name)
            # Workers that still read give their leases back; then nobody asks for more.
            if not futures and not self._slots.get_value():
                self._slots.close()

    def _release(self, read_id: int) -> None:
        # Workers that are gone hold no lease; what goes wrong in others is a fault, and shows.
        with contextlib.suppress(*_GONE):
            self._cluster.client.run(_release_in_worker, self._name, read_id, on_error="ignore")

    def _require_workers(self) -> None:
        """Raise HfaefError if the scheduler is gone, or no worker was there for long."""
        lost = ""
        if self._cluster.client.status != "running":
            lost = f"the connection to the cluster at {self._cluster.address} is lost"
        elif self._cluster.client.nthreads():
            self._without_workers = None
        else:
            now = time.monotonic()
            self._without_workers = self._without_workers or now
            if now - self._without_workers > _NO_WORKERS_SECONDS:
                lost = f"the cluster at {self._cluster.address} has lost all of its workers"
        if lost:
            raise HfaefError(lost, "run the same command again; what is staged is kept")

    def _on_done(self, read_id: int, future: Any) -> None:
        """Take a future's result; called by a thread of the client."""
        result: Result | Exception
        try:
            result = future.result()
        except CancelledError:
            return  # it was abandoned, maybe while its result was on the way
        except Exception as error:  # noqa: BLE001 - the engine decides what it means
            lost = type(error).__name__ == "KilledWorker"
            result = Transient("its worker was lost, several times") if lost else error
        self._completed.put(Completed(read_id, result))


class _WorkerRead:
    """A read under way in a worker."""

    def __init__(self) -> None:
        self.result: Result | Exception | None = None
        self.ended = threading.Event()
        self.slot_free = threading.Event()
        """Set when the read ended, or was hedged or abandoned."""


def _reader_plugin(open_source: Callable[[], Source], staged: StagedPixels, policy: Policy) -> Any:
    """What each worker holds for the time of a build: its own connection to the source."""
    from distributed import WorkerPlugin

    class Reader(WorkerPlugin):  # type: ignore[misc]
        """Opens the source when it is first needed."""

        deadline = policy.deadline

        def setup(self, worker: Any) -> None:  # noqa: ARG002
            self._lock = threading.Lock()
            self._source: Source | None = None
            self.reads: dict[int, _WorkerRead] = {}

        def teardown(self, worker: Any) -> None:  # noqa: ARG002
            if self._source is not None:
                self._source.close()

        def read(self, read: _WorkerRead, asked: Asked) -> None:
            try:
                with self._lock:
                    if self._source is None:
                        self._source = open_source()
                read.result = read_asked(self._source, staged, policy, asked)
            except HfaefError as error:
                read.result = error
            except Exception as error:  # noqa: BLE001 - one that may not survive being sent
                read.result = RuntimeError(f"{type(error).__name__}: {error}")
            read.ended.set()
            read.slot_free.set()

    return Reader()


def _read_in_worker(asked: Asked, name: str, read_id: int, slots: Semaphore) -> Result | Exception:
    """Read; an error is a result, so that workers do not report it as a failed task.

    The read has a thread of its own, as it may hang: then it holds up nobody else.
    """
    from distributed import get_worker, secede

    reader = get_worker().plugins[name]
    read = reader.reads[read_id] = _WorkerRead()
    try:
        with slots:
            threading.Thread(target=reader.read, args=[read, asked], daemon=True).start()
            read.slot_free.wait()
        if not read.ended.is_set():
            secede()
            read.ended.wait(reader.deadline)
    finally:
        reader.reads.pop(read_id, None)
    return read.result or Transient("no answer")


def _release_in_worker(name: str, read_id: int, dask_worker: Any) -> None:
    """Let a read go on without its slot, if it is in this worker."""
    reader = dask_worker.plugins.get(name)
    read = reader and reader.reads.get(read_id)
    if read:
        read.slot_free.set()
