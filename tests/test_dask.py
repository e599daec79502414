"""The same release from a cluster, whatever happens to its workers."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from fakes import FieldSource, Marked, patches, truth

pytest.importorskip("distributed")

import numpy as np
from test_build import demo_recipe, digests

from hfaef.build import build
from hfaef.cluster import Cluster, ClusterCrew
from hfaef.errors import FolderError, InputError, Transient
from hfaef.fetch import fetch
from hfaef.release import package_versions
from hfaef.retry import Policy
from hfaef.store import Store

pytestmark = [
    pytest.mark.slow,
    # Distributed's own sockets and processes, which it ends by itself.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("local", 8) as cluster:
        yield cluster


def wrong(store: Store, wanted: list) -> list[str]:
    return [p.id for p in wanted if not np.array_equal(store.pixels.read(p), truth(p.grid, p.year))]


def test_faults_are_tried_again(cluster: Cluster, tmp_path: Path) -> None:
    wanted = patches(200)
    policy = Policy(first_wait=0.01)
    with Store(tmp_path / "out") as store:
        crew = ClusterCrew(cluster, partial(FieldSource, share=0.2), store.pixels, policy, 8)
        fetch(wanted, crew, store, policy=policy)
        assert not wrong(store, wanted)


def test_twenty_killed_workers_lose_nothing(cluster: Cluster, tmp_path: Path) -> None:
    wanted = patches(4000)
    policy = Policy(first_wait=0.05)
    marks = tmp_path / "marks"
    marks.mkdir()
    chance = random.Random(7)
    killed: set[int] = set()
    over = threading.Event()

    def kill() -> None:
        while len(killed) < 20 and not over.wait(chance.uniform(0.1, 1.0)):
            reading = {int(mark.name) for mark in marks.iterdir()} - killed
            if reading:
                victim = chance.choice(sorted(reading))
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)

    open_source = partial(Marked, latency=0.1, marks=marks)
    with Store(tmp_path / "out") as store:
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            crew = ClusterCrew(cluster, open_source, store.pixels, policy, 8)
            fetch(wanted, crew, store, policy=policy)
        finally:
            over.set()
            killer.join()
        assert not wrong(store, wanted)
        assert all(outcome.fetched for outcome in store.outcomes().values())
    assert len(killed) == 20


def test_a_cluster_makes_the_same_bytes(demo_root: Path, tmp_path: Path) -> None:
    here = build(demo_recipe(demo_root), tmp_path / "here")
    there = build(demo_recipe(demo_root), tmp_path / "there", scheduler="local")
    assert digests(there.folder) == digests(here.folder)


def test_a_scheduler_and_workers_of_others_may_be_used(demo_root: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    commands = [
        ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        ["worker", address, "--nthreads", "2", "--no-dashboard", "--no-nanny"],
    ]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + command[0], *command[1:]],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    try:
        time.sleep(4)
        built = build(demo_recipe(demo_root), tmp_path / "out", limit=10, scheduler=address)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(10)
    assert built.manifest.rows == 10


def test_a_scheduler_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"):
        Cluster("tcp://127.0.0.1:9", 2)


def test_workers_with_other_packages_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    def other() -> dict[str, str]:
        return {"numpy": str(os.getpid())}

    cluster.require(package_versions, tmp_path)
    with pytest.raises(InputError, match="install the same versions"):
        cluster.require(other, tmp_path)


def test_a_function_over_many_rows_keeps_their_order(cluster: Cluster) -> None:
    assert list(cluster.spread(partial(pow, 2), range(100))) == [2**n for n in range(100)]


def test_errors_survive_being_sent() -> None:
    import pickle

    from hfaef.errors import Throttled

    for error in (Throttled("429", "wait", delay=3.0), Transient("x"), FolderError("a", "b")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(again), again.__dict__) == (type(error), error.__dict__)
