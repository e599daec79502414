"""What ``--features NAME=PLACE[,OPTION=VALUE]`` says: a name, a place, and how to read it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from hfaef.errors import InputError
from hfaef.evaluation.pooling import POOLINGS

OPTIONS = ("pooling", "scale", "offset", "nodata", "key", "list", "file")
"""Of a place: the first four of GeoTIFFs, `key` and `list` of arrays, `file` of a repository."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_OPTION = re.compile(r"([a-z_]+)=(.*)", re.DOTALL)
_EXAMPLE = "as in `--features tessera=tessera.parquet` or `s2=patches.tar.gz,scale=0.0001,nodata=0`"


@dataclass(frozen=True)
class Argument:
    """Vectors to read."""

    name: str
    """Their own, beside those of poolings."""
    place: str
    """A path, or ``OWNER/NAME[@REVISION]``."""
    options: dict[str, str] = field(default_factory=dict)
    """Of `OPTIONS`, as they were typed."""
    origin: str = ""
    """Of a file that was fetched: the repository and revision; empty for one that was here."""

    @property
    def source(self) -> str:
        """What messages call the place."""
        return self.origin or self.place

    def allow(self, options: Collection[str], what: str) -> None:
        """Refuse options that say nothing of what lies at the place.

        Args:
            options: that do.
            what: lies there, for the message.

        Raises:
            InputError: naming one that does not.
        """
        for option in self.options:
            if option not in options:
                known = ", ".join(options) or "none"
                raise InputError(
                    f"--features {self.name}={self.source}: {option}= says nothing of {what}",
                    f"leave it out; options of {what}: {known}",
                )

    def number(self, option: str) -> float | None:
        """The number that an option says; None without it.

        Raises:
            InputError: if it says none; only `nodata` may be ``nan``.
        """
        if option not in self.options:
            return None
        text = self.options[option]
        try:
            value = float(text)
        except ValueError:
            value = math.inf
        if math.isinf(value) or (math.isnan(value) and option != "nodata"):
            raise InputError(
                f"--features {self.name}={self.source}: {option}={text} is no number", _EXAMPLE
            )
        return value


def parse_argument(text: str) -> Argument:
    """An argument, taken apart; a path that is there as it stands has no options.

    Raises:
        InputError: if it is none, has a name of a pooling or an option that is not known, or an
            option twice.
    """
    name, separator, place = text.partition("=")
    if not separator or not place:
        raise InputError(f"--features {text}: not NAME=PLACE with a name of its own", _EXAMPLE)
    if name in POOLINGS:
        raise InputError(
            f"--features {text}: not NAME=PLACE with a name of its own: {name!r} is a pooling's name",
            _EXAMPLE,
        )
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--features {text}: not NAME=PLACE with a name of its own: a name has 1 to 60 letters "
            "(A to Z), digits, `_`, `.` and `-`",
            _EXAMPLE,
        )
    options: dict[str, str] = {}
    while "," in place and not _is_there(place):
        before, _, last = place.rpartition(",")
        found = _OPTION.fullmatch(last)
        if not found:
            break
        option, value = found.groups()
        if option not in OPTIONS:
            raise InputError(
                f"--features {text}: there is no option {option}=", f"one of {', '.join(OPTIONS)}"
            )
        if option in options or not value:
            fault = "is there twice" if value else "says nothing"
            raise InputError(f"--features {text}: {option}= {fault}", _EXAMPLE)
        options[option], place = value, before
    try:
        Path(place).exists()
    except (OSError, ValueError) as error:  # a name that is too long, or a closed folder
        reason = getattr(error, "strerror", None) or "no file can have this name"
        raise InputError(
            f"--features {name}: cannot read {place[:80]!r}: {reason}", _EXAMPLE
        ) from error
    return Argument(name, place, dict(sorted(options.items())))


def _is_there(place: str) -> bool:
    try:
        return Path(place).exists()
    except (OSError, ValueError):
        return False
