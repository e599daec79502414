"""A build over the web makes the release of the same tiles in a folder, also when it is disturbed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from build.test_pipeline import demo_recipe, digests

from hfaef.build.pipeline import build
from servers.files import Fault, FileServer, Request
from support.tile_stores import require_same_but_for_the_root

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served-build")
    shutil.copytree(demo_root / "data", folder / "data")
    return folder


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[FileServer]:
    """One address for all builds, as it is part of what a release tells."""
    with FileServer(place / "data/demo/aef") as server:
        yield server


@pytest.fixture(autouse=True)
def in_order(server: FileServer) -> None:
    server.fail = lambda _: None
    server.latency = 0.0


def start(place: Path, out: str, *words: str) -> subprocess.Popen[str]:
    command = ["build", "demo", "--set", "demo.patches=40", "--out", out, "--json", *words]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", "from hfaef.cli.main import main; main()", *command],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def built(place: Path, out: str, *words: str) -> Path:
    done = start(place, out, *words)
    _, told = done.communicate(timeout=120)
    assert done.returncode == 0, told
    return place / out


@pytest.fixture(scope="module")
def here(place: Path) -> Path:
    """The release from the folder."""
    return built(place, "here")


@pytest.fixture(scope="module")
def there(place: Path, server: FileServer) -> Path:
    """The release from the server, undisturbed."""
    return built(place, "there", "--set", f"source.root={server.url}")


def test_only_what_says_where_pixels_are_from_differs(
    here: Path, there: Path, server: FileServer
) -> None:
    def etag(path: str) -> str:
        return server.etag(server.folder / path).strip('"')

    require_same_but_for_the_root(here, there, server.url, etag)


def test_a_build_of_coarser_pixels_tells_the_overview(
    demo_root: Path, tmp_path: Path, server: FileServer
) -> None:
    changes = [
        "patches.kind=table",
        f"patches.path={demo_root / 'data/demo/points.csv'}",
        "patches.target=number",
        "patches.size=16",
        "patches.resolution=40",
    ]
    releases = [
        build(demo_recipe(demo_root, *changes, *more), tmp_path / name).folder
        for name, more in (("here", []), ("there", [f"source.root={server.url}"]))
    ]
    here, there = (load_rows(release) for release in releases)
    assert here.drop(["source"]).equals(there.drop(["source"]))
    for tiles, served in zip(*(t["source"].to_pylist() for t in (here, there)), strict=True):
        assert all(tile.endswith(".tiff overview 40 m") for tile in tiles)
        assert all(re.fullmatch(r"\S+\.tiff@[0-9a-f]{32} overview 40 m", tile) for tile in served)
    assert not any(here["resampled"].to_pylist())


def load_rows(release: Path) -> pa.Table:
    return pa.concat_tables(
        pq.read_table(path) for path in sorted(release.rglob("data/**/*.parquet"))
    )


def test_killed_twice_it_ends_with_the_same_bytes(
    place: Path, server: FileServer, there: Path
) -> None:
    server.latency = 0.02
    words = ("--set", f"source.root={server.url}", "--workers", "1")
    staged = 0
    for _ in range(2):
        build = start(place, "killed", *words)
        deadline = time.monotonic() + 60
        while len(list((place / "killed").rglob("*.npy"))) < staged + 5:
            assert build.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.killpg(build.pid, signal.SIGKILL)
        build.communicate(timeout=60)
        staged = len(list((place / "killed").rglob("*.npy")))
    assert staged < 40
    assert digests(built(place, "killed", *words)) == digests(there)


def test_a_tile_that_changes_under_a_build_is_told_and_read_anew(
    place: Path, server: FileServer, here: Path
) -> None:
    seen: list[Request] = []

    def change(request: Request) -> Fault | None:
        if request.range and request.range[0]:
            seen.append(request)
            if len(seen) == 100:
                for path in server.folder.rglob("*.tiff"):
                    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000_000))
        return None

    server.fail = change
    words = ("--set", f"source.root={server.url}", "--workers", "1")
    first = start(place, "changed", *words)
    answer, _ = first.communicate(timeout=120)
    assert first.returncode == 3
    assert "was changed on the server while it was read" in json.loads(answer)["error"]
    assert not (place / "changed/release.json").exists()
    again = built(place, "changed", *words)
    for path in digests(here):
        if path.startswith("data/"):
            one, two = pq.read_table(here / path), pq.read_table(again / path)
            assert one.drop(["source"]).equals(two.drop(["source"]))
