"""A proposal: which version a push would publish, why, and what it would change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfaef.errors import InputError
from hfaef.hub.open import manifest_at, release_at
from hfaef.hub.repo import Repo, Snapshot
from hfaef.hub.tree import TargetTree, TreeDiff, changes, publication
from hfaef.release.diff import compare
from hfaef.release.format.manifest import Change, Manifest
from hfaef.release.handle import Release, open_folder
from hfaef.release.version import FIRST, Level, Version, parse_version


@dataclass(frozen=True)
class PushPlan:
    """What a push would do."""

    repo_id: str
    version: Version
    level: Level | None
    """Of the change since the version before; None for a first one."""
    reasons: tuple[str, ...]
    """For the changelog."""
    title: str
    """Of the commit."""
    wanted: TargetTree
    changes: TreeDiff
    parent: str | None
    """The commit to put it on; None if there is no repository yet."""

    def lines(self) -> tuple[str, ...]:
        """For people."""
        files = self.changes
        counts = (
            f"{len(files.adds) - len(files.replaced)} new, {len(files.replaced)} changed, "
            f"{len(files.deletes)} deleted, {len(files.unchanged)} unchanged"
        )
        return (
            f"version:    {self.version}" + (f" ({self.level})" if self.level else ""),
            *(f"because:    {reason}" for reason in self.reasons),
            f"commit:     {self.title}",
            f"files:      {counts}; {files.bytes_to_send / 1e6:,.1f} MB to send at the most",
            *(f"deleted:    {path}" for path in files.deletes),
            *(f"left alone: {path}" for path in files.strangers),
        )

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "repo_id": self.repo_id,
            "version": str(self.version),
            "level": self.level,
            "reasons": list(self.reasons),
            "message": self.title,
            "files": self.changes.summary(),
        }


@dataclass(frozen=True)
class RemoteState:
    """What a repository holds before a push."""

    head: Snapshot | None = None
    """None if there is no repository."""
    versions: tuple[Version, ...] = ()
    """Those with a tag, the newest first."""
    last: Release | None = None
    """The newest version that hfaef published."""
    last_commit: Snapshot | None = None
    """Its commit."""
    unfinished: Manifest | None = None
    """At the head, committed but without a tag."""

    @property
    def last_version(self) -> Version | None:
        """The newest version that hfaef published."""
        return parse_version(str(self.last.manifest.version)) if self.last else None

    @property
    def begun(self) -> Version | None:
        """The version that is committed but has no tag."""
        return parse_version(str(self.unfinished.version)) if self.unfinished else None


def read_remote_state(repo: Repo) -> RemoteState:
    """What a repository holds.

    Raises:
        HubError: if it holds a manifest that this hfaef cannot read.
    """
    versions = tuple(repo.versions())
    head = repo.snapshot()
    last, last_commit = None, None
    for version in versions:
        snapshot = repo.snapshot(version.tag)
        manifest = manifest_at(repo, snapshot)
        if manifest is not None and manifest.version == str(version):
            last, last_commit = release_at(repo, manifest, snapshot.commit), snapshot
            break
    unfinished = manifest_at(repo, head)
    if unfinished and (unfinished.version is None or parse_version(unfinished.version) in versions):
        unfinished = None
    return RemoteState(head, versions, last, last_commit, unfinished)


def published(
    folder: Path, manifest: Manifest, repo_id: str, there: RemoteState, wanted: Version | None
) -> TargetTree | None:
    """What the newest version consists of, if the folder has nothing that is new to it.

    Raises:
        InputError: if another version is wanted for it.
    """
    version = there.last_version
    if there.last is None or there.last_commit is None or version is None:
        return None
    same = publication(folder, manifest, repo_id, version, there.last.manifest.history)
    if there.last_commit.lacking(same.files):
        return None
    if wanted not in (None, version):
        raise InputError(
            f"{folder} is published already, as {version}", "leave --version out: there is no news"
        )
    return same


def propose(
    folder: Path,
    manifest: Manifest,
    repo_id: str,
    there: RemoteState,
    *,
    wanted: Version | None = None,
    message: str | None = None,
) -> PushPlan:
    """What a push of the folder would do.

    Args:
        folder: of the release.
        manifest: the folder's.
        repo_id: ``owner/name``.
        there: what the repository holds.
        wanted: the version, if the user names one.
        message: title of the commit, if the user gives one.

    Raises:
        InputError: if the version cannot be had.
        HubError: if a stranger's file is in the way.
    """
    level, reasons = _news(folder, manifest, there.last)
    history = there.last.manifest.history if there.last else ()

    def whole(version: Version) -> TargetTree:
        entry = Change(version=str(version), lines=reasons)
        return publication(folder, manifest, repo_id, version, (entry, *history))

    version = there.begun
    # A push may have been cut off after its commit: the same content keeps its version.
    if (
        version is None
        or there.head is None
        or there.head.lacking(whole(version).files)
        or (wanted not in (None, version))
    ):
        version = _next_version(wanted, there, level)
    made = whole(version)
    earlier = [release.manifest for release in (there.last,) if release]
    earlier += [there.unfinished] if there.unfinished else []
    return PushPlan(
        repo_id=repo_id,
        version=version,
        level=level,
        reasons=reasons,
        title=message or f"{version.tag}: {reasons[0]}",
        wanted=made,
        changes=changes(made, there.head, earlier),
        parent=there.head.commit if there.head else None,
    )


def _news(
    folder: Path, manifest: Manifest, last: Release | None
) -> tuple[Level | None, tuple[str, ...]]:
    """How much is new since the last version, and what, in words."""
    if last is None:
        labels = len(manifest.label_names)
        return None, (f"first release: {manifest.rows:,} rows, {labels} labels",)
    difference = compare(last, open_folder(folder))
    return difference.verdict.level, difference.lines()


def _next_version(wanted: Version | None, there: RemoteState, level: Level | None) -> Version:
    """The version to publish as.

    Raises:
        InputError: if the wanted one is taken, or older than another.
    """
    newest = max(there.versions, default=None)
    if wanted is None:
        # Past the unfinished one too: whoever began it may be about to set its tag.
        before = max((v for v in (newest, there.begun) if v is not None), default=None)
        return before.next(level or "major") if before else FIRST
    if wanted in there.versions:
        raise InputError(
            f"{wanted} is published already, with other content; a version is never reused",
            "leave --version out, or give a newer one",
        )
    if newest is not None and wanted < newest:
        raise InputError(f"{wanted} is older than {newest}", "give a newer --version")
    return wanted
