"""What people wrote into a repository since its last version: into its card, or its manifest.

A version's tag never moves, so its commit says what hfaef wrote; what stands otherwise at the head
was written by somebody. Notes of a card are taken over, all else is shown, and stops a push.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from hfaef.errors import HubError, command_line
from hfaef.hub.open import RemoteState, read_manifest_at
from hfaef.hub.repo import Repo, Snapshot
from hfaef.release.card.edits import REPLACE, difference
from hfaef.release.card.notes import BEGIN, END, read_notes, without_notes
from hfaef.release.card.render import CARD, render_card
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import MANIFEST
from hfaef.release.format.scores import SCORES, read_evaluation


@dataclass(frozen=True)
class RemoteEdits:
    """What a push has to do about what people wrote."""

    notes: str
    """Of the next card."""
    remote: RemoteState
    """What the repository holds, without a manifest that no push wrote."""
    said: tuple[str, ...] = ()
    """What is taken over or replaced, for people."""
    problems: tuple[str, ...] = ()
    """What stops a push."""
    replaces: bool = False
    """Whether a push is to write over what people wrote."""
    details: tuple[str, ...] = ()
    """Differences that show them."""

    def require_none(self, folder: Path, repo: Repo) -> None:
        """Stop a push that would erase what people wrote.

        Raises:
            HubError: naming and showing it.
        """
        if self.problems:
            error = HubError(
                f"{'; '.join(self.problems)}; nothing is published",
                f"look at {repo.url}, move words worth keeping between {BEGIN} and {END} there, "
                f"or let them go: {command_line('hfaef', 'push', folder, repo.id, REPLACE)}",
            )
            error.details = self.details
            raise error


def read_edits(repo: Repo, remote: RemoteState, notes: str, *, replace: bool) -> RemoteEdits:
    """What people wrote into a repository, and which notes its next card has.

    Args:
        repo: the repository.
        remote: what it holds.
        notes: of the folder's card.
        replace: whether what people wrote outside the notes may go.

    Raises:
        HubError: if the Hub does not give it.
    """
    head, latest = remote.head, remote.latest
    if head is None:
        return RemoteEdits(notes, remote)
    problems: list[str] = []
    details: list[str] = []
    since = f"was edited since {latest.version}" if latest else "was brought by no release"
    text = _read(repo, head, CARD)
    before = _read(repo, latest.snapshot, CARD) if latest else ""
    unfinished = _is_unfinished_push(repo, remote, text)
    if _differs(head, latest.snapshot if latest else None, MANIFEST) and not unfinished:
        problems.append(f"the {MANIFEST} of {repo.id} {since}")
        old = _read(repo, latest.snapshot, MANIFEST) if latest else ""
        details += difference(old, _read(repo, head, MANIFEST))
        remote = dataclasses.replace(remote, untagged=None)
    if (
        text.strip()
        and not unfinished
        and without_notes(text) not in (before, without_notes(before))
    ):
        problems.append(f"the {CARD} of {repo.id} {since}")
        details += difference(without_notes(before), without_notes(text))
    there, base = _notes_or_nothing(text), _notes_or_nothing(before)
    said: list[str] = []
    if there == notes:
        chosen = notes
    elif replace:
        chosen = notes
        if there:
            said.append(f"the notes in the {CARD} of {repo.id} are replaced")
    elif notes in ("", base):
        chosen = there
        said.append(
            f"the notes in the {CARD} of {repo.id} are taken over into this version and the "
            "folder's card"
            if there
            else f"the notes were taken out of the {CARD} of {repo.id}, and so they are here"
        )
    else:
        chosen = notes
        if there not in ("", base):
            problems.append(f"the notes in the {CARD} of {repo.id} and in the folder's were edited")
            details += difference(notes, there)
    if replace:
        said += [f"{problem}, and is replaced" for problem in problems]
        return RemoteEdits(chosen, remote, tuple(said), replaces=bool(said))
    return RemoteEdits(chosen, remote, tuple(said), tuple(problems), details=tuple(details))


def _differs(head: Snapshot, before: Snapshot | None, path: str) -> bool:
    """Whether the head holds a file that is not that of the version before."""
    held = head.files.get(path)
    return held is not None and (before is None or held != before.files.get(path))


def _is_unfinished_push(repo: Repo, remote: RemoteState, card: str) -> bool:
    """Whether the head is the whole commit of a push that set no tag: cut off, or it was taken."""
    head = remote.head
    if head is None:
        return False
    try:
        manifest = remote.untagged or read_manifest_at(repo, head)
    except HubError:
        return False  # what stands there is no manifest, so no push wrote it
    if manifest is None:
        return False
    first = manifest.history[0].version if manifest.history else None
    if manifest.version != first or manifest.repo != repo.id:
        return False
    if any(path not in head.files for path in (file.path for file in manifest.files)):
        return False
    return without_notes(card) == without_notes(_card_of(repo, head, manifest))


def _card_of(repo: Repo, head: Snapshot, manifest: Manifest) -> str:
    folder = repo.fetch(MANIFEST, head.commit).parent
    if SCORES in head.files:
        repo.fetch(SCORES, head.commit)
    return render_card(manifest, read_evaluation(folder))


def _read(repo: Repo, snapshot: Snapshot, path: str) -> str:
    """The text of a file of a commit; empty if there is none."""
    if path not in snapshot.files:
        return ""
    content = repo.fetch(path, snapshot.commit).read_bytes()
    return content.decode("utf-8", "replace").replace("\r\n", "\n")


def _notes_or_nothing(card: str) -> str:
    try:
        return read_notes(card)
    except ValueError:
        return ""  # the card was edited outside them, then
