"""Edits of a card by people: found before the card is written again, and never erased unsaid.

A folder remembers the hashes of the cards that hfaef wrote into it; a card without that memory is
compared with one made again from its release. Notes do not count: they are kept whatever they say.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hfaef.core.files import folder_errors
from hfaef.core.names import printable
from hfaef.errors import FolderError, ReleaseError, command_line, count_of
from hfaef.release.card.notes import (
    BEGIN,
    END,
    README,
    is_sealed,
    read_notes,
    read_notes_file,
    without_notes,
)
from hfaef.release.format.paths import STAGING, put_into_release
from hfaef.release.handle import Release

RECORD = f"{STAGING}/card.json"
"""What a folder remembers of its cards."""

REPLACE = "--replace-card"
"""Option of every command that writes a card."""

_REMEMBERED = 8
"""Cards: a kill between the record and the card leaves an earlier one."""
_SHOWN = 40
"""Lines of a difference."""
_WIDTH = 200
"""Characters of a line of it."""


@dataclass(frozen=True)
class _Record:
    cards: tuple[str, ...] = ()
    """SHA-256 of cards without notes, the newest last."""
    notes: str | None = None
    """SHA-256 of what a recipe's `card.notes` said last."""


def keep_notes(card: Path, again: Callable[[str | None], str], *, replace: bool = False) -> str:
    """The notes that the next card of a folder must hold.

    Args:
        card: path of the card that is about to be written again.
        again: makes the card of the folder's release, with these notes or without their section.
        replace: whether edits outside the notes may go.

    Raises:
        ReleaseError: if the card was edited outside its notes; it shows the difference.
    """
    try:
        text = card.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        if replace and isinstance(error, UnicodeDecodeError):
            return ""
        raise ReleaseError(f"cannot read {card}: {reason}", _ways_out(card.parent)) from error
    if not text.strip():
        return ""
    expected: str | None = None
    ours = is_sealed(text) or _digest(without_notes(text)) in _read_record(card.parent).cards
    if not replace and not ours:
        try:
            expected = again("")
            ours = text == again(None) or without_notes(text) == without_notes(expected)
        except ReleaseError:
            ours = False
        if not ours:
            raise _with_details(
                ReleaseError(
                    f"{card} was edited outside its notes, and would be written anew",
                    _ways_out(card.parent),
                ),
                difference(without_notes(expected), without_notes(text))
                if expected is not None
                else (),
            )
    try:
        return read_notes(text)
    except ValueError as error:
        if replace:
            return ""
        raise ReleaseError(f"{card} {error}", _ways_out(card.parent)) from error


def released_notes(release: Release) -> str:
    """The notes of a release's card, wherever it lies; empty if there is no card.

    Raises:
        ReleaseError: if the card cannot be read, or the marks of its notes are damaged.
        HubError: if the Hub does not give it.
    """
    try:
        return read_notes(release.fetch(README).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise ReleaseError(
            f"the {README} of {release.name} cannot be read: {error}",
            command_line("hfaef", "check", release.name),
        ) from error


def fill_notes(folder: Path, notes: str, file: Path | None) -> str:
    """The notes of a build: a recipe's file, unless people wrote others into the card.

    Args:
        folder: of the release.
        notes: of its card.
        file: that ``card.notes`` of the recipe names.

    Raises:
        RecipeError: if the file cannot be read.
        FolderError: if the card's notes are neither empty nor what the file says or said last.
    """
    if file is None:
        return notes
    said = read_notes_file(file)
    if notes not in ("", said) and _digest(notes) != _read_record(folder).notes:
        raise FolderError(
            f"the notes in {folder / README} were edited, and card.notes of the recipe names "
            f"{file}, which says otherwise",
            "put the words you want into that file and take them out of the card, or take "
            "card.notes out of the recipe",
        )
    return said


def remember_card(folder: Path, text: str, *, said: str | None = None) -> None:
    """Note down that hfaef writes this card into the folder; to be called before it does.

    Args:
        folder: of the release.
        text: the card.
        said: its notes, if a recipe's file says them.
    """
    record = _read_record(folder)
    digest = _digest(without_notes(text))
    cards = [*(one for one in record.cards if one != digest), digest][-_REMEMBERED:]
    notes = record.notes if said is None else _digest(said)
    content = json.dumps({"cards": cards, "notes": notes}).encode()
    with folder_errors(folder / RECORD):
        put_into_release(folder, RECORD, content)


def put_card(card: Path, text: str) -> None:
    """Write a card into its folder, and remember that hfaef did."""
    remember_card(card.parent, text)
    with folder_errors(card):
        put_into_release(card.parent, card.name, text.encode())


def difference(before: str, after: str) -> tuple[str, ...]:
    """Lines of a unified difference between what hfaef wrote and what is there, not too many."""
    found = list(
        difflib.unified_diff(
            before.split("\n"), after.split("\n"), "as hfaef wrote it", "as it is", lineterm="", n=1
        )
    )
    more = len(found) - _SHOWN
    shown = tuple(printable(line)[:_WIDTH] for line in found[:_SHOWN])
    return (*shown, f"and {count_of(more, 'line')} more") if more > 0 else shown


def _ways_out(folder: Path) -> str:
    return (
        f"move your words between {BEGIN} and {END}, or let them go: "
        f"{command_line('hfaef', 'card', folder, REPLACE)}"
    )


def _with_details(error: ReleaseError, details: tuple[str, ...]) -> ReleaseError:
    error.details = details
    return error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read_record(folder: Path) -> _Record:
    try:
        found = json.loads((folder / RECORD).read_bytes())
        cards, notes = found["cards"], found["notes"]
    except (OSError, ValueError, KeyError, TypeError):
        return _Record()  # the card is compared with one made again
    return _Record(tuple(map(str, cards)), notes if isinstance(notes, str) else None)
