"""The plan of a push: which version it publishes, why, and what its commit changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfaef.core.net.text import clean_text
from hfaef.errors import InputError, count_of
from hfaef.hub.open import PublishedRelease, RemoteState
from hfaef.hub.tree import TargetTree, TreeDiff, diff_trees, make_target_tree
from hfaef.release.diff import compare
from hfaef.release.format.manifest import Change, read_manifest
from hfaef.release.handle import Release, open_folder
from hfaef.release.version import FIRST, Level, Version


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
    target: TargetTree
    """What the commit holds."""
    diff: TreeDiff
    """What it changes."""
    parent: str | None
    """The commit to put it on; None if there is no repository yet."""

    def lines(self) -> tuple[str, ...]:
        """For people."""
        diff = self.diff
        counts = (
            f"{len(diff.adds) - len(diff.changed)} new, {len(diff.changed)} changed, "
            f"{len(diff.deletes)} deleted, {len(diff.unchanged)} unchanged"
        )
        return (
            f"version:    {self.version}" + (f" ({self.level})" if self.level else ""),
            *(f"because:    {reason}" for reason in self.reasons),
            f"commit:     {self.title}",
            f"files:      {counts}; {diff.bytes_to_send / 1e6:,.1f} MB to send at the most",
            *(f"deleted:    {path}" for path in diff.deletes),
            *(f"left alone: {clean_text(path)}" for path in diff.foreign),
        )

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "repo_id": self.repo_id,
            "version": str(self.version),
            "level": self.level,
            "reasons": list(self.reasons),
            "message": self.title,
            "files": self.diff.summary(),
        }


def find_published(
    folder: Path, repo_id: str, latest: PublishedRelease, version: Version | None, notes: str = ""
) -> TargetTree | None:
    """The files of the newest version, if the folder is that version; None if it is not.

    Raises:
        InputError: if the folder is the newest version, but another one is asked for.
    """
    history = latest.release.manifest.history
    tree = make_target_tree(folder, repo_id, latest.version, history, notes)
    if latest.snapshot.missing_or_changed(tree.files):
        return None
    if version not in (None, latest.version):
        raise InputError(
            f"{folder} is published already, as {latest.version}",
            "leave --version out: nothing has changed",
        )
    return tree


def plan_push(
    folder: Path,
    repo_id: str,
    remote: RemoteState,
    *,
    version: Version | None = None,
    message: str | None = None,
    notes: str = "",
) -> PushPlan:
    """What a push of the folder would do.

    Args:
        folder: of the release.
        repo_id: ``owner/name``.
        remote: what the repository holds.
        version: that the user asks for.
        message: title of the commit, if the user gives one.
        notes: people's words in the card.

    Raises:
        InputError: if the version cannot be had.
        HubError: if a foreign file is in the way.
    """
    latest = remote.latest.release if remote.latest else None
    level, reasons = _changes(folder, latest, notes)

    def tree_of(chosen: Version) -> TargetTree:
        change = Change(version=str(chosen), lines=reasons)
        history = latest.manifest.history if latest else ()
        return make_target_tree(folder, repo_id, chosen, (change, *history), notes)

    chosen = remote.untagged_version
    # A push may have been cut off after its commit: the same content keeps its version.
    if (
        chosen is None
        or remote.head is None
        or remote.head.missing_or_changed(tree_of(chosen).files)
        or version not in (None, chosen)
    ):
        chosen = _next_version(version, remote, level, reasons[0])
    target = tree_of(chosen)
    earlier = [one for one in (latest and latest.manifest, remote.untagged) if one]
    return PushPlan(
        repo_id=repo_id,
        version=chosen,
        level=level,
        reasons=reasons,
        title=message or f"{chosen.tag}: {reasons[0]}",
        target=target,
        diff=diff_trees(target, remote.head, earlier),
        parent=remote.head.commit if remote.head else None,
    )


def _changes(
    folder: Path, latest: Release | None, notes: str
) -> tuple[Level | None, tuple[str, ...]]:
    """What changed since the newest version: how much, and the lines of the changelog."""
    if latest is None:
        manifest = read_manifest(folder)
        names = manifest.label_names
        labels = count_of(len(names), "label") if names else "numbers to predict"
        return None, (f"first release: {count_of(manifest.rows, 'row')}, {labels}",)
    difference = compare(latest, open_folder(folder), notes=notes)
    return difference.bump.level, difference.lines()


def _next_version(
    asked: Version | None, remote: RemoteState, level: Level | None, reason: str
) -> Version:
    """The version to publish as.

    Raises:
        InputError: if the one asked for is taken, older than another, or says less than what
            changed.
    """
    newest = max(remote.versions, default=None)
    if asked is None:
        # After the untagged one too: whoever committed it may be about to set its tag.
        before = max((v for v in (newest, remote.untagged_version) if v), default=None)
        return before.next(level or "major") if before else FIRST
    if asked in remote.versions:
        raise InputError(
            f"{asked} is published already, with other content; a version is never reused",
            "leave --version out, or give a newer one",
        )
    if newest is not None and asked < newest:
        raise InputError(f"{asked} is older than {newest}", "give a newer --version")
    if remote.latest is not None and level is not None:
        needed = remote.latest.version.next(level)
        if asked < needed:
            raise InputError(
                f"{asked} after {remote.latest.version} says less than what changed, which is "
                f"{level}: {reason}",
                f"--version {needed}, or leave --version out",
            )
    return asked
