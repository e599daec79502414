"""History: repositories, their commits, branches and tags; every commit keeps its whole tree."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from threading import Lock

from servers.hub import refusal
from servers.hub.content import Blob
from servers.hub.refusal import Refusal

LARGE = 10_000_000
"""Bytes above which any file goes to LFS."""

ATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    for pattern in (
        *("*.7z", "*.arrow", "*.bin", "*.bz2", "*.gz", "*.h5", "*.lz4", "*.npy", "*.npz"),
        *("*.parquet", "*.pickle", "*.pkl", "*.rar", "*.tar", "*.tgz", "*.xz", "*.zip", "*.zst"),
        *("*.pcm", "*.sam", "*.raw", "*.aac", "*.flac", "*.mp3", "*.ogg", "*.wav"),
        *("*.bmp", "*.gif", "*.png", "*.tiff", "*.jpg", "*.jpeg", "*.webp", "*.mp4", "*.webm"),
    )
)
"""The ``.gitattributes`` that a new repository starts with; it sends Parquet and PNG to LFS."""

COMMIT = re.compile(r"[0-9a-f]{40}")


def wants_lfs(path: str, size: int) -> bool:
    """Whether a file has to come by LFS; the attributes are those of a new repository."""
    name = path.rpartition("/")[2]
    return size > LARGE or any(fnmatch(name, line.split()[0]) for line in ATTRIBUTES.splitlines())


@dataclass(frozen=True)
class Commit:
    """A state of a repository."""

    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    date: datetime
    tree: Mapping[str, Blob]
    """All files by path."""


@dataclass(frozen=True)
class Tag:
    """An annotated tag."""

    name: str
    commit: str
    message: str
    author: str


@dataclass(frozen=True)
class Change:
    """What a commit does to one path."""

    path: str
    blob: Blob | None = None
    """The new file; None deletes."""
    folder: bool = False
    """Whether a deletion means everything below the path."""


@dataclass
class Repo:
    """A repository."""

    kind: str
    """``datasets``, ``models`` or ``spaces``."""
    name: str
    """``namespace/name``."""
    private: bool = False
    gated: bool = False
    admitted: set[str] = field(default_factory=set)
    """Accounts that may read a gated repository's files."""
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, Tag] = field(default_factory=dict)
    uploaded: set[str] = field(default_factory=set)
    """SHA-256 of what LFS holds for this repository; others' uploads do not count."""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    lock: Lock = field(default_factory=Lock)
    """Held while a commit is made."""

    @property
    def namespace(self) -> str:
        """The account or organisation that owns it."""
        return self.name.partition("/")[0]

    @property
    def head(self) -> Commit:
        """What ``main`` stands for."""
        return self.commits[self.branches["main"]]

    def log(self, revision: str = "main") -> list[Commit]:
        """The commit and its ancestors, the newest first."""
        found: list[Commit] = []
        oid: str | None = self.resolve(revision).oid
        while oid is not None:
            found.append(self.commits[oid])
            oid = found[-1].parent
        return found

    def resolve(self, revision: str) -> Commit:
        """The commit that a branch, tag or hash means.

        Raises:
            Refusal: if there is none.
        """
        for name in (revision, revision.removeprefix("refs/heads/")):
            if name in self.branches:
                return self.commits[self.branches[name]]
        name = revision.removeprefix("refs/tags/")
        if name in self.tags:
            return self.commits[self.tags[name].commit]
        if COMMIT.fullmatch(revision) and revision in self.commits:
            return self.commits[revision]
        raise refusal.no_revision(revision)

    def start(self, tree: Mapping[str, Blob], author: str) -> None:
        """The first commit."""
        self._add("main", None, tree, "initial commit", "", author)

    def commit(
        self,
        branch: str,
        changes: Iterable[Change],
        *,
        title: str,
        message: str = "",
        author: str,
        parent: str | None = None,
    ) -> Commit:
        """Puts a commit on a branch, all of it or nothing.

        Raises:
            Refusal: 404 for an unknown branch or path, 409 while another commit is made, 412 if
                the branch is not at `parent`.
        """
        if not self.lock.acquire(blocking=False):
            raise Refusal(409, "Another commit is in progress on this branch. Please try again.")
        try:
            if branch not in self.branches:
                raise refusal.no_revision(branch)
            head = self.commits[self.branches[branch]]
            if parent is not None and parent != head.oid:
                raise refusal.moved()
            tree = dict(head.tree)
            for change in changes:
                _apply(tree, change)
            return self._add(branch, head.oid, tree, title, message, author)
        finally:
            self.lock.release()

    def tag(self, name: str, revision: str, message: str, author: str) -> Tag:
        """Sets a new annotated tag.

        Raises:
            Refusal: 409 if the name is taken, 404 for an unknown revision.
        """
        commit = self.resolve(revision)
        if name in self.tags:
            raise Refusal(409, "Tag reference exists already")
        return self.tags.setdefault(name, Tag(name, commit.oid, message, author))

    def _add(
        self,
        branch: str,
        parent: str | None,
        tree: Mapping[str, Blob],
        title: str,
        message: str,
        author: str,
    ) -> Commit:
        date = datetime.now(UTC)
        text = "\n".join(
            [str(parent), title, message, author, date.isoformat(), str(len(self.commits))]
            + [f"{path} {blob.oid}" for path, blob in sorted(tree.items())]
        )
        oid = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324  # as git does
        commit = Commit(oid, parent, title, message, author, date, dict(tree))
        self.commits[oid] = commit
        self.branches[branch] = oid
        return commit


def _apply(tree: dict[str, Blob], change: Change) -> None:
    if change.blob is not None:
        tree[change.path] = change.blob
        return
    prefix = change.path.rstrip("/") + "/"
    gone = [
        path for path in tree if (path.startswith(prefix) if change.folder else path == change.path)
    ]
    if not gone:
        kind = "folder" if change.folder else "file"
        raise refusal.no_entry(f"A {kind} with this name doesn't exist: {change.path}")
    for path in gone:
        del tree[path]
