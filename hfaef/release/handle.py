"""A release, wherever it lies: its manifest, and its files as they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from hfaef.core.files import require_sha256, sha256_of
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
    verified: bool = False
    """Whether both compare a file with the manifest first, and raise ReleaseError if it differs."""


def open_folder(folder: Path) -> Release:
    """The release in a folder; its files are given as they are.

    Raises:
        ReleaseError: if it holds none.
    """
    return Release(
        str(folder),
        read_manifest(folder),
        lambda path: folder / path,
        lambda path: (folder / path).open("rb"),
    )


def verified(release: Release, stored: Mapping[str, str | None] | None = None) -> Release:
    """The same release, whose files are compared with its manifest before a byte is used.

    Each file is read once for it. Files that the manifest does not list, as the card, are given
    as they are.

    Args:
        release: whose files may be others than its manifest lists.
        stored: SHA-256 of its files by path, as the storage tells it, None where it does not: of a
            file that is opened to read parts of it, this is compared. None reads the files.
    """
    if release.verified:
        return release
    listed = {file.path: file.sha256 for file in release.manifest.files}
    seen: set[str] = set()

    def fetch(path: str) -> Path:
        local = release.fetch(path)
        if path in listed and path not in seen:
            require_sha256(release.name, path, listed[path], lambda: sha256_of(local))
            seen.add(path)
        return local

    def open_part(path: str) -> IO[bytes]:
        if path not in listed:
            return release.open(path)
        found = stored.get(path) if stored is not None else None
        if found is None:
            return fetch(path).open("rb")
        require_sha256(release.name, path, listed[path], lambda: found)
        return release.open(path)

    return replace(release, fetch=fetch, open=open_part, verified=True)
