"""A static Space on the Hub that shows a version: the page alone, which reads its data from there.

A push of it is one commit, and none if the Space holds it already. ``hfaef.json`` in the Space says
which files hfaef brought and what they were, so that those of others, and what others wrote into
ours, are never written over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from hfaef.atlas.policy import data_origins
from hfaef.atlas.published import read_published
from hfaef.atlas.site import page_files
from hfaef.core.net.text import clean_text
from hfaef.core.progress import progress, say
from hfaef.errors import HubError, InputError, command_line, count_of
from hfaef.hub.open import PublishedRelease, open_published
from hfaef.hub.repo import LocalFile, Repo, Snapshot
from hfaef.hub.target import HubTarget
from hfaef.release.card.references import read_references
from hfaef.release.format.manifest import Manifest, read_manifest
from hfaef.release.format.paths import POINTS
from hfaef.release.version import parse_version

OURS = "hfaef.json"
"""Lists the files that hfaef brought."""

README = "README.md"

_FILES_OF_THE_HUB = frozenset({".gitattributes"})
"""What a repository holds from the start, and keeps."""

_NAMED = 3
"""Files of others that an error names."""

Outcome = Literal["published", "already published", "planned"]


@dataclass(frozen=True)
class SpaceResult:
    """What a push of a Space did."""

    outcome: Outcome
    repo_id: str
    url: str
    commit: str | None
    adds: tuple[str, ...] = ()
    """Paths of new and changed files."""
    deletes: tuple[str, ...] = ()
    bytes_to_send: int = 0
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "outcome": self.outcome,
            "space": self.repo_id,
            "url": self.url,
            "commit": self.commit,
            "added": list(self.adds),
            "deleted": list(self.deletes),
            "bytes_to_send": self.bytes_to_send,
            "notes": list(self.notes),
        }


def push_space(
    space_id: str,
    found: PublishedRelease,
    *,
    private: bool = False,
    dry_run: bool = False,
) -> SpaceResult:
    """Show a version in a static Space; a repeat changes nothing.

    Args:
        space_id: ``owner/name``; made if it is not there.
        found: the version.
        private: whether a new Space is private.
        dry_run: only say what would be done.

    Raises:
        InputError: if the version cannot be shown by a Space, or the Space is public and should
            not be.
        HubError: if the Hub refuses, or the Space holds what others made.
    """
    _require_showable(found)
    repo = Repo(space_id, kind="space")
    public = repo.is_public()
    if public and private:
        raise InputError(
            f"the Space {space_id} is there already, and public",
            "make it private on its page first",
        )
    if public is not None:
        repo.require_write_access()
    head = repo.snapshot() if public is not None else None
    target = _space_files(found)
    change = _plan(repo, head, target)
    notes = (*_review(repo, target), *change.notes)
    if head is not None and not change.adds and not change.deletes:
        return SpaceResult("already published", space_id, repo.url, head.commit, notes=notes)
    done: tuple[Outcome, str | None] = ("planned", None)
    if not dry_run:
        size = change.bytes_to_send / 1e6
        say(f"{space_id}: {count_of(len(change.adds), 'file')}, {size:,.1f} MB")
        if head is None:
            repo.create(private=private)
            head = repo.snapshot()
            change = _plan(repo, head, target)
        done = "published", _send(repo, head.commit, change, found)
    return SpaceResult(
        *(done[0], space_id, repo.url, done[1]),
        adds=tuple(file.path for file in change.adds),
        deletes=change.deletes,
        bytes_to_send=change.bytes_to_send,
        notes=notes,
    )


def _send(repo: Repo, parent: str, change: _Change, found: PublishedRelease) -> str:
    """Put the change of a Space onto a commit, once; gives the new commit."""
    hint = f"look at {repo.url}, then run the same command again"
    with progress("space", len(change.adds)) as advance:
        for file in change.adds:
            repo.upload(file)
            advance("")

    def holds(commit: str) -> bool:
        there = repo.snapshot(commit)
        left = there.files.keys() & {*change.deletes}
        return not left and not there.missing_or_changed(change.adds)

    def find() -> str | None:
        later = repo.commits_since(parent)
        if made := next(filter(holds, later), None):
            return made
        if later:
            raise HubError(f"somebody else changed the Space {repo.id} meanwhile", hint)
        return None

    commit = repo.retry.call_once(
        lambda: repo.commit(
            change.adds,
            change.deletes,
            parent=parent,
            title=f"{found.repo.id} {found.version.tag}",
            description=f"The atlas of {found.repo.url}/tree/{found.version.tag}",
        ),
        find,
        hint=hint,
    )
    if not holds(commit):
        raise HubError(f"commit {commit[:8]} of the Space {repo.id} is not what was sent", hint)
    return commit


def published_version(opened: Path | PublishedRelease) -> PublishedRelease:
    """The version that a Space can show: it, or the one that a folder is.

    Raises:
        InputError: if the folder is no published version.
        HubError: if the Hub does not give it.
    """
    if not isinstance(opened, Path):
        return opened
    manifest = read_manifest(opened)
    if manifest.repo is None or manifest.version is None:
        raise InputError(
            f"{opened} is not published, and a Space reads its data from the Hub",
            command_line("hfaef", "push", opened, "OWNER/NAME"),
        )
    found = open_published(HubTarget(manifest.repo, parse_version(manifest.version)))
    if found.release.manifest != manifest:
        raise InputError(
            f"{opened} is no longer what {manifest.repo}@{manifest.version} is",
            command_line("hfaef", "push", opened, manifest.repo),
        )
    return found


def _require_showable(found: PublishedRelease) -> None:
    """Raise InputError unless a visitor's browser can read all that the page needs."""
    target = f"{found.repo.id}@{found.version}"
    if not found.repo.is_open():
        raise InputError(
            f"{found.repo.id} is private or gated, and a Space's visitors have no token for it",
            f"look at it here: {command_line('hfaef', 'atlas', target)}",
        )
    if POINTS not in {file.path for file in found.release.manifest.files}:
        raise InputError(
            f"{target} has no {POINTS}, which a Space reads",
            "build the release again with this hfaef, then: "
            + command_line("hfaef", "push", "DIR", found.repo.id),
        )


