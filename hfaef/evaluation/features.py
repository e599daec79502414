"""Vectors of the same patches from elsewhere: tables, of which only columns of vectors count.

A label, a split or a place among the numbers would tell a probe what it is to find out, so columns
that are called or look like one are refused rather than used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hfaef.core.names import printable
from hfaef.errors import InputError
from hfaef.evaluation.pooling import POOLINGS
from hfaef.evaluation.vectors import ArrayVectors, Float32, Int64, Rows

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")

_NAMED = 10
"""Columns that a message names."""

_NO_VECTORS = {
    "a label": r"(.+_)?(labels?|class|classes|category|categories|target|targets|truth|"
    r"(land_?)?(cover|use)(_type)?)(_(ids?|names?|codes?|numbers?|index|idx)|_?\d+)?",
    "a split": r"(.+_)?((splits?|schemes?|folds?|partitions?|subset)(_(ids?|names?)|_?\d+)?"
    r"|train|test|val|validation)",
    "a place": r"x|y|row|col|column|west|south|east|north|(coord|utm|min|max|cent(er|re|roid))_?[xy]"
    r"|[xy]_?(min|max|coord|cent(er|re|roid))|(.+_)?(lon|lat|lng|longitude|latitude|easting|northing"
    r"|coords?|coordinates?|bounds|bbox|geometry|geom|crs|epsg|srid|wkt|wkb|utm_zone)(_.+)?"
    r"|transform",
    "a year": r"years?(_?\d+)?|date|datetime|time|timestamp|month|day",
    "an id": r"|(.+_)?ids?|fid|gid|uuid|index(_level)?(_?\d+)?|unnamed(_?\d+)?|patch(es)?|row_number",
    "of a release's rows": r"valid_fraction|resampled|source|preview|height|width",
}
"""What columns of such names are, in lower case and with `_` between words."""


@dataclass(frozen=True)
class Features:
    """Vectors of a release's rows from a table."""

    name: str
    vectors: ArrayVectors
    columns: tuple[str, ...]
    """That the vectors are made of, in their order: one of lists, or one a dimension."""
    notes: tuple[str, ...]
    """Which those are, and what of the table is not used; a sentence each."""


def read_features(argument: str, rows: Rows) -> Features:
    """What ``NAME=PATH`` says: a table with a vector for every patch.

    Parquet or CSV with a column ``id`` and either one column of lists or one number a column; a
    column ``year`` tells the years of a release apart. Rows of other patches are not used.

    Raises:
        InputError: naming the table and what is wrong with it, such as numbers that are labels.
    """
    name, separator, source = argument.partition("=")
    if not separator or not _NAME.fullmatch(name) or name in POOLINGS:
        raise InputError(
            f"--features {argument}: not NAME=PATH with a name of its own",
            "as in `--features tessera=tessera.parquet`",
        )
    table = _read_table(Path(source))
    keys = _keys(table.column_names, source)
    columns, unused = _vector_columns(table.drop_columns(keys).schema, source, rows.splits)
    array = _matrix(table.select(columns), source)
    found = _numbered(table.select(keys), source)
    wanted = [
        (identity, year) if "year" in keys else identity
        for identity, year in zip(rows.ids, rows.years.tolist(), strict=True)
    ]
    if lacking := [key for key in dict.fromkeys(wanted) if key not in found]:
        raise InputError(
            f"{source} lacks {len(lacking):,} of {len(set(wanted)):,} patches, the first: "
            f"{lacking[0]}",
            "all feature sets are compared on the same patches: add their vectors",
        )
    array = array[[found[key] for key in wanted]]
    if len(columns) > 1 and (telling := _telling(array, rows.labels)):
        _refuse({columns[number]: "one value for all of a label" for number in telling}, source)
    others = len(found) - len(set(wanted))
    notes = [
        f"{name}: {_listed(columns)} of {source}, {array.shape[1]:,} numbers a patch",
        *([f"{name}: not used of {source}: {_listed(unused)}"] if unused else []),
        *([f"{name}: {others:,} rows of other patches are not used"] if others else []),
    ]
    return Features(name, ArrayVectors(array), tuple(columns), tuple(notes))


