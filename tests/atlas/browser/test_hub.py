"""A published version in the browser: served here with data of the Hub, and as a static Space."""

from __future__ import annotations

import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from servers.files import FileServer
from servers.hub import Hub
from servers.hub.fixtures import Client
from support.atlas import SHOWN, Points, read_points
from support.browser import Visit, Visits
from support.pushes import NAME, finish, publish
from support.releases import fresh_copy

SPACE = "ada/atlas"


@pytest.fixture
def points(hub: Hub, evaluated_release: Path, tmp_path: Path) -> Points:
    """Those of a release that is published as 1.0.0."""
    publish(hub, fresh_copy(evaluated_release, tmp_path / "release"))
    return read_points(evaluated_release)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(client: Client, *words: object) -> Iterator[str]:
    """``hfaef atlas`` at work; gives its address."""
    port = free_port()
    process = client.hfaef("atlas", *words, "--port", port)
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(600):
            assert process.poll() is None, process.communicate()
            try:
                urllib.request.urlopen(url).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def assert_works(page: Visit, points: Points) -> None:
    page.click(7)
    assert [one["id"] for one in page.near(SHOWN)] == [one[0] for one in points.near(7)]
    assert 0 not in page.pictures(1 + SHOWN)


def test_a_published_version_is_read_from_the_hub_itself(
    visit: Visits, hub: Hub, client: Client, points: Points
) -> None:
    with served(client, NAME) as url:
        hub.forget()
        page = visit().open(url)
        assert_works(page, points)
        page.is_clean(url.rstrip("/"), hub.url, hub.state.storage)
    asked = [seen for seen in hub.seen if not seen.authorized]
    assert {seen.method for seen in asked} == {"GET"}
    assert [seen for seen in asked if seen.port == "storage"]


def test_a_folder_is_served_with_its_data(
    visit: Visits, client: Client, evaluated_release: Path
) -> None:
    points = read_points(evaluated_release)
    with served(client, evaluated_release) as url:
        page = visit().open(url)
        assert_works(page, points)
        page.is_clean(url.rstrip("/"))


def test_a_space_shows_the_version_that_it_is_pinned_to(
    visit: Visits, hub: Hub, client: Client, points: Points, tmp_path: Path
) -> None:
    done = finish(client.hfaef("atlas", f"{NAME}@1.0.0", "--space", SPACE, "--json"))
    assert done["exit"] == 0, done
    space = hub.repo(SPACE, "spaces")
    for path in space.resolve("main").tree:
        (tmp_path / "space" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "space" / path).write_bytes(hub.state.file(space, path, "main"))
    with FileServer(tmp_path / "space") as server:
        page = visit().open(server.url + "/")
        assert_works(page, points)
        page.is_clean(server.url, hub.url, hub.state.storage)
