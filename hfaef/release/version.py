"""Versions of a release, ``X.Y.Z``, and their tags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from hfaef.errors import InputError

Level = Literal["major", "minor", "patch"]

_NUMBER = r"(0|[1-9][0-9]{0,8})"  # not \d, which digits of any script are
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}")


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """A version; its tag on the Hub is ``v`` before it."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def tag(self) -> str:
        """The tag of the version."""
        return f"v{self}"

    def next(self, level: Level) -> Version:
        """The version after this one."""
        match level:
            case "major":
                return Version(self.major + 1, 0, 0)
            case "minor":
                return Version(self.major, self.minor + 1, 0)
            case "patch":
                return Version(self.major, self.minor, self.patch + 1)


FIRST = Version(1, 0, 0)


def parse_version(text: str) -> Version:
    """The version that a text such as ``1.2.3`` or ``v1.2.3`` names.

    Raises:
        InputError: if it names none.
    """
    found = version_of_tag(f"v{text.removeprefix('v')}")
    if found is None:
        raise InputError(f"{text!r} is no version", "give three numbers, as in --version 1.2.3")
    return found


def version_of_tag(tag: str) -> Version | None:
    """The version of a tag; None for other tags."""
    found = _VERSION.fullmatch(tag[1:]) if tag.startswith("v") else None
    return Version(*map(int, found.groups())) if found else None
