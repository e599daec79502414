"""Pushing a release to the loopback Hub, and what has to be there afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hfaef.hub.tree import make_target_tree
from hfaef.release.card.edits import put_card
from hfaef.release.format.manifest import Change, parse_manifest, read_manifest
from hfaef.release.format.paths import put_into_release
from hfaef.release.version import parse_version
from servers.hub import Hub
from servers.hub.fixtures import Client
from support.forks import Fork
from support.releases import contents

NAME = "ada/patches"


def finish(process: Fork) -> dict[str, Any]:
    """What a command with ``--json`` said, with its exit code."""
    output, errors = process.communicate(timeout=300)
    return {**json.loads(output), "exit": process.returncode, "errors": errors}


def push(client: Client, folder: Path, *options: object, **more: Any) -> dict[str, Any]:
    """Pushes; what it said, with its exit code."""
    return finish(client.hfaef("push", folder, NAME, "--json", *options, **more))


def publish(hub: Hub, folder: Path, version: str = "1.0.0", name: str = NAME) -> None:
    """A release on the Hub as a push leaves it there and here, in no time.

    `test_what_tests_publish_is_what_a_push_leaves` holds it to that.
    """
    manifest = read_manifest(folder)
    first = Change(version=version, lines=(f"first release: {manifest.rows:,} rows",))
    tree = make_target_tree(folder, name, parse_version(version), (first, *manifest.history))
    if ("datasets", name) not in hub.state.repos:
        hub.create(name)
    files = {
        file.path: file.content if isinstance(file.content, bytes) else file.content.read_bytes()
        for file in tree.files
    }
    commit = hub.put(name, dict(files), title=f"v{version}: {first.lines[0]}")
    hub.repo(name).tag(f"v{version}", commit.oid, first.lines[0], "ada")
    put_card(folder / "README.md", files["README.md"].decode())
    put_into_release(folder, "release.json", files["release.json"])


def is_whole(hub: Hub, folder: Path, version: str, name: str = NAME) -> None:
    """Asserts that a version's tag is on a commit that holds what the folder holds."""
    repo = hub.repo(name)
    there = repo.resolve(f"v{version}").tree
    held = {path: hub.file(name, path, f"v{version}") for path in there}
    held.pop(".gitattributes")
    assert held == contents(folder)
    assert parse_manifest(held["release.json"], "").version == version
