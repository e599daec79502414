"""Faults of the loopback Hub strike as they are set, and the unmodified clients see them."""

from __future__ import annotations

from pathlib import Path

from servers.hub import Fault, Hub
from servers.hub.fixtures import Client
from servers.hub.samples import NAME, UPLOAD, put_release, write_files

ONE = "answer = api.upload_file(path_or_fileobj=b'x', path_in_repo='x.txt', repo_id=arguments[0],"
ONE += " repo_type='dataset').oid"


def test_a_5xx_answer_is_one_call_only(hub: Hub, client: Client) -> None:
    put_release(hub)
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
    put_release(hub)
    hub.fail(Fault("commit", "lost"))
    error = client.fail(ONE, NAME)
    assert error["kind"] in ("ReadError", "RemoteProtocolError")
    assert hub.repo(NAME).head.title == "Upload x.txt with huggingface_hub"
    hub.fail(Fault("commit", "broken", status=500))
    assert client.fail(ONE.replace("x.txt", "y.txt"), NAME)["status"] == 500
    assert hub.repo(NAME).head.title == "Upload y.txt with huggingface_hub"


def test_an_upload_may_be_dropped(hub: Hub, client: Client, tmp_path: Path) -> None:
    content = {"a.bin": b"x" * 900_000}
    hub.fail(Fault("put", "drop", after=300_000))
    client.run(
        UPLOAD, NAME, write_files(tmp_path / "files", content), None
    )  # the client tries again
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
    old = put_release(hub)
    hub.fail(Fault("commit", "nothing", meanwhile=lambda: _other(hub)))
    error = client.fail(ONE.replace("repo_type", f"parent_commit={old!r}, repo_type"), NAME)
    assert error["status"] == 412


def _other(hub: Hub) -> None:
    hub.put(NAME, {"other.txt": b"by somebody"})
