"""What a repository holds, and a release opened from what the user typed: a folder or a version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hfaef.errors import HubError, ReleaseError, command_line, upgrade_command
from hfaef.hub.repo import Repo, Snapshot
from hfaef.hub.target import HubTarget, parse_target
from hfaef.release.format.manifest import Manifest, parse_manifest
from hfaef.release.format.paths import MANIFEST
from hfaef.release.handle import Release, open_folder, verified
from hfaef.release.version import Version, parse_version


@dataclass(frozen=True)
class PublishedRelease:
    """A version on the Hub."""

    repo: Repo
    version: Version
    snapshot: Snapshot
    """The commit of its tag."""
    release: Release

    def download(self, kind: str) -> Path:
        """A folder with the manifest and the files of a kind, one of `paths.KINDS`.

        Raises:
            HubError: if the Hub does not give them.
        """
        for file in self.release.manifest.files:
            if file.path.startswith(f"{kind}/"):
                self.release.fetch(file.path)
        return self.release.fetch(MANIFEST).parent


def open_release(target: str) -> Release:
    """The release that a folder, ``OWNER/NAME`` or ``OWNER/NAME@VERSION`` names.

    Its files are compared with its manifest before they are given.

    Raises:
        InputError: if it is none of these.
        HubError: if the Hub has no such version.
        ReleaseError: if the folder holds no release.
    """
    parsed = parse_target(target)
    if isinstance(parsed, Path):
        return verified(open_folder(parsed))
    return open_published(parsed).release


def open_published(target: HubTarget) -> PublishedRelease:
    """A version on the Hub; the newest, if the target names none.

    Raises:
        HubError: if the Hub has no such version.
    """
    repo = Repo(target.repo_id)
    version = target.version or _newest_version(repo)
    found = read_version(repo, version)
    if found is None:
        raise HubError(
            f"{repo.id}@{version} holds no release (no {MANIFEST})", "name another version"
        )
    return found


def _newest_version(repo: Repo) -> Version:
    try:
        versions = repo.versions()
    except HubError as error:
        # OWNER/NAME without a version may as well have been meant as the path of a folder.
        raise HubError(
            f"there is no folder {repo.id}, and {error.message}",
            f"{error.hint}, or name the folder of a release",
        ) from error
    if not versions:
        raise HubError(f"{repo.id} has no version", command_line("hfaef", "push", "DIR", repo.id))
    return versions[0]


def read_version(repo: Repo, version: Version) -> PublishedRelease | None:
    """A version that has a tag; None if its commit holds no manifest.

    Files of the release are compared with the manifest before they are given: a repository can be
    changed under a version.

    Raises:
        HubError: if there is no such tag, or this hfaef cannot read the manifest.
    """
    snapshot = repo.snapshot(version.tag)
    release = release_at(repo, snapshot, str(version))
    return PublishedRelease(repo, version, snapshot, release) if release else None


def release_at(repo: Repo, snapshot: Snapshot, revision: str) -> Release | None:
    """The release that a commit holds, under the name of a revision; None without a manifest.

    Its files are compared with the manifest before they are given.

    Raises:
        HubError: if this hfaef cannot read the manifest.
    """
    manifest = read_manifest_at(repo, snapshot)
    if manifest is None:
        return None
    release = Release(
        f"{repo.id}@{revision}",
        manifest,
        lambda path: repo.fetch(path, snapshot.commit),
        lambda path: repo.open(path, snapshot.commit),
    )
    stored = {path: file.sha256 for path, file in snapshot.files.items()}
    return verified(release, stored)


def read_manifest_at(repo: Repo, snapshot: Snapshot) -> Manifest | None:
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
        raise HubError(error.message, f"{upgrade_command()}, or choose another REPO_ID") from error


@dataclass(frozen=True)
class RemoteState:
    """What a repository holds before a push."""

    head: Snapshot | None = None
    """The newest commit; None if there is no repository."""
    versions: tuple[Version, ...] = ()
    """Those with a tag, the newest first."""
    latest: PublishedRelease | None = None
    """The newest version that hfaef published."""
    untagged: Manifest | None = None
    """Of a release at the head without a tag, as a push leaves it that was cut off."""

    @property
    def untagged_version(self) -> Version | None:
        """The version that is committed, but has no tag."""
        return parse_version(str(self.untagged.version)) if self.untagged else None


def read_remote_state(repo: Repo) -> RemoteState:
    """What a repository holds.

    Raises:
        HubError: if it holds a manifest that this hfaef cannot read.
    """
    versions = tuple(repo.versions())
    head = repo.snapshot()
    tagged = (read_version(repo, version) for version in versions)
    # A tag that somebody else set may be on a commit without a manifest, or of another version.
    latest = next(
        (one for one in tagged if one and one.release.manifest.version == str(one.version)), None
    )
    try:
        untagged = read_manifest_at(repo, head)
    except HubError:
        if latest is None:
            raise
        untagged = None  # somebody edited it since the newest version
    if untagged and (untagged.version is None or parse_version(untagged.version) in versions):
        untagged = None
    return RemoteState(head, versions, latest, untagged)
