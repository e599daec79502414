"""What a table says of each patch beside its place: id, label, splits, folds, year, kept columns."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from hfaef.catalog.patch import Label, id_of, note_encoded
from hfaef.catalog.tables.columns import Rows, column_hint, number_of, texts
from hfaef.catalog.tables.kept import read_kept
from hfaef.catalog.tables.labels import read_labels
from hfaef.core.names import printable
from hfaef.errors import CatalogError
from hfaef.recipe.columns import SPLITS, UNASSIGNED, KeptColumn
from hfaef.recipe.patches import Described, Geotiffs

SPLIT_WORDS = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}
"""Other words for splits."""

_ALL_SPLIT_WORDS = frozenset({*SPLITS, *SPLIT_WORDS})


def is_split_word(text: str) -> bool:
    """Whether a text is a split's name, or another word for one, in any case."""
    return text.lower() in _ALL_SPLIT_WORDS


_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})([T ].*)?")


_YEAR_HINT = "write years as 2019, or dates as 2019-07-01"


@dataclass(frozen=True)
class Attributes:
    """Of each row of a table, in its order."""

    ids: list[str]
    labels: Sequence[Label]
    label_names: tuple[str, ...]
    splits: list[dict[str, str]]
    """By scheme and fold."""
    schemes: tuple[str, ...]
    folds: tuple[str, ...]
    years: list[int] | None
    """Each row's own, if the recipe names their column."""
    kept: list[tuple[Any, ...]]
    kept_columns: tuple[KeptColumn, ...]
    notes: tuple[str, ...]


def read_attributes(
    rows: Rows, section: Described, used: Collection[str] = (), ids: Sequence[str] | None = None
) -> Attributes:
    """What a table says of each patch.

    Args:
        rows: of the table.
        section: says which columns there are.
        used: columns that say where a patch is, or which.
        ids: of the patches; those of the column `id` by default.

    Raises:
        CatalogError: naming the column, and the row, that cannot be used.
    """
    _require_year_named(rows, section)
    notes = [*rows.notes]
    ids = _ids(rows, notes) if ids is None else [*ids]
    labels = read_labels(rows, section, ids)
    notes += labels.notes
    schemes = section.schemes
    if schemes is None:
        free = {*rows.names}.difference(section.folds, section.keep, section.ignore)
        schemes = ["split"] if "split" in free else []
    splits: list[dict[str, str]] = [{} for _ in ids]
    for key, names in (("schemes", schemes), ("folds", section.folds)):
        for name in names:
            if name not in rows.names:
                raise CatalogError(
                    f"{rows.path} has no column {name!r}",
                    column_hint(rows.names, [name], f"mend `patches.{key}`"),
                )
            read = _splits if key == "schemes" else _folds
            for row, split in enumerate(read(rows, ids, name, notes)):
                splits[row][name] = split
    years = read_years(rows, section.year, ids, notes) if section.year else None
    _require_once(rows, ids, years)
    named = {"id", "label", *schemes, *section.folds, section.year, *section.ignore, *used}
    others = [name for name in rows.names if name not in named]
    made = [name for name in ("random", "spatial") if getattr(section.make_splits, name)]
    lists = section.splits if isinstance(section, Geotiffs) else ()
    taken = {*schemes, *section.folds, *made, *lists}
    kept_columns, kept, more = read_kept(
        rows, others if section.keep == "all" else section.keep, taken
    )
    notes += more
    unused = [name for name in others if name not in {column.name for column in kept_columns}]
    if absent := [name for name in section.ignore if name not in rows.names]:
        notes.append(f"columns of `patches.ignore` that are not there: {', '.join(absent)}")
    if unused:
        words = f"columns not used: {printable(', '.join(unused))}"
        notes.append(f"{words}; `patches.keep` keeps them, `patches.ignore` leaves them out")
    return Attributes(
        ids=ids,
        labels=labels.values,
        label_names=labels.names,
        splits=splits,
        schemes=tuple(schemes),
        folds=tuple(section.folds),
        years=years,
        kept=kept,
        kept_columns=kept_columns,
        notes=tuple(notes),
    )


def _require_year_named(rows: Rows, section: Described) -> None:
    """Raise CatalogError if a table has years of which the recipe says nothing."""
    if section.year is not None:
        if section.year not in rows.names:
            raise CatalogError(f"{rows.path} has no column {section.year!r}", "mend `patches.year`")
        return
    for name in rows.names:
        if name.lower() == "year" and name not in (*section.ignore, *section.keep):
            raise CatalogError(
                f"{rows.path} has a column {name!r}, and the recipe does not say what it is",
                f'for the embedding of each patch\'s own year set patches.year = "{name}"; '
                f'for `years` of the recipe for all set patches.ignore = ["{name}"]',
            )


def _ids(rows: Rows, notes: list[str]) -> list[str]:
    names, more = texts(rows, "id")
    ids = []
    for row, name in enumerate(names):
        try:
            ids.append(id_of(name))
        except ValueError as error:
            shown = f"has the patch id {printable(name)[:80]!r}, which {error}"
            raise rows.fault(row, shown, "rename the patch") from error
    notes += [*more, *note_encoded(names, ids)]
    return ids


