"""The files of a version, and how they differ from those of a repository.

Nothing here talks to the Hub: all follows from a folder, the repository's listing and manifests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfaef.core.net.text import clean_text
from hfaef.errors import HubError
from hfaef.hub.repo import LocalFile, Snapshot
from hfaef.release.card.render import CARD, UNLISTED, render_card
from hfaef.release.format.manifest import Change, Manifest, manifest_bytes, read_manifest
from hfaef.release.format.paths import MANIFEST, matches
from hfaef.release.format.scores import read_evaluation
from hfaef.release.version import Version

LONGEST_PATH = 1024
"""Characters of a path of somebody else's that are told: all that a repository can hold."""

_FILES_OF_THE_HUB = frozenset({".gitattributes"})
"""What a new repository holds."""

_SETTINGS_OF_DATASETS = frozenset({".huggingface.yaml", "dataset_infos.json"})
"""Files that `load_dataset` reads besides the card, or instead of it."""


@dataclass(frozen=True)
class TargetTree:
    """The files of a version, as a commit is to hold them."""

    manifest: Manifest
    """With version, repository and history."""
    files: tuple[LocalFile, ...]
    """All of them: data, manifest and card."""

    @property
    def paths(self) -> frozenset[str]:
        """Of its files."""
        return frozenset(file.path for file in self.files)


def make_target_tree(
    folder: Path, repo_id: str, version: Version, history: Sequence[Change], notes: str = ""
) -> TargetTree:
    """The files of a release folder as a version; the same bytes each time.

    Args:
        folder: of the release; its own version, repository and history do not count.
        repo_id: ``owner/name``.
        version: of the tree.
        history: changes of all versions, this one first.
        notes: people's words in its card.
    """
    manifest = read_manifest(folder).model_copy(
        update={"version": str(version), "repo": repo_id, "history": tuple(history)}
    )
    made = {
        CARD: render_card(manifest, read_evaluation(folder), notes).encode(),
        MANIFEST: manifest_bytes(manifest),
    }
    return TargetTree(
        manifest,
        (
            *(LocalFile(f.path, f.bytes, f.sha256, folder / f.path) for f in manifest.files),
            *(
                LocalFile(path, len(content), hashlib.sha256(content).hexdigest(), content)
                for path, content in made.items()
            ),
        ),
    )


@dataclass(frozen=True)
class TreeDiff:
    """What a commit of a target tree changes in a repository."""

    adds: tuple[LocalFile, ...]
    """New files, and files with other content than the repository's."""
    changed: tuple[str, ...]
    """Paths of those of them that the repository has."""
    unchanged: tuple[str, ...]
    deletes: tuple[str, ...]
    """Files of an earlier version that this one does not have."""
    foreign: tuple[str, ...]
    """Files that no version of hfaef brought; they stay."""
    bytes_to_send: int
    """Of contents that the repository does not hold; with Xet it is less."""

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        changed = set(self.changed)
        return {
            "added": [file.path for file in self.adds if file.path not in changed],
            "changed": list(self.changed),
            "deleted": list(self.deletes),
            "unchanged": len(self.unchanged),
            "left_alone": [clean_text(path, LONGEST_PATH) for path in self.foreign],
            "bytes_to_send": self.bytes_to_send,
        }


def diff_trees(
    target: TargetTree, current: Snapshot | None, earlier: Iterable[Manifest]
) -> TreeDiff:
    """What it takes to make a repository hold a target tree.

    Args:
        target: what it is to hold.
        current: what it holds; None if there is no repository.
        earlier: manifests of versions that may have brought what it holds.

    Raises:
        HubError: if a foreign file is in the way: by its path, or because `load_dataset` would
            take it for a part of the release.
    """
    held = current.files if current else {}
    adds = current.missing_or_changed(target.files) if current else list(target.files)
    ours = set(UNLISTED).union(*({file.path for file in one.files} for one in earlier))
    foreign = sorted(held.keys() - ours - target.paths - _FILES_OF_THE_HUB)
    in_the_way = [file.path for file in adds if file.path in held and file.path not in ours]
    if in_the_way := in_the_way or conflicting_paths(target.manifest, foreign):
        raise HubError(
            f"{target.manifest.repo} has a file {clean_text(in_the_way[0])} that no release of hfaef brought, "
            "and that would get mixed up with this one",
            "delete it there, or choose another REPO_ID",
        )
    stored = {file.sha256 for file in held.values() if file.sha256}
    added = {file.path for file in adds}
    return TreeDiff(
        adds=tuple(adds),
        changed=tuple(file.path for file in adds if file.path in held),
        unchanged=tuple(file.path for file in target.files if file.path not in added),
        deletes=tuple(sorted((ours & held.keys()) - target.paths)),
        foreign=tuple(foreign),
        bytes_to_send=sum({f.sha256: f.size for f in adds if f.sha256 not in stored}.values()),
    )


def conflicting_paths(manifest: Manifest, unlisted: Iterable[str]) -> list[str]:
    """Those of the files beside a release's own that `load_dataset` would read with it."""
    globs = {split.glob for config in manifest.configs for split in config.splits}
    script = f"{str(manifest.repo).rpartition('/')[2]}.py"
    return [
        path
        for path in unlisted
        if path in _SETTINGS_OF_DATASETS
        or path == script
        or any(matches(path, glob) for glob in globs)
    ]


def is_empty(snapshot: Snapshot) -> bool:
    """Whether a repository holds nothing but what each one starts with."""
    return snapshot.files.keys() <= _FILES_OF_THE_HUB


def mismatches(target: TargetTree, commit: Snapshot, deletes: Iterable[str]) -> list[str]:
    """How a commit differs from the target tree, a sentence each; none if it holds it."""
    return [
        *(
            f"{file.path} is missing or is not what was sent"
            for file in commit.missing_or_changed(target.files)
        ),
        *(f"{path} is still there" for path in deletes if path in commit.files),
        *(
            f"{clean_text(path)} was added by somebody else"
            for path in conflicting_paths(target.manifest, commit.files.keys() - target.paths)
        ),
    ]
