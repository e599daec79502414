"""A build may be killed at any moment; run again, it ends with the very same release."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from build.test_pipeline import digests

from hfaef.build.status import read_status
from hfaef.recipe.read import read_recipe
from hfaef.release.format.paths import STAGING
from servers.earthengine import Fault, Service
from servers.earthengine.client import TOKEN
from support.long import LONG_TESTS, long
from support.points import patches_in_batches, point_settings, served

KILLS = 30 if LONG_TESTS else 10
"""Builds that are killed; ten meet the start of a build, its work and its end."""

FOLDERS = KILLS // 5
"""That they go on in, in turns, so that each is left and taken up again five times."""

AT_ONCE, BATCH = 2, 4
"""Requests to Earth Engine, and patches of one."""

Way = Literal["tiles", "batches"]
"""A demo world's tiles, or Earth Engine in batches."""

WAYS = pytest.mark.parametrize("way", ["tiles", "batches"])

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Job:
    """A build that can be started again and again."""

    folder: Path
    words: tuple[str, ...]
    """After ``hfaef build``."""
    service: Service | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, out: str, *words: str) -> subprocess.Popen[bytes]:
        main = "from hfaef.cli.main import main; main()"
        words = ("build", *self.words, "--out", out, "--workers", "2", *words)
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", main, *words],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def read(self) -> int:
        """Patches that were asked for in batches, in all builds together."""
        return patches_in_batches(self.service) if self.service else 0

    def finish(self, out: str) -> dict[str, str]:
        """Build without a disturbance; gives the digests of the release."""
        assert self.start(out).wait(timeout=300) == 0
        assert read_status(self.folder / out).unchecked == 0
        return digests(self.folder / out)


@contextmanager
def job(way: Way, folder: Path, patches: int) -> Iterator[Job]:
    """A build of so many patches."""
    if way == "tiles":
        yield Job(folder, ("demo", "--set", f"demo.patches={patches}"))
        return
    settings = point_settings(folder, patches, 16, step=0.005)
    recipe = str(folder / "points.toml")
    with served(read_recipe(recipe, settings)) as service:
        service.conduct.latency, service.conduct.latency_a_patch = 0.05, 0.01
        settings += [f"source.url={service.url}", "source.project=p", f"source.batch={BATCH}"]
        settings.append(f"source.max_requests={AT_ONCE}")
        sets = [word for setting in settings for word in ("--set", setting)]
        yield Job(folder, (recipe, *sets), service, {"HFAEF_EE_TOKEN": TOKEN})


def kill(build: subprocess.Popen[bytes]) -> None:
    os.killpg(build.pid, signal.SIGKILL)
    build.wait(timeout=60)


def killed_within(build: subprocess.Popen[bytes], seconds: float) -> bool:
    """Kill a build after so many seconds; whether it had not ended by then."""
    try:
        build.wait(seconds)
    except subprocess.TimeoutExpired:
        kill(build)
        return True
    return False


def staged(folder: Path) -> dict[str, bytes]:
    """Staged pixels by name, as files."""
    pixels = folder / STAGING / "pixels"
    return {str(path.relative_to(pixels)): path.read_bytes() for path in pixels.rglob("*.npy")}


@dataclass(frozen=True)
class Undisturbed:
    """What comes of a build that nobody kills."""

    digests: dict[str, str]
    staged: dict[str, bytes]
    seconds: float


def undisturbed(job: Job) -> Undisturbed:
    # The first one writes the world, too; its time says nothing about the others.
    first = job.finish("first")
    started = time.monotonic()
    assert job.finish("second") == first
    seconds = time.monotonic() - started
    return Undisturbed(first, staged(job.folder / "second"), seconds)


def take_release(folder: Path, whole: Undisturbed) -> bool:
    """Check what a killed build has left; removes the release that it had made, if it had."""
    assert staged(folder).items() <= whole.staged.items()
    if not (folder / "release.json").exists():
        return False
    assert digests(folder) == whole.digests
    shutil.rmtree(folder)
    return True


