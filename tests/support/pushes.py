"""Pushing a release to the loopback Hub, and what has to be there afterwards."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from hfaef.release.format.manifest import parse_manifest
from servers.hub import Hub
from servers.hub.fixtures import Client
from support.releases import contents

NAME = "ada/patches"


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a command with ``--json`` said, with its exit code."""
    output, errors = process.communicate(timeout=300)
    return {**json.loads(output), "exit": process.returncode, "errors": errors}


def push(client: Client, folder: Path, *options: object, **more: Any) -> dict[str, Any]:
    """Pushes; what it said, with its exit code."""
    return finish(client.hfaef("push", folder, NAME, "--json", *options, **more))


def is_whole(hub: Hub, folder: Path, version: str, name: str = NAME) -> None:
    """Asserts that a version's tag is on a commit that holds what the folder holds."""
    repo = hub.repo(name)
    there = repo.resolve(f"v{version}").tree
    held = {path: hub.file(name, path, f"v{version}") for path in there}
    held.pop(".gitattributes")
    assert held == contents(folder)
    assert parse_manifest(held["release.json"], "").version == version
