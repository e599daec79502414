"""A publication: the files that a version consists of, and what they change in a repository.

Nothing here talks to the Hub; all follows from two listings and the manifests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfaef.errors import HubError
from hfaef.hub.repo import LocalFile, Snapshot
from hfaef.release.card.render import CARD, render_card
from hfaef.release.format.manifest import Change, Manifest, manifest_bytes
from hfaef.release.format.paths import MANIFEST, matches
from hfaef.release.format.scores import read_evaluation
from hfaef.release.version import Version

_HUBS_OWN = frozenset({".gitattributes"})
"""What a repository starts with."""

_MISLEADING = frozenset({".huggingface.yaml", "dataset_infos.json"})
"""Files that `load_dataset` reads besides the card, or instead of it."""


@dataclass(frozen=True)
class TargetTree:
    """A version of a release, as it is to stand in the repository."""

    manifest: Manifest
    """With version, repository and history."""
    files: tuple[LocalFile, ...]
    """All of it: data, manifest and card."""

    @property
    def paths(self) -> frozenset[str]:
        """Of its files."""
        return frozenset(file.path for file in self.files)


def publication(
    folder: Path, manifest: Manifest, repo_id: str, version: Version, history: Sequence[Change]
) -> TargetTree:
    """What a folder looks like as a version; the same bytes each time.

    Args:
        folder: where the files of the manifest lie.
        manifest: the folder's; its own version, repository and history do not count.
        repo_id: ``owner/name``.
        version: of the publication.
        history: changes of all versions, this one first.
    """
    published = manifest.model_copy(
        update={"version": str(version), "repo": repo_id, "history": tuple(history)}
    )
    data = [
        LocalFile(file.path, file.bytes, file.sha256, folder / file.path) for file in manifest.files
    ]
    made = [
        _made(CARD, render_card(published, read_evaluation(folder)).encode()),
        _made(MANIFEST, manifest_bytes(published)),
    ]
    return TargetTree(published, (*data, *made))


def _made(path: str, content: bytes) -> LocalFile:
    return LocalFile(path, len(content), hashlib.sha256(content).hexdigest(), content)


@dataclass(frozen=True)
class TreeDiff:
    """What a publication does to a repository."""

    adds: tuple[LocalFile, ...]
    """New files, and files with other content than is there."""
    replaced: tuple[str, ...]
    """Those of them that are there."""
    unchanged: tuple[str, ...]
    deletes: tuple[str, ...]
    """Files of an earlier version that this one does not have."""
    strangers: tuple[str, ...]
    """Files that no version of hfaef brought; they stay."""
    bytes_to_send: int
    """Of contents that the repository does not hold; with Xet it is less."""

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        replaced = set(self.replaced)
        return {
            "added": [file.path for file in self.adds if file.path not in replaced],
            "changed": list(self.replaced),
            "deleted": list(self.deletes),
            "unchanged": len(self.unchanged),
            "left_alone": list(self.strangers),
            "bytes_to_send": self.bytes_to_send,
        }


def changes(wanted: TargetTree, there: Snapshot | None, earlier: Iterable[Manifest]) -> TreeDiff:
    """What it takes to make a repository hold a publication.

    Args:
        wanted: what is to be there.
        there: what is there now; None if there is no repository.
        earlier: manifests of versions that may have brought what is there.

    Raises:
        HubError: if a stranger's file is in the way: by its name, or because `load_dataset`
            would take it for a part of the release.
    """
    found = there.files if there else {}
    adds = there.lacking(wanted.files) if there else list(wanted.files)
    ours = {CARD, MANIFEST}
    for manifest in earlier:
        ours |= {file.path for file in manifest.files}
    strangers = sorted(found.keys() - ours - wanted.paths - _HUBS_OWN)
    in_the_way = [file.path for file in adds if file.path in found and file.path not in ours]
    if in_the_way or (mixed := mixed_in(wanted.manifest, strangers)):
        name = (in_the_way or mixed)[0]
        raise HubError(
            f"{wanted.manifest.repo} has a file {name} that no release of hfaef brought, and that "
            "would get mixed up with this one",
            "delete it there, or choose another REPO_ID",
        )
    held = {file.sha256 for file in found.values() if file.sha256}
    sent = {file.sha256: file.size for file in adds if file.sha256 not in held}
    adding = {file.path for file in adds}
    return TreeDiff(
        adds=tuple(adds),
        replaced=tuple(file.path for file in adds if file.path in found),
        unchanged=tuple(file.path for file in wanted.files if file.path not in adding),
        deletes=tuple(sorted((ours & found.keys()) - wanted.paths)),
        strangers=tuple(strangers),
        bytes_to_send=sum(sent.values()),
    )


def mixed_in(manifest: Manifest, paths: Iterable[str]) -> list[str]:
    """The paths that `load_dataset` would read with a release that does not list them."""
    globs = {split.glob for config in manifest.configs for split in config.splits}
    script = f"{str(manifest.repo).rpartition('/')[2]}.py"
    return [
        path
        for path in paths
        if path in _MISLEADING or path == script or any(matches(path, glob) for glob in globs)
    ]


def is_new(there: Snapshot) -> bool:
    """Whether a repository holds nothing but what it starts with."""
    return there.files.keys() <= _HUBS_OWN


def faults(wanted: TargetTree, there: Snapshot, deleted: Iterable[str]) -> list[str]:
    """Why a commit is not the publication; nothing, if it is."""
    lacking = [
        f"{file.path} is missing or is not what was sent" for file in there.lacking(wanted.files)
    ]
    left = [f"{path} is still there" for path in deleted if path in there.files]
    mixed = mixed_in(wanted.manifest, there.files.keys() - wanted.paths)
    return lacking + left + [f"{path} came in between" for path in mixed]
