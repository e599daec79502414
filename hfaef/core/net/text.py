"""Texts that come from servers: in one line, without control characters, and bounded."""

from __future__ import annotations

from hfaef.errors import one_line

LONGEST = 200
"""Characters of a name or a version."""


def clean_text(text: object, longest: int = LONGEST) -> str:
    """What a server said, fit to be written, logged and printed.

    Args:
        text: of any length, with any characters.
        longest: characters of the result.
    """
    # Cut first: what comes may be of any length, and only a little is worth looking at.
    return shorten(one_line(str(text)[: 4 * longest]), longest)


def shorten(text: str, longest: int) -> str:
    """A text, cut to so many characters with a mark where it was cut."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
