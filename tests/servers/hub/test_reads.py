"""Listings, downloads and `load_dataset` of the loopback Hub, by the unmodified clients."""

from __future__ import annotations

import hashlib
import http.client
from typing import Any

import pytest

from servers.hub import Hub
from servers.hub.fixtures import WRITER, Client
from servers.hub.samples import CARD, LOAD, NAME, parquet, put_release, release_files


def test_listings_say_size_and_hash(hub: Hub, client: Client) -> None:
    put_release(hub)
    hub.state.page = 2  # several pages
    listed = client.run(
        "answer = {f.path: [f.size, f.lfs and f.lfs.sha256, f.blob_id] for f in"
        " api.list_repo_tree(arguments[0], recursive=True, revision='v1.0.0', repo_type='dataset')"
        " if hasattr(f, 'size')}",
        NAME,
    )
    assert set(listed) == {*release_files(), ".gitattributes"}
    for path, content in release_files().items():
        sha256 = hashlib.sha256(content).hexdigest() if path.endswith(".parquet") else None
        assert listed[path][:2] == [len(content), sha256]
    git = hashlib.sha1(b"blob 2\0{}").hexdigest()  # noqa: S324
    assert listed["release.json"][2] == git
    found = client.run(
        "answer = [f.path for f in api.get_paths_info(arguments[0], ['release.json', 'gone',"
        " 'data'], repo_type='dataset')]",
        NAME,
    )
    assert found == ["release.json", "data"]
    top = client.run(
        "answer = sorted(f.path for f in api.list_repo_tree(arguments[0], repo_type='dataset'))",
        NAME,
    )
    assert top == [".gitattributes", "README.md", "data", "release.json"]
    error = client.fail("list(api.list_repo_tree(arguments[0], 'no', repo_type='dataset'))", NAME)
    assert error["kind"] == "RemoteEntryNotFoundError"


def test_old_revisions_stay_loadable(hub: Hub, client: Client) -> None:
    old = put_release(hub)
    hub.put(NAME, {"release.json": b'{"new": 1}', "README.md": None})
    fetch = (
        "answer = [open(api.hf_hub_download(arguments[0], path, revision=revision,"
        " repo_type='dataset'), 'rb').read().decode('latin1') for path, revision in arguments[1]]"
    )
    path = "data/random=test/spatial=train/00000.parquet"
    asked = [["release.json", r] for r in ("v1.0.0", old, "main")] + [[path, "v1.0.0"]]
    got = client.run(fetch, NAME, asked)
    assert got == ["{}", "{}", '{"new": 1}', release_files()[path].decode("latin1")]
    error = client.fail(fetch, NAME, [["README.md", "main"]])
    assert error["kind"] == "RemoteEntryNotFoundError"
    error = client.fail(fetch, NAME, [["README.md", "v9"]])
    assert error["kind"] == "RevisionNotFoundError"
    assert hub.calls("cached")
    assert hub.calls("object")


@pytest.mark.parametrize("streaming", [False, True])
def test_load_dataset_reads_a_tag(hub: Hub, client: Client, streaming: bool) -> None:
    put_release(hub)
    data = {path: None for path in release_files() if path.startswith("data/")}
    hub.put(NAME, data | {"data/random=train/spatial=train/00001.parquet": parquet(50, 1)})
    random = client.run(LOAD, NAME, None, "v1.0.0", streaming)
    spatial = client.run(LOAD, NAME, "spatial", "v1.0.0", streaming)
    assert random == {
        "train": ["p4", "p5", "p6", "p7", "p0", "p1", "p2", "p3"],
        "test": ["p8", "p9", "p10", "p11"],
    }
    assert set(spatial) == {"train"}
    assert set(spatial["train"]) == {*random["test"], "p0", "p1", "p2", "p3"}
    assert not any(seen.authorized for seen in hub.seen if seen.port == "storage")


def test_load_dataset_reads_the_branch(hub: Hub, client: Client) -> None:
    put_release(hub)
    hub.put(NAME, {"README.md": CARD.replace("config_name: spatial", "config_name: far").encode()})
    assert set(client.run(LOAD, NAME, "far", None, False)) == {"train"}


def ask(hub: Hub, path: str, headers: dict[str, str] | None = None) -> tuple[Any, bytes]:
    connection = http.client.HTTPConnection(hub.url.removeprefix("http://"), timeout=10)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_resolve_knows_ranges_and_etags(hub: Hub) -> None:
    hub.create(NAME, private=True)
    hub.put(NAME, {"a.txt": b"0123456789"})
    place = f"/datasets/{NAME}/resolve/main/a.txt"
    known = {"Authorization": f"Bearer {WRITER}"}
    for wanted, got in (("0-3", b"0123"), ("7-", b"789"), ("-2", b"89"), ("8-99", b"89")):
        answer, body = ask(hub, place, known | {"Range": f"bytes={wanted}"})
        assert (answer.status, body) == (206, got)
    assert ask(hub, place, known | {"Range": "bytes=10-"})[0].status == 416
    answer, _ = ask(hub, place, known)
    again, _ = ask(hub, place, known | {"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304
    assert answer.headers["X-Repo-Commit"] == hub.repo(NAME).head.oid


def test_an_unknown_route_is_named() -> None:
    with Hub() as hub:
        answer, body = ask(hub, "/api/spaces/a/b/secrets")
        assert answer.status == 501
        assert b"no route GET /api/spaces/a/b/secrets" in body
        assert hub.unknown == ["GET /api/spaces/a/b/secrets"]