def _review(repo: Repo, target: tuple[LocalFile, ...]) -> tuple[str, ...]:
    """What the Hub warns of in the README, in a line.

    Raises:
        HubError: if it would not take it.
    """
    text = next(file.content for file in target if file.path == README)
    found = repo.review_card(text.decode() if isinstance(text, bytes) else text.read_text("utf-8"))
    if found.errors:
        raise HubError(
            f"the Hub does not take the {README} of a Space: {'; '.join(found.errors)}",
            "correct `card.pretty_name` in the recipe, then build and push the release again",
        )
    return (
        (f"the Hub warns of the {README}: {'; '.join(found.warnings)}",) if found.warnings else ()
    )


@dataclass(frozen=True)
class _Change:
    """What a commit changes in a Space."""

    adds: tuple[LocalFile, ...]
    deletes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def bytes_to_send(self) -> int:
        """Of the files."""
        return sum(file.size for file in self.adds)


def _plan(repo: Repo, head: Snapshot | None, target: tuple[LocalFile, ...]) -> _Change:
    """What it takes to make a Space hold the page.

    Raises:
        HubError: naming files of others that are in the way.
    """
    if head is None:
        return _Change(target)
    paths = {file.path for file in target}
    changed = head.missing_or_changed(target)
    held = head.files.keys() - _FILES_OF_THE_HUB
    brought = _read_brought(repo, head)
    if brought is None:
        # As the Hub makes a Space it holds a template, which is nobody's work.
        if held and not repo.is_new():
            raise _in_the_way(repo, sorted(held))
        return _Change(tuple(changed), tuple(sorted(held - paths)))
    others = {path for path in held - {OURS} if not _is_brought(head, path, brought)}
    differing = {file.path for file in changed}
    edited = {path for path in others & brought.keys() if path in differing or path not in paths}
    strangers = others - brought.keys()
    in_the_way = edited - {README} | strangers & differing
    if in_the_way:
        raise _in_the_way(repo, sorted(in_the_way))
    return _Change(
        tuple(file for file in changed if file.path not in edited),
        tuple(sorted((brought.keys() & held) - paths)),
        (
            *(f"left alone: {path}, which was edited in the Space" for path in edited),
            *(
                f"left alone: {clean_text(path)}, which hfaef did not bring"
                for path in sorted(strangers - paths)
            ),
        ),
    )


