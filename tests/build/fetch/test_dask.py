"""The same release from a cluster, whatever happens to its workers."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from support.dask_cluster import cluster_of
from support.fakes import FieldSource, patches, wrong

pytest.importorskip("distributed")

from build.test_pipeline import demo_recipe, digests

from hfaef.build.cluster import Cluster
from hfaef.build.fetch.dask import DaskExecutor
from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.retry import Policy
from hfaef.build.pipeline import build
from hfaef.build.staging.filesystem import LocalStaging
from hfaef.build.staging.store import Store
from hfaef.errors import FolderError, InputError, SourceError, Transient
from hfaef.recipe.model import Demo
from hfaef.release.format.manifest import package_versions
from hfaef.sources.demo import write_world
from servers.files import FileServer
from support.long import long

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


def test_faults_are_tried_again(cluster: Cluster, store: Store) -> None:
    wanted = patches(200)
    policy = Policy(first_wait=0.01)
    executor = DaskExecutor(cluster, partial(FieldSource, share=0.2), store.pixels, policy, 8)
    fetch(wanted, executor, store, policy=policy)
    assert not wrong(store, wanted)


def test_reads_that_hang_in_workers_hold_up_nobody(cluster: Cluster, store: Store) -> None:
    """More of them than there are threads."""
    wanted = patches(400)
    source = partial(FieldSource, latency=0.02, stall_share=0.06)
    executor = DaskExecutor(cluster, source, store.pixels, Policy(), 8)
    fetch(wanted, executor, store)
    outcomes = store.outcomes().values()
    assert sum(outcome.attempts for outcome in outcomes) > 408
    assert max(outcome.seconds for outcome in outcomes) < Policy().deadline
    assert not wrong(store, wanted)


def test_a_source_that_hangs_for_ever_ends_the_build(cluster: Cluster, tmp_path: Path) -> None:
    policy = Policy(deadline=1.0)
    with Store(tmp_path / "out") as store:
        source = partial(FieldSource, stall_share=1.0)
        executor = DaskExecutor(cluster, source, store.pixels, policy, 8)
        began = time.monotonic()
        with pytest.raises(SourceError, match="the source hangs"):
            fetch(patches(100), executor, store, policy=policy)
        assert time.monotonic() - began < 15
    with Store(tmp_path / "again") as store:
        # The cluster is as good as before.
        executor = DaskExecutor(cluster, FieldSource, store.pixels, policy, 8)
        fetch(patches(100), executor, store, policy=policy)
        assert not wrong(store, patches(100))


def test_a_read_may_be_abandoned_while_its_answer_is_on_the_way(
    cluster: Cluster, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(7)
    executor = DaskExecutor(cluster, FieldSource, store.pixels, Policy(), 8)
    for read_id, patch in enumerate(patches(300)):
        executor.start(read_id, patch)
        time.sleep(chance.uniform(0, 0.02))
        executor.abandon(read_id)
    executor.start(300, patches(1)[0])
    completed = executor.next(30.0)
    executor.close()
    assert completed is not None
    assert completed.read_id == 300
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_slot_is_freed_in_silence_only_where_the_cluster_is_gone(
    tmp_path: Path, store: Store
) -> None:
    with (
        cluster_of(tmp_path, workers=1) as address,
        Cluster(address, 2) as first,
        Cluster(address, 2) as second,
    ):
        closed, lost = (
            DaskExecutor(each, int, store.pixels, Policy(), 2)  # type: ignore[arg-type]
            for each in (first, second)
        )
        for executor in (closed, lost):
            executor._release(0)  # there is no such read
        first.client.close()
        closed._release(0)
        second.client.run = int  # as a call with wrong arguments, a fault of ours, would end
        with pytest.raises(TypeError, match="arguments"):
            lost._release(0)
        del second.client.run
    lost._release(0)


@pytest.mark.parametrize(("count", "kills"), [(40, 2), pytest.param(240, 20, marks=long)])
def test_killed_workers_leave_no_trace_in_the_release(
    tmp_path: Path, count: int, kills: int
) -> None:
    world = tmp_path / "data/demo"
    write_world(Demo(root=world, patches=count))
    me = psutil.Process()
    killed: set[int] = set()
    over = threading.Event()
    chance = random.Random(7)

    def kill(port: int) -> None:
        while len(killed) < kills and not over.wait(chance.uniform(0.1, 1.0)):
            reading = [child.pid for child in me.children() if talks_to(child, port)]
            if reading:
                victim = chance.choice(reading)
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)

    with FileServer(world / "aef", latency=0.1) as server:
        recipe = demo_recipe(tmp_path, f"demo.patches={count}", f"source.root={server.url}")
        here = build(recipe, tmp_path / "here")
        killer = threading.Thread(target=kill, args=[int(server.url.rpartition(":")[2])])
        killer.start()
        try:
            there = build(recipe, tmp_path / "there", scheduler="local", threads=4)
        finally:
            over.set()
            killer.join()
    assert len(killed) == kills
    assert digests(there.folder) == digests(here.folder)


def talks_to(process: psutil.Process, port: int) -> bool:
    try:
        talks = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(talk.raddr and talk.raddr.port == port for talk in talks)


def test_a_cluster_makes_the_same_bytes(demo_root: Path, tmp_path: Path) -> None:
    here = build(demo_recipe(demo_root), tmp_path / "here")
    there = build(demo_recipe(demo_root), tmp_path / "there", scheduler="local")
    assert digests(there.folder) == digests(here.folder)


def test_pixels_may_be_staged_at_an_address(demo_root: Path, tmp_path: Path) -> None:
    """Three processes share a filesystem through fsspec."""
    (tmp_path / "shared").mkdir()
    here = build(demo_recipe(demo_root), tmp_path / "here")
    there = build(
        demo_recipe(demo_root),
        tmp_path / "there",
        scheduler="local",
        staging=f"file://{tmp_path}/shared",
    )
    assert digests(there.folder) == digests(here.folder)
    assert not list((tmp_path / "there").rglob("*.npy"))
    [folder] = (tmp_path / "shared").iterdir()
    assert len(list(folder.rglob("*.npy"))) == 40
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 40


def test_a_place_that_workers_do_not_share_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    """Memory is a process's own; so is a folder where that differs from machine to machine."""
    with (
        Store(tmp_path / "out", "memory://own") as store,
        pytest.raises(FolderError, match=r"the worker tcp://.* does not see memory://own/out-"),
    ):
        cluster.require(package_versions, store.pixels.files)


