"""A published version, found by ``OWNER/NAME@VERSION``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hfaef.errors import HubError, InputError, ReleaseError
from hfaef.hub.repo import REPO_ID, Repo, Snapshot
from hfaef.release.format.manifest import Manifest, parse_manifest
from hfaef.release.format.paths import MANIFEST
from hfaef.release.handle import Release, open_folder
from hfaef.release.locate import RowPlacement, read_placement
from hfaef.release.version import Version, parse_version


def manifest_at(repo: Repo, snapshot: Snapshot) -> Manifest | None:
    """The manifest of a commit; None if there is none.

    Raises:
        HubError: if it is not one that this hfaef can read.
    """
    if MANIFEST not in snapshot.files:
        return None
    name = f"the {MANIFEST} of {repo.id} at {snapshot.commit[:8]}"
    try:
        return parse_manifest(repo.fetch(MANIFEST, snapshot.commit).read_bytes(), name)
    except ReleaseError as error:
        raise HubError(error.message, "pip install -U hfaef, or choose another REPO_ID") from error


def release_at(repo: Repo, manifest: Manifest, commit: str) -> Release:
    """A published version."""
    name = f"{repo.id}@{manifest.version or commit[:8]}"
    return Release(
        name,
        manifest,
        lambda path: repo.fetch(path, commit),
        lambda path: repo.open(path, commit),
    )


def is_published(target: str) -> bool:
    """Whether a text names a version on the Hub rather than a folder."""
    name, _, _ = target.partition("@")
    return not Path(target).exists() and REPO_ID.fullmatch(name) is not None


def open_release(target: str) -> Release:
    """The release that a folder, ``OWNER/NAME`` or ``OWNER/NAME@VERSION`` names.

    Raises:
        InputError: if it is none of these.
        HubError: if the Hub has no such version.
        ReleaseError: if the folder holds no release.
    """
    if not is_published(target):
        if not Path(target).is_dir():
            raise InputError(
                f"{target!r} is neither a folder nor OWNER/NAME[@VERSION]", "name one of these"
            )
        return open_folder(Path(target))
    return open_published(target).release


@dataclass(frozen=True)
class Published:
    """A version on the Hub."""

    repo: Repo
    version: Version
    snapshot: Snapshot
    release: Release

    def download(self, kind: str) -> Path:
        """A folder with the manifest and the files of a kind, one of `release.KINDS`.

        Raises:
            HubError: if the Hub does not give them.
        """
        for file in self.release.manifest.files:
            if file.path.startswith(f"{kind}/"):
                self.release.fetch(file.path)
        return self.release.fetch(MANIFEST).parent


def open_published(target: str) -> Published:
    """The version that ``OWNER/NAME@VERSION`` names; without a version, the newest.

    Raises:
        InputError: if that is no version.
        HubError: if the Hub has no such version.
    """
    name, _, wanted = target.partition("@")
    repo = Repo(name)
    if wanted:
        version = parse_version(wanted)
    else:
        versions = repo.versions()
        if not versions:
            raise HubError(f"{name} has no version", f"hfaef push DIR {name}")
        version = versions[0]
    snapshot = repo.snapshot(version.tag)
    manifest = manifest_at(repo, snapshot)
    if manifest is None:
        raise HubError(f"{name}@{version} holds no release (no {MANIFEST})", "name another version")
    return Published(repo, version, snapshot, release_at(repo, manifest, snapshot.commit))


def read_previous(target: str) -> RowPlacement:
    """Where the rows lie of the release that a folder or ``OWNER/NAME[@VERSION]`` names.

    Raises:
        InputError: if it is neither.
        HubError: if the Hub has no such version.
        ReleaseError: if it holds no release, or one that is not what its manifest says.
    """
    return read_placement(open_release(target))
