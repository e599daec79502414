"""A table as it lies in its file, and its columns as texts and numbers, as written or refused."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfaef.catalog.tables.geometry import Shapes
from hfaef.core.names import clean, fault_of, printable
from hfaef.errors import CatalogError

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Rows:
    """A table as it lies in its file."""

    path: Path
    names: tuple[str, ...]
    """Columns in their order, without that of the geometries."""
    count: int
    column: Callable[[str], Sequence[Any]]
    """The values of a column: texts in a CSV, else as the file types them; None for none."""
    shapes: Shapes | None = None
    """A geometry a row, if the table has them."""
    lines: Sequence[int] = ()
    """In a CSV, whose values have no types, the line of each row."""
    notes: tuple[str, ...] = ()
    """What a user should know of how it was read."""
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Of columns, where the file has types."""

    numbers: Sequence[int] = ()
    """The number of each row in its file, from 1, where some are left out."""

    def where(self, row: int) -> str:
        """A row as people find it, counted from 1."""
        line = f" (line {self.lines[row]})" if len(self.lines) else ""
        return f"row {self.numbers[row] if len(self.numbers) else row + 1}{line}"

    def select(self, chosen: Sequence[int]) -> Rows:
        """Some of the rows, by number from 0; without geometries."""
        return replace(
            self,
            count=len(chosen),
            column=lambda name: list(map(self.column(name).__getitem__, chosen)),
            shapes=None,
            lines=[self.lines[row] for row in chosen] if len(self.lines) else (),
            numbers=[row + 1 for row in chosen],
        )

    def fault(self, row: int, what: str, hint: str, identity: str | None = None) -> CatalogError:
        """The error that a row is; with the id of its patch once that is known."""
        patch = "" if identity is None else f": patch {identity}"
        return CatalogError(f"{self.path}: {self.where(row)}{patch} {what}", hint)


def texts(rows: Rows, name: str, *, blank: bool = False) -> tuple[list[str], list[str]]:
    """A column of names, a text a row as written but for `clean`, and notes on what that changed.

    Args:
        rows: of the table.
        name: of the column.
        blank: whether a row may have none; its text is empty.

    Raises:
        CatalogError: naming the first row with no text, or with something that is none.
    """
    found, spaced, composed = [], 0, 0
    kinds: set[type] = set()
    for row, value in enumerate(rows.column(name)):
        if blank and (value is None or (isinstance(value, str) and not clean(value))):
            found.append("")
            continue
        _require_text(rows, row, name, value)
        kinds.add(type(value))
        if len(kinds) > 1:
            raise rows.fault(
                row,
                f"has the {name} {value!r}, a {_KINDS[type(value)]} among others",
                "write all of them as texts",
            )
        written = str(value)
        text = clean(written)
        if fault := fault_of(text):
            shown = f"the {name} {printable(written)!r}, which {fault}" if text else f"no {name}"
            raise rows.fault(row, f"has {shown}", "fill it in" if not text else "mend it")
        spaced += written != written.strip()
        composed += not unicodedata.is_normalized("NFC", written)
        found.append(text)
    notes = []
    if spaced:
        notes.append(f"values of `{name}` with stray spaces, taken off: {spaced:,}")
    if composed:
        notes.append(f"values of `{name}` brought to Unicode's composed form (NFC): {composed:,}")
    return found, notes


def column_hint(names: Sequence[str], wanted: Sequence[str], otherwise: str = "add it") -> str:
    """What to do about columns that a table lacks: which of its own are perhaps meant.

    Args:
        names: of its columns.
        wanted: of which at least one is not among them.
        otherwise: what to do where none is meant.
    """
    meant = {name: _meant_by(name, names) for name in wanted if name not in names}
    renamed = [f"{printable(own)!r} to {name!r}" for name, own in meant.items() if own]
    known = printable(", ".join(names[:20])) or "none"
    todo = f"rename {', '.join(renamed)}" if renamed else otherwise
    return f"{todo}; its columns: {known}"


def _meant_by(wanted: str, names: Sequence[str]) -> str | None:
    """The column that is perhaps meant by a name: written otherwise, or another word for it."""
    forms = {re.sub(r"[\s_.-]", "", name).casefold(): name for name in names}
    known = (wanted, *_OTHER_WORDS.get(wanted, ()))
    found = next((forms[word] for word in known if word in forms), None)
    near = get_close_matches(wanted, forms, n=1, cutoff=0.8)
    return found or (forms[near[0]] if near else None)


_OTHER_WORDS = {
    "id": ("identifier", "patchid", "plotid", "name"),
    "label": ("class", "category", "landcover"),
    "lon": ("longitude", "long", "lng"),
    "lat": ("latitude",),
    "geometry": ("geom", "wkt", "wkb"),
}

_KINDS = {str: "text", int: "number"}


def _require_text(rows: Rows, row: int, name: str, value: object) -> None:
    if value is None:
        raise rows.fault(row, f"has no {name}", "fill it in")
    if isinstance(value, (list, tuple)):
        raise rows.fault(
            row,
            f"has a list as {name} ({_shown(value)})",
            "keep one value a row"
            + ('; for several labels: patches.target = "classes"' if name == "label" else ""),
        )
    if type(value) not in _KINDS:
        what = f"the {type(value).__name__} {_shown(value)!r}"
        raise rows.fault(
            row,
            f"has {what} as {name}; {name}s must be texts or whole numbers",
            f"write `{name}` as text"
            + (', or set `patches.target = "number"` to predict it' if name == "label" else ""),
        )


def are_whole_numbers(rows: Rows, name: str, values: Iterable[str]) -> bool:
    """Whether names have an order of numbers: typed so, or in a file without types written so."""
    if len(rows.lines):
        return all(re.fullmatch("-?[0-9]+", value) for value in values)
    return all(isinstance(value, int) for value in rows.column(name))


def numbers(rows: Rows, name: str, ids: Sequence[str]) -> list[float]:
    """A column of numbers to predict, one for each of the ids.

    Raises:
        CatalogError: naming the first row without a finite number.
    """
    found = []
    for row, value in enumerate(rows.column(name)):
        try:
            number = number_of(value)
        except ValueError as error:
            raise rows.fault(row, f"has the {name} {error}", "mend it", ids[row]) from error
        if number is None:
            raise rows.fault(row, f"has no {name}", "fill it in", ids[row])
        if not math.isfinite(number):
            what = f"has the {name} {number}, which is no finite number"
            raise rows.fault(row, what, "mend it", ids[row])
        found.append(number)
    return found


def coordinates(rows: Rows, name: str) -> tuple[npt.NDArray[np.float64], dict[int, str]]:
    """A column of degrees, float64, NaN where there is none; by row what is no number."""
    found = np.full(rows.count, np.nan)
    wrong = {}
    for row, value in enumerate(rows.column(name)):
        try:
            number = number_of(value)
        except ValueError as error:
            wrong[row] = f"has the {name} {error}"
        else:
            found[row] = np.nan if number is None else number
    return found, wrong


def number_of(value: object) -> float | None:
    """A number of any type, or one that is written as a text; None for none.

    Raises:
        ValueError: saying what it is instead.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if re.fullmatch(_NUMBER, text):
            return float(text)
        hint = "; write it as 1234.5" if re.fullmatch(r"[-+0-9.,' \u00a0\u202f]+", text) else ""
        raise ValueError(f"{printable(value)[:60]!r}, which is no number{hint}")
    if value is None:
        return None
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    raise ValueError(f"{_shown(value)!r}, which is no number")


def _shown(value: object) -> str:
    try:
        return printable(str(value))[:60]
    except RecursionError:
        return "deeply nested"
