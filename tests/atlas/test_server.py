"""The server of the atlas: ranges, and that nothing else can be read, by nobody else."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from hfaef.atlas.content import Content, read_folder
from hfaef.atlas.policy import content_policy
from hfaef.atlas.server import Server, parse_range
from hfaef.errors import InputError, ReleaseError
from hfaef.release.card.render import write_card
from hfaef.release.format.manifest import read_manifest
from support.atlas_server import ask, running

POINTS = "atlas/points.parquet"

Serve = Callable[[Path], Server]


@pytest.fixture
def server(serve: Serve, demo_release: Path) -> Server:
    return serve(demo_release)


@pytest.fixture
def whole(demo_release: Path) -> bytes:
    return (demo_release / POINTS).read_bytes()


def test_the_page_knows_what_it_shows(server: Server, demo_release: Path) -> None:
    for path in ("/", "/index.html", "/?a=b"):
        found = ask(server, path)
        assert (found.status, found.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert content_policy() in found.body.decode()
    assert ask(server, "/atlas.js").headers["Content-Type"].startswith("text/javascript")
    found = json.loads(ask(server, "/atlas.json").body)
    assert found.pop("data") == server.shown.data
    assert found == {
        "name": read_manifest(demo_release).name,
        "version": None,
        "home": None,
        "layouts": ["pca"],
    }


@pytest.mark.parametrize("path", ["/", "/atlas.json", f"/DATA/{POINTS}", "/nothing"])
def test_every_answer_keeps_other_pages_out(server: Server, path: str) -> None:
    headers = ask(server, path).headers
    assert headers["Content-Security-Policy"] == f"{content_policy()}; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert not [name for name in headers if name.startswith("Access-Control")]


def test_every_file_that_the_page_needs_is_served_as_it_is(
    server: Server, demo_release: Path
) -> None:
    kinds = ("data/", "pooled/", "atlas/")
    paths = [f.path for f in read_manifest(demo_release).files if f.path.startswith(kinds)]
    assert len(paths) > 3
    for path in paths:
        found = ask(server, f"/DATA/{path}")
        assert (found.status, found.body) == (200, (demo_release / path).read_bytes())
        assert found.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-99", 5, 99),
        ("bytes=100-", 100, -1),
        ("bytes=-7", -7, -1),
        ("bytes=10-999999999999", 10, -1),
        ("bytes=-999999999999", 0, -1),
    ],
)
def test_a_range_is_answered_with_its_bytes(
    server: Server, whole: bytes, asked: str, first: int, last: int
) -> None:
    first, last = first % len(whole), last % len(whole)
    found = ask(server, f"/DATA/{POINTS}", Range=asked)
    assert (found.status, found.body) == (206, whole[first : last + 1])
    assert found.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"
    head = ask(server, f"/DATA/{POINTS}", "HEAD", Range=asked)
    assert (head.status, head.body) == (206, b"")
    assert head.headers["Content-Length"] == found.headers["Content-Length"]


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=999999999-",
        "bytes=5-4",
        "bytes=-0",
        "bytes=0-1,5-6",
        "bytes=-",
        "bytes=a-b",
        "rows=1-2",
        f"bytes={'9' * 5000}-",
    ],
)
def test_a_range_that_cannot_be_had_is_refused(server: Server, whole: bytes, asked: str) -> None:
    found = ask(server, f"/DATA/{POINTS}", Range=asked)
    assert found.status == 416
    assert found.headers["Content-Range"] == f"bytes */{len(whole)}"


@hypothesis.given(strategies.text("0123456789-bytes=, ", max_size=20), strategies.integers(0, 50))
def test_a_range_lies_in_its_file_or_is_none(header: str, size: int) -> None:
    found = parse_range(header, size)
    if found is not None:
        assert 0 <= found[0] < found[1] <= size


@hypothesis.given(
    strategies.integers(0, 60), strategies.integers(0, 60), strategies.integers(1, 50)
)
def test_a_range_is_that_of_slices(first: int, last: int, size: int) -> None:
    letters = range(size)
    found = parse_range(f"bytes={first}-{last}", size)
    assert list(letters[slice(*found)] if found else ()) == list(letters[first : last + 1])
    tail = parse_range(f"bytes=-{last}", size)
    assert list(letters[slice(*tail)] if tail else ()) == list(letters[-last:] if last else ())


def test_a_range_of_an_earlier_file_is_answered_with_the_whole_new_one(
    server: Server, whole: bytes
) -> None:
    now = ask(server, f"/DATA/{POINTS}").headers["ETag"]
    found = ask(server, f"/DATA/{POINTS}", Range="bytes=0-9", If_Range=now)
    assert (found.status, len(found.body)) == (206, 10)
    for earlier in ('"before"', "Wed, 21 Oct 2015 07:28:00 GMT"):
        found = ask(server, f"/DATA/{POINTS}", Range="bytes=0-9", If_Range=earlier)
        assert (found.status, found.body) == (200, whole)


def test_a_page_that_the_browser_has_is_not_sent_again(server: Server) -> None:
    tag = ask(server, "/atlas.js").headers["ETag"]
    assert ask(server, "/atlas.js", If_None_Match=tag).status == 304
    assert ask(server, "/atlas.js", If_None_Match='"other"').status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/DATA/",
        "/data",
        "/DATA/release.json",
        "/DATA/README.md",
        "/DATA/.staging/lock",
        "/DATA/notes.txt",
        "/DATA/../release.json",
        "/DATA/atlas/../release.json",
        "/DATA/atlas/../atlas/points.parquet",
        "/../../../../etc/passwd",
        "/DATA/%2e%2e/%2e%2e/etc/passwd",
        "/DATA/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/DATA//etc/passwd",
        "/.hidden",
        "/page/.hidden",
        "/atlas/points.parquet",
        "/DATA/atlas/points.parquet/",
        "/DATA/atlas/points.parquet%00",
        "/DATA/atlas/POINTS.parquet",
        "/%ff",
    ],
)
def test_nothing_else_can_be_read(serve: Serve, own_release: Path, path: str) -> None:
    (own_release / "notes.txt").write_text("private")
    (own_release / ".staging").mkdir(exist_ok=True)
    (own_release / ".staging/lock").write_text("")
    assert ask(serve(own_release), path).status == 404


def test_a_compressed_file_beside_one_is_not_served_in_its_place(
    serve: Serve, own_release: Path
) -> None:
    (own_release / f"{POINTS}.gz").write_bytes(b"private")
    found = ask(serve(own_release), f"/DATA/{POINTS}", Accept_Encoding="gzip, br")
    assert found.body == (own_release / POINTS).read_bytes()
    assert "Content-Encoding" not in found.headers


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_this_machine_may_ask(server: Server, name: str) -> None:
    assert ask(server, "/", Host=f"{name}:{server.server_port}").status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{}", "127.0.0.1", "127.0.0.1:1", ""]
)
def test_a_name_that_was_made_to_lead_here_is_refused(server: Server, host: str) -> None:
    for path in ("/", "/atlas.json", f"/DATA/{POINTS}"):
        assert ask(server, path, Host=host.format(server.server_port)).status == 421


def test_one_host_and_one_path_of_this_server_are_asked_for(server: Server) -> None:
    ours = f"127.0.0.1:{server.server_port}"
    for request in (
        "GET / HTTP/1.0\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {ours}\r\nHost: evil.example\r\n\r\n",
        f"GET http://evil.example/ HTTP/1.1\r\nHost: {ours}\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as connection:
            connection.sendall(request.encode())
            found = http.client.HTTPResponse(connection)
            found.begin()
            assert found.status == 421
            found.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_the_server_is_read_alone(server: Server, method: str) -> None:
    found = ask(server, f"/DATA/{POINTS}", method)
    assert (found.status, found.headers["Allow"]) == (405, "GET, HEAD")
    assert not [name for name in found.headers if name.startswith("Access-Control")]


def test_a_file_that_changed_is_refused_until_the_page_is_loaded_again(
    serve: Serve, own_release: Path, tmp_path: Path
) -> None:
    server = serve(own_release)
    path = own_release / POINTS
    before = path.read_bytes()

    def refused() -> str:
        found = ask(server, f"/DATA/{POINTS}", Range="bytes=0-9")
        assert found.status == 409
        return found.body.decode()

    os.utime(path, ns=(1, 1))
    assert "load the page again" in refused()
    path.unlink()
    refused()
    (tmp_path / "elsewhere").write_bytes(before)
    path.symlink_to(tmp_path / "elsewhere")
    refused()
    path.unlink()
    os.mkfifo(path)
    refused()
    path.unlink()
    path.write_bytes(before)
    refused()
    ask(server, "/atlas.json")
    found = ask(server, f"/DATA/{POINTS}", Range="bytes=0-9")
    assert (found.status, found.body) == (206, before[:10])


def test_a_release_that_is_built_again_is_shown_when_the_page_is_loaded_again(
    serve: Serve, own_release: Path, fewer_patches_release: Path
) -> None:
    server = serve(own_release)
    before = json.loads(ask(server, "/atlas.json").body)["name"]
    shutil.rmtree(own_release)
    shutil.copytree(fewer_patches_release, own_release)
    assert ask(server, f"/DATA/{POINTS}").status == 409
    page = server.shown.data
    assert json.loads(ask(server, "/atlas.json").body)["name"] == "Patches" != before
    earlier = ask(server, f"/{page}{POINTS}", Range="bytes=0-9")
    assert (earlier.status, b"load the page again" in earlier.body) == (409, True)
    found = ask(server, f"/DATA/{POINTS}")
    assert (found.status, found.body) == (200, (fewer_patches_release / POINTS).read_bytes())
    write_card(own_release)  # which is no part of what is shown
    assert ask(server, f"/DATA/{POINTS}").status == 200


def test_what_is_wrong_with_a_release_that_is_built_again_is_said(
    serve: Serve, own_release: Path
) -> None:
    server = serve(own_release)
    (own_release / "release.json").write_text("{}")
    found = ask(server, "/atlas.json")
    assert found.status == 503
    assert "is no manifest" in found.body.decode()


def test_a_port_that_is_taken_is_named_with_the_way_out(small_page: Path) -> None:
    def read() -> Content:
        raise AssertionError("nothing is made before the port is had")

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            InputError, match=f"port {port} of 127.0.0.1 is taken; leave --port out"
        ):
            Server(read, port=port, page=small_page)


def test_a_port_is_free_again_if_there_is_nothing_to_show(small_page: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with pytest.raises(ReleaseError):
        Server(lambda: read_folder(tmp_path, tmp_path), port=port, page=small_page)
    socket.create_server(("127.0.0.1", port)).close()


def test_several_requests_go_over_one_connection(server: Server, whole: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    address = f"/{server.shown.data}{POINTS}"
    with closing(connection):
        for first in range(0, 50, 10):
            connection.request("GET", address, headers={"Range": f"bytes={first}-{first + 9}"})
            assert connection.getresponse().read() == whole[first : first + 10]


def test_files_that_lie_on_the_hub_are_asked_of_it(small_page: Path, demo_release: Path) -> None:
    content = read_folder(demo_release, demo_release)
    away = replace(
        content,
        local={POINTS: content.local[POINTS]},
        address="https://hub.example/datasets/a/b/resolve/c/",
        redirects=("https://storage.example:8443/x?secret=1",),
    )
    with running(Server(lambda: away, page=small_page)) as server:
        path = next(path for path in content.files if path.startswith("data/"))
        found = ask(server, f"/DATA/{path}", Range="bytes=0-9")
        assert found.status == 307
        place = found.headers["Location"]
        assert place == f"https://hub.example/datasets/a/b/resolve/c/{path.replace('=', '%3D')}"
        policy = found.headers["Content-Security-Policy"]
        origins = "connect-src 'self' https://hub.example https://storage.example:8443;"
        assert origins in policy
        assert origins in ask(server, "/").body.decode()
        assert ask(server, f"/DATA/{POINTS}", Range="bytes=0-9").status == 206
        assert ask(server, "/DATA/data/other.parquet").status == 404
