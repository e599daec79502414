"""TARGET of a command: a release folder, or a version on the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hfaef.core.names import REPO_ID
from hfaef.errors import InputError, command_line
from hfaef.release.version import Version, parse_version


@dataclass(frozen=True)
class HubTarget:
    """``OWNER/NAME`` or ``OWNER/NAME@VERSION``."""

    repo_id: str
    version: Version | None
    """None for the newest."""


def parse_target(text: str) -> Path | HubTarget:
    """The folder or the version on the Hub that a text names; a folder that is there goes first.

    Raises:
        InputError: if it names neither, or a folder that is not there in one that is.
    """
    if Path(text).is_dir():
        return Path(text)
    repo_id, _, version = text.partition("@")
    if Path(text).exists() or not REPO_ID.fullmatch(repo_id):
        if Path(text).suffix == ".toml" and Path(text).is_file():
            raise InputError(
                f"{text} is a recipe, which releases are made by",
                f"type `{command_line('hfaef', 'build', text)}`, then name the folder that it made",
            )
        raise InputError(
            f"{text!r} is neither a folder nor OWNER/NAME[@VERSION]", "name one of these"
        )
    if not version and Path(text).parent.is_dir():  # asking the Hub takes half a minute
        raise InputError(
            f"there is no folder {text} in {Path(text).parent}",
            f"name the folder of a release; a version on the Hub is {text}@VERSION",
        )
    return HubTarget(repo_id, parse_version(version) if version else None)
