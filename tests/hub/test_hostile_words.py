"""What a Hub says arrives in one line, bounded, without characters that steer a terminal."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hfaef.errors import HubError
from hfaef.hub.repo import translate_hub_errors
from servers.hub import Fault, Hub
from servers.hub.fixtures import Client
from support.pushes import NAME, finish, push
from support.releases import contents, fresh_copy

pytestmark = pytest.mark.slow

EVIL = "\x1b[31mred\x1b[0m\x07\u202e\u2028" + "A" * 1_000_000
LONGEST = 2500
"""Characters of all that a command says of one answer."""


def require_fit(said: str) -> None:
    assert len(said) <= LONGEST, len(said)
    bad = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown = [c for c in said if unicodedata.category(c) in bad and c != "\n"]
    assert shown == []


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def require_all_fit(result: dict[str, Any]) -> None:
    require_fit(result["errors"])
    for text in texts(result):
        require_fit(text)


ASK = """
from hfaef.errors import HfaefError
from hfaef.hub.open import read_remote_state
from hfaef.hub.repo import Repo
from hfaef.hub.retry import RetryPolicy
repo = Repo("ada/patches", RetryPolicy(sleep=lambda _: None))
answer = []
for route in arguments[0]:
    try:
        if route == "info":
            repo.is_public()
        elif route == "tree":
            repo.snapshot()
        elif route == "refs":
            repo.versions()
        elif route == "commits":
            repo.commits_since("0" * 40)
        elif route == "yaml":
            repo.review_card("---\\nlicense: mit\\n---\\n")
        elif route == "create":
            repo.create(private=False)
        elif route == "auth":
            repo.require_write_access()
        answer.append("")
    except HfaefError as error:
        answer.append(str(error))
"""


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500])
def test_refusals_of_every_route(hub: Hub, client: Client, status: int) -> None:
    hub.create(NAME)
    routes = ["info", "tree", "refs", "commits", "yaml", "create", "auth"]
    for route in routes:
        hub.fail(Fault(route, "status", status=status, words=EVIL, times=20))
    found = client.run(ASK, routes)
    assert len(found) == len(routes)
    for said in found:
        require_fit(said)
    assert any("AAAA" in said for said in found) or status in (401, 404)


@pytest.mark.parametrize("route", ["create", "batch", "put", "commit", "tag"])
def test_refusals_of_a_push(
    hub: Hub, client: Client, fewer_patches_release: Path, tmp_path: Path, route: str
) -> None:
    folder = fresh_copy(fewer_patches_release, tmp_path / "release")
    before = contents(folder)
    hub.fail(Fault(route, "status", status=400, words=EVIL, times=20))
    result = push(client, folder)
    assert result["exit"] == 1
    require_all_fit(result)
    assert contents(folder) == before
    journal = folder / ".staging/push.json"
    assert not journal.exists() or "AAAA" not in journal.read_text()


def test_names_of_files_and_tags_that_somebody_made(
    hub: Hub, client: Client, fewer_patches_release: Path, tmp_path: Path
) -> None:
    folder = fresh_copy(fewer_patches_release, tmp_path / "release")
    assert push(client, folder)["exit"] == 0
    repo = hub.repo(NAME)
    tag = repo.tags["v1.0.0"]
    for name in (f"v9.0.0{EVIL}", f"v1.0.0-{EVIL}", "v1\u0660.0.0", "v1.0.0\n", "v" + "9" * 99_999):
        repo.tags[name] = replace(tag, name=name)
    hub.put(NAME, {f"notes/{EVIL}": b"x", f"data/train-\x1b[31m{'B' * 2000}.parquet": b"x"})
    result = push(client, folder)
    assert result["outcome"] == "already published"
    require_all_fit(result)
    manifest = folder / "release.json"
    manifest.write_text(manifest.read_text().replace("A few patches.", "Other patches."))
    result = push(client, folder, "--replace-card")
    assert result["exit"] == 1
    assert "has a file data/train- [31mBBB" in result["error"]
    require_all_fit(result)
    hub.put(NAME, {f"data/train-\x1b[31m{'B' * 2000}.parquet": None})
    result = push(client, folder, "--replace-card", "--dry-run")
    assert (result["exit"], len(result["files"]["left_alone"])) == (0, 1)
    require_all_fit(result)
    result = finish(client.hfaef("check", NAME, "--json"))
    assert result["exit"] == 0
    require_all_fit(result)


@pytest.mark.parametrize("key", ["sha", "lastModified", "id"])
def test_words_in_the_answers_themselves(
    hub: Hub, client: Client, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.create(NAME)
    plain = json.dumps

    def spoiled(content: object, **options: Any) -> str:
        if isinstance(content, dict) and "lastModified" in content:
            content = {**content, key: EVIL}
        return plain(content, **options)

    monkeypatch.setattr("servers.hub.wire.json.dumps", spoiled)
    found = client.run(ASK, ["info", "tree"])
    for said in found:
        require_fit(said)
    assert found[1] or key == "id"


def test_words_of_the_storages_client() -> None:
    for kind in (RuntimeError, OSError, ValueError, ConnectionError):
        with pytest.raises(HubError) as caught, translate_hub_errors(NAME):
            raise kind(EVIL)
        require_fit(str(caught.value))
        assert "AAAA" in str(caught.value)
