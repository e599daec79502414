"""Bands of images by name, and the units and levels that their numbers are in."""

from __future__ import annotations

import re
from typing import Literal

Unit = Literal["DN", "reflectance", "uint8"]
"""Of Sentinel-2: reflectance times 10,000 as its products hold it, reflectance, or bytes as its
true-colour images hold them."""

Level = Literal["L1C", "L2A"]
"""Of Sentinel-2: at the top of the atmosphere, or at its bottom."""

SENTINEL2 = (
    "B01",
    "B02",
    "B03",
    "B04",
    "B05",
    "B06",
    "B07",
    "B08",
    "B8A",
    "B09",
    "B10",
    "B11",
    "B12",
)
"""Bands of Sentinel-2 in the order of their wavelengths:
https://sentiwiki.copernicus.eu/web/s2-mission"""

_COLOURS = {"blue": "B02", "green": "B03", "red": "B04", "b": "B02", "g": "B03", "r": "B04"}


def with_colour(band: str) -> str:
    """A band with the colour that means the same: ``B04 (red is B04)``."""
    colour = next((colour for colour, one in _COLOURS.items() if one == band), None)
    return f"{band} ({colour} is {band})" if colour else band


def canonical_band(name: str) -> str:
    """A band as it is written here: ``B4``, ``b04`` and ``red`` are ``B04``, ``B8a`` is ``B8A``.

    Raises:
        ValueError: if it is no band of Sentinel-2.
    """
    text = name.strip()
    if text.lower() in _COLOURS:
        return _COLOURS[text.lower()]
    found = re.fullmatch(r"[Bb]0?(\d{1,2})([Aa]?)", text)
    if found:
        number, letter = found.groups()
        band = f"B{int(number)}A" if letter else f"B{int(number):02d}"
        if band in SENTINEL2:
            return band
    raise ValueError(f"{name!r} is no band of Sentinel-2, such as B04 or B8A")