def _keys(names: Sequence[str], source: str) -> list[str]:
    """The columns that say which patch a row is of."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{source} has {_listed(twice)} twice", "give each column its own name")
    if "id" not in names:
        raise InputError(
            f"{source} has no column 'id', but {_listed(names)}", "name the column of patch ids so"
        )
    return [key for key in ("id", "year") if key in names]


def _vector_columns(
    schema: pa.Schema, source: str, schemes: Collection[str]
) -> tuple[list[str], list[str]]:
    """The columns that vectors are made of, and those beside a column of lists."""
    faults = {field.name: _fault(field, schemes) for field in schema}
    lists = [field.name for field in schema if _is_list(field.type)]
    if not lists:
        _refuse({name: fault for name, fault in faults.items() if fault}, source)
        if not faults:
            raise InputError(f"{source} has no numbers beside 'id'", "add the vectors")
        return list(faults), []
    chosen = [name for name in lists if not faults[name]]
    if not chosen:
        _refuse({name: faults[name] for name in lists}, source)
    if len(chosen) > 1:
        raise InputError(
            f"{source} has several columns of lists: {_listed(chosen)}", "keep one beside `id`"
        )
    return chosen, [name for name in faults if name not in chosen]


def _refuse(faults: dict[str, str], source: str) -> None:
    """Raise InputError if there are columns that are no vectors."""
    if not faults:
        return
    shown = [f"{printable(name)!r} ({fault})" for name, fault in list(faults.items())[:_NAMED]]
    more = f" and {len(faults) - _NAMED:,} more" if len(faults) > _NAMED else ""
    raise InputError(
        f"{source} has columns that are no part of a vector: {', '.join(shown)}{more}",
        "leave them out of the table; rename a number that is part of the vectors",
    )


def _fault(field: pa.Field, schemes: Collection[str]) -> str:
    """What a column is that is no vector; empty if it may be one."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", field.name.strip()).lower()
    words = re.sub(r"[^\w]+|_+", "_", words).strip("_")
    if field.name.strip().lower() in {scheme.lower() for scheme in schemes}:
        return "a split"
    for what, pattern in _NO_VECTORS.items():
        if re.fullmatch(pattern, words):
            return what
    kind = field.type.value_type if _is_list(field.type) else field.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return ""
    if pa.types.is_boolean(kind):
        return "true or false"
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return "text" if any(is_text(kind) for is_text in texts) else f"of the type {str(kind)[:60]}"


def _is_list(kind: pa.DataType) -> bool:
    checks = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(kind) for check in checks)


def _telling(array: Float32, labels: Int64) -> list[int]:
    """Numbers of the columns that have one value for all patches of a label, and not for all."""
    names, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    if len(labels) < 2 * len(names):
        return []  # too few to tell chance from a label
    constant = (array == array[first][inverse]).all(axis=0)
    differs = (array[first] != array[first[0]]).any(axis=0)
    return np.flatnonzero(constant & differs).tolist()


def _numbered(keys: pa.Table, source: str) -> dict[Any, int]:
    """Row numbers by id, or by id and year."""
    hint = "give each patch one row"
    if empty := sum(value is None or value == "" for value in keys["id"].to_pylist()):
        raise InputError(f"{source} has {empty:,} rows without an id", hint)
    ids = [str(value) for value in keys["id"].to_pylist()]
    found: Iterable[Any] = ids
    if "year" in keys.column_names:
        try:
            years = keys["year"].cast(pa.int64()).to_pylist()
        except pa.ArrowException as error:
            raise InputError(f"{source}: its years are not whole numbers: {error}", hint) from error
        found = list(zip(ids, years, strict=True))
    counts = Counter(found)
    if twice := [key for key, count in counts.items() if count > 1]:
        raise InputError(f"{source} has {len(twice):,} patches twice, the first: {twice[0]}", hint)
    return {key: number for number, key in enumerate(found)}


def _read_table(path: Path) -> pa.Table:
    readers: dict[str, Callable[[Path], pa.Table]] = {".parquet": pq.read_table, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is neither .parquet nor .csv", "write the vectors as one of them")
    if not path.is_file():
        raise InputError(f"there is no file {path}", "give a Parquet or CSV file")
    try:
        return reader(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}", "give a Parquet or CSV file") from error


def _read_csv(path: Path) -> pa.Table:
    from pyarrow import csv

    # Ids such as 007 are names, not numbers.
    options = csv.ConvertOptions(column_types={"id": pa.string()})
    return csv.read_csv(path, convert_options=options)


def _matrix(table: pa.Table, source: str) -> Float32:
    """Vectors (rows, dimensions) of one column of lists, or of one number a column."""
    array: npt.NDArray[Any]
    if _is_list(table.schema.types[0]):
        column = table.column(0).combine_chunks()
        lengths = set(pc.list_value_length(column).to_pylist())
        if len(lengths) != 1 or lengths <= {None, 0}:
            raise InputError(f"{source} has vectors of different lengths", "give them one length")
        array = column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), -1)
    else:
        array = np.stack([column.to_numpy() for column in table.columns], axis=1)
    vectors = np.asarray(array, np.float32)
    if not np.isfinite(vectors).all():
        raise InputError(f"{source} has values that are missing or not finite", "fill or drop them")
    return vectors


def _listed(names: Sequence[str]) -> str:
    """Names of columns in few words: all of a few, the first and last of many."""
    shown = [repr(printable(name)) for name in names]
    if len(shown) > _NAMED:
        return f"the {len(shown):,} columns {shown[0]} to {shown[-1]}"
    return f"the column{'s' if len(shown) > 1 else ''} {', '.join(shown)}"
