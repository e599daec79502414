"""Ctrl-C, full disks and folders that vanish, through the command line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from build.test_pipeline import digests

from support.dask_cluster import cluster_of

pytestmark = pytest.mark.slow


def start(folder: Path, out: Path, *more: str, prelude: str = "") -> subprocess.Popen[str]:
    words = ["build", "demo", "--set", "demo.patches=40", "--out", str(out), "--workers", "1"]
    words += more
    code = f"{prelude}\nfrom hfaef.cli.main import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_staged(out: Path, count: int, build: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while len(list(out.rglob("*.npy"))) < count:
        assert build.poll() is None, build.stderr and build.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def world(demo_root: Path, tmp_path: Path) -> Path:
    shutil.copytree(demo_root / "data", tmp_path / "data")
    return tmp_path


@pytest.fixture(params=["threads", "local", "tcp"])
def where(request: pytest.FixtureRequest, world: Path) -> Iterator[tuple[str, ...]]:
    """Options that say where reads run."""
    match request.param:
        case "threads":
            yield ()
        case "local":
            yield ("--scheduler", "local")
        case _:
            with cluster_of(world) as address:
                yield ("--scheduler", address)


def test_ctrl_c_ends_a_build_at_once_and_says_how_to_go_on(
    world: Path, where: tuple[str, ...]
) -> None:
    build = start(world, world / "out", *where)
    wait_for_staged(world / "out", 5, build)
    workers = psutil.Process(build.pid).children(recursive=True)
    os.kill(build.pid, signal.SIGINT)
    _, words = build.communicate(timeout=60)
    assert build.returncode == 130
    assert "what is staged is kept; run the same command to go on" in words
    assert "Traceback" not in words
    assert not psutil.wait_procs(workers, timeout=10)[1]
    staged = len(list((world / "out").rglob("*.npy")))
    assert 5 <= staged < 40  # it did not read on to the end
    again = start(world, world / "out", *(where if "tcp" in " ".join(where) else ()))
    _, words = again.communicate(timeout=60)
    assert again.returncode == 0, words
    # At most what was under way is read again.
    assert f"fetch: {40 - staged} of {40 - staged}" in words or f"of {40 - staged + 1}" in words


def test_a_source_that_hangs_for_ever_does_not_keep_the_process(world: Path) -> None:
    """The source is a real one that waits on a lock; the deadline is cut to a second."""
    prelude = """
import dataclasses, threading
from hfaef.build import pipeline
from hfaef.sources.cog import source as cog
read, forever, seen = cog.CogSource.read, threading.Event(), []
def hang(self, grid, year):
    seen.append(grid)
    if len(seen) > 10:
        forever.wait()
    return read(self, grid, year)
cog.CogSource.read = hang
policy = pipeline.Policy
pipeline.Policy = lambda: policy(deadline=1.0)
"""
    build = start(world, world / "out", prelude=prelude)
    _, words = build.communicate(timeout=60)
    assert build.returncode == 1
    assert "error: the source hangs" in words
    assert len(words.strip().splitlines()) <= 2
    assert len(list((world / "out").rglob("*.npy"))) == 10


def test_a_release_is_done_though_one_read_hangs_for_ever(world: Path) -> None:
    """In a thread that Python would wait for when the process ends."""
    prelude = """
import threading
from concurrent.futures import ThreadPoolExecutor
from hfaef.sources.cog import source as cog
read, pool, seen = cog.CogSource.read, ThreadPoolExecutor(1), []
def hang_once(self, grid, year):
    seen.append(grid)
    if len(seen) == 30:
        pool.submit(threading.Event().wait).result()
    return read(self, grid, year)
cog.CogSource.read = hang_once
"""
    build = start(world, world / "out", prelude=prelude)
    _, words = build.communicate(timeout=60)
    assert build.returncode == 0, words
    assert (world / "out/release.json").exists()
    assert len(list((world / "out").rglob("*.npy"))) == 40


@pytest.mark.parametrize("more", [(), ("--scheduler", "local")])
def test_a_staging_folder_deleted_under_a_build_is_named(
    world: Path, more: tuple[str, ...]
) -> None:
    build = start(world, world / "out", *more)
    wait_for_staged(world / "out", 5, build)
    # At once: what is written while it is being emptied would keep some of it there.
    gone = (world / "out/.staging").rename(world / "gone")
    shutil.rmtree(gone, ignore_errors=True)
    _, words = build.communicate(timeout=60)
    assert build.returncode == 2
    assert "error: " in words
    assert ".staging" in words
    assert "Traceback" not in words
    assert not (world / "out/release.json").exists()
    again = start(world, world / "out")
    _, words = again.communicate(timeout=60)
    assert again.returncode == 0, words


@pytest.mark.parametrize(
    ("days", "more"), [(1, ()), (-1, ()), (1, ("--scheduler", "local"))], ids=str
)
def test_a_clock_that_jumps_is_not_noticed(world: Path, days: int, more: tuple[str, ...]) -> None:
    """By a day, while patches are read."""
    prelude = f"""
import pathlib, time
told, staged = time.time, []
def jumping():
    staged or staged.extend(pathlib.Path("out").rglob("*.npy"))
    return told() + 86_400 * {days} * bool(staged)
time.time = jumping
"""
    build = start(world, world / "out", *more, prelude=prelude)
    _, words = build.communicate(timeout=120)
    assert build.returncode == 0, words
    assert "throttled" not in words
    assert "missing" not in words
    whole = start(world, world / "whole")
    whole.communicate(timeout=60)
    assert digests(world / "out") == digests(world / "whole")


class TestFullDisk:
    """A disk that eleven patches fill, or one that has no room for the release beside them all."""

    @pytest.fixture
    def disk(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
        folder = tmp_path / "disk"
        folder.mkdir()
        if os.geteuid() != 0:
            pytest.skip("only root may mount a small disk")
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", str(folder)],
            check=False,
            capture_output=True,
        )
        if mounted.returncode:
            pytest.skip("no small disk can be mounted here")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)

    @pytest.mark.parametrize(
        ("disk", "more", "fetched"),
        [("3m", (), 11), ("3m", ("--scheduler", "local"), 11), ("12m", (), 40)],
        indirect=["disk"],
    )
    def test_is_named_and_keeps_what_is_staged(
        self, world: Path, disk: Path, more: tuple[str, ...], fetched: int
    ) -> None:
        build = start(world, disk / "out", *more)
        _, words = build.communicate(timeout=60)
        assert build.returncode == 2
        assert "No space left on device; make room" in words
        assert "Traceback" not in words
        staged = list((disk / "out").rglob("*.npy"))
        assert fetched - 2 <= len(staged) <= fetched
        assert not (disk / "out/release.json").exists()
        assert not list((disk / "out").rglob("*.part"))
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        again = start(world, disk / "out")
        _, words = again.communicate(timeout=60)
        assert again.returncode == 0
        whole = start(world, world / "whole")
        whole.communicate(timeout=60)
        assert digests(disk / "out") == digests(world / "whole")
