"""Columns of a table that come along into the rows, with their types."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from hfaef.catalog.tables.columns import Rows
from hfaef.core.names import fault_of, printable
from hfaef.errors import CatalogError
from hfaef.recipe.columns import COLUMNS, DTYPE, KeptColumn


def read_kept(
    rows: Rows, wanted: Sequence[str], taken: Collection[str]
) -> tuple[tuple[KeptColumn, ...], list[tuple[Any, ...]], list[str]]:
    """Columns, for each row its values of them, and notes. What is no number (NaN) is missing.

    Args:
        rows: of the table.
        wanted: names of the columns.
        taken: names that rows have already: of schemes and folds.

    Raises:
        CatalogError: naming the column, and the row, that no release can hold.
    """
    columns, values, notes = [], [], []
    for name in wanted:
        if name not in rows.names:
            known = printable(", ".join(rows.names[:20]))
            raise CatalogError(
                f"{rows.path} has no column {name!r} to keep", f"its columns: {known}"
            )
        if name in COLUMNS or name in taken:
            what = "hfaef's own" if name in COLUMNS else "a scheme's"
            raise CatalogError(
                f"{rows.path}: the column {name!r} cannot be kept: rows have {what} of that name",
                "rename it, or name it in `patches.ignore`",
            )
        if fault := fault_of(name):
            raise CatalogError(
                f"{rows.path}: the column {printable(name)!r} cannot be kept: its name {fault}",
                "rename it",
            )
        column, found = _typed(rows, name)
        if column.dtype.startswith("float"):
            found, missing = _finite(rows, name, found)
            if missing:
                notes.append(f"values of `{name}` that are NaN, kept as missing: {missing:,}")
        columns.append(column)
        values.append(found)
    kept = list(zip(*values, strict=True)) if values else [()] * rows.count
    return tuple(columns), kept, notes


def _typed(rows: Rows, name: str) -> tuple[KeptColumn, Sequence[Any]]:
    values = rows.column(name)
    if len(rows.lines):  # a CSV: texts as written, and nothing where there is nothing
        return KeptColumn(name, "string"), [value or None for value in values]
    kind = rows.types.get(name) or _inferred(rows, name, values)
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    is_list = is_list or pa.types.is_fixed_size_list(kind)
    dtype = _dtype(kind.value_type if is_list else kind)
    if not re.fullmatch(DTYPE, dtype):
        raise CatalogError(
            f"{rows.path}: the column {name!r} cannot be kept: rows do not hold {kind}",
            "write it as numbers, texts or dates, or name it in `patches.ignore`",
        )
    return KeptColumn(name, dtype, is_list), values


def _finite(rows: Rows, name: str, values: Sequence[Any]) -> tuple[list[Any], int]:
    """The same numbers, or lists of them, with None for NaN, and how many those are."""
    missing = 0

    def one(row: int, value: float | None) -> float | None:
        nonlocal missing
        if value is None or math.isfinite(value):
            return value
        if not math.isnan(value):
            raise rows.fault(row, f"has the {name} {value}, which is no finite number", "mend it")
        missing += 1
        return None

    found = [
        [one(row, part) for part in value] if isinstance(value, list) else one(row, value)
        for row, value in enumerate(values)
    ]
    return found, missing


def _dtype(kind: pa.DataType) -> str:
    """As `datasets` writes it."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string(kind) or "string_view" in str(kind):
        return "string"
    names = {
        "float": "float32",
        "double": "float64",
        "date32[day]": "date32",
        "date64[ms]": "date32",
        "null": "string",  # all are missing
    }
    return names.get(str(kind), str(kind))


def _inferred(rows: Rows, name: str, values: Sequence[Any]) -> pa.DataType:
    """The type of values that a file without types holds."""
    kinds: dict[str, int] = {}
    for row, value in enumerate(values):
        for one in value if isinstance(value, list) else (value,):
            kind = _KINDS.get(type(one))
            if one is not None and kind is None:
                what = f"has the {name} {printable(str(one))[:60]!r}, which rows do not hold"
                raise rows.fault(row, what, "take it out, or name it in `patches.ignore`")
            if kind is not None:
                kinds.setdefault(f"list of {kind}s" if isinstance(value, list) else kind, row)
    if {*kinds} == {"whole number", "number"}:
        kinds = {"number": 0}
    if len(kinds) > 1:
        (first, _), (second, row) = list(kinds.items())[:2]
        what = f"has a {second} as {name}, others a {first}"
        raise rows.fault(row, what, "write all of them alike, or name it in `patches.ignore`")
    kind = next(iter(kinds), "text")
    of_list = kind.startswith("list of ")
    arrow = _ARROW[kind.removeprefix("list of ").removesuffix("s") if of_list else kind]
    return pa.list_(arrow) if of_list else arrow


_KINDS: dict[type, str] = {
    str: "text",
    bool: "truth value",
    int: "whole number",
    float: "number",
    date: "date",
    datetime: "time",
}
_ARROW = {
    "text": pa.string(),
    "truth value": pa.bool_(),
    "whole number": pa.int64(),
    "number": pa.float64(),
    "date": pa.date32(),
    "time": pa.timestamp("us"),
}
