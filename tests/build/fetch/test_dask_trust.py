"""Credentials go where the user's command line says, in the workers of a cluster as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.retry import Policy
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.cli.main import run
from hfaef.cli.terminal.output import Mode, Output
from hfaef.core.net.endpoints import trusted_hosts, trusting
from hfaef.errors import CredentialsError
from hfaef.recipe.model import EarthEngine
from hfaef.release.format.manifest import read_manifest
from hfaef.sources import open_source
from servers.earthengine import Service, World, tiles_around
from servers.earthengine.client import TOKEN, expected, isolate
from support.fakes import patches

pytest.importorskip("distributed")

from hfaef.build.cluster import Cluster
from hfaef.build.fetch.dask import DaskExecutor

pytestmark = [
    pytest.mark.slow,
    # Distributed's own sockets and processes, which it ends by itself.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

OUTSIDE = "192.0.2.1"
"""A host of nobody: https://www.rfc-editor.org/rfc/rfc5737"""
SECTION = EarthEngine(kind="earthengine", project="p", url=f"http://{OUTSIDE}", max_requests=4)
WANTED: list[Patch] = patches(12, side=8)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    """It stands in for the host: the proxy through which all but this machine is reached."""
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)
    with Service(World(tiles_around([one.grid for one in WANTED], (2018,)))) as service:
        service.conduct.tokens = {TOKEN}
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, service.url)
        yield service


def fetch_there(cluster: Cluster, store: Store, trusted: frozenset[str]) -> None:
    opened = partial(open_source, SECTION, trusted=trusted)
    fetch(WANTED, DaskExecutor(cluster, opened, store.pixels, Policy(), 4), store)


def test_workers_trust_the_hosts_that_the_client_was_told(service: Service, store: Store) -> None:
    with Cluster("local", 4) as cluster:
        with pytest.raises(CredentialsError, match=f"would go to {OUTSIDE}") as caught:
            fetch_there(cluster, store, trusted_hosts())
        assert f"--trust-endpoint {OUTSIDE}" in caught.value.hint
        assert not service.conduct.tally.requests, "nothing was sent"
        with trusting([OUTSIDE]):
            fetch_there(cluster, store, trusted_hosts())
    assert service.conduct.tally.requests["pixels"] == len(WANTED)
    for one in WANTED:
        assert (store.pixels.read(one) == expected(service.world, one.grid, 2018)).all()


@pytest.mark.parametrize("option", [[], ["--trust-endpoint", OUTSIDE]])
def test_a_build_on_a_cluster_trusts_what_its_command_line_names(
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: list[str],
) -> None:
    lines = ["id,lon,lat,label"]
    for one in WANTED:
        west, south, east, north = one.grid.bounds()
        lines.append(f"{one.id},{(west + east) / 2},{(south + north) / 2},{one.label}")
    (tmp_path / "points.csv").write_text("\n".join(lines))
    (tmp_path / "r.toml").write_text(
        'name = "r"\nyears = [2018]\n'
        '[patches]\nkind = "table"\npath = "points.csv"\nsize = 8\n'
        f'[source]\nkind = "earthengine"\nproject = "p"\nurl = "http://{OUTSIDE}"\n'
        "max_requests = 4\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["build", "r.toml", "--out", "out", "--scheduler", "local", "--json"]
    monkeypatch.setattr("sys.argv", ["hfaef", *words, *option])
    code = run(Output(Mode.JSON))
    said = json.dumps(capsys.readouterr())
    assert TOKEN not in said
    if option:
        assert code == 0, said
        assert read_manifest(tmp_path / "out").rows == len(WANTED)
        assert service.conduct.tally.requests["pixels"] == len(WANTED)
    else:
        assert code == 1
        assert "would go to" in said
        assert not service.conduct.tally.requests
