"""Vectors in a table with a column ``id``, of which only columns of vectors count.

A label, a split or a place among the numbers would tell a probe what it is to find out, so columns
that are called or look like one are refused rather than used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hfaef.errors import InputError, count_of
from hfaef.evaluation.features.joined import Found, Labels, listed, refuse
from hfaef.evaluation.rows import Float32, Rows
from hfaef.release.format.scores import PROVENANCE, Provenance

_MOST_BYTES = 4 << 30
"""Of the columns that are read, in memory."""

_BATCH = 1024
"""Rows that are read at a time."""

_SEPARATORS = {";": "`;`", "\t": "tabs"}
"""Of files that are called CSV and are not."""

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
    "of a release's rows": r"valid_fraction|resampled|source|preview|height|width"
    r"|cosine_previous_year",
}
"""What columns of such names are, in lower case and with `_` between words."""


def read_table(paths: Sequence[Path], source: str, rows: Rows) -> Found:
    """The vectors of a table, Parquet or CSV, in one file or several with the same columns.

    A column ``id``, and either one column of lists or one number a column; a column ``year`` tells
    the years of a release apart.

    Args:
        paths: of the files.
        source: what messages call them.
        rows: of the release.

    Raises:
        InputError: naming the table and what is wrong with it, such as numbers that are labels.
    """
    read = [_read(path, rows.splits) for path in paths]
    used = read[0][0]
    if any(other != used for other, _ in read):
        raise InputError(f"{source}: its files have different columns", "give one of them")
    try:
        table = pa.concat_tables([table for _, table in read])
    except pa.ArrowException as error:
        raise InputError(f"{source}: its files do not fit: {error}", "give one of them") from error
    label = used.label
    return Found(
        source=source,
        ids=_ids(table, source),
        array=_matrix(table.select(used.columns), source),
        made_of=listed(used.columns),
        columns=tuple(used.columns),
        # Of a list, no number has a name by which it could be left out.
        dimensions=tuple(used.columns) if len(used.columns) > 1 else (),
        years=_years(table, source) if "year" in used.keys else None,
        labels=Labels(f"the values of its column {label!r}", table[label].to_pylist())
        if label
        else None,
        notes=(f"not used of {source}: {listed(used.unused)}",) if used.unused else (),
        provenance=_provenance(table.schema, source),
    )


def _provenance(schema: pa.Schema, source: str) -> Provenance | None:
    """The model that a table's vectors were made with, as its metadata tell it.

    Raises:
        InputError: if they tell something else.
    """
    text = (schema.metadata or {}).get(PROVENANCE)
    if text is None:
        return None
    try:
        return Provenance.model_validate_json(text)
    except ValueError as error:
        raise InputError(
            f"{source}: its metadata tell no model that vectors are made with",
            "write it again with `hfaef embed`",
        ) from error


@dataclass(frozen=True)
class _Used:
    """Columns of a table, by what they are for."""

    keys: list[str]
    columns: list[str]
    """That vectors are made of."""
    unused: list[str]
    label: str | None
    """One of those not used, which is compared with the release's labels."""

    @property
    def names(self) -> list[str]:
        """Of all that are read."""
        return [*self.keys, *self.columns, *([self.label] if self.label else [])]


def _use(schema: pa.Schema, source: str, schemes: Collection[str]) -> _Used:
    keys = _keys(schema.names, source)
    others = pa.schema([field for field in schema if field.name not in keys])
    columns, unused = _vector_columns(others, source, schemes)
    label = next((name for name in ("label_name", "label") if name in unused), None)
    return _Used(keys, columns, unused, label)


def _keys(names: Sequence[str], source: str) -> list[str]:
    """The columns that say which patch a row is of."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{source} has {listed(twice)} twice", "give each column its own name")
    if "id" not in names:
        raise InputError(
            f"{source} has no column 'id', but {listed(names)}", "name the column of patch ids so"
        )
    return [key for key in ("id", "year") if key in names]


def _vector_columns(
    schema: pa.Schema, source: str, schemes: Collection[str]
) -> tuple[list[str], list[str]]:
    """The columns that vectors are made of, and those beside a column of lists."""
    faults = {field.name: _fault(field, schemes) for field in schema}
    lists = [field.name for field in schema if _is_list(field.type)]
    if not lists:
        refuse({name: fault for name, fault in faults.items() if fault}, source)
        if not faults:
            raise InputError(f"{source} has no numbers beside 'id'", "add the vectors")
        return list(faults), []
    chosen = [name for name in lists if not faults[name]]
    if not chosen:
        refuse({name: faults[name] for name in lists}, source)
    if len(chosen) > 1:
        raise InputError(
            f"{source} has several columns of lists: {listed(chosen)}", "keep one beside `id`"
        )
    return chosen, [name for name in faults if name not in chosen]


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


def _ids(table: pa.Table, source: str) -> list[str]:
    values = table["id"].to_pylist()
    if empty := sum(value is None or value == "" for value in values):
        raise InputError(
            f"{source} has {count_of(empty, 'row')} without an id", "give each patch one row"
        )
    return [str(value) for value in values]


def _years(table: pa.Table, source: str) -> list[int]:
    try:
        years = table["year"].cast(pa.int64()).to_pylist()
    except pa.ArrowException as error:
        raise InputError(
            f"{source}: its years are not whole numbers: {error}", "give each patch one row"
        ) from error
    if empty := years.count(None):
        raise InputError(
            f"{source} has {count_of(empty, 'row')} without a year", "fill or drop them"
        )
    return list(years)


def _read(path: Path, schemes: Collection[str]) -> tuple[_Used, pa.Table]:
    """What is used of a file, and that alone."""
    try:
        if path.suffix.lower() == ".csv":
            table = _read_csv(path)
            used = _use(table.schema, str(path), schemes)
            return used, table.select(used.names)
        with pq.ParquetFile(path) as file:
            used = _use(file.schema_arrow, str(path), schemes)
            return used, _bounded(file, used.names, path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}", "give a Parquet or CSV file") from error


def _bounded(file: pq.ParquetFile, names: list[str], path: Path) -> pa.Table:
    """Columns of a Parquet file, which may unpack to more than what it says."""
    batches, size = [], 0
    for batch in file.iter_batches(_BATCH, columns=names):
        batches.append(batch)
        size += batch.nbytes
        if size > _MOST_BYTES:
            raise InputError(f"{path} holds over {_MOST_BYTES >> 30} GiB", "leave other rows out")
    if not batches:
        raise InputError(f"{path} has no rows", "give each patch one row")
    return pa.Table.from_batches(batches)


def _read_csv(path: Path) -> pa.Table:
    from pyarrow import csv

    # Ids such as 007 are names, not numbers.
    options = csv.ConvertOptions(column_types={"id": pa.string()})
    table = csv.read_csv(path, convert_options=options)
    if len(table.column_names) == 1 and (other := _separator(table.column_names[0])):
        raise InputError(
            f"{path} has {other} between its columns, and a CSV file has commas",
            "write it with commas",
        )
    if not len(table):
        raise InputError(f"{path} has no rows", "give each patch one row")
    return table


def _separator(header: str) -> str:
    """What stands between the names of columns where no comma does; empty for nothing."""
    return next((name for mark, name in _SEPARATORS.items() if mark in header), "")


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
    with np.errstate(over="ignore"):  # an infinite number is told as one
        return np.asarray(array, np.float32)
