"""Uploads, commits and tags of the loopback Hub, by the unmodified clients."""

from __future__ import annotations

import hashlib
from pathlib import Path

from servers.hub import Fault, Hub
from servers.hub.fixtures import WRITER, Client
from servers.hub.samples import NAME, UPLOAD, parquet, put_release, release_files, write_files
from support.forks import ForkServer


def test_a_commit_holds_what_was_uploaded(hub: Hub, client: Client, tmp_path: Path) -> None:
    files = release_files() | {"big.npy": bytes(range(256)) * 12_000}  # three parts
    oid = client.run(UPLOAD, NAME, write_files(tmp_path / "files", files), None)
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


def test_a_large_upload_may_lie_in_a_folder(tmp_path: Path, forks: ForkServer) -> None:
    (tmp_path / "store").mkdir()
    with Hub(tmp_path / "store", part_bytes=1_000_000) as hub:
        hub.account("ada", WRITER)
        client = Client(hub, tmp_path, forks)
        content = b"x" * 2_500_000
        client.run(UPLOAD, NAME, write_files(tmp_path / "files", {"a.bin": content}), None)
        assert hub.file(NAME, "a.bin") == content
        path = client.run(
            "answer = api.hf_hub_download(*arguments, repo_type='dataset')", NAME, "a.bin"
        )
        assert Path(path).read_bytes() == content
        assert (tmp_path / "store" / hashlib.sha256(content).hexdigest()).exists()


def test_what_is_there_is_not_sent_again(hub: Hub, client: Client, tmp_path: Path) -> None:
    files = write_files(tmp_path / "files", release_files())
    first = client.run(UPLOAD, NAME, files, None)
    hub.forget()
    assert client.run(UPLOAD, NAME, files, None) == first  # the client finds nothing to commit
    assert hub.calls("put") == []
    assert hub.calls("commit") == []


def test_an_object_of_another_repository_does_not_count(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    files = write_files(tmp_path / "files", release_files())
    client.run(UPLOAD, NAME, files, None)
    hub.forget()
    client.run(UPLOAD, "lab/patches", files, None)
    assert len(hub.calls("put")) == 3


def test_upload_file_and_delete(hub: Hub, client: Client) -> None:
    put_release(hub)
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
    old = put_release(hub)
    hub.put(NAME, {"other.txt": b"by somebody"})
    files = write_files(tmp_path / "files", {"a.txt": b"a"})
    error = client.fail(UPLOAD, NAME, files, old)
    assert error["status"] == 412
    assert "A commit has happened since" in error["text"]
    assert "a.txt" not in hub.repo(NAME).head.tree


def test_a_commit_in_progress_is_a_conflict(hub: Hub, client: Client, tmp_path: Path) -> None:
    put_release(hub)
    files = write_files(tmp_path / "files", {"a.txt": b"a"})
    with hub.repo(NAME).lock:
        error = client.fail(UPLOAD, NAME, files, None)
    assert error["status"] == 409
    assert "in progress" in error["text"]


def test_a_pointer_needs_its_object(hub: Hub, client: Client, tmp_path: Path) -> None:
    put_release(hub)
    uploaded = hub.repo(NAME).uploaded
    hub.fail(Fault("commit", "nothing", meanwhile=uploaded.clear))
    files = write_files(tmp_path / "files", {"a.parquet": parquet(90)})
    error = client.fail(UPLOAD, NAME, files, None)
    assert (error["kind"], error["status"]) == ("BadRequestError", 400)
    assert "a.parquet" in error["text"]


def test_a_card_that_is_not_yaml_is_refused(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.create(NAME)
    files = write_files(tmp_path / "files", {"README.md": b"---\nconfigs: [\n---\n"})
    error = client.fail(UPLOAD, NAME, files, None)
    assert error["kind"] == "ValueError"
    assert "Invalid metadata in README.md" in error["text"]


def test_tags_stay_where_they_are(hub: Hub, client: Client) -> None:
    old = put_release(hub, tag=None)
    tag = "api.create_tag(arguments[0], tag='v1.0.0', revision=arguments[1], repo_type='dataset',"
    client.run(f"{tag} tag_message='the first')", NAME, old)
    new = hub.put(NAME, {"release.json": b"{'new': 1}"}).oid
    error = client.fail(f"{tag})", NAME, new)
    assert error["status"] == 409
    assert "Tag reference exists already" in error["text"]
    assert hub.repo(NAME).tags["v1.0.0"].message == "the first"
    seen = client.run(
        "refs = api.list_repo_refs(arguments[0], repo_type='dataset')\n"
        "answer = [[r.name, r.target_commit] for r in refs.tags + refs.branches]\n"
        "answer += [api.dataset_info(arguments[0], revision='v1.0.0').sha]",
        NAME,
    )
    assert seen == [["v1.0.0", old], ["main", new], old]
    error = client.fail(
        "api.create_tag(arguments[0], tag='v2.0.0', revision='nowhere', repo_type='dataset')", NAME
    )
    assert (error["kind"], error["status"]) == ("RevisionNotFoundError", 404)
