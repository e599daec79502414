"""Which texts the figures can draw, and with what font; the same on every machine.

The fonts are Pillow's own for ASCII and DejaVu Sans, which comes with hfaef, for other letters:
Latin, Greek, Cyrillic, Armenian, Georgian. No font of the machine is used, as the same release
would have other bytes elsewhere. Chinese, Japanese and Korean would take a font of 16 MB, and
scripts from right to left or with joined letters a layout engine that not all machines have: a
label in these stands as its number, which the card's table of labels explains.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import ImageFont

_FILE = Path(__file__).parent / "fonts/DejaVuSans.ttf"
_SIZE = 16
"""Pixels."""

_MISSING = "\uffff"
"""No character, so no font has it."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def font_for(text: str) -> Font:
    """The font that draws a text which `is_drawable`."""
    return ImageFont.load_default(_SIZE) if text.isascii() else _letters()


def is_drawable(text: str) -> bool:
    """Whether a text can be drawn, letter after letter from left to right."""
    return all(_has(letter) for letter in text)


def labels_as_drawn(names: Sequence[str]) -> list[str]:
    """Each label as it stands in the figures: itself, or ``label 3``, its number."""
    return [name if is_drawable(name) else f"label {number}" for number, name in enumerate(names)]


@cache
def _letters() -> ImageFont.FreeTypeFont:
    # The plain layout: the other one is not on all machines.
    return ImageFont.truetype(_FILE, _SIZE, layout_engine=ImageFont.Layout.BASIC)


@cache
def _has(letter: str) -> bool:
    if letter == " ":
        return True
    from_the_left = unicodedata.bidirectional(letter) not in {"R", "AL", "AN"}
    if not letter.isprintable() or not from_the_left or unicodedata.category(letter)[0] == "M":
        return False
    font = _letters()
    return bytes(font.getmask(letter)) != bytes(font.getmask(_MISSING))