def _in_the_way(repo: Repo, paths: list[str]) -> HubError:
    shown = ", ".join(clean_text(path) for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return HubError(
        f"the Space {repo.id} holds what hfaef did not write: {shown}{more}; nothing is sent",
        f"look at {repo.url}; delete it there, or name another --space",
    )


def _read_brought(repo: Repo, head: Snapshot) -> Mapping[str, frozenset[str]] | None:
    """Hashes of each file that hfaef brought, by path; None if it brought none."""
    if OURS not in head.files:
        return None
    try:
        found = json.loads(repo.fetch(OURS, head.commit).read_bytes())["files"]
        return {path: frozenset(hashes.values()) for path, hashes in found.items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        return None  # somebody else's, whatever it is


def _is_brought(head: Snapshot, path: str, brought: Mapping[str, frozenset[str]]) -> bool:
    """Whether a file of a Space is as hfaef brought it; of one in LFS, git has a pointer's hash."""
    file = head.files[path]
    return (file.sha256 or file.oid) in brought.get(path, ())


def _space_files(found: PublishedRelease) -> tuple[LocalFile, ...]:
    """All files of a Space that shows a version."""
    content = read_published(found, Path())  # there is nothing to make
    address = found.repo.address(found.snapshot.commit)
    files = page_files(content, address, data_origins(address, content.redirects))
    files[README] = _readme(found, content.manifest).encode()
    made = [_local(path, text) for path, text in sorted(files.items())]
    ours = {
        "dataset": found.repo.id,
        "version": str(found.version),
        "commit": found.snapshot.commit,
        "files": {file.path: {"sha256": file.sha256, "git": file.oid()} for file in made},
    }
    return (*made, _local(OURS, f"{json.dumps(ours, indent=1)}\n".encode()))


def _local(path: str, text: bytes) -> LocalFile:
    return LocalFile(path, len(text), hashlib.sha256(text).hexdigest(), text)


def _readme(found: PublishedRelease, manifest: Manifest) -> str:
    """The README of a Space, whose YAML tells the Hub what it is."""
    title = manifest.recipe.get("card", {}).get("pretty_name") or manifest.name
    settings = {
        "title": clean_text(title, 100),
        "emoji": "🌍",
        "colorFrom": "green",
        "colorTo": "blue",
        "sdk": "static",
        "app_file": "index.html",
        "header": "mini",
        "pinned": False,
        "license": "apache-2.0",
        "short_description": "AlphaEarth embeddings on a map and among their like",
        "datasets": [found.repo.id],
        "tags": ["alphaearth", "embeddings", "geospatial"],
    }
    head = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    there = f"{found.repo.url}/tree/{found.version.tag}"
    return (
        f"---\n{head}---\n\n"
        f"Version {found.version} of [{found.repo.id}]({there}), on a map and in embedding space. "
        "The page is made of static files and reads the data set where it lies; "
        "it is made by `hfaef atlas --space`.\n\n"
        f"{read_references().of(manifest).attribution.text} Licences of what the page is built from are in "
        "`LICENSES.txt`.\n"
    )
