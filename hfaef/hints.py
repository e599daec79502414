"""What hints tell people to type: commands whose words are quoted, and how hfaef is installed."""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from urllib.parse import urlsplit

ON_REGISTRY = False
"""Whether ``pip install hfaef`` finds hfaef; until then it is installed from its repository."""


def command_line(*words: object) -> str:
    """A command as it is typed into a shell: words that hold spaces or the like are quoted."""
    return shlex.join(map(str, words))


def repository() -> str:
    """The address of hfaef's repository, without a slash at its end."""
    for entry in metadata.metadata("hfaef").get_all("Project-URL") or ():
        topic, _, url = entry.partition(", ")
        if topic == "Repository":
            return str(url).rstrip("/")
    raise LookupError("hfaef's metadata name no Repository")


def requirement(extra: str = "") -> str:
    """What to give an installer for hfaef, with one of its extras if any is named."""
    name = f"hfaef[{extra}]" if extra else "hfaef"
    return name if ON_REGISTRY else f"{name} @ git+{repository()}"


def checkout() -> str | None:
    """The folder of the checkout that runs, as `uv sync` installs it; None for an installed copy."""
    found = json.loads(metadata.distribution("hfaef").read_text("direct_url.json") or "{}")
    if not found.get("dir_info", {}).get("editable"):
        return None
    from urllib.request import url2pathname  # slow to import

    return url2pathname(urlsplit(found["url"]).path)


def install_command(extra: str) -> str:
    """The command that adds an extra to the hfaef that runs."""
    folder = checkout()
    if folder is None:
        return command_line("pip", "install", requirement(extra))
    # Inexact: what other extras brought stays.
    return command_line("uv", "sync", "--inexact", "--extra", extra, "--directory", folder)


def upgrade_command() -> str:
    """The command that brings the newest hfaef."""
    folder = checkout()
    if folder is None:
        return command_line("pip", "install", "-U", requirement())
    return command_line("git", "-C", folder, "pull")
