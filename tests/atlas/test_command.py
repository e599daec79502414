"""`hfaef atlas` as it is typed: what it serves, how it ends, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from servers.hub import Hub
from servers.hub.fixtures import Client
from support.forks import Fork, ForkServer
from support.pushes import NAME, finish, publish
from support.releases import contents, fresh_copy

POINTS = "atlas/points.parquet"


@pytest.fixture
def atlas(forks: ForkServer, tmp_path: Path) -> Any:
    """Starts the command in a folder of its own."""

    def start(*words: object, **variables: str) -> Fork:
        environment = {**os.environ, "TMPDIR": str(tmp_path), **variables}
        command = ["-m", "hfaef", "atlas", *map(str, words)]
        return forks.start(command, folder=tmp_path, environment=environment)

    return start


def until(process: Fork, end: str) -> str:
    """What a process has said when that ends so."""
    deadline = time.monotonic() + 120
    while not (said := process.said()).endswith(end):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return said


@contextmanager
def served(process: Fork) -> Iterator[dict[str, Any]]:
    """What a server with ``--json`` says of itself; ended by Ctrl-C, as it should end."""
    said = until(process, "}\n")
    found = json.loads(said)
    try:
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        text, errors = process.communicate(timeout=60)
        assert (process.returncode, text) == (0, said)
        assert "Traceback" not in errors
        found["errors"] = errors


def get(url: str, **headers: str) -> tuple[int, bytes]:
    request = Request(url, headers=headers)  # noqa: S310 - of this machine
    with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
        return answer.status, answer.read()


def test_a_folder_is_served_until_it_is_interrupted(
    atlas: Any, demo_release: Path, tmp_path: Path
) -> None:
    before = contents(demo_release)
    with served(atlas(demo_release, "--json")) as found:
        url = found.pop("url")
        assert urlsplit(url).hostname == "127.0.0.1"
        assert found["rows"] == 40
        assert (found["layouts"], found["notes"]) == (["pca"], [])
        assert found["data"].startswith(f"{url}data/")
        assert b"atlas.js" in get(url)[1]
        assert found["data"] == url + json.loads(get(f"{url}atlas.json")[1])["data"]
        status, part = get(found["data"] + POINTS, Range="bytes=0-3")
        assert (status, part) == (206, b"PAR1")
    assert contents(demo_release) == before
    assert not list(tmp_path.glob("hfaef-atlas-*"))
    with pytest.raises(OSError, match="refused"):
        get(url)


def test_people_are_told_the_address_and_how_it_ends(atlas: Any, demo_release: Path) -> None:
    process = atlas(demo_release)
    said = until(process, "--site FOLDER\n")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == said
    assert process.returncode == 0
    first, second = said.splitlines()
    assert first.startswith("AlphaEarth-Demo: 40 rows, at http://127.0.0.1:")
    assert first.endswith("/ until Ctrl-C")
    assert second == f"publish it: hfaef atlas {demo_release} --site FOLDER"


def test_the_users_browser_is_opened_once(atlas: Any, demo_release: Path, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {shlex.quote(str(tmp_path / "opened"))}\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    with served(atlas(demo_release, "--open", "--json", BROWSER=str(browser))) as found:
        while not (tmp_path / "opened").exists():
            time.sleep(0.02)
    assert (tmp_path / "opened").read_text() == f"{found['url']}\n"


def test_a_port_can_be_chosen_and_one_that_is_taken_is_named(
    atlas: Any, demo_release: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = finish(atlas(demo_release, "--port", port, "--json"))
        assert (done["exit"], done["error"]) == (2, f"port {port} of 127.0.0.1 is taken")
        assert "leave --port out" in done["hint"]
    with served(atlas(demo_release, "--port", port, "--json")) as found:
        assert found["url"] == f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["--data", "https://a.b/"], "--data says nothing without --site", "leave it out"),
        (["--private"], "--private says nothing without --space", "leave it out"),
        (["--dry-run"], "--dry-run says nothing without --space", "leave it out"),
        (["--site", "s", "--open"], "--open says nothing with --site", "leave it out"),
        (["--space", "a/b", "--port", "80"], "--port says nothing with --space", "leave it out"),
        (["--site", "s", "--space", "a/b"], "two ways to publish", "give one at a time"),
        (["--space", "a/b", "--layout", "tsne"], "--layout tsne is made here", "leave one of"),
        (["--site", "s", "--data", "data"], "--data 'data' is no address", "give http(s)://"),
        (
            ["--layout", "umap"],
            "'--layout': 'umap' is not one of 'pca', 'tsne'",
            "see `hfaef atlas --help`",
        ),
        (["--site", "."], ". is not empty, and what is in it stays", "name a new or empty folder"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_with_the_next_step(
    atlas: Any, demo_release: Path, tmp_path: Path, words: list[str], error: str, hint: str
) -> None:
    (tmp_path / "mine").write_text("mine")
    before = contents(tmp_path)
    done = finish(atlas(demo_release, *words, "--json"))
    assert done["exit"] == 2
    assert error in done["error"]
    assert done["hint"].startswith(hint)
    assert done["errors"].count("\n") == 1
    assert contents(tmp_path) == before


def test_a_folder_without_a_release_says_how_one_is_built(atlas: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = finish(atlas("empty", "--json"))
    assert (done["exit"], done["hint"]) == (1, "hfaef build RECIPE --out empty")
    done = finish(atlas("nothing", "--json"))
    assert "is neither a folder nor OWNER/NAME[@VERSION]" in done["error"]


def test_a_site_is_no_release_and_says_how_it_is_served(
    atlas: Any, demo_release: Path, tmp_path: Path
) -> None:
    assert finish(atlas(demo_release, "--site", "site", "--json"))["exit"] == 0
    before = contents(tmp_path)
    for words in ([], ["--site", "other"]):
        done = finish(atlas("site", *words, "--json"))
        assert (done["exit"], done["error"]) == (
            2,
            "site is a site that --site wrote, which is no release",
        )
        assert "web server that answers ranges" in done["hint"]
    assert contents(tmp_path) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_behind_by_what_is_ended_while_points_are_made(
    atlas: Any, own_release: Path, tmp_path: Path, number: signal.Signals
) -> None:
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("whoever runs the tests has them go on")
    (own_release / POINTS).unlink()
    first = next((own_release / "pooled").rglob("*.parquet"))
    first.unlink()
    os.mkfifo(first)  # whoever opens it waits for somebody to write
    process = atlas(own_release)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("hfaef-atlas-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    while process.poll() is None:
        with suppress(OSError):  # nobody reads it yet, or any more
            os.close(os.open(first, os.O_WRONLY | os.O_NONBLOCK))
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.communicate()
    assert process.returncode != 0
    assert not list(tmp_path.glob("hfaef-atlas-*"))


def test_a_site_is_written_and_says_what_is_in_it(
    atlas: Any, demo_release: Path, tmp_path: Path
) -> None:
    done = finish(atlas(demo_release, "--site", "site", "--json"))
    held = contents(tmp_path / "site")
    assert (done["exit"], done["folder"], done["data"]) == (0, "site", "data/"), done
    assert (done["files"], done["bytes"]) == (len(held), sum(map(len, held.values())))
    address = "https://example.org/release"
    done = finish(atlas(demo_release, "--site", "other", "--data", address, "--json"))
    assert (done["exit"], done["data"]) == (0, f"{address}/")
    assert not [path for path in contents(tmp_path / "other") if path.startswith("data/")]


def test_a_site_does_not_lie_in_the_release(atlas: Any, own_release: Path) -> None:
    before = contents(own_release)
    done = finish(atlas(own_release, "--site", own_release / "site", "--json"))
    assert done["exit"] == 2
    assert "lies in the release itself" in done["error"]
    assert "--site" in done["hint"]
    assert contents(own_release) == before


def test_points_that_are_made_here_are_not_at_an_address(
    atlas: Any, own_release: Path, tmp_path: Path
) -> None:
    (own_release / POINTS).unlink()
    words = (own_release, "--site", "site", "--data", "https://example.org/", "--json")
    done = finish(atlas(*words))
    assert done["exit"] == 2
    assert f"{POINTS} is made for this page" in done["error"]
    assert "leave --data out" in done["hint"]
    assert not (tmp_path / "site").exists()


def test_a_release_with_links_is_refused(atlas: Any, own_release: Path, tmp_path: Path) -> None:
    (tmp_path / "private.parquet").write_bytes((own_release / POINTS).read_bytes())
    (own_release / POINTS).unlink()
    (own_release / POINTS).symlink_to(tmp_path / "private.parquet")
    done = finish(atlas(own_release, "--json"))
    assert (done["exit"], done["hint"][:9]) == (1, "remove it")
    assert f"holds a symbolic link, {POINTS}" in done["error"]


@pytest.fixture
def published(hub: Hub, patches_release: Path, tmp_path: Path) -> Path:
    folder = fresh_copy(patches_release, tmp_path / "release")
    publish(hub, folder)
    hub.forget()
    return folder


def test_a_version_is_read_from_the_hub_by_the_browser(
    hub: Hub, client: Client, published: Path
) -> None:
    commit = hub.repo(NAME).resolve("v1.0.0").oid
    with served(client.hfaef("atlas", NAME, "--json")) as found:
        page = json.loads(get(f"{found['url']}atlas.json")[1])
        assert page["data"] == f"{hub.url}/datasets/{NAME}/resolve/{commit}/" == found["data"]
        assert (page["version"], page["home"]) == (
            "1.0.0",
            f"{hub.url}/datasets/{NAME}/tree/v1.0.0",
        )
        index = get(found["url"])[1].decode()
        assert f"connect-src 'self' {hub.url} {hub.state.storage};" in index
        status, part = get(f"{page['data']}{POINTS}", Range="bytes=-4", Origin=found["url"][:-1])
        assert (status, part) == (206, (published / POINTS).read_bytes()[-4:])
    assert found["notes"] == []
    read = {seen.path.rpartition("/")[2] for seen in hub.seen if seen.method == "GET"}
    assert not [name for name in read if name.startswith(("train-", "test-"))]


@pytest.mark.parametrize("closed", ["private", "gated"])
def test_what_needs_a_token_is_downloaded_and_the_browser_gets_none(
    hub: Hub, client: Client, published: Path, closed: str
) -> None:
    setattr(hub.repo(NAME), closed, True)
    with served(client.hfaef("atlas", f"{NAME}@1.0.0", "--json")) as found:
        assert found["data"].startswith(f"{found['url']}data/")
        (note,) = found["notes"]
        assert f"{NAME} is private or gated, and the browser gets no token" in note
        assert "MB are served from here" in note
        hub.forget()
        for path, text in contents(published).items():
            if path.startswith(("data/", "pooled/", "atlas/")):
                assert get(found["data"] + path) == (200, text)
        page = get(found["url"])[1] + get(f"{found['url']}atlas.json")[1]
    assert not hub.seen
    assert b"token" not in page.lower()
    assert b"connect-src 'self';" in page


def test_a_version_without_points_is_downloaded_and_they_are_made(
    hub: Hub, client: Client, patches_release: Path, tmp_path: Path
) -> None:
    from atlas.test_content import without_points

    folder = fresh_copy(patches_release, tmp_path / "older")
    without_points(folder)
    publish(hub, folder)
    with served(client.hfaef("atlas", NAME, "--json")) as found:
        text = (patches_release / POINTS).read_bytes()
        assert get(found["data"] + POINTS) == (200, text)
    assert f"{NAME}@1.0.0 has no {POINTS}" in found["notes"][0]
    assert "MB to download" in found["errors"]


def test_another_layout_of_a_version_is_made_here_and_all_else_comes_from_the_hub(
    hub: Hub, client: Client, published: Path
) -> None:
    pytest.importorskip("openTSNE", reason="the extra `atlas` is not installed")
    with served(client.hfaef("atlas", NAME, "--layout", "tsne", "--json")) as found:
        assert found["layouts"] == ["pca", "tsne"]
        assert get(f"{found['data']}atlas/tsne.parquet")[1][:4] == b"PAR1"
        hub.forget()
        path = next(path for path in contents(published) if path.startswith("data/"))
        status, part = get(found["data"] + path, Range="bytes=4-99")
        assert (status, part) == (206, (published / path).read_bytes()[4:100])
        assert [seen.route for seen in hub.seen] == ["resolve", "object"]
        index = get(found["url"])[1].decode()
        assert f"connect-src 'self' {hub.url} {hub.state.storage};" in index


def test_a_site_of_a_version_has_its_data_or_leaves_them_on_the_hub(
    hub: Hub, client: Client, published: Path, tmp_path: Path
) -> None:
    done = finish(client.hfaef("atlas", NAME, "--site", tmp_path / "site", "--json"))
    assert done["exit"] == 0, done
    for path, text in contents(tmp_path / "site" / "data").items():
        assert text == (published / path).read_bytes()
    address = f"{hub.url}/datasets/{NAME}/resolve/v1.0.0"
    words = ("atlas", NAME, "--site", tmp_path / "other", "--data", address, "--json")
    done = finish(client.hfaef(*words))
    assert done["data"] == f"{address}/"
    index = (tmp_path / "other/index.html").read_text()
    assert f"connect-src 'self' {hub.url} {hub.state.storage};" in index


def test_a_changed_version_is_not_shown(hub: Hub, client: Client, published: Path) -> None:
    del published
    hub.put(NAME, {POINTS: b"other"})
    del hub.repo(NAME).tags["v1.0.0"]
    hub.repo(NAME).tag("v1.0.0", "main", "moved", "ada")
    for words in ([], ["--space", "ada/atlas"]):
        done = finish(client.hfaef("atlas", NAME, "--json", *words))
        assert (done["exit"], done["hint"]) == (1, f"hfaef check {NAME}@1.0.0")
        assert f"{POINTS} is not what the manifest lists" in done["error"]


def test_help_teaches_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hfaef", "atlas", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
    )
    for word in (
        "--open",
        "--port",
        "--site",
        "--data",
        "--space",
        "--layout",
        "Ctrl-C",
        "--dry-run",
    ):
        assert word in done.stdout
