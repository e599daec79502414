"""Who may see, read and write what on the loopback Hub, by the unmodified clients."""

from __future__ import annotations

from pathlib import Path

from servers.hub import Hub
from servers.hub.fixtures import OTHER, READER, Client
from servers.hub.samples import LOAD, NAME, UPLOAD, put_release, release_files, write_files


def test_private_repositories_are_not_there_for_others(hub: Hub, client: Client) -> None:
    client.run("api.create_repo(arguments[0], repo_type='dataset', private=True)", NAME)
    assert hub.repo(NAME).private
    hub.put(NAME, dict(release_files()))
    info = "answer = api.dataset_info(arguments[0]).private"
    assert client.run(info, NAME, token=READER) is True
    for token, status in ((OTHER, 404), (None, 401)):
        error = client.fail(info, NAME, token=token)
        assert (error["kind"], error["status"]) == ("RepositoryNotFoundError", status)
    assert client.run(LOAD, NAME, None, None, False, token=READER)["test"]
    error = client.fail(LOAD, NAME, None, None, False, token=OTHER)
    assert error["kind"] == "DatasetNotFoundError"


def test_gated_repositories_show_their_listing_only(hub: Hub, client: Client) -> None:
    hub.create(NAME, gated=True)
    hub.put(NAME, dict(release_files()))
    fetch = "answer = api.hf_hub_download(arguments[0], 'release.json', repo_type='dataset')"
    for token, status in ((OTHER, 403), (None, 401)):
        assert client.run("answer = api.dataset_info(arguments[0]).gated", NAME, token=token)
        error = client.fail(fetch, NAME, token=token)
        assert (error["kind"], error["status"]) == ("GatedRepoError", status)
    hub.repo(NAME).admitted.add("bob")
    assert client.run(fetch, NAME, token=OTHER)


def test_tokens_decide_who_writes(hub: Hub, client: Client, tmp_path: Path) -> None:
    put_release(hub)
    files = write_files(tmp_path / "files", {"a.txt": b"a"})
    error = client.fail(UPLOAD, NAME, files, None, token=READER)
    assert error["status"] == 403
    assert "you must use a write token" in error["text"]
    assert client.fail(UPLOAD, NAME, files, None, token=OTHER)["status"] == 403
    assert client.fail(UPLOAD, NAME, files, None, token=None)["status"] == 401
    error = client.fail("api.dataset_info(arguments[0])", NAME, token="token-of-nobody")
    assert error["status"] == 401
    assert "Invalid credentials" in error["text"]
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
