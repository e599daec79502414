"""A release, wherever it lies: its manifest, and its files as they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hfaef.release.format.manifest import Manifest, read_manifest


@dataclass(frozen=True)
class Release:
    """A release, in a folder or on the Hub."""

    name: str
    """As the user named it."""
    manifest: Manifest
    fetch: Callable[[str], Path]
    """Gives a local copy of a file of the manifest."""
    open: Callable[[str], IO[bytes]]
    """Opens a file of the manifest to read parts of it."""


def open_folder(folder: Path) -> Release:
    """The release in a folder.

    Raises:
        ReleaseError: if it holds none.
    """
    return Release(
        str(folder),
        read_manifest(folder),
        lambda path: folder / path,
        lambda path: (folder / path).open("rb"),
    )
