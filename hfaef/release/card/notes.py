"""The notes of a card: words between two marks, which belong to people and which hfaef keeps."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hfaef.errors import RecipeError

README = "README.md"
"""The card of a release."""

BEGIN = "<!-- notes:begin -->"
END = "<!-- notes:end -->"

_SEAL = "\n<!-- hfaef:sha256 "


def _parts(text: str) -> tuple[str, str, str] | None:
    """What stands before, between and after the marks; None if there is no mark at all.

    Raises:
        ValueError: if the marks are not one beginning and one end after it, a line each.
    """
    lines = text.split("\n")
    begins = [number for number, line in enumerate(lines) if line.strip() == BEGIN]
    ends = [number for number, line in enumerate(lines) if line.strip() == END]
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
        raise ValueError(f"needs one line {BEGIN} and, below it, one line {END}")
    begin, end = begins[0], ends[0]
    return (
        "\n".join(lines[: begin + 1]),
        "\n".join(lines[begin + 1 : end]).strip("\n"),
        "\n".join(lines[end:]),
    )


def read_notes(card: str) -> str:
    """The notes of a card, without blank lines round them; empty if it has none.

    Raises:
        ValueError: if its marks are damaged.
    """
    parts = _parts(card)
    return parts[1] if parts else ""


def without_notes(card: str) -> str:
    """The card with nothing between its marks; as it is, if it has none or they are damaged."""
    try:
        parts = _parts(card)
    except ValueError:
        return card
    return f"{parts[0].rstrip()}\n{parts[2].lstrip()}" if parts else card


def sealed(card: str) -> str:
    """The card with a last line that holds the SHA-256 of all above it but its notes."""
    return f"{card}{_seal(card)}"


def is_sealed(card: str) -> bool:
    """Whether nothing but its notes changed since a card was sealed."""
    above, mark, end = card.rpartition(_SEAL)
    return bool(mark) and _seal(above) == mark + end


def _seal(card: str) -> str:
    return f"{_SEAL}{hashlib.sha256(without_notes(card).encode()).hexdigest()} -->\n"


def read_notes_file(path: Path) -> str:
    """The notes that a recipe's ``card.notes`` names.

    Raises:
        RecipeError: if it cannot be read, is not UTF-8 or holds a mark.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise RecipeError(
            f"card.notes: cannot read {path}: {reason}", "name a text file in UTF-8"
        ) from error
    if {BEGIN, END} & {line.strip() for line in text.split("\n")}:
        raise RecipeError(
            f"card.notes: {path} holds a line {BEGIN} or {END}", "take these lines out of it"
        )
    return text.strip("\n")