def test_a_place_where_workers_may_not_write_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    class Mine(LocalStaging):
        def put(self, name: str, content: bytes) -> None:
            if os.getpid() != me:
                raise PermissionError(13, "Permission denied", name)
            super().put(name, content)

    me = os.getpid()
    with pytest.raises(FolderError, match=r"Permission denied.*--staging"):
        cluster.require(package_versions, Mine(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_scheduler_and_workers_of_others_may_be_used(demo_root: Path, tmp_path: Path) -> None:
    with cluster_of(tmp_path) as address:
        built = build(demo_recipe(demo_root), tmp_path / "out", limit=10, scheduler=address)
    assert built.manifest.rows == 10


def test_a_scheduler_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"):
        Cluster("tcp://127.0.0.1:9", 2)


def test_workers_with_other_packages_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    def other() -> dict[str, str]:
        return {"numpy": str(os.getpid())}

    cluster.require(package_versions, LocalStaging(tmp_path))
    with pytest.raises(InputError, match="install the same versions"):
        cluster.require(other, LocalStaging(tmp_path))


def test_a_function_over_many_rows_keeps_their_order(cluster: Cluster) -> None:
    assert list(cluster.map(partial(pow, 2), range(100))) == [2**n for n in range(100)]


def test_errors_survive_being_sent() -> None:
    import pickle

    from hfaef.errors import Throttled

    for error in (Throttled("429", "wait", delay=3.0), Transient("x"), FolderError("a", "b")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(again), again.__dict__) == (type(error), error.__dict__)
