"""The contract of a model: what images it takes, told by name, and the vectors that it gives.

What files hold and what a model wants are matched by the names of bands and by units. A band is
never found by its place, never left at zero, and never another one's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.errors import InputError
from hfaef.recipe.bands import Level, Unit, canonical_band
from hfaef.release.format.scores import Provenance

Float32 = npt.NDArray[np.float32]

REFLECTANCE_OF_DN = 1e-4
"""Reflectance of a digital number of Sentinel-2, before the offset of processing baseline 04.00:
https://sentinels.copernicus.eu/web/sentinel/technical-guides/sentinel-2-msi/level-1c-processing"""

WHITE: dict[Level | None, int] = {"L1C": 3558, "L2A": 2000, None: 3558}
"""Digital number that is 255 in the true-colour images of Sentinel-2, by the level of the images; of
images whose level nobody says, that of L1C:
https://sentinel.esa.int/web/sentinel/user-guides/sentinel-2-msi/definitions"""


@dataclass(frozen=True)
class Images:
    """What the files of a catalog hold."""

    bands: tuple[str, ...]
    """In the order of the files, as `canonical_band` writes them."""
    unit: Unit
    level: Level | None = None
    """Of Sentinel-2; None if nobody says, or for other sensors."""


@dataclass(frozen=True)
class Needs:
    """What a model takes."""

    bands: tuple[str, ...] = ()
    """In the order of its channels, as `canonical_band` writes them; none for whatever there is."""
    units: tuple[Unit, ...] = ()
    """Of each channel; none for whatever there is."""
    levels: frozenset[Level] = frozenset()
    """That it was trained on; none if that does not matter, or nobody says."""
    white: int | None = None
    """Digital number that is 255 in its channels of bytes; None for that of true-colour images."""
    source: str = ""
    """Where all this is said: a page, or the file beside the model."""


@dataclass(frozen=True)
class Channels:
    """How the numbers of a file become those of a model's channels."""

    indices: tuple[int, ...]
    """Of the file's bands, in the order of the channels."""
    units: tuple[Unit, ...]
    """Of each channel."""
    unit: Unit
    """Of the file."""
    white: int = WHITE[None]
    """Digital number that becomes 255 where bytes are made of them."""
    notes: tuple[str, ...] = ()
    """What does not fit, and the model does without; a sentence each."""

    def take(self, image: npt.NDArray[Any]) -> Float32:
        """The channels (channels, height, width) of a file's bands (bands, height, width)."""
        chosen = image[list(self.indices)].astype(np.float32)
        for number, unit in enumerate(self.units):
            chosen[number] = _converted(chosen[number], self.unit, unit, self.white)
        return chosen


@dataclass(frozen=True)
class Encoder:
    """A model that is ready to run."""

    needs: Needs
    provenance: Provenance
    """What the vectors' table says of it; bands, unit and notes are those that were matched."""
    encode: Callable[[Float32], Float32] = field(repr=False)
    """Vectors (n, dimensions) of images (n, channels, height, width) of one size; resizing and
    normalizing are the model's own, and each image's vector depends on no other image."""


def match(images: Images, needs: Needs, model: str) -> Channels:
    """Which bands of the files a model's channels are, and what it does without.

    Raises:
        InputError: if a band is missing or comes twice, or no unit leads to the model's; with both
            lists.
    """
    wanted = needs.bands or images.bands
    units = needs.units or tuple(images.unit for _ in wanted)
    held = {name: number for number, name in enumerate(images.bands)}
    lacking = [name for name in wanted if name not in held]
    if lacking:
        raise InputError(
            f"{model} wants bands {_listed(wanted)}, and the images hold {_listed(images.bands)}: "
            f"{_listed(lacking)} {'is' if len(lacking) == 1 else 'are'} missing",
            "run another model, see `hfaef embed --list`; or name the bands in `patches.bands`",
        )
    if len(set(wanted)) < len(wanted):
        raise InputError(
            f"{model} wants bands {_listed(wanted)}, some of them twice, as of two dates",
            "run another model, see `hfaef embed --list`",
        )
    for unit in units:
        if not _leads(images.unit, unit):
            raise InputError(
                f"{model} wants {_listed(wanted)} in {_listed(dict.fromkeys(units))}, and the "
                f"images hold {images.unit}, which does not lead there",
                "say what they hold in `patches.unit`, or run another model",
            )
    notes = []
    if needs.levels and images.level not in needs.levels:
        trained = " or ".join(sorted(needs.levels))
        held_level = f"are {images.level}" if images.level else "are of a level that nobody says"
        notes.append(f"trained on {trained}; the images {held_level}")
    unused = [name for name in images.bands if name not in wanted]
    if unused:
        notes.append(f"without {_listed(unused)} of the images")
    white = WHITE[images.level] if needs.white is None else needs.white
    if "uint8" in units and images.unit != "uint8":
        kind = ", as in true-colour images" if needs.white is None else ""
        bright = f"{white * REFLECTANCE_OF_DN:g}"
        notes.append(f"bytes made of reflectance: 0 to {bright} are 0 to 255{kind}")
    elif "uint8" in units and needs.white is not None:
        notes.append(f"bytes taken as they are; it was trained on those of which {white} is 255")
    indices = tuple(held[name] for name in wanted)
    return Channels(indices, units, images.unit, white, tuple(notes))


def _listed(names: Sequence[str] | dict[str, None]) -> str:
    return " ".join(names)


def _leads(held: Unit, wanted: Unit) -> bool:
    """Whether numbers of one unit can be made of those of another without a guess."""
    return held == wanted or held in ("DN", "reflectance")


def _converted(band: Float32, held: Unit, wanted: Unit, white: int) -> Float32:
    if held == wanted:
        return band
    if wanted == "reflectance":
        return band * np.float32(REFLECTANCE_OF_DN)
    numbers = band if held == "DN" else band / np.float32(REFLECTANCE_OF_DN)
    if wanted == "DN":
        return numbers
    # Exact for whole numbers, which are halfway between two bytes now and then.
    scaled: Float32 = np.clip(numbers * np.float32(255) / np.float32(white), 0, 255)
    return np.rint(scaled)


def named_bands(names: Sequence[str]) -> tuple[str, ...]:
    """Bands as files, models and people write them, in one writing: ``B4`` and ``red`` are ``B04``.

    Raises:
        ValueError: naming one that is none.
    """
    return tuple(canonical_band(name) for name in names)
