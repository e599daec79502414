"""A Dask cluster: the connection, checks of its workers, and a function over many rows there."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

from hfaef.build.staging.filesystem import StagingStore
from hfaef.core.files import folder_errors
from hfaef.core.workers import core_count
from hfaef.errors import FolderError, InputError, missing_package

Item = TypeVar("Item")
Result = TypeVar("Result")

LOCAL = "local"
"""The address that means: worker processes of this machine, started and ended with the build."""

_CONNECT_SECONDS = 15
_CLOSE_SECONDS = 5
_LOCAL_SETTINGS = {
    # After so long the slots of a lost worker are free again.
    "distributed.scheduler.locks.lease-timeout": "5s",
    "distributed.scheduler.locks.lease-validation-interval": "1s",
    # A lost worker is known by its process; by the clock, one that jumps loses them all.
    "distributed.scheduler.worker-ttl": None,
    # A worker that is slow to come back is not given up: there is nobody to replace it.
    "distributed.deploy.lost-worker-timeout": "1h",
}
"""https://distributed.dask.org/en/latest/configuration.html"""

_BATCH = 8
"""Items of one task."""

_AHEAD = 4
"""Tasks a thread of the cluster that are under way or wait to be taken."""

_MAX_LOSSES = 20
"""Times that a task may lose its worker."""


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Take back what is set meanwhile: Dask leaves the variables of its workers in our process."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


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
            raise missing_package("--scheduler", error) from error
        self.address = address
        self._settings = contextlib.ExitStack()
        self._local: LocalCluster | None = None
        if address == LOCAL:
            processes = core_count()
            self._settings.enter_context(_own_environment())
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
            # Workers would end their tasks first, which nobody wants any more.
            for nanny in self._local.workers.values():
                if nanny.pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(nanny.pid, signal.SIGKILL)
        # A cluster that does not close in time ends by itself.
        with contextlib.suppress(TimeoutError):
            self.client.close(timeout=_CLOSE_SECONDS)
        if self._local is not None:
            with contextlib.suppress(TimeoutError):
                self._local.close(timeout=_CLOSE_SECONDS)
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

    def require(self, versions: Callable[[], dict[str, str]], files: StagingStore) -> None:
        """Check that workers have the same packages, and see the same staged pixels.

        Args:
            versions: of the packages that show in a release.
            files: where pixels are staged.

        Raises:
            InputError: if a worker has other packages.
            FolderError: if a worker does not see them, or cannot write there.
        """
        mine = versions()
        for worker, found in self.client.run(versions).items():
            for package, version in mine.items():
                if found.get(package) != version:
                    raise InputError(
                        f"the worker {worker} has {package} {found.get(package)}, not {version}",
                        "install the same versions everywhere",
                    )
        probe = f"{uuid.uuid4().hex}.part"
        with folder_errors(str(files)):
            files.put(probe, probe.encode())
        try:
            for worker, problem in self.client.run(_problem, files, probe).items():
                if problem:
                    raise FolderError(
                        f"the worker {worker} does not see {files}: {problem}",
                        "choose an --out that all machines share, or name such a place with "
                        "--staging",
                    )
        finally:
            files.remove(probe)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """A `workers.ParallelMap`; what a lost worker had is done again."""
        from distributed.scheduler import KilledWorker

        ahead = _AHEAD * self.threads()
        pending: deque[tuple[tuple[Item, ...], Any]] = deque()

        def submit(batch: tuple[Item, ...]) -> Any:
            return self.client.submit(_map, function, batch, pure=False)

        def take() -> list[Result]:
            batch, future = pending.popleft()
            for _ in range(1, _MAX_LOSSES):
                try:
                    return list(future.result())
                except KilledWorker:
                    future = submit(batch)
            return list(future.result())

        source = iter(items)
        while batch := tuple(islice(source, _BATCH)):
            pending.append((batch, submit(batch)))
            if len(pending) > ahead:
                yield from take()
        while pending:
            yield from take()


def _problem(files: StagingStore, probe: str) -> str:
    """Why this process cannot use staged files; empty if it can.

    Args:
        files: where pixels are staged.
        probe: name of a file there that holds its own name.
    """
    own = f"{uuid.uuid4().hex}.part"
    try:
        if files.get(probe) != probe.encode():
            return "it holds something else"
        files.put(own, b"")
        files.remove(own)
    except Exception as error:  # noqa: BLE001 - whatever it is, this worker is of no use
        return f"{type(error).__name__}: {error}"
    return ""


def _map(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    return [function(item) for item in items]
