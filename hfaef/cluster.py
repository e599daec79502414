"""Many machines: a crew that reads on a Dask cluster, and a function over many rows there.

The engine stays where it is: it decides, and writes the ledger. Workers read and stage in a
place that all of them see. A lost worker's reads are given to another one by Dask.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from hfaef.catalog import Patch
from hfaef.crew import Answer
from hfaef.errors import FolderError, HfaefError, InputError, Transient
from hfaef.place import Place
from hfaef.read import Read, read_patch
from hfaef.retry import Policy
from hfaef.sources import Source
from hfaef.store import StagedPixels, writing
from hfaef.workers import core_count

if TYPE_CHECKING:
    from distributed import Semaphore

Item = TypeVar("Item")
Result = TypeVar("Result")

LOCAL = "local"
"""The address that means: worker processes of this machine, started and ended with the build."""

_CONNECT_SECONDS = 15
_LEAVE_SECONDS = 5
_LOCAL_SETTINGS = {
    # After so long the places of a lost worker are free again.
    "distributed.scheduler.locks.lease-timeout": "5s",
    "distributed.scheduler.locks.lease-validation-interval": "1s",
    # A worker that is slow to come back is not given up: there is nobody to replace it.
    "distributed.deploy.lost-worker-timeout": "1h",
}
"""https://distributed.dask.org/en/latest/configuration.html"""

_DESERTED_SECONDS = 60
"""How long a cluster may be without a worker; a lost one is started again in a few."""

_BATCH = 8
"""Rows that a worker encodes at once; they come back together."""

_AHEAD = 4
"""Batches for each thread of the cluster that are under way or wait to be taken."""

_LOSSES = 20
"""Times that a batch may lose its worker."""


