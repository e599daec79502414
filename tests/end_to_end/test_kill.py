"""A build may be killed at any moment; run again, it ends with the very same release."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from build.test_pipeline import digests

from support.long import LONG_TESTS, long

KILLS = 30 if LONG_TESTS else 10
"""Builds that are killed; ten meet the start of a build, its work and its end."""

FOLDERS = KILLS // 5
"""That they go on in, in turns, so that each is left and taken up again five times."""

pytestmark = pytest.mark.slow


def start(folder: Path, out: str, patches: int = 40) -> subprocess.Popen[bytes]:
    words = ["build", "demo", "--set", f"demo.patches={patches}", "--out", out, "--workers", "2"]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", "from hfaef.cli.main import main; main()", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_killed_at_random_moments_the_release_is_the_undisturbed_one(
    demo_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(demo_root / "data", tmp_path / "data")
    started = time.monotonic()
    assert start(tmp_path, "whole").wait(timeout=120) == 0
    seconds = time.monotonic() - started
    whole = digests(tmp_path / "whole")
    moments = random.Random(0)
    killed = 0
    for number in range(KILLS):
        out = f"killed-{number % FOLDERS}"
        build = start(tmp_path, out)
        # Some while it starts, most while it works, a few while it ends.
        try:
            build.wait(moments.uniform(0.2, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(build.pid, signal.SIGKILL)
            build.wait(timeout=60)
            killed += 1
        if (tmp_path / out / "release.json").exists():
            assert digests(tmp_path / out) == whole
            shutil.rmtree(tmp_path / out)
    assert killed > KILLS // 2
    for number in range(FOLDERS):
        assert start(tmp_path, f"killed-{number}").wait(timeout=120) == 0
        assert digests(tmp_path / f"killed-{number}") == whole


@dataclass(frozen=True)
class Undisturbed:
    """A larger world, and the release that is made of it when nobody kills."""

    folder: Path
    digests: dict[str, str]
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("larger")
    # The first one writes the world, too; its time says nothing about the others.
    assert start(folder, "first", 240).wait(timeout=300) == 0
    started = time.monotonic()
    assert start(folder, "second", 240).wait(timeout=300) == 0
    seconds = time.monotonic() - started
    assert digests(folder / "first") == digests(folder / "second")
    return Undisturbed(folder, digests(folder / "first"), seconds)


@long
@pytest.mark.parametrize("part", range(4))
def test_killed_a_hundred_times_a_larger_run_ends_the_same(
    undisturbed: Undisturbed, part: int
) -> None:
    """A quarter of the kills in each part, from the first patch to the last file."""
    folder, out = undisturbed.folder, f"killed-{part}"
    moments = random.Random(part)
    killed = ended = 0
    while killed < 25:
        build = start(folder, out, 240)
        try:
            build.wait(moments.uniform(0.1, 0.7) * undisturbed.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(build.pid, signal.SIGKILL)
            build.wait(timeout=60)
            killed += 1
        if (folder / out / "release.json").exists():
            assert digests(folder / out) == undisturbed.digests
            shutil.rmtree(folder / out)
            ended += 1
    assert start(folder, out, 240).wait(timeout=300) == 0
    assert digests(folder / out) == undisturbed.digests
    sys.stderr.write(f"killed {killed} times; {ended} builds came to their end between\n")


def test_killed_while_the_demo_world_is_written_it_is_written_again(tmp_path: Path) -> None:
    build = start(tmp_path, "out")
    deadline = time.monotonic() + 60
    while not list((tmp_path / "data").glob("demo.*.part/aef/**/*.tiff")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(build.pid, signal.SIGKILL)
    build.wait(timeout=60)
    assert not (tmp_path / "data/demo").exists()
    assert start(tmp_path, "out").wait(timeout=120) == 0
    assert (tmp_path / "out/release.json").exists()
