"""Which hosts are asked for tiles, and over what: the published ones, proxies, TLS."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import World
from sources.cog.test_source import YEAR

from hfaef.errors import InputError, PermanentError, Throttled, Transient
from hfaef.recipe.model import Cog
from hfaef.sources import open_source
from hfaef.sources.cog.index import NAME
from servers.files import Fault, FileServer, Request
from servers.tls import HOST, certificate
from support.tile_stores import ON_LATTICE, local_source, remote_source

pytestmark = pytest.mark.usefixtures("sources")

ANNUAL = "/tge-labs/aef/v1/annual"
SOURCE_COOP, S3 = "data.source.coop", "s3.us-west-2.amazonaws.com"
BUCKET = "/us-west-2.opendata.source.coop"


@pytest.fixture
def proxy(
    served_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileServer]:
    """Stands for both published hosts, and for any other."""
    for root in (tmp_path, tmp_path / BUCKET[1:]):
        shutil.copytree(served_world.root, root / ANNUAL[1:], copy_function=os.link)
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FileServer(tmp_path) as server:
        monkeypatch.setenv("http_proxy", server.url)
        yield server


def asked(proxy: FileServer) -> set[str]:
    return {request.headers["host"] for request in proxy.requests}


@pytest.mark.parametrize("root", [f"http://{SOURCE_COOP}{ANNUAL}", f"http://{S3}{BUCKET}{ANNUAL}"])
def test_both_published_hosts_give_the_same_through_a_proxy(
    served_world: World, proxy: FileServer, root: str
) -> None:
    source = open_source(Cog(kind="cog", root=root))
    same = local_source(served_world).read(ON_LATTICE, YEAR)
    pixels = source.read(ON_LATTICE, YEAR)
    source.close()
    assert np.array_equal(pixels.codes, same.codes)
    assert [origin.partition("@")[0] for origin in pixels.origins] == list(same.origins)
    assert asked(proxy) == {root.split("/")[2]}


@pytest.mark.parametrize(("one", "other"), [(SOURCE_COOP, S3), (S3, SOURCE_COOP)])
def test_each_published_host_may_send_us_to_the_other(
    proxy: FileServer, one: str, other: str
) -> None:
    def send_on(request: Request) -> Fault | None:
        moved = Fault(302, {"Location": f"http://{other}{request.path}"})
        return moved if request.headers["host"] == one else None

    proxy.fail = send_on
    source = open_source(Cog(kind="cog", root=f"http://{one}{ANNUAL}"))
    assert source.read(ON_LATTICE, YEAR).origins
    source.close()
    assert asked(proxy) == {one, other}


@pytest.mark.parametrize(
    ("root", "index", "address"),
    [
        ("https://no-such-host.invalid/aef/v1", None, "https://no-such-host.invalid/aef/v1/"),
        ("http://127.0.0.1:9/aef", None, "http://127.0.0.1:9/aef/"),
        ("http://127.0.0.1:9/aef", "https://no-such-host.invalid/a/", None),
    ],
)
def test_without_a_network_the_whole_address_and_what_to_look_at_are_named(
    monkeypatch: pytest.MonkeyPatch, root: str, index: str | None, address: str | None
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    named = f"{index}{NAME}" if index else None
    with pytest.raises(Transient) as caught:
        open_source(Cog(kind="cog", root=root, index=named))
    whole = named or f"{address}{NAME}"
    assert caught.value.message.startswith(f"the connection to {whole} broke: ")
    proxy = f"{whole.partition(':')[0].upper()}_PROXY"
    assert "run the same command again" in caught.value.hint
    assert f"{proxy} if you need one" in caught.value.hint
    for riddle in ("\n", "ConnectionPool", "HTTPSConnection", "object at 0x"):
        assert riddle not in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [Fault(503), Fault(500), Fault(reset=True), Fault(cut=10)],
    ids=["busy", "broken", "reset", "cut off"],
)
def test_an_index_that_does_not_come_is_named_with_its_address_and_the_next_command(
    served_world: World, fault: Fault
) -> None:
    with (
        FileServer(served_world.root, fail=lambda _: fault) as server,
        pytest.raises((Throttled, Transient), match=f"/{NAME} ") as caught,
    ):
        open_source(Cog(kind="cog", root=server.url))
    assert f"{server.url}/{NAME} " in caught.value.message
    assert "run the same command again" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_an_address_is_shown_without_a_signature(server: FileServer) -> None:
    source = remote_source(server, hosts=["127.0.0.2"])
    gone = "http://127.0.0.2:9/tile.tiff?X-Amz-Signature=secret"
    server.fail = lambda _: Fault(302, {"Location": gone})
    with pytest.raises(Transient, match=r"http://127\.0\.0\.2:9/tile\.tiff broke") as caught:
        source.read(ON_LATTICE, YEAR)
    assert "secret" not in str(caught.value)


def test_neither_may_send_us_elsewhere(proxy: FileServer) -> None:
    proxy.fail = lambda request: Fault(302, {"Location": f"http://tiles.example{request.path}"})
    with pytest.raises(InputError, match=r"sends us to http://tiles\.example"):
        open_source(Cog(kind="cog", root=f"http://{SOURCE_COOP}{ANNUAL}"))
    assert asked(proxy) == {SOURCE_COOP}


@pytest.fixture
def safe(
    served_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileServer]:
    path, context = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with FileServer(served_world.root, host=HOST, tls=context) as server:
        yield server


def test_tiles_come_over_tls(served_world: World, safe: FileServer) -> None:
    pixels = remote_source(safe).read(ON_LATTICE, YEAR)
    assert np.array_equal(pixels.codes, local_source(served_world).read(ON_LATTICE, YEAR).codes)


def test_a_certificate_that_is_not_trusted_is_refused(
    safe: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(InputError, match=r"the certificate of \S+ is not trusted"):
        remote_source(safe)
    assert not safe.requests


def test_a_redirect_from_https_to_plain_http_is_not_followed(
    served_world: World, safe: FileServer
) -> None:
    source = remote_source(safe)
    with FileServer(served_world.root, host=HOST) as plain:
        safe.fail = lambda request: Fault(302, {"Location": plain.url + request.path})
        with pytest.raises(PermanentError, match="from https to plain http"):
            source.read(ON_LATTICE, YEAR)
        assert not plain.requests