def require_finished(job: Job, out: str, whole: Undisturbed) -> None:
    """Check that a build that was killed comes to the end of an undisturbed one."""
    assert job.finish(out) == whole.digests
    assert staged(job.folder / out) == whole.staged
    assert not list((job.folder / out).rglob("*.part"))


@WAYS
def test_killed_at_random_moments_the_release_is_the_undisturbed_one(
    tmp_path: Path, way: Way
) -> None:
    with job(way, tmp_path, 40) as one:
        whole = undisturbed(one)
        moments = random.Random(0)
        killed = ended = started = 0
        before = one.read
        while killed < KILLS:
            out = f"killed-{started % FOLDERS}"
            started += 1
            # Some while it starts, most while it works, a few while it ends.
            killed += killed_within(one.start(out), moments.uniform(0.2, 1.0) * whole.seconds)
            ended += take_release(tmp_path / out, whole)
        for number in range(FOLDERS):
            require_finished(one, f"killed-{number}", whole)
        # Patches are read again only if a kill came before they were staged.
        assert one.read - before <= 40 * (ended + FOLDERS) + killed * AT_ONCE * BATCH


@pytest.fixture(scope="module", params=["tiles", "batches"])
def larger(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Job, Undisturbed]]:
    """A larger build, and what comes of it when nobody kills."""
    with job(request.param, tmp_path_factory.mktemp("larger"), 240) as one:
        yield one, undisturbed(one)


@long
@pytest.mark.parametrize("part", range(4))
def test_killed_a_hundred_times_a_larger_run_ends_the_same(
    larger: tuple[Job, Undisturbed], part: int
) -> None:
    """A quarter of the kills in each part, from the first patch to the last file."""
    one, whole = larger
    out = f"killed-{part}"
    moments = random.Random(part)
    killed = ended = 0
    before = one.read
    while killed < 25:
        killed += killed_within(one.start(out), moments.uniform(0.1, 0.7) * whole.seconds)
        ended += take_release(one.folder / out, whole)
    require_finished(one, out, whole)
    needed, read = 240 * (ended + 1), one.read - before
    sys.stderr.write(
        f"killed {killed} times; {ended} builds came to their end between; {read:,} patches were "
        f"read in batches, of {needed:,} that were needed\n"
    )
    assert read <= needed + killed * AT_ONCE * BATCH


@pytest.mark.parametrize("lie", [False, True])
def test_what_a_killed_build_had_not_checked_is_checked_by_the_next(
    tmp_path: Path, lie: bool
) -> None:
    """The kill comes after a batch is staged, while the first check of it is asked for."""
    with job("batches", tmp_path, 40) as one:
        assert one.service is not None
        conduct, tally = one.service.conduct, one.service.conduct.tally
        whole = undisturbed(one)
        before = tally.requests["pixels"]
        conduct.half_a_pixel_off = lie
        conduct.plan([None, Fault("stall", seconds=60)])
        build = one.start("out", "--set", "source.max_requests=1")
        deadline = time.monotonic() + 60
        while tally.requests["pixels"] < before + 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        kill(build)
        left = read_status(tmp_path / "out")
        assert (left.fetched, left.together, left.unchecked) == (BATCH, BATCH, BATCH)
        assert (staged(tmp_path / "out").items() <= whole.staged.items()) != lie
        conduct.half_a_pixel_off = False
        require_finished(one, "out", whole)
        status = read_status(tmp_path / "out")
        # After a lie patches are read one by one; else the earlier ones count as checked, too.
        assert (status.together, status.checks > BATCH) == ((0, False) if lie else (40, True))


def test_killed_while_the_demo_world_is_written_it_is_written_again(tmp_path: Path) -> None:
    with job("tiles", tmp_path, 40) as one:
        build = one.start("out")
        deadline = time.monotonic() + 60
        while not list((tmp_path / "data").glob("demo.*.part/aef/**/*.tiff")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        kill(build)
        assert not (tmp_path / "data/demo").exists()
        one.finish("out")
        assert (tmp_path / "out/release.json").exists()
