"""What is logged: what was asked, what is tried again and why; never a secret."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from hfaef.catalog import open_catalog
from hfaef.recipe.read import read_recipe
from servers.earthengine import Fault as Refusal
from servers.earthengine import Service, World, tiles_around
from servers.earthengine.client import PROJECT, TOKEN
from servers.files import SLOW_DOWN, Fault, FileServer, Request
from servers.hub import Hub
from servers.hub.faults import Fault as HubFault
from servers.hub.fixtures import WRITER, Client
from support.pushes import NAME
from support.releases import fresh_copy

SIGNATURE = "AKIA-a-signature-that-opens-the-file"

TABLE = """
name = "logged"
years = [2018]
[patches]
kind = "table"
path = "points.csv"
size = 8
[source]
kind = "earthengine"
"""


def hfaef(*words: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from hfaef.cli.main import main; main()", *map(str, words)],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_read_of_a_tile_that_is_tried_again_is_named_with_its_reason(
    demo_root: Path, tmp_path: Path
) -> None:
    """The server sends every read to a signed address, and is too busy now and then."""
    (tmp_path / "data").symlink_to(demo_root / "data")
    asked: Counter[tuple[str, object]] = Counter()

    def fail(request: Request) -> Fault | None:
        asked[request.path, request.range] += 1
        calls = asked[request.path, request.range]
        if request.path.endswith(".tiff") and calls == 2:
            return SLOW_DOWN
        if calls % 2:
            signed = f"{server.url}{request.path}?X-Amz-Signature={SIGNATURE}"
            return Fault(302, {"Location": signed})
        return None

    with FileServer(demo_root / "data/demo/aef", fail=fail) as server:
        words = ("build", "demo", "--set", "demo.patches=40", "--limit", "3", "--out", "out")
        done = hfaef(*words, "--set", f"source.root={server.url}", "-vv", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line.partition(" ")[2] for line in done.stderr.splitlines()]
    again = [line for line in lines if line.startswith("hfaef.build.fetch.engine: ")]
    assert any("is read again in" in line and "503 SlowDown" in line for line in again)
    tile = next(path for path, _ in asked if path.endswith(".tiff"))
    assert any(
        line.startswith(f"hfaef.sources.cog.http: GET {server.url}{tile} bytes=") for line in lines
    )
    assert SIGNATURE not in done.stdout + done.stderr


def test_a_request_to_earth_engine_is_named_and_its_token_is_not(tmp_path: Path) -> None:
    (tmp_path / "logged.toml").write_text(TABLE)
    rows = [f"P{number},{('Dune', 'Heath')[number % 2]},9.{number},50.1" for number in range(4)]
    (tmp_path / "points.csv").write_text("id,label,lon,lat\n" + "\n".join(rows))
    table = f"patches.path={tmp_path / 'points.csv'}"
    recipe = read_recipe(str(tmp_path / "logged.toml"), [table])
    grids = [patch.grid for patch in open_catalog(recipe).patches]
    with Service(World(tiles_around(grids, (2018,)))) as service:
        service.conduct.plan([Refusal("status")])
        words = ("build", "logged.toml", "--set", f"source.project={PROJECT}")
        words += ("--set", f"source.url={service.url}")
        environment = {"HFAEF_EE_TOKEN": TOKEN, "HFAEF_LOG": "debug"}
        done = hfaef(*words, "--json", folder=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert "is read again in" in done.stderr
    assert "The service is currently unavailable." in done.stderr
    assert "earthengine.source: GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL 2018: Grid(" in done.stderr
    posts = [line for line in done.stderr.splitlines() if "image:computePixels: 200, " in line]
    assert len(posts) == 4
    assert TOKEN not in done.stdout + done.stderr


def test_what_the_hub_is_asked_is_named_and_its_token_is_not(
    hub: Hub, client: Client, demo_release: Path, tmp_path: Path
) -> None:
    release = fresh_copy(demo_release, tmp_path / "release")
    hub.fail(HubFault("refs", "status", status=503))
    output, errors = client.hfaef("push", release, NAME, "-vv", "-q").communicate(timeout=180)
    assert output == "1.0.0\n"
    lines = [line.partition(" ")[2] for line in errors.splitlines()]
    for pattern in (
        rf"hfaef\.hub\.repo: {NAME}: the files of main",
        r"hfaef\.hub\.\w+: the Hub is asked again in 0\.5 s: .*\b503\b.*",
        rf"hfaef\.hub\.repo: {NAME}: \w+ data/\S+\.parquet",
        rf"hfaef\.hub\.repo: {NAME}: commit \d+ changes on [0-9a-f]{{40}}",
        rf"hfaef\.hub\.repo: {NAME}: tag v1\.0\.0 on [0-9a-f]{{40}}",
    ):
        assert [line for line in lines if re.fullmatch(pattern, line)], pattern
    assert all(line.startswith("hfaef.hub.") for line in lines)
    assert WRITER not in output + errors


@pytest.mark.parametrize("environment", [{}, {"HFAEF_LOG": ""}])
def test_nothing_is_logged_unless_it_is_asked_for(
    demo_root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "data").symlink_to(demo_root / "data")
    words = ("build", "demo", "--set", "demo.patches=40", "--limit", "2", "-q")
    done = hfaef(*words, folder=tmp_path, **environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "build/AlphaEarth-Demo\n", "")


def test_an_unknown_level_is_refused(tmp_path: Path) -> None:
    done = hfaef("status", "nowhere", folder=tmp_path, HFAEF_LOG="loud")
    assert done.returncode == 2
    assert done.stderr == "error: HFAEF_LOG=loud is neither info nor debug; set one of them\n"


def test_the_library_sets_no_handler() -> None:
    names = [name for name in logging.root.manager.loggerDict if name.startswith("hfaef")]
    assert names
    assert not [name for name in names if logging.getLogger(name).handlers]
    assert logging.getLogger("hfaef").level == logging.NOTSET
