"""What a table says of each patch beside its place: id, label, splits, folds, year, kept columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from hfaef.catalog.patch import Label, id_of, note_alike, note_encoded
from hfaef.catalog.tables.columns import Rows, number_of, texts
from hfaef.catalog.tables.kept import read_kept
from hfaef.catalog.tables.labels import read_labels
from hfaef.core.names import printable
from hfaef.errors import CatalogError
from hfaef.recipe.columns import SPLITS, UNASSIGNED, KeptColumn
from hfaef.recipe.patches import Described

SPLIT_WORDS = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}
"""Other words for splits."""

_DATE = re.compile(r"([0-9]{4})-[0-9]{2}-[0-9]{2}([T ].*)?")


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
    rows: Rows, section: Described, place: Collection[str] = (), identity: str = "id"
) -> Attributes:
    """What a table says of each patch.

    Args:
        rows: of the table.
        section: says which columns there are.
        place: columns that say where a patch is.
        identity: column that names it.

    Raises:
        CatalogError: naming the column, and the row, that cannot be used.
    """
    _require_year_named(rows, section)
    notes = [*rows.notes]
    ids = _ids(rows, identity, notes)
    labels = read_labels(rows, section, ids)
    notes += labels.notes
    schemes = section.schemes
    if schemes is None:
        schemes = ["split"] if "split" in rows.names and "split" not in section.folds else []
    splits: list[dict[str, str]] = [{} for _ in ids]
    for key, names in (("schemes", schemes), ("folds", section.folds)):
        for name in names:
            if name not in rows.names:
                raise CatalogError(f"{rows.path} has no column {name!r}", f"mend `patches.{key}`")
            read = _splits if key == "schemes" else _folds
            for row, split in enumerate(read(rows, ids, name, notes)):
                splits[row][name] = split
    years = read_years(rows, section.year, ids, notes) if section.year else None
    used = {identity, "label", *schemes, *section.folds, *place, section.year, *section.ignore}
    others = [name for name in rows.names if name not in used]
    kept_columns, kept = read_kept(
        rows, others if section.keep == "all" else section.keep, {*schemes, *section.folds}
    )
    unused = [name for name in others if name not in {column.name for column in kept_columns}]
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
        notes=(*notes, *note_alike(labels.names)),
    )


def _require_year_named(rows: Rows, section: Described) -> None:
    """Raise CatalogError if a table has years of which the recipe says nothing."""
    if section.year is not None:
        if section.year not in rows.names:
            raise CatalogError(f"{rows.path} has no column {section.year!r}", "mend `patches.year`")
        return
    for name in rows.names:
        if name.lower() == "year" and name not in section.ignore:
            raise CatalogError(
                f"{rows.path} has a column {name!r}, and the recipe does not say what it is",
                f'for the embedding of each patch\'s own year set patches.year = "{name}"; '
                f'for `years` of the recipe for all set patches.ignore = ["{name}"]',
            )


def _ids(rows: Rows, column: str, notes: list[str]) -> list[str]:
    names, more = texts(rows, column)
    ids = []
    for row, name in enumerate(names):
        try:
            ids.append(id_of(name))
        except ValueError as error:
            shown = f"has the patch id {printable(name)[:80]!r}, which {error}"
            raise rows.fault(row, shown, "rename the patch") from error
    notes += [*more, *note_encoded(names, ids)]
    return ids


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
            hint = f'use one of {", ".join(SPLITS)}; for cross-validation: patches.folds = ["{scheme}"]'
            raise rows.fault(row, what, hint, ids[row])
        if word and split != word:
            read[word, split] += 1
        splits.append(split)
    if read:
        words = ", ".join(f"{word!r} as {split} ({n:,})" for (word, split), n in read.items())
        notes.append(f"splits read in {scheme!r}: {words}")
    return splits


def _folds(rows: Rows, ids: Sequence[str], name: str, notes: list[str]) -> list[str]:
    found, more = texts(rows, name, blank=True)
    notes += more
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


def read_years(rows: Rows, column: str, ids: Sequence[str], notes: list[str]) -> list[int]:
    """A column of years or dates, a year a row; a note on dates is added to `notes`.

    Raises:
        CatalogError: naming the first row that has no year.
    """
    years, dates = [], 0
    for row, value in enumerate(rows.column(column)):
        matched = re.fullmatch(_DATE, value.strip()) if isinstance(value, str) else None
        if isinstance(value, date) or matched:
            dates += 1
            years.append(int(matched[1]) if matched else value.year)
            continue
        try:
            number = number_of(value)
        except ValueError as error:
            what = f"has the {column} {str(error).split(', which')[0]}, which is no year"
            raise rows.fault(row, what, "write years as 2019, or dates as 2019-07-01") from error
        if number is None:
            raise rows.fault(row, f"has no {column}", "fill it in", ids[row])
        if not (number.is_integer() and 1000 <= number <= 9999):
            what = f"has the {column} {printable(str(value))[:60]}, which is no year"
            raise rows.fault(row, what, "write years as 2019, or dates as 2019-07-01", ids[row])
        years.append(int(number))
    if dates:
        notes.append(f"dates in `{column}` of which the year is taken: {dates:,}")
    return years


def without_split(
    section: Described, splits: Sequence[Mapping[str, str]]
) -> tuple[frozenset[int], list[str]]:
    """Patches to leave out, by number, as no scheme gives them a split; notes on those without.

    Args:
        section: says what becomes of them.
        splits: of each patch, by scheme and fold.
    """
    if section.unassigned == "drop":
        none = [row for row, of in enumerate(splits) if of and {*of.values()} == {UNASSIGNED}]
        return frozenset(none), [
            f"patches without a split, left out: {len(none):,}"
        ] if none else []
    counts = Counter(name for of in splits for name, split in of.items() if split == UNASSIGNED)
    return frozenset(), [
        f"patches that {name!r} gives no split: {count:,}, in `{UNASSIGNED}`"
        for name, count in counts.items()
    ]
