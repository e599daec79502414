"""What the columns of a table look like: target, years, splits and folds, by names and values."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hfaef.catalog.tables.attributes import is_split_word, read_years
from hfaef.catalog.tables.columns import Rows, number_of
from hfaef.core.names import clean, printable
from hfaef.errors import CatalogError, count_of
from hfaef.recipe.columns import COLUMNS, Target
from hfaef.recipe.patches import Scheme

_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("uid", "uuid", "fid", "point_id", "sample_id", "plot_id", "patch_id", "name"),
    "label": ("class", "class_name", "label_name", "category", "target", "land_cover", "landcover"),
    "lon": ("longitude", "long", "lng", "x"),
    "lat": ("latitude", "y"),
    "west": ("xmin", "minx", "left"),
    "south": ("ymin", "miny", "bottom"),
    "east": ("xmax", "maxx", "right"),
    "north": ("ymax", "maxy", "top"),
}
"""What people call the columns that have a fixed name here."""

_NOT_OF_THE_LABEL = {"created", "updated", "modified", "edited", "upload", "download", "published"}
"""Words in the name of a date that is the record's, not the label's."""

_MANY = 20
"""Distinct numbers above which decimals are numbers to predict, and folds are none."""

_SHOWN = 5
"""Words that are named with their counts."""


@dataclass(frozen=True)
class LabelKind:
    """What the column `label` holds."""

    target: Target
    separator: str | None = None
    comment: str = ""
    unclear: bool = False


def other_name(rows: Rows, wanted: str) -> str | None:
    """The column that is meant by one of hfaef's, if that is not there under its own name."""
    lower = {name.lower().replace(" ", "_"): name for name in reversed(rows.names)}
    return next((lower[n] for n in (wanted, *_OTHER_NAMES.get(wanted, ())) if n in lower), None)


def renamed(rows: Rows, names: Mapping[str, str]) -> Rows:
    """The same table, with some columns under new names; from the new name to the old."""
    new = {old: name for name, old in names.items()}
    return replace(
        rows,
        names=tuple(new.get(name, name) for name in rows.names),
        column=lambda name: rows.column(names.get(name, name)),
        types={new.get(name, name): kind for name, kind in rows.types.items()},
    )


def label_kind(rows: Rows) -> LabelKind:
    """What the column `label` holds: names, several names, or numbers to predict."""
    values = [value for value in rows.column("label") if value not in (None, "")]
    if any(isinstance(value, (list, tuple)) for value in values):
        return LabelKind("classes", comment="lists of names")
    texts = [clean(value) for value in values if isinstance(value, str)]
    if values and (found := _numbers(values)) is not None:
        return _of_numbers(values, found, written=len(texts) == len(values))
    if texts and all(text.startswith("[") and text.endswith("]") for text in texts):
        words = 'labels look like lists written as text; write them as in "Forest;Water"'
        return LabelKind("class", comment=words, unclear=True)
    for separator in (";", "|", ","):
        if several := [text for text in texts if separator in text]:
            return _of_texts(texts, several, separator)
    return LabelKind("class")


def _of_texts(texts: Sequence[str], several: Sequence[str], separator: str) -> LabelKind:
    """What labels are of which several hold a separator."""
    parts = {clean(part) for text in texts for part in text.split(separator)}
    shown = f'{count_of(len(several), "row")}, as "{several[0][:60]}"'
    # Commas are part of many a name; labels that are combined are fewer than their combinations.
    if separator != "," or len(parts) < len(set(texts)):
        return LabelKind("classes", separator, f"several names in {shown}")
    words = f'a comma in {shown}: for several names target = "classes" and separator = ","'
    return LabelKind("class", comment=words, unclear=True)


def _of_numbers(values: Sequence[Any], found: Sequence[float], *, written: bool) -> LabelKind:
    """What labels are that are all numbers, typed or written as text."""
    distinct = len(set(found))
    many = distinct > _MANY or distinct > len(found) / 2
    if written:
        decimal = any(not re.fullmatch(r"[+-]?[0-9]+", clean(value)) for value in values)
    else:
        decimal = any(isinstance(value, (float, Decimal)) for value in values)
    if decimal and (many or not written):
        return LabelKind("number", comment=f"{count_of(distinct, 'distinct number')} to predict")
    if decimal:
        words = f'{distinct} distinct decimals, taken for names; target = "number" predicts them'
        return LabelKind("class", comment=words, unclear=True)
    if distinct > _MANY and distinct > len(found) / 2:
        words = f'{distinct:,} distinct numbers, taken for names; target = "number" predicts them'
        return LabelKind("class", comment=words, unclear=True)
    return LabelKind("class")


