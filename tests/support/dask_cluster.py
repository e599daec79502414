"""A Dask cluster of processes that nobody but the test starts or ends."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def cluster_of(folder: Path, workers: int = 2, threads: int = 2) -> Iterator[str]:
    """The address of a scheduler with workers that run in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    worker = ["worker", address, "--nthreads", str(threads), "--no-dashboard", "--no-nanny"]
    commands = [
        ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        *[worker] * workers,
    ]
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_" + name, *words],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, *words in commands
    ]
    try:
        _wait_for(address, workers)
        yield address
    finally:
        # Not all at once: a worker that is told so twice may hang.
        for process in reversed(started):
            process.terminate()
            process.wait(20)


def _wait_for(address: str, workers: int) -> None:
    from distributed import Client

    deadline = time.monotonic() + 60
    while True:
        try:
            with Client(address, timeout=2, set_as_default=False) as client:
                client.wait_for_workers(workers, timeout=30)
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