class Cluster:
    """A connection to a Dask cluster.

    Args:
        address: of the scheduler, ``tcp://HOST:PORT``, or `LOCAL`.
        threads: reads at once, all workers together; how many threads local workers have.

    Raises:
        InputError: if there is no such cluster, or the extra is not installed.
    """

    def __init__(self, address: str, threads: int) -> None:
        try:
            import dask
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise InputError(
                "--scheduler needs Dask, which is not installed", "pip install 'hfaef[dask]'"
            ) from error
        self.address = address
        self._settings = contextlib.ExitStack()
        self._local: LocalCluster | None = None
        if address == LOCAL:
            processes = core_count()
            # For as long as the cluster lives: it looks at them again and again.
            self._settings.enter_context(dask.config.set(_LOCAL_SETTINGS))
            self._local = LocalCluster(
                n_workers=processes,
                threads_per_worker=math.ceil(threads / processes),
                dashboard_address=":0",  # any free port: another cluster may have the usual one
                silence_logs=logging.CRITICAL,
            )
        try:
            place = self._local or address
            self.client = Client(place, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {address}: {error}",
                "start one with `dask scheduler`, or use --scheduler local",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._local is not None and error is not None:
            # Nobody wants what its workers are at, and they would end that first.
            for nanny in self._local.workers.values():
                if nanny.pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(nanny.pid, signal.SIGKILL)
        # A cluster that does not take leave in time ends by itself.
        with contextlib.suppress(TimeoutError):
            self.client.close(timeout=_LEAVE_SECONDS)
        if self._local is not None:
            with contextlib.suppress(TimeoutError):
                self._local.close(timeout=_LEAVE_SECONDS)
        self._settings.close()

    def threads(self) -> int:
        """Threads of all workers.

        Raises:
            InputError: if there is no worker.
        """
        count = sum(int(threads) for threads in self.client.nthreads().values())
        if not count:
            raise InputError(
                f"the cluster at {self.address} has no worker", "start some with `dask worker`"
            )
        return count

    def require(self, versions: Callable[[], dict[str, str]], place: Place) -> None:
        """Check that workers make the same bytes, and share the place of staged pixels.

        Args:
            versions: of the packages that show in a release.
            place: where pixels are staged.

        Raises:
            InputError: if a worker has other packages.
            FolderError: if a worker does not see the place, or cannot write there.
        """
        mine = versions()
        for worker, found in self.client.run(versions).items():
            for package, version in mine.items():
                if found.get(package) != version:
                    raise InputError(
                        f"the worker {worker} has {package} {found.get(package)}, not {version}",
                        "install the same versions everywhere",
                    )
        mark = f"{uuid.uuid4().hex}.part"
        with writing(str(place)):
            place.put(mark, mark.encode())
        try:
            for worker, trouble in self.client.run(_trouble, place, mark).items():
                if trouble:
                    raise FolderError(
                        f"the worker {worker} does not see {place}: {trouble}",
                        "choose an --out that all machines share, or name such a place with "
                        "--staging",
                    )
        finally:
            place.remove(mark)

    def spread(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """As of `workers.Spread`; batches whose worker is lost are done again."""
        from distributed.scheduler import KilledWorker

        ahead = _AHEAD * self.threads()
        pending: deque[tuple[tuple[Item, ...], Any]] = deque()

        def submit(batch: tuple[Item, ...]) -> Any:
            return self.client.submit(_map, function, batch, pure=False)

        def take() -> list[Result]:
            batch, future = pending.popleft()
            for loss in range(_LOSSES):
                try:
                    return list(future.result())
                except KilledWorker:
                    if loss == _LOSSES - 1:
                        raise
                    future = submit(batch)
            raise AssertionError("unreachable")

        source = iter(items)
        while batch := tuple(islice(source, _BATCH)):
            pending.append((batch, submit(batch)))
            if len(pending) > ahead:
                yield from take()
        while pending:
            yield from take()


class ClusterCrew:
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
        self._answers: SimpleQueue[Answer] = SimpleQueue()

    def start(self, ticket: int, patch: Patch) -> None:
        """As of `Crew`."""
        future = self._cluster.client.submit(
            _read_in_worker,
            patch,
            self._name,
            self._places,
            key=f"{self._name}-{ticket}",
            pure=False,
        )
        self._futures[ticket] = future
        future.add_done_callback(partial(self._settle, ticket))

    def next(self, timeout: float) -> Answer | None:
        """As of `Crew`.

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

    def abandon(self, ticket: int) -> None:
        """As of `Crew`; what a worker still stages is right, and does no harm."""
        self._futures.pop(ticket).cancel()

    def close(self) -> None:
        """As of `Crew`."""
        futures, self._futures = list(self._futures.values()), {}
        client = self._cluster.client
        if client.status == "running":
            client.cancel(futures)
            client.unregister_worker_plugin(self._name)
            if not futures:
                # Workers that still read give their places back; then nobody asks for more.
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
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            result = future.result()
        elif type(error).__name__ == "KilledWorker":
            result = Transient("its worker was lost, several times")
        else:
            result = error
        self._answers.put(Answer(ticket, result))


def _reader_plugin(open_source: Callable[[], Source], staged: StagedPixels, policy: Policy) -> Any:
    """What each worker holds for the time of a build: its own connection to the source."""
    from distributed import WorkerPlugin

    class Reader(WorkerPlugin):  # type: ignore[misc]
        """Opens the source when it is first needed."""

        def setup(self, worker: Any) -> None:  # noqa: ARG002
            self._lock = threading.Lock()
            self._source: Source | None = None

        def teardown(self, worker: Any) -> None:  # noqa: ARG002
            if self._source is not None:
                self._source.close()

        def read(self, patch: Patch) -> Read:
            with self._lock:
                if self._source is None:
                    self._source = open_source()
            return read_patch(self._source, staged, policy, patch)

    return Reader()


def _read_in_worker(patch: Patch, name: str, places: Semaphore) -> Read | Exception:
    """Read a patch; an error is a result, so that workers do not report it as a failed task."""
    from distributed import get_worker

    with places:
        try:
            result: Read = get_worker().plugins[name].read(patch)
        except HfaefError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one that may not survive being sent
            return RuntimeError(f"{type(error).__name__}: {error}")
        return result


def _trouble(place: Place, mark: str) -> str:
    """Why this process cannot use a place; empty if it can.

    Args:
        place: where pixels are staged.
        mark: name of a file there that holds its own name.
    """
    own = f"{uuid.uuid4().hex}.part"
    try:
        if place.get(mark) != mark.encode():
            return "it holds something else"
        place.put(own, b"")
        place.remove(own)
    except Exception as error:  # noqa: BLE001 - whatever it is, this worker is of no use
        return f"{type(error).__name__}: {error}"
    return ""


def _map(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    return [function(item) for item in items]