def _numbers(values: Sequence[Any]) -> list[float] | None:
    """All values as numbers; None if one is none."""
    try:
        found = [number_of(value) for value in values]
    except ValueError:
        return None
    return [math.nan if number is None else number for number in found]


def year_column(rows: Rows, others: Sequence[str]) -> str | None:
    """The column of years or dates that is each patch's own.

    Raises:
        CatalogError: naming the row, if a column is called `year` and a value is none.
    """
    words = {name: set(re.findall(r"[a-z]+", name.lower())) for name in others}
    ranks: list[list[str]] = [
        [name for name in others if name.lower() == "year"],
        [name for name in others if "year" in words[name]],
        [name for name in others if name.lower() == "date"],
        [name for name in others if "date" in words[name]],
    ]
    for name in ranks[0]:
        read_years(rows, name, rows_as_ids(rows), [])
    for rank in ranks:
        for name in rank:
            if not words[name] & _NOT_OF_THE_LABEL and _has_years(rows, name):
                return name
    return None


def _has_years(rows: Rows, name: str) -> bool:
    try:
        read_years(rows, name, rows_as_ids(rows), [])
    except CatalogError:
        return False
    return True


def rows_as_ids(rows: Rows) -> Sequence[str]:
    """What messages call the patches: their ids, if there are some."""
    return [str(value) for value in rows.column("id")] if "id" in rows.names else [""] * rows.count


def split_columns(rows: Rows, others: Sequence[str]) -> list[str]:
    """Columns whose values are names of splits, `split` first; some may need another name."""
    found = []
    for name in others:
        values = {value.lower() for value in _words(rows, name)}
        if values and all(map(is_split_word, values)) and (_is_called(name) or len(values) > 1):
            found.append(name)
    return sorted(found, key=lambda name: name != "split")


def _is_called(name: str) -> bool:
    """Whether a column bears a name of splits."""
    return bool({"split", "set", "subset"} & {*re.findall("[a-z]+", name.lower())})


def fold_columns(rows: Rows, others: Sequence[str]) -> list[str]:
    """Columns of a few folds, none of which is a word for a split."""
    called = [name for name in others if "fold" in name.lower() or name == "split"]
    found = {name: set(_words(rows, name)) for name in called}
    return [
        name
        for name, folds in found.items()
        if 1 < len(folds) <= _MANY and not any(map(is_split_word, folds))
    ]


def mixed_columns(rows: Rows, others: Sequence[str]) -> dict[str, Counter[str]]:
    """Columns that hold words for splits and others, with the counts of these others.

    They are called as splits or folds are; where the name may mean something else (`set`), most
    words are for splits.
    """
    found = {}
    for name in others:
        plain = name == "split" or "fold" in name.lower()
        if not (plain or _is_called(name)):
            continue
        words = _words(rows, name)
        strange = Counter(word for word in words if not is_split_word(word))
        if 0 < strange.total() < (len(words) if plain else len(words) / 2):
            found[name] = strange
    return found


def counted(words: Counter[str]) -> str:
    """The most frequent words, with their counts."""
    shown = ", ".join(f"{printable(word)} ({n:,})" for word, n in words.most_common(_SHOWN))
    return shown + (f", and {len(words) - _SHOWN:,} more" if len(words) > _SHOWN else "")


def to_mend(mixed: Mapping[str, Counter[str]]) -> list[str]:
    """What is to be done about columns with words for splits and others."""
    return [
        f"write train, validation, test or nothing in the column `{name}` instead of {counted(words)}"
        for name, words in mixed.items()
    ]


def scheme_name(name: str) -> str:
    """What a column may be called instead, if it is to be a scheme."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in name.lower())
    return plain if can_be_scheme(plain) else "split"


def blanks(rows: Rows, name: str) -> int:
    """Rows without a value in a column."""
    return rows.count - len(_words(rows, name))


def can_be_scheme(name: str) -> bool:
    """Whether a column of this name can be a scheme or fold."""
    try:
        TypeAdapter(Scheme).validate_python(name)
    except ValidationError:
        return False
    return True


def can_be_kept(name: str) -> bool:
    """Whether a column of this name can come along into the rows."""
    return name not in COLUMNS


def _words(rows: Rows, name: str) -> list[str]:
    """The values of a column that are texts or whole numbers, but for blank ones."""
    values = [value for value in rows.column(name) if type(value) in (str, int)]
    return [text for value in values if (text := clean(str(value)))]
