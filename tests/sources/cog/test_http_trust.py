"""What a server may do to those who read its tiles, and what it may not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import World
from sources.cog.test_source import GRIDS, YEAR

from hfaef.errors import InputError, PermanentError
from hfaef.recipe.model import Cog
from hfaef.sources.cog.http import address_of
from servers.files import Fault, FileServer
from support.tile_stores import ON_LATTICE, remote_source

pytestmark = pytest.mark.usefixtures("sources")


def test_a_redirect_to_another_host_is_not_followed(
    served_world: World, server: FileServer
) -> None:
    with FileServer(served_world.root, host="127.0.0.2") as other:
        source = remote_source(server)
        server.fail = lambda request: Fault(302, {"Location": other.url + request.path})
        with pytest.raises(PermanentError, match=r"sends us to http://127\.0\.0\.2") as caught:
            source.read(ON_LATTICE, YEAR)
        assert "source.hosts" in caught.value.hint
        assert not other.requests


def test_a_redirect_to_a_declared_host_is_followed(served_world: World, server: FileServer) -> None:
    with FileServer(served_world.root, host="127.0.0.2") as other:
        source = remote_source(server, hosts=["127.0.0.2"])
        server.fail = lambda request: Fault(302, {"Location": other.url + request.path})
        assert source.read(ON_LATTICE, YEAR).origins
        assert other.requests


def test_a_circle_of_redirects_ends(server: FileServer) -> None:
    source = remote_source(server)
    server.fail = lambda request: Fault(302, {"Location": request.path})
    with pytest.raises(PermanentError, match="302"):
        source.read(ON_LATTICE, YEAR)


@pytest.fixture
def changing(served_world: World, tmp_path: Path) -> Iterator[FileServer]:
    shutil.copytree(served_world.root, tmp_path / "copy")
    with FileServer(tmp_path / "copy") as server:
        yield server


def touch(server: FileServer) -> None:
    for path in server.folder.rglob("*.tiff"):
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000_000))


def test_a_tile_that_changes_during_a_build_is_noticed(changing: FileServer) -> None:
    source = remote_source(changing)
    source.read(ON_LATTICE, YEAR)
    touch(changing)
    with pytest.raises(PermanentError, match="was changed on the server"):
        source.read(GRIDS["in degrees"], YEAR)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("ETag", 'W/"one"', 'W/"two"'),
        ("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT", "Tue, 03 Nov 2026 10:00:00 GMT"),
    ],
)
def test_a_change_is_noticed_by_any_version_that_a_server_sends(
    server: FileServer, name: str, before: str, after: str
) -> None:
    server.fail = lambda _: Fault(headers={"ETag": "", name: before})
    source = remote_source(server)
    (origin,) = source.read(ON_LATTICE, YEAR).origins
    assert origin.partition("@")[2] == before.removeprefix("W/").strip('"')
    # A weak tag holds no condition: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1
    assert not any("if-match" in request.headers for request in server.requests)
    server.fail = lambda _: Fault(headers={"ETag": "", name: after})
    with pytest.raises(PermanentError, match="was changed on the server"):
        source.read(GRIDS["in degrees"], YEAR)


def test_a_server_that_sends_no_version_is_read(server: FileServer) -> None:
    server.fail = lambda _: Fault(headers={"ETag": ""})
    (origin,) = remote_source(server).read(ON_LATTICE, YEAR).origins
    assert "@" not in origin


def test_a_tile_that_changed_between_builds_is_read_as_it_is_now(changing: FileServer) -> None:
    before = remote_source(changing).read(ON_LATTICE, YEAR)
    touch(changing)
    after = remote_source(changing).read(ON_LATTICE, YEAR)
    assert np.array_equal(before.codes, after.codes)
    assert before.origins != after.origins


@pytest.mark.parametrize(
    "root",
    ["ftp://host/x", "https://user:secret@host/x", "https://host/x?key=secret", "s3://"],
)
def test_a_root_that_is_no_plain_address_is_refused(root: str) -> None:
    with pytest.raises(InputError) as caught:
        address_of(root)
    assert "secret" not in str(caught.value)


def test_buckets_have_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    published = Cog(kind="cog").root
    assert address_of(published) == (
        "https://s3.us-west-2.amazonaws.com/us-west-2.opendata.source.coop/tge-labs/aef/v1/annual"
    )
    assert address_of("gs://alphaearth_foundations/satellite_embedding/v1/annual") == (
        "https://storage.googleapis.com/alphaearth_foundations/satellite_embedding/v1/annual"
    )


@pytest.mark.parametrize(
    ("root", "env", "address"),
    [
        ("s3://mine/aef", {}, "https://s3.us-east-1.amazonaws.com/mine/aef"),
        (
            "s3://mine/aef",
            {"AWS_REGION": "eu-west-1"},
            "https://s3.eu-west-1.amazonaws.com/mine/aef",
        ),
        (
            "s3://mine/aef",
            {"AWS_DEFAULT_REGION": "eu-west-1"},
            "https://s3.eu-west-1.amazonaws.com/mine/aef",
        ),
        (
            "s3://mine/aef",
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9/"},
            "http://127.0.0.1:9/mine/aef",
        ),
        ("s3://mine", {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "http://127.0.0.1:9/mine"),
        (
            "gs://mine/aef",
            {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:9"},
            "http://127.0.0.1:9/mine/aef",
        ),
        ("https://mirror.example/aef/", {}, "https://mirror.example/aef"),
    ],
)
def test_the_environment_says_which_store_a_bucket_is_in(
    monkeypatch: pytest.MonkeyPatch, root: str, env: dict[str, str], address: str
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert address_of(root) == address


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ('"a\x1b[31mb\x9bc"', "a [31mb c"),
        ('W/"a\x07b"', "a b"),
        ('"a\tb"', "a b"),
    ],
)
def test_a_version_is_written_without_control_characters(
    server: FileServer, tag: str, version: str
) -> None:
    server.fail = lambda _: Fault(headers={"ETag": tag})
    source = remote_source(server)
    (origin,) = source.read(ON_LATTICE, YEAR).origins
    assert origin.partition("@")[2] == version
    # The tag is not the server's own any more, so it makes no condition.
    assert not any("if-match" in request.headers for request in server.requests)
    assert source.read(GRIDS["in degrees"], YEAR).origins


def test_a_long_version_is_bounded_and_still_tells_changes(server: FileServer) -> None:
    server.fail = lambda _: Fault(headers={"ETag": f'"{"x" * 9000}1"'})
    source = remote_source(server)
    (origin,) = source.read(ON_LATTICE, YEAR).origins
    assert len(origin) < 300
    server.fail = lambda _: Fault(headers={"ETag": f'"{"x" * 9000}2"'})
    with pytest.raises(PermanentError, match="was changed on the server"):
        source.read(GRIDS["in degrees"], YEAR)
