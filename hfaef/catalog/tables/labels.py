"""Labels of a table's rows, by the recipe's target: a name, several names, or a number."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hfaef.catalog.patch import Label
from hfaef.catalog.tables.columns import Rows, are_whole_numbers, numbers, texts
from hfaef.core.names import clean, fault_of, printable
from hfaef.errors import CatalogError, count_of
from hfaef.recipe.patches import Described

_SEPARATORS = (";", "|", ",")
"""What often parts several labels in one text."""

_NOTHING = {"none", "na", "n/a", "nan", "null", "-"}
"""What programs and people write where there is nothing, in any case."""

_DIGITS = 7
"""That a float32 keeps of a decimal number, about:
https://en.wikipedia.org/wiki/Single-precision_floating-point_format"""


@dataclass(frozen=True)
class Labels:
    """The label of each row."""

    values: Sequence[Label]
    names: tuple[str, ...]
    """All names in the order of their numbers; none for numbers to predict."""
    notes: tuple[str, ...]


def read_labels(rows: Rows, section: Described, ids: Sequence[str]) -> Labels:
    """The column `label`.

    Raises:
        CatalogError: naming the first row whose label is not as the target says.
    """
    match section.target:
        case "number":
            return _numbers(rows, ids)
        case "classes":
            return _several(rows, section, ids)
        case _:
            return _one(rows, section, ids)


def _numbers(rows: Rows, ids: Sequence[str]) -> Labels:
    values = numbers(rows, "label", ids)
    cut = 0
    with np.errstate(over="ignore"):
        for row, value in enumerate(values):
            held = np.float32(value)
            if not math.isfinite(held):
                what = f"has the label {value:g}, which is over what float32 holds"
                raise rows.fault(row, what, "scale it", ids[row])
            cut += float(f"{held:.{_DIGITS}g}") != value and float(held) != value
    words = f"labels of more digits than float32 holds, cut to {_DIGITS}: {cut:,}"
    return Labels(values, (), (words,) if cut else ())


def _one(rows: Rows, section: Described, ids: Sequence[str]) -> Labels:
    values, notes = texts(rows, "label")
    if are_whole_numbers(rows, "label", values):
        names = sorted(set(values), key=lambda label: (int(label), label))
    else:
        names = sorted(set(values))
    notes += [*_note_separator(values, names), *_note_nothing(values)]
    listed = tuple(section.labels or names)
    _require_listed(rows, [(value,) for value in values], listed, ids)
    return Labels(values, listed, tuple(notes))


def _note_separator(values: Sequence[str], names: Sequence[str]) -> list[str]:
    """A note on labels that look like several in one text; a comma may stand in a name, too."""
    for separator in _SEPARATORS:
        parts = Counter(
            part for name in names for part in {clean(one) for one in name.split(separator)}
        )
        if separator == "," and not any(
            parts[clean(part)] > 1 for name in names if "," in name for part in name.split(",")
        ):
            continue
        if some := sum(separator in value for value in values):
            found = f"labels that hold `{separator}`, each taken for one name: {some:,}"
            wanted = f'patches.target = "classes" and separator = "{separator}"'
            return [f"{found}; for several labels a patch set {wanted}"]
    return []


def _note_nothing(names: Iterable[str]) -> list[str]:
    """A note on labels that may stand for none, which are classes as any other."""
    found = Counter(name for name in names if name.lower() in _NOTHING)
    if not found:
        return []
    return [f"labels written as {', '.join(map(repr, found))} are classes: {found.total():,}"]


def _several(rows: Rows, section: Described, ids: Sequence[str]) -> Labels:
    found = []
    spaced = composed = 0
    whole = True
    for row, value in enumerate(rows.column("label")):
        parts = _parts(rows, row, value, section.separator, ids)
        written = [str(part) for part in parts]
        names = [clean(part) for part in written]
        if names != written:
            # Spaces round a separator are how people write lists.
            spaced += section.separator is None and any(part != part.strip() for part in written)
            composed += not all(unicodedata.is_normalized("NFC", part) for part in written)
        for name in names:
            if fault := fault_of(name):
                what = f"has the label {printable(name)!r}, which {fault}" if name else None
                what = what or f"has an empty label among others ({printable(str(value))[:60]})"
                raise rows.fault(row, what, "mend it", ids[row])
            if names.count(name) > 1:
                what = f"has the label {printable(name)!r} twice"
                raise rows.fault(row, what, "name each label once", ids[row])
        whole &= all(
            type(part) is int or (len(rows.lines) > 0 and re.fullmatch("-?[0-9]+", name))
            for part, name in zip(parts, names, strict=True)
        )
        found.append(names)
    notes = _note_nothing(name for names in found for name in names)
    if spaced:
        notes.append(f"labels with stray spaces, taken off: {count_of(spaced, 'row')}")
    if composed:
        rewritten = count_of(composed, "row")
        notes.append(f"labels brought to Unicode's composed form (NFC): {rewritten}")
    if empty := sum(not names for names in found):
        notes.append(f"patches without any label: {empty:,}")
    every = {name for names in found for name in names}
    order = sorted(every, key=lambda name: (int(name), name)) if whole else sorted(every)
    listed = tuple(section.labels or order)
    if not listed:
        raise CatalogError(f"{rows.path}: no row has a label", "fill in `label`")
    _require_listed(rows, found, listed, ids)
    number = {name: place for place, name in enumerate(listed)}
    ordered = [tuple(sorted(names, key=number.__getitem__)) for names in found]
    return Labels(ordered, listed, tuple(notes))


def _parts(
    rows: Rows, row: int, value: Any, separator: str | None, ids: Sequence[str]
) -> Sequence[str | int]:
    """The names that a cell holds, as written."""
    if isinstance(value, str):
        if separator is None:
            raise CatalogError(
                f"{rows.path}: `label` holds texts, and the recipe does not say what parts several "
                "labels",
                'name it, as in patches.separator = ";"',
            )
        if value.strip().startswith("[") and value.strip().endswith("]"):
            what = f"has the label {printable(value)[:60]!r}, a list in the writing of a program"
            raise rows.fault(row, what, f"write the names with {separator!r} between", ids[row])
        return value.split(separator) if value.strip() else []
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        for part in value:
            if not isinstance(part, str) and type(part) is not int:
                what = f"has {printable(str(part))[:60]!r} among its labels, which is no text"
                raise rows.fault(row, what, "write labels as texts", ids[row])
        return value
    what = f"has the label {printable(str(value))[:60]!r}, which is neither a list nor a text"
    raise rows.fault(row, what, "write lists of texts", ids[row])


def _require_listed(
    rows: Rows, found: Sequence[Sequence[str]], listed: Sequence[str], ids: Sequence[str]
) -> None:
    known = frozenset(listed)
    for row, names in enumerate(found):
        for name in names:
            if name not in known:
                what = f"has the label {printable(name)!r}, which is not in `patches.labels`"
                raise rows.fault(row, what, "add it there, or mend the row", ids[row])
