"""The loopback Hub, proven with the unmodified clients."""

from __future__ import annotations

import hashlib
import http.client
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from servers.hub import Fault, Hub
from servers.hub.fixtures import OTHER, READER, WRITER, Client

NAME = "ada/patches"

CARD = """---
configs:
- config_name: random
  default: true
  data_files:
  - split: train
    path: data/random=train/*/*.parquet
  - split: test
    path: data/random=test/*/*.parquet
- config_name: spatial
  data_files:
  - split: train
    path: data/*/spatial=train/*.parquet
---
# Patches
"""

UPLOAD = """
from huggingface_hub import CommitOperationAdd
name, files, parent = arguments
api.create_repo(name, repo_type="dataset", exist_ok=True)
adds = [CommitOperationAdd(path, local) for path, local in files.items()]
api.preupload_lfs_files(name, adds, repo_type="dataset", free_memory=False)
answer = api.create_commit(
    name, adds, repo_type="dataset", commit_message="one", parent_commit=parent
).oid
"""


def parquet(first: int, count: int = 4) -> bytes:
    table = pa.table({"id": [f"p{first + i}" for i in range(count)], "n": list(range(count))})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def release() -> dict[str, bytes]:
    return {
        "README.md": CARD.encode(),
        "data/random=train/spatial=train/00000.parquet": parquet(0),
        "data/random=train/spatial=test/00000.parquet": parquet(4),
        "data/random=test/spatial=train/00000.parquet": parquet(8),
        "release.json": b"{}",
    }


def published(hub: Hub, tag: str | None = "v1.0.0") -> str:
    repo = hub.create(NAME)
    commit = hub.put(NAME, dict(release()))
    if tag:
        repo.tag(tag, commit.oid, "first", "ada")
    return commit.oid


