"""What people wrote into a repository: taken over, or shown before it is written over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfaef.release.card.notes import BEGIN, read_notes
from servers.hub import Hub
from servers.hub.fixtures import Client
from support.pushes import NAME, is_whole, publish, push
from support.releases import fresh_copy, make_release

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def second(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(
        demo_root, tmp_path_factory.mktemp("second"), patches=20, description="Told anew."
    )


@pytest.fixture
def release(fewer_patches_release: Path, tmp_path: Path) -> Path:
    return fresh_copy(fewer_patches_release, tmp_path / "release")


@pytest.fixture
def other(second: Path, tmp_path: Path) -> Path:
    return fresh_copy(second, tmp_path / "other")


def edit_there(hub: Hub, old: str, new: str, path: str = "README.md") -> None:
    text = hub.file(NAME, path).decode()
    assert old in text
    hub.put(NAME, {path: text.replace(old, new, 1).encode()})


def test_a_card_that_no_release_brought_stops_a_push(
    hub: Hub, client: Client, release: Path
) -> None:
    hub.create(NAME)
    head = hub.put(NAME, {"README.md": b"# Soon\n\nBy the whole lab.\n"})
    for options in ((), ("--dry-run",)):
        result = push(client, release, *options)
        assert result["exit"] == 1
        assert f"README.md of {NAME} was brought by no release" in result["error"]
        assert "+By the whole lab." in result["details"]
        assert "--replace-card" in result["hint"]
    assert hub.repo(NAME).head == head
    assert hub.calls("put") == hub.calls("commit") == []
    result = push(client, release, "--replace-card")
    assert result["exit"] == 0, result
    assert any("is replaced" in note for note in result["notes"])
    is_whole(hub, release, "1.0.0")


def test_an_edit_there_outside_the_notes_stops_the_next_push(
    hub: Hub, client: Client, release: Path, other: Path
) -> None:
    publish(hub, release)
    edit_there(hub, "## Load it\n", "## Load it\n\nMind the gap.\n")
    again = push(client, release)
    assert again["outcome"] == "already published"
    assert any("was edited since 1.0.0; it stays" in note for note in again["notes"])
    edit_there(hub, BEGIN, f"{BEGIN}\nPatch 7 is odd.")
    result = push(client, other)
    assert result["exit"] == 1
    assert "was edited since 1.0.0" in result["error"]
    assert "+Mind the gap." in result["details"]
    assert "+Patch 7 is odd." not in result["details"]
    assert list(hub.repo(NAME).tags) == ["v1.0.0"]
    assert b"Mind the gap." in hub.file(NAME, "README.md")
    assert push(client, other, "--replace-card")["version"] == "1.0.1"
    assert b"Mind the gap." not in hub.file(NAME, "README.md")
    is_whole(hub, other, "1.0.1")


def test_notes_written_there_are_taken_over(
    hub: Hub, client: Client, release: Path, other: Path
) -> None:
    publish(hub, release)
    edit_there(hub, BEGIN, f"{BEGIN}\nPatch 7 is odd.")
    dry = push(client, other, "--dry-run")
    result = push(client, other)
    for one in (dry, result):
        assert any("are taken over" in note for note in one["notes"])
    assert result["version"] == "1.0.1"
    assert read_notes(hub.file(NAME, "README.md").decode()) == "Patch 7 is odd."
    assert read_notes((other / "README.md").read_text()) == "Patch 7 is odd."
    is_whole(hub, other, "1.0.1")


def test_notes_edited_on_both_sides_stop_a_push(
    hub: Hub, client: Client, release: Path, other: Path
) -> None:
    publish(hub, release)
    edit_there(hub, BEGIN, f"{BEGIN}\nWritten there.")
    card = other / "README.md"
    card.write_text(card.read_text().replace(BEGIN, f"{BEGIN}\nWritten here."))
    result = push(client, other)
    assert result["exit"] == 1
    assert "and in the folder's were edited" in result["error"]
    assert "-Written here." in result["details"]
    assert "+Written there." in result["details"]
    assert push(client, other, "--replace-card")["exit"] == 0
    assert read_notes(hub.file(NAME, "README.md").decode()) == "Written here."


def test_notes_of_the_folder_are_published(hub: Hub, client: Client, release: Path) -> None:
    card = release / "README.md"
    card.write_text(card.read_text().replace(BEGIN, f"{BEGIN}\nWritten here."))
    assert push(client, release)["exit"] == 0
    assert read_notes(hub.file(NAME, "README.md").decode()) == "Written here."
    assert push(client, release)["outcome"] == "already published"


def test_an_edit_of_the_folders_card_stops_a_push(hub: Hub, client: Client, release: Path) -> None:
    card = release / "README.md"
    card.write_text(card.read_text().replace("## Load it\n", "## Load it\n\nMind the gap.\n"))
    result = push(client, release)
    assert result["exit"] == 1
    assert "edited outside its notes" in result["error"]
    assert "+Mind the gap." in result["details"]
    assert hub.calls("commit") == []


def test_a_dry_run_that_replaces_a_card_ends_as_its_push(
    hub: Hub, client: Client, release: Path
) -> None:
    card = release / "README.md"
    edited = card.read_text().replace("license: cc-by-4.0", "license: mit")
    card.write_text(edited)
    refused = push(client, release, "--dry-run")
    assert (refused["exit"], "edited outside its notes" in refused["error"]) == (1, True)
    planned = push(client, release, "--dry-run", "--replace-card")
    assert (planned["exit"], planned["outcome"]) == (0, "planned")
    assert card.read_text() == edited
    assert push(client, release, "--replace-card")["version"] == planned["version"]
    is_whole(hub, release, "1.0.0")


@pytest.mark.parametrize("change", ['"version": "7.0.0"', '"version": 1'])
def test_a_manifest_that_was_edited_there_stops_a_push(
    hub: Hub, client: Client, release: Path, other: Path, change: str
) -> None:
    publish(hub, release)
    published = json.loads(hub.file(NAME, "release.json"))
    assert published["version"] == "1.0.0"
    text = hub.file(NAME, "release.json").decode()
    hub.put(NAME, {"release.json": text.replace('\n "version": "1.0.0"', f"\n {change}").encode()})
    result = push(client, other)
    assert result["exit"] == 1
    assert f"the release.json of {NAME} was edited since 1.0.0" in result["error"]
    assert f"+ {change}," in result["details"]
    assert list(hub.repo(NAME).tags) == ["v1.0.0"]
    assert push(client, other, "--replace-card")["version"] == "1.0.1"
