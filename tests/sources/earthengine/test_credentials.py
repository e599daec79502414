"""Credentials of Earth Engine: where they come from, one refresh for all, what doctor says."""

# ruff: noqa: S105 - these open nothing

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from hfaef.cli import doctor
from hfaef.core.grid import Grid
from hfaef.errors import CredentialsError, Transient
from hfaef.sources.earthengine.credentials import SCOPES, Credentials, Tokens, find_credentials
from servers.earthengine import Conduct, Fault, Service, Tile, World
from servers.earthengine.client import TOKEN, isolate, section, source_of

YEAR = 2018
GRID = Grid("EPSG:32632", (10.0, 0, 512_000.0, 0, -10.0, 5_549_510.0), 12, 12)
WORLD = World((Tile("xa", "32N", 500_000.0, 5_540_000.0, (YEAR,)),))


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    isolate(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private_key: str) -> Iterator[Service]:
    """A service that lets in only the tokens it made, and a service account's key for it."""
    with Service(WORLD, Conduct(tokens=set())) as running:
        key = {
            "type": "service_account",
            "project_id": "key-project",
            "private_key_id": "1",
            "private_key": private_key,
            "client_email": "robot@key-project.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{running.url}/token",
        }
        path = tmp_path / "key.json"
        path.write_text(json.dumps(key))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        yield running


def stored(home: Path, **content: Any) -> None:
    folder = home / ".config" / "earthengine"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text(json.dumps(content))


def test_a_token_of_the_environment_comes_first_and_is_used_as_it_is(
    home: Path, guarded: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(home, refresh_token="1//stored-refresh-token")
    monkeypatch.setenv("HFAEF_EE_TOKEN", f" {TOKEN}\n")
    guarded.conduct.tokens.add(TOKEN)
    with source_of(guarded) as source:
        source.read(GRID, YEAR)
    assert guarded.conduct.tally.requests["token"] == 0


def test_stored_credentials_are_used_with_their_project(home: Path) -> None:
    stored(home, refresh_token="1//stored-refresh-token", project="stored-project")
    found = find_credentials()
    assert (found.kind, found.project) == ("stored", "stored-project")
    assert found.google.refresh_token == "1//stored-refresh-token"
    assert "stored-refresh-token" not in repr(found)


def test_stored_credentials_that_are_no_json(home: Path) -> None:
    stored(home)
    (home / ".config" / "earthengine" / "credentials").write_text("{")
    with pytest.raises(CredentialsError, match="earthengine authenticate --force"):
        find_credentials()


def test_application_default_credentials(home: Path) -> None:
    folder = home / "gcloud"
    folder.mkdir()
    content = {
        "type": "authorized_user",
        "client_id": "a",
        "client_secret": "b",
        "refresh_token": "1//adc-refresh-token",
        "quota_project_id": "quota-project",
    }
    (folder / "application_default_credentials.json").write_text(json.dumps(content))
    found = find_credentials()
    assert (found.kind, found.project) == ("application default", "quota-project")


def test_a_service_account_has_scopes_and_the_project_of_its_key(guarded: Service) -> None:
    found = find_credentials()
    assert (found.kind, found.project) == ("service account", "key-project")
    assert set(found.google.scopes) == set(SCOPES)
    with source_of(guarded, project=None) as source:
        source.read(GRID, YEAR)
    assert guarded.conduct.tally.projects["key-project"] == 3


def test_all_threads_share_one_refresh_at_the_start_and_when_a_token_ends(guarded: Service) -> None:
    conduct = guarded.conduct
    with source_of(guarded) as source:
        assert conduct.tally.requests["token"] == 1
        conduct.tokens.clear()
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: source.read(GRID, YEAR), range(40)))
    assert len(answers) == 40
    assert conduct.tally.requests["token"] == 2


def test_credentials_that_are_refused_stop_everyone_after_one_try(guarded: Service) -> None:
    conduct = guarded.conduct
    with source_of(guarded) as source:
        conduct.tokens.clear()
        conduct.faults_elsewhere["token"] = Fault("status", 400, "invalid_grant")
        before = conduct.tally.requests["token"]

        def read(_: int) -> str:
            with pytest.raises(CredentialsError) as caught:
                source.read(GRID, YEAR)
            return caught.value.hint

        with ThreadPoolExecutor(10) as pool:
            hints = set(pool.map(read, range(20)))
        assert conduct.tally.requests["token"] == before + 1
    assert len(hints) == 1
    assert "GOOGLE_APPLICATION_CREDENTIALS" in hints.pop()


def test_a_server_of_tokens_that_is_away_is_transient(guarded: Service) -> None:
    with source_of(guarded) as source:
        guarded.conduct.tokens.clear()
        guarded.conduct.faults_elsewhere["token"] = Fault("reset")
        with pytest.raises(Transient, match="access tokens"):
            source.read(GRID, YEAR)
        del guarded.conduct.faults_elsewhere["token"]
        source.read(GRID, YEAR)


def test_an_expired_token_is_renewed_before_it_is_sent() -> None:
    class Fake:
        token = "old"
        expiry = datetime.now(UTC) - timedelta(hours=1)
        valid = False

    def refresh(google: Fake) -> None:
        google.token, google.valid = "new", True

    tokens = Tokens(Credentials("stored", None, "type this", Fake()), refresh)
    assert tokens.current() == "new"
    assert tokens.renewed(stale="older") == "new"


def findings(service: Service, **keys: Any) -> dict[str, doctor.Finding]:
    return {finding.topic: finding for finding in doctor.earth_engine(section(service, **keys))}


def test_doctor_says_that_all_is_well(guarded: Service) -> None:
    found = findings(guarded)
    assert [finding.fine for finding in found.values()] == [True] * 4
    assert found["credentials"].message == "service account credentials are in use"
    assert "is registered" in found["project"].message
    assert found["collection"].message.endswith("has 2018")


def test_doctor_says_what_to_type(guarded: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "leave the key out" in _bad(findings(guarded, collection="A/B"), "collection")
    guarded.conduct.projects = frozenset()
    assert "register" in _bad(findings(guarded), "project")
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)
    assert "HFAEF_EE_TOKEN" in _bad(findings(guarded), "credentials")
    assert "source.url" in _bad(findings(guarded, url="http://127.0.0.1:9"), "endpoint")
    monkeypatch.delenv("HFAEF_EE_TOKEN")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    assert "earthengine authenticate" in _bad(findings(guarded), "credentials")


def _bad(found: dict[str, doctor.Finding], topic: str) -> str:
    assert [finding.topic for finding in found.values() if not finding.fine] == [topic]
    finding = found[topic]
    assert TOKEN not in repr(found)
    return f"{finding.message} {finding.hint}"


def test_doctor_names_versions() -> None:
    finding = doctor.versions()
    assert finding.fine
    assert "earthengine-api 1." in finding.message


def test_doctor_without_credentials_asks_nobody() -> None:
    topics = [finding.topic for finding in doctor.examine()]
    assert topics == ["versions", "hub", "credentials"]