def local(folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return {path: str(folder / path) for path in files}


def test_a_commit_holds_what_was_uploaded(hub: Hub, client: Client, tmp_path: Path) -> None:
    files = release() | {"big.npy": bytes(range(256)) * 12_000}  # three parts
    oid = client.run(UPLOAD, NAME, local(tmp_path / "files", files), None)
    repo = hub.repo(NAME)
    assert repo.head.oid == oid
    assert {path: hub.file(NAME, path) for path in files} == files
    assert set(repo.head.tree) == {*files, ".gitattributes"}
    assert [commit.title for commit in repo.log()] == ["one", "initial commit"]
    assert len(hub.calls("put")) == 3
    assert len(hub.calls("part")) == 4
    assert len(hub.calls("complete")) == 1
    assert not any(seen.authorized for seen in hub.seen if seen.port == "storage")
    assert all(seen.authorized for seen in hub.calls("commit") + hub.calls("batch"))


def test_a_large_upload_may_lie_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with Hub(tmp_path / "store", part_bytes=1_000_000) as hub:
        hub.account("ada", WRITER)
        client = Client(hub, tmp_path)
        content = b"x" * 2_500_000
        client.run(UPLOAD, NAME, local(tmp_path / "files", {"a.bin": content}), None)
        assert hub.file(NAME, "a.bin") == content
        path = client.run(
            "answer = api.hf_hub_download(*arguments, repo_type='dataset')", NAME, "a.bin"
        )
        assert Path(path).read_bytes() == content
        assert (tmp_path / "store" / hashlib.sha256(content).hexdigest()).exists()


def test_what_is_there_is_not_sent_again(hub: Hub, client: Client, tmp_path: Path) -> None:
    files = local(tmp_path / "files", release())
    first = client.run(UPLOAD, NAME, files, None)
    hub.forget()
    assert client.run(UPLOAD, NAME, files, None) == first  # the client finds nothing to commit
    assert hub.calls("put") == []
    assert hub.calls("commit") == []


def test_an_object_of_another_repository_does_not_count(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    files = local(tmp_path / "files", release())
    client.run(UPLOAD, NAME, files, None)
    hub.forget()
    client.run(UPLOAD, "lab/patches", files, None)
    assert len(hub.calls("put")) == 3


def test_upload_file_and_delete(hub: Hub, client: Client) -> None:
    published(hub)
    client.run(
        "from huggingface_hub import CommitOperationDelete\n"
        "api.upload_file(path_or_fileobj=b'new', path_in_repo='notes.txt', repo_id=arguments[0],"
        " repo_type='dataset')\n"
        "api.create_commit(arguments[0], [CommitOperationDelete('release.json'),"
        " CommitOperationDelete('data/random=test/')], repo_type='dataset', commit_message='less')",
        NAME,
    )
    tree = hub.repo(NAME).head.tree
    assert "release.json" not in tree
    assert not any(path.startswith("data/random=test/") for path in tree)
    assert hub.file(NAME, "notes.txt") == b"new"
    assert "release.json" in hub.repo(NAME).resolve("v1.0.0").tree


def test_the_parent_of_a_commit_is_checked(hub: Hub, client: Client, tmp_path: Path) -> None:
    old = published(hub)
    hub.put(NAME, {"other.txt": b"by somebody"})
    files = local(tmp_path / "files", {"a.txt": b"a"})
    told = client.fail(UPLOAD, NAME, files, old)
    assert told["status"] == 412
    assert "A commit has happened since" in told["text"]
    assert "a.txt" not in hub.repo(NAME).head.tree


def test_a_commit_in_progress_is_a_conflict(hub: Hub, client: Client, tmp_path: Path) -> None:
    published(hub)
    files = local(tmp_path / "files", {"a.txt": b"a"})
    with hub.repo(NAME).lock:
        told = client.fail(UPLOAD, NAME, files, None)
    assert told["status"] == 409
    assert "in progress" in told["text"]


def test_a_pointer_needs_its_object(hub: Hub, client: Client, tmp_path: Path) -> None:
    published(hub)
    uploaded = hub.repo(NAME).uploaded
    hub.fail(Fault("commit", "nothing", meanwhile=uploaded.clear))
    files = local(tmp_path / "files", {"a.parquet": parquet(90)})
    told = client.fail(UPLOAD, NAME, files, None)
    assert (told["kind"], told["status"]) == ("BadRequestError", 400)
    assert "a.parquet" in told["text"]


def test_a_card_that_is_not_yaml_is_refused(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.create(NAME)
    files = local(tmp_path / "files", {"README.md": b"---\nconfigs: [\n---\n"})
    told = client.fail(UPLOAD, NAME, files, None)
    assert told["kind"] == "ValueError"
    assert "Invalid metadata in README.md" in told["text"]


def test_tags_stay_where_they_are(hub: Hub, client: Client) -> None:
    old = published(hub, tag=None)
    tag = "api.create_tag(arguments[0], tag='v1.0.0', revision=arguments[1], repo_type='dataset',"
    client.run(f"{tag} tag_message='the first')", NAME, old)
    new = hub.put(NAME, {"release.json": b"{'new': 1}"}).oid
    told = client.fail(f"{tag})", NAME, new)
    assert told["status"] == 409
    assert "Tag reference exists already" in told["text"]
    assert hub.repo(NAME).tags["v1.0.0"].message == "the first"
    seen = client.run(
        "refs = api.list_repo_refs(arguments[0], repo_type='dataset')\n"
        "answer = [[r.name, r.target_commit] for r in refs.tags + refs.branches]\n"
        "answer += [api.dataset_info(arguments[0], revision='v1.0.0').sha]",
        NAME,
    )
    assert seen == [["v1.0.0", old], ["main", new], old]
    told = client.fail(
        "api.create_tag(arguments[0], tag='v2.0.0', revision='nowhere', repo_type='dataset')", NAME
    )
    assert (told["kind"], told["status"]) == ("RevisionNotFoundError", 404)


def test_listings_say_size_and_hash(hub: Hub, client: Client) -> None:
    published(hub)
    hub.state.page = 2  # several pages
    listed = client.run(
        "answer = {f.path: [f.size, f.lfs and f.lfs.sha256, f.blob_id] for f in"
        " api.list_repo_tree(arguments[0], recursive=True, revision='v1.0.0', repo_type='dataset')"
        " if hasattr(f, 'size')}",
        NAME,
    )
    assert set(listed) == {*release(), ".gitattributes"}
    for path, content in release().items():
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
    told = client.fail("list(api.list_repo_tree(arguments[0], 'no', repo_type='dataset'))", NAME)
    assert told["kind"] == "RemoteEntryNotFoundError"


def test_old_revisions_stay_loadable(hub: Hub, client: Client) -> None:
    old = published(hub)
    hub.put(NAME, {"release.json": b'{"new": 1}', "README.md": None})
    fetch = (
        "answer = [open(api.hf_hub_download(arguments[0], path, revision=revision,"
        " repo_type='dataset'), 'rb').read().decode('latin1') for path, revision in arguments[1]]"
    )
    path = "data/random=test/spatial=train/00000.parquet"
    asked = [["release.json", r] for r in ("v1.0.0", old, "main")] + [[path, "v1.0.0"]]
    got = client.run(fetch, NAME, asked)
    assert got == ["{}", "{}", '{"new": 1}', release()[path].decode("latin1")]
    told = client.fail(fetch, NAME, [["README.md", "main"]])
    assert told["kind"] == "RemoteEntryNotFoundError"
    told = client.fail(fetch, NAME, [["README.md", "v9"]])
    assert told["kind"] == "RevisionNotFoundError"
    assert hub.calls("cached")
    assert hub.calls("object")


LOAD = """
import datasets
datasets.disable_progress_bars()
name, config, revision, streaming = arguments
loaded = datasets.load_dataset(name, config, revision=revision, streaming=streaming)
answer = {split: [row["id"] for row in rows] for split, rows in loaded.items()}
"""


@pytest.mark.parametrize("streaming", [False, True])
def test_load_dataset_reads_a_tag(hub: Hub, client: Client, streaming: bool) -> None:
    published(hub)
    data = {path: None for path in release() if path.startswith("data/")}
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
    published(hub)
    hub.put(NAME, {"README.md": CARD.replace("config_name: spatial", "config_name: far").encode()})
    assert set(client.run(LOAD, NAME, "far", None, False)) == {"train"}


def test_private_repositories_are_not_there_for_others(hub: Hub, client: Client) -> None:
    client.run("api.create_repo(arguments[0], repo_type='dataset', private=True)", NAME)
    assert hub.repo(NAME).private
    hub.put(NAME, dict(release()))
    info = "answer = api.dataset_info(arguments[0]).private"
    assert client.run(info, NAME, token=READER) is True
    for token, status in ((OTHER, 404), (None, 401)):
        told = client.fail(info, NAME, token=token)
        assert (told["kind"], told["status"]) == ("RepositoryNotFoundError", status)
    assert client.run(LOAD, NAME, None, None, False, token=READER)["test"]
    told = client.fail(LOAD, NAME, None, None, False, token=OTHER)
    assert told["kind"] == "DatasetNotFoundError"


def test_gated_repositories_show_their_listing_only(hub: Hub, client: Client) -> None:
    hub.create(NAME, gated=True)
    hub.put(NAME, dict(release()))
    fetch = "answer = api.hf_hub_download(arguments[0], 'release.json', repo_type='dataset')"
    for token, status in ((OTHER, 403), (None, 401)):
        assert client.run("answer = api.dataset_info(arguments[0]).gated", NAME, token=token)
        told = client.fail(fetch, NAME, token=token)
        assert (told["kind"], told["status"]) == ("GatedRepoError", status)
    hub.repo(NAME).admitted.add("bob")
    assert client.run(fetch, NAME, token=OTHER)


def test_tokens_decide_who_writes(hub: Hub, client: Client, tmp_path: Path) -> None:
    published(hub)
    files = local(tmp_path / "files", {"a.txt": b"a"})
    told = client.fail(UPLOAD, NAME, files, None, token=READER)
    assert told["status"] == 403
    assert "you must use a write token" in told["text"]
    assert client.fail(UPLOAD, NAME, files, None, token=OTHER)["status"] == 403
    assert client.fail(UPLOAD, NAME, files, None, token=None)["status"] == 401
    told = client.fail("api.dataset_info(arguments[0])", NAME, token="token-of-nobody")
    assert told["status"] == 401
    assert "Invalid credentials" in told["text"]
    assert hub.repo(NAME).head.title == "by hand"


def test_organisations_are_written_to_by_their_members(client: Client) -> None:
    create = "answer = api.create_repo(arguments[0], repo_type='dataset').repo_id"
    assert client.run(create, "lab/shared") == "lab/shared"
    assert client.fail(create, "lab/more", token=OTHER)["status"] == 403
    assert client.fail(create, "lab/shared")["status"] == 409
    who = client.run("answer = api.whoami()")
    assert who["name"] == "ada"
    assert who["orgs"][0]["name"] == "lab"
    assert who["auth"]["accessToken"]["role"] == "write"


ONE = "answer = api.upload_file(path_or_fileobj=b'x', path_in_repo='x.txt', repo_id=arguments[0],"
ONE += " repo_type='dataset').oid"


def test_a_5xx_answer_is_one_call_only(hub: Hub, client: Client) -> None:
    published(hub)
    hub.fail(Fault("preupload", "status", call=2, status=503))
    client.run(ONE, NAME)
    hub.forget()
    client.run(ONE.replace("x.txt", "y.txt"), NAME)  # huggingface_hub asks again by itself
    assert [seen.status for seen in hub.calls("preupload")] == [503, 200]
    hub.fail(Fault("commit", "status", status=500))
    before = hub.repo(NAME).head
    assert client.fail(ONE.replace("x.txt", "z.txt"), NAME)["status"] == 500
    assert hub.repo(NAME).head == before


def test_a_commit_may_be_made_and_its_answer_lost(hub: Hub, client: Client) -> None:
    published(hub)
    hub.fail(Fault("commit", "lost"))
    told = client.fail(ONE, NAME)
    assert told["kind"] in ("ReadError", "RemoteProtocolError")
    assert hub.repo(NAME).head.title == "Upload x.txt with huggingface_hub"
    hub.fail(Fault("commit", "broken", status=500))
    assert client.fail(ONE.replace("x.txt", "y.txt"), NAME)["status"] == 500
    assert hub.repo(NAME).head.title == "Upload y.txt with huggingface_hub"


def test_an_upload_may_be_dropped(hub: Hub, client: Client, tmp_path: Path) -> None:
    content = {"a.bin": b"x" * 900_000}
    hub.fail(Fault("put", "drop", after=300_000))
    client.run(UPLOAD, NAME, local(tmp_path / "files", content), None)  # the client tries again
    first, second = hub.calls("put")
    assert first.status is None
    assert 300_000 <= first.received < 900_000
    assert (second.status, second.received) == (200, 900_000)
    assert hub.file(NAME, "a.bin") == content["a.bin"]


def test_a_download_may_be_truncated(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.create(NAME)
    content = bytes(range(256)) * 8000
    hub.put(NAME, {"a.bin": content})
    hub.fail(Fault("object", "truncate", after=100_000))
    path = client.run(
        "answer = api.hf_hub_download(arguments[0], 'a.bin', repo_type='dataset',"
        " local_dir=arguments[1])",
        NAME,
        tmp_path / "here",
    )
    assert Path(path).read_bytes() == content
    assert [seen.status for seen in hub.calls("object")][-1] in (200, 206)
    assert len(hub.calls("object")) == 2


def test_an_answer_may_be_slow(hub: Hub, client: Client) -> None:
    hub.fail(Fault("whoami", "slow", seconds=0.8))
    took = client.run(
        "import time\nstart = time.monotonic()\napi.whoami()\nanswer = time.monotonic() - start"
    )
    assert took >= 0.8


def test_something_may_happen_meanwhile(hub: Hub, client: Client) -> None:
    old = published(hub)
    hub.fail(Fault("commit", "nothing", meanwhile=lambda: _other(hub)))
    told = client.fail(ONE.replace("repo_type", f"parent_commit={old!r}, repo_type"), NAME)
    assert told["status"] == 412


def _other(hub: Hub) -> None:
    hub.put(NAME, {"other.txt": b"by somebody"})


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
