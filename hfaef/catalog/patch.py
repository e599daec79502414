"""Which patches a release is about: their places, labels and splits, checked once, here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hfaef.core.grid import Grid
from hfaef.core.names import BYTES, LONGEST, alike, encode_id, fault_of, printable, require_id
from hfaef.errors import CatalogError
from hfaef.recipe.columns import HELD_SPLITS, KeptColumn, Target

_SHOWN = 10
"""Faults of a catalog that a message names."""


Label = str | float | tuple[str, ...]
"""A name, a number to predict, or several names in the order of their numbers."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A labelled place and a year; it knows nothing of where pixels come from."""

    id: str
    """Unique in its year: letters, digits, ``_`` and ``-``."""
    grid: Grid
    """North-up."""
    label: Label
    """As the catalog's target says; names are among the catalog's label names."""
    splits: dict[str, str]
    """One of `HELD_SPLITS` for each of the catalog's schemes, and a fold for each of its folds."""
    year: int
    """Of the embedding."""
    stated_year: int | None = None
    """Of the patch itself, if that is another one."""
    kept: tuple[Any, ...] = ()
    """A value, or None, for each of the catalog's kept columns."""

    @property
    def row_year(self) -> int:
        """What its row says: its own year."""
        return self.year if self.stated_year is None else self.stated_year


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A patch that cannot be had, whatever is fetched: the release lacks it, and says why."""

    id: str
    label: Label
    reason: str
    """What is wrong with its file or row, without a path of this machine: ``has no CRS``."""
    year: int | None = None
    """The only year that it has; None for each year of the recipe."""
    permitted: bool = True
    """Whether the recipe itself says to go on without it."""


@dataclass(frozen=True)
class Catalog:
    """All patches of a recipe.

    Raises:
        CatalogError: if it is empty, or a patch breaks what is said of its fields.
    """

    patches: tuple[Patch, ...]
    """Sorted by year, then id."""
    label_names: tuple[str, ...]
    """The order gives each label its number; none, if labels are numbers to predict."""
    schemes: tuple[str, ...]
    """Split schemes, the default first; none means that every patch is for training."""
    target: Target = "class"
    folds: tuple[str, ...] = ()
    """Schemes of folds, for cross-validation."""
    kept: tuple[KeptColumn, ...] = ()
    """Columns that come along into the rows."""
    own_years: bool = False
    """Whether each patch has a year of its own, rather than all patches each year."""
    nearest_years: bool = False
    """Whether a patch's embedding may be of another year than the patch."""
    notes: tuple[str, ...] = ()
    """What a user should know of how it was read."""
    unreadable: tuple[Unreadable, ...] = ()
    """Patches that the recipe lets us go on without; their ids are no others'."""
    files: Mapping[str, Path] = field(default_factory=dict, compare=False)
    """The image of each patch by its id, where the patches are images; they are of this machine,
    so the same patches elsewhere are the same catalog."""

    def __post_init__(self) -> None:
        if not self.patches:
            first = next((f": patch {gone.id} {gone.reason}" for gone in self.unreadable), "")
            more = f" ({len(self.unreadable):,} are unreadable){first}" if first else ""
            raise CatalogError(f"the catalog has no patch{more}", "check `patches` in the recipe")
        if len(set(self.label_names)) != len(self.label_names):
            raise CatalogError("a label is listed twice", "mend `patches.labels`")
        _require_readable(self.label_names)
        if bool(self.label_names) != (self.target != "number"):
            raise CatalogError(
                f"the target {self.target!r} and the names of labels contradict each other",
                "mend `patches.target` or `patches.labels`",
            )
        known = frozenset(self.label_names)
        gone = {(patch.year, patch.id) for patch in self.unreadable}
        seen: set[tuple[int, str]] = set()
        for patch in self.patches:
            key = patch.year, patch.id
            if key in seen or key in gone or (None, patch.id) in gone:
                raise CatalogError(f"patch {patch.id} occurs twice", "give each patch its own id")
            seen.add(key)
            self._require(patch, known)

    def _require(self, patch: Patch, known: frozenset[str]) -> None:
        """Raise CatalogError if a patch breaks what is said of its fields."""
        try:
            require_id(patch.id)
        except ValueError as error:
            raise CatalogError(str(error), "rename the patch") from error
        _require_label(patch, known, self.target)
        for scheme in self.schemes:
            if patch.splits.get(scheme) not in HELD_SPLITS:
                raise CatalogError(
                    f"patch {patch.id} has no split in the scheme {scheme!r}",
                    "name it in one of the scheme's lists",
                )
        if len(patch.kept) != len(self.kept) or not patch.splits.keys() >= set(self.folds):
            raise CatalogError(f"patch {patch.id} lacks a fold or a kept column", "mend it")

    def first(self, count: int | None) -> Catalog:
        """The catalog of a few patches a year, spread evenly over the ids; all for None.

        Of patches with years of their own it is so many in all.
        """
        if count is None:
            return self
        years: list[int | None] = [None] if self.own_years else [*self.years]
        kept: list[Patch] = []
        for year in years:
            of_year = [patch for patch in self.patches if year in (None, patch.year)]
            taken = min(count, len(of_year))
            kept += [of_year[index * len(of_year) // taken] for index in range(taken)]
        return replace(self, patches=tuple(kept))

    @property
    def years(self) -> tuple[int, ...]:
        """Of the embeddings."""
        return tuple(sorted({patch.year for patch in self.patches}))


def _require_readable(labels: Sequence[str]) -> None:
    """Raise CatalogError if people cannot read a label, or cannot tell it from another."""
    for label in labels:
        fault = "is Python's writing of bytes" if BYTES.fullmatch(label) else fault_of(label)
        if fault:
            raise CatalogError(f"the label {printable(label)!r} {fault}", "rename it")
    if same := alike(labels):
        words = "; ".join(" and ".join(map(repr, group)) for group in same[:_SHOWN])
        raise CatalogError(
            f"labels differ only in spaces, case or Unicode form: {printable(words)}",
            "give them one name if they are one class, else names that people tell apart",
        )


def _require_label(patch: Patch, known: frozenset[str], target: Target) -> None:
    """Raise CatalogError unless a patch's label is as the target says."""
    if target == "number":
        if not (isinstance(patch.label, float) and math.isfinite(patch.label)):
            raise CatalogError(
                f"patch {patch.id} has the label {patch.label!r}, which is no finite number",
                "mend the patch",
            )
        return
    names = patch.label if isinstance(patch.label, tuple) else (patch.label,)
    if isinstance(patch.label, tuple) != (target == "classes") or len(set(names)) != len(names):
        raise CatalogError(
            f"patch {patch.id} has the label {patch.label!r}, which is not of the target {target}",
            "mend the patch",
        )
    for name in names:
        if name not in known:
            raise CatalogError(
                f"patch {patch.id} has the label {name!r}, which is not in the list",
                "add it to `patches.labels`, or mend the patch",
            )


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of a catalog name the file or folder that it is read from."""
    try:
        yield
    except CatalogError as error:
        raise CatalogError(f"{printable(str(path))}: {error.message}", error.hint) from error


def sort_patches(patches: Iterable[Patch]) -> tuple[Patch, ...]:
    """Patches in the catalog's order."""
    return tuple(sorted(patches, key=lambda patch: (patch.year, patch.id)))


def label_value(label: Label, names: Sequence[str]) -> float | list[int]:
    """What a row holds of a label: its place among the names, their places, or the number."""
    if isinstance(label, tuple):
        return sorted(names.index(name) for name in label)
    return names.index(label) if isinstance(label, str) else label


def label_text(label: Label) -> str:
    """A label as messages and lists of missing patches show it."""
    return ", ".join(label) if isinstance(label, tuple) else str(label)


def label_names(found: Iterable[str], listed: Sequence[str] | None) -> tuple[str, ...]:
    """The recipe's list of labels, or what was found, in alphabetical order."""
    return tuple(listed) if listed is not None else tuple(sorted(set(found)))


def id_of(name: str) -> str:
    """The id of a patch whose file or row has this name.

    Raises:
        ValueError: if it can have none, saying why.
    """
    identity = encode_id(name)
    if "/" in name or "\\" in name:
        raise ValueError("is a path")
    if len(identity) > LONGEST:
        raise ValueError(f"makes an id of over {LONGEST} characters")
    return identity


def note_encoded(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """A note on names that hold other characters than ids may."""
    encoded = [pair for pair in zip(names, ids, strict=True) if pair[0] != pair[1]]
    if not encoded:
        return []
    plain = [bool(re.fullmatch("[A-Za-z0-9_-]+", name)) for name, _ in encoded]
    why = "hold other characters than letters, digits, _ and -"
    if any(plain):
        read_alike = "read like the encoding of another name"
        why = read_alike if all(plain) else f"{why}, or {read_alike}"
    shown = " is ".join(encoded[0])
    return [f"ids encoded: {len(encoded):,}, as their names {why} ({shown})"]


def list_faults(faults: Sequence[str]) -> str:
    """The first of them in one line, and how many more there are."""
    more = len(faults) - _SHOWN
    return "; ".join(faults[:_SHOWN]) + (f"; and {more:,} more" if more > 0 else "")