def _require_once(rows: Rows, ids: Sequence[str], years: Sequence[int] | None) -> None:
    """Raise CatalogError, naming both rows, if a patch is there twice in a year."""
    first: dict[tuple[int, str], int] = {}
    for row, identity in enumerate(ids):
        key = years[row] if years else 0, identity
        if (other := first.setdefault(key, row)) != row:
            what = f"occurs twice, first in {rows.where(other)}"
            raise rows.fault(row, what, "give each patch its own id", identity)


def _splits(rows: Rows, ids: Sequence[str], scheme: str, notes: list[str]) -> list[str]:
    found, more = texts(rows, scheme, blank=True)
    notes += more
    read = Counter[tuple[str, str]]()
    splits = []
    for row, word in enumerate(found):
        lower = word.lower()
        split = SPLIT_WORDS.get(lower, lower) if word else UNASSIGNED
        if split not in (*SPLITS, UNASSIGNED):
            what = f"has the split {printable(word)!r} in {scheme!r}"
            hint = f"use one of {', '.join(SPLITS)}"
            if not any(map(is_split_word, found)):
                hint += f'; for cross-validation: patches.folds = ["{scheme}"]'
            raise rows.fault(row, what, hint, ids[row])
        if word and split != word:
            read[word, split] += 1
        splits.append(split)
    if read:
        words = ", ".join(f"{word!r} as {split} ({n:,})" for (word, split), n in read.items())
        notes.append(f"splits read in {scheme!r}: {words}")
    return splits


def _folds(rows: Rows, ids: Sequence[str], name: str, notes: list[str]) -> list[str]:
    found, more = texts(_with_whole_numbers(rows, name, notes), name, blank=True)
    notes += more
    for row, fold in enumerate(found):
        if is_split_word(fold):
            what = f"has the fold {printable(fold)!r} in {name!r}, which is a word for a split"
            hint = f'take the column for splits: patches.schemes = ["{name}"]; or rename the fold'
            raise rows.fault(row, what, hint, ids[row])
    folds = {fold for fold in found if fold}
    if len(folds) < 2:
        shown = f"only the fold {folds.pop()!r}" if folds else "no fold"
        raise CatalogError(
            f"{rows.path}: the column {name!r} has {shown}",
            "cross-validation needs two; mend `patches.folds`",
        )
    if UNASSIGNED in folds:
        row = found.index(UNASSIGNED)
        what = f"has the fold {UNASSIGNED!r}, which stands for none"
        raise rows.fault(row, what, "leave it blank, or rename it", ids[row])
    return [fold or UNASSIGNED for fold in found]


def _with_whole_numbers(rows: Rows, name: str, notes: list[str]) -> Rows:
    """The same table, but a column of numbers such as 1.0 and NaN holds whole numbers and nothing.

    That is how programs write whole numbers of which some are missing.
    """
    values = rows.column(name)
    held = [value for value in values if isinstance(value, float) and not math.isnan(value)]
    if not any(isinstance(value, float) for value in values) or not all(
        value.is_integer() for value in held
    ):
        return rows
    if held:
        notes.append(f"values of `{name}` such as {held[0]} read as whole numbers: {len(held):,}")
    whole = [
        (None if math.isnan(value) else int(value)) if isinstance(value, float) else value
        for value in values
    ]
    return replace(rows, column=lambda asked: whole if asked == name else rows.column(asked))


def read_years(rows: Rows, column: str, ids: Sequence[str], notes: list[str]) -> list[int]:
    """A column of years or dates, a year a row; a note on dates is added to `notes`.

    Raises:
        CatalogError: naming the first row that has no year.
    """
    years, dates = [], 0
    for row, value in enumerate(rows.column(column)):
        if (day := _date_of(value)) is not None:
            dates += 1
            years.append(day.year)
            continue
        try:
            number = number_of(value)
        except ValueError as error:
            what = f"has the {column} {printable(str(value))[:60]!r}, which is no year"
            raise rows.fault(row, what, _YEAR_HINT, ids[row]) from error
        if number is None:
            raise rows.fault(row, f"has no {column}", "fill it in", ids[row])
        if not (number.is_integer() and 1000 <= number <= 9999):
            what = f"has the {column} {printable(str(value))[:60]}, which is no year"
            raise rows.fault(row, what, _YEAR_HINT, ids[row])
        years.append(int(number))
    if dates:
        notes.append(f"dates in `{column}` of which the year is taken: {dates:,}")
    return years


def _date_of(value: object) -> date | None:
    """A date, or one that a text begins with; None if it is something else."""
    if isinstance(value, str) and (matched := re.fullmatch(_DATE, value.strip())):
        with suppress(ValueError):
            return date.fromisoformat(matched[1])
    return value if isinstance(value, date) else None


def without_split(
    section: Described, splits: Sequence[Mapping[str, str]]
) -> tuple[frozenset[int], list[str]]:
    """Patches to leave out, by number, as no scheme gives them a split; notes on those without.

    Args:
        section: says what becomes of them.
        splits: of each patch, by scheme and fold.
    """
    dropped = frozenset(
        row
        for row, of in enumerate(splits)
        if section.unassigned == "drop" and of and {*of.values()} == {UNASSIGNED}
    )
    counts = Counter(
        name
        for row, of in enumerate(splits)
        for name, split in of.items()
        if split == UNASSIGNED and row not in dropped
    )
    notes = [f"patches without a split, left out: {len(dropped):,}"] if dropped else []
    notes += [
        f"patches that {name!r} gives no split: {counts[name]:,}, in `{UNASSIGNED}`"
        for name in splits[0]
        if counts[name]
    ]
    return dropped, notes
