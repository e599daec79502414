"""The cells of a CSV: texts as they are written, whatever separates them, and their lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hfaef.core.names import clean
from hfaef.errors import CatalogError

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

_STATED = re.compile(r'"?sep=(.)"?[,;\t|]*(?:\r\n|\r|\n)', re.IGNORECASE)
"""A first line by which Excel is told the separator of all others."""

_CONTENT = re.compile(r'[^\s,;|"]')


@dataclass(frozen=True)
class Cells:
    """A CSV as it is written."""

    rows: list[list[str]]
    """Cells of each row, the header first; all have as many. Those without a letter are left out."""
    lines: list[int]
    """Where each row begins, counted from 1 as editors do."""
    notes: tuple[str, ...]
    """What a user should know of how it was read."""


def read_cells(path: Path, text: str, needed: Sequence[str]) -> Cells:
    """The cells of a CSV's text.

    Args:
        path: of the file, for messages.
        text: all of it.
        needed: columns that it must have, by which its separator is told.

    Raises:
        CatalogError: naming the row that is wrong, or if there is none.
    """
    limit = csv.field_size_limit(max(len(text), 1))  # outlines are long
    try:
        return _read(path, text, needed)
    finally:
        csv.field_size_limit(limit)


def _read(path: Path, text: str, needed: Sequence[str]) -> Cells:
    stated = _STATED.match(text)
    separator = stated[1] if stated else _separator(text, needed)
    if separator not in _SEPARATORS:
        raise CatalogError(
            f"{path}: line 1 says that {separator!r} separates its cells",
            f"separate them by {', '.join(_SEPARATORS.values())}",
        )
    rows: list[list[str]] = []
    lines: list[int] = []
    empty: list[int] = []
    first = line = 2 if stated else 1
    rest = io.StringIO(text[stated.end() :] if stated else text, newline="")
    reader = csv.reader(rest, delimiter=separator, strict=True)
    try:
        for found in reader:
            if any(cell.strip() for cell in found):
                rows.append(found)
                lines.append(line)
                if len(found) != len(rows[0]):
                    raise CatalogError(
                        f"{path}: row {len(rows) - 1} (line {line}) has {len(found)} cells, "
                        f"the header {len(rows[0])}",
                        "mend it; a cell that holds a separator needs quotes",
                    )
            elif found:
                empty.append(line)
            line = first + reader.line_num
    except csv.Error as error:
        what = "a quote that is not closed" if "end of data" in str(error) else f"a fault: {error}"
        raise CatalogError(
            f"{path}: row {len(rows)} (line {line}) has {what}", "mend its quotes"
        ) from error
    if not rows:
        raise CatalogError(f"{path} is empty", "fill it, or mend its path in the recipe")
    return Cells(rows, lines, tuple(_notes(separator, empty, stated=bool(stated))))


def _notes(separator: str, empty: Sequence[int], *, stated: bool) -> list[str]:
    notes = []
    if stated or separator != ",":
        said = ", as its first line says" if stated else ""
        notes.append(f"cells are separated by {_SEPARATORS[separator]}{said}")
    if empty:
        notes.append(
            f"rows left out in which every cell is empty: {len(empty):,} (line {empty[0]})"
        )
    return notes


def _separator(text: str, needed: Sequence[str]) -> str:
    """The first separator by which the header has the needed columns, or else the most columns."""
    content = _CONTENT.search(text)
    start = text.rfind("\n", 0, content.start()) + 1 if content else 0
    end = text.find("\n", start) + 1 or start + 100_000
    headers = {
        separator: next(
            csv.reader(io.StringIO(text[start:end], newline=""), delimiter=separator), []
        )
        for separator in _SEPARATORS
    }
    for form in (str, str.casefold):  # a header in capitals is refused by the names it has
        for separator, names in headers.items():
            if needed and {form(clean(name)) for name in names} >= set(needed):
                return separator
    return max(headers, key=lambda separator: len(headers[separator]))
