"""What patches, labels and splits may be called, and how the name of a file becomes an id.

An id is made of letters, digits, ``_`` and ``-``. Any other character of a name is written as
``_0x`` and its Unicode number in hexadecimal digits and ``_``: ``plot.1`` becomes
``plot_0x2E_1``. An underscore that would read as the beginning of that is written so itself, so
two names never have one id, and `decode_id` gives the name back.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200
"""Characters of an id or a label."""

_ESCAPED = re.compile(r"[^A-Za-z0-9_-]|_(?=0x[0-9A-F]{2,6}(?:_|[^A-Za-z0-9_-]))")
_ESCAPE = re.compile(r"_0x([0-9A-F]{2,6})_")
_JOINERS = "\u200c\u200d"
"""Format characters that words of some languages need."""


def clean(text: str) -> str:
    """A name without spaces round it, in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text.strip())


def fault_of(name: str) -> str | None:
    """Why a cleaned text can be no name of a patch, label or split; None if it can."""
    if not name:
        return "is empty"
    if name.isascii() and name.isprintable():
        return None
    for letter in name:
        kind = unicodedata.category(letter)
        if kind == "Cs":
            return "is not UTF-8"
        if kind in {"Cc", "Zl", "Zp"} or (kind == "Cf" and letter not in _JOINERS):
            return f"holds the control character U+{ord(letter):04X}"
    return None


def printable(text: str) -> str:
    """A text of any origin, in characters that every output takes."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def encode_id(name: str) -> str:
    """The id of a patch with this name; plain names are their own ids."""
    return _ESCAPED.sub(lambda found: f"_0x{ord(found[0]):02X}_", name)


def decode_id(identity: str) -> str:
    """The name that an id was made of."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), identity)


def same_word(name: str) -> str:
    """What two names have in common that differ only in spaces, case or Unicode form."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())
