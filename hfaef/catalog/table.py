"""Patches that are rows of a table: points or boxes in lon/lat (WGS 84), or geometries."""

from __future__ import annotations

from collections.abc import Sequence

from hfaef.catalog.columns import (
    Rows,
    are_whole_numbers,
    column_hint,
    coordinates,
    numbers,
    texts,
)
from hfaef.catalog.geometry import (
    Places,
    make_grids,
    places_of_boxes,
    places_of_shapes,
)
from hfaef.catalog.patch import (
    Catalog,
    Patch,
    Unreadable,
    id_of,
    list_faults,
    naming,
    note_encoded,
)
from hfaef.catalog.tabular import read_rows
from hfaef.core.grid import Grid
from hfaef.core.names import printable
from hfaef.errors import CatalogError
from hfaef.recipe.model import SPLITS, Table

_POINT = ("lon", "lat")
_BOX = ("west", "south", "east", "north")


def read(section: Table, year: int) -> Catalog:
    """The catalog of a table.

    Raises:
        CatalogError: naming the file, and the column or row that cannot be used.
    """
    rows = read_rows(section.path, ("id", "label"))
    schemes = section.schemes
    if schemes is None:
        schemes = ["split"] if "split" in rows.names else []
    for scheme in schemes:
        if scheme not in rows.names:
            raise CatalogError(
                f"{section.path} has no column {scheme!r}",
                column_hint(rows.names, [scheme], "mend `patches.schemes`"),
            )
    notes = [*rows.notes]
    ids = _ids(rows, notes)
    labels, names = _labels(rows, section, ids, notes)
    splits: list[dict[str, str]] = [{} for _ in ids]
    for scheme in schemes:
        for row, split in enumerate(_splits(rows, ids, scheme, notes)):
            splits[row][scheme] = split
    places, used = _places(rows)
    found = make_grids(places, section.size, section.resolution)
    unreadable = _unreadable(rows, ids, labels, found, skip=section.skip_bad)
    unused = [name for name in rows.names if name not in {"id", "label", *schemes, *used}]
    if rows.shapes is not None and rows.shapes.heights:
        unused.append("heights of the geometries")
    if unused:
        notes.append(f"columns not used: {printable(', '.join(unused))}")
    with naming(section.path):
        return Catalog(
            patches=tuple(
                Patch(id=ids[row], grid=grid, label=labels[row], splits=splits[row], year=year)
                for row, grid in enumerate(found)
                if isinstance(grid, Grid)
            ),
            label_names=names,
            schemes=tuple(schemes),
            notes=tuple(notes),
            unreadable=unreadable,
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
    _require_once(rows, ids)
    return ids


def _require_once(rows: Rows, ids: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for row, identity in enumerate(ids):
        if (other := first.setdefault(identity, row)) != row:
            what = f"occurs twice, first in {rows.where(other)}"
            raise rows.fault(row, what, "give each patch its own id", identity)


def _labels(
    rows: Rows, section: Table, ids: Sequence[str], notes: list[str]
) -> tuple[Sequence[str | float], tuple[str, ...]]:
    """The label of each row, and all names of labels in their order; none for numbers."""
    if section.target == "number":
        return numbers(rows, "label", ids), ()
    labels, more = texts(rows, "label")
    notes += more
    if are_whole_numbers(rows, "label", labels):
        names = sorted(set(labels), key=lambda label: (int(label), label))
    else:
        names = sorted(set(labels))
    return labels, tuple(section.labels or names)


def _splits(rows: Rows, ids: Sequence[str], scheme: str, notes: list[str]) -> list[str]:
    found, more = texts(rows, scheme)
    notes += more
    splits = ["validation" if split == "val" else split for split in found]
    for row, split in enumerate(splits):
        if split not in SPLITS:
            what = f"has the split {printable(split)!r} in {scheme!r}"
            raise rows.fault(row, what, f"use one of {', '.join(SPLITS)}", ids[row])
    return splits


def _places(rows: Rows) -> tuple[Places, tuple[str, ...]]:
    """The place of each row, and the columns that say where it is."""
    if rows.shapes is not None:
        return places_of_shapes(rows.shapes), ()
    for names in (_POINT, _BOX):
        if set(names) <= set(rows.names):
            wrong: dict[int, str] = {}
            sides = []
            for name in names:
                values, faults = coordinates(rows, name)
                sides.append(values)
                wrong = {**faults, **wrong}
            corners = sides if names == _BOX else [*sides, *sides]
            return places_of_boxes(*corners, wrong=wrong), names
    raise CatalogError(
        f"{rows.path} has no place columns",
        column_hint(
            rows.names,
            (*_POINT, *_BOX, "geometry"),
            "add lon and lat, or west, south, east and north, or geometry",
        ),
    )


def _unreadable(
    rows: Rows,
    ids: Sequence[str],
    labels: Sequence[str | float],
    found: Sequence[Grid | str],
    *,
    skip: bool,
) -> tuple[Unreadable, ...]:
    """Rows without a grid, if they are to be skipped."""
    faults = {row: reason for row, reason in enumerate(found) if isinstance(reason, str)}
    if faults and not skip:
        words = [f"{rows.where(row)}: patch {ids[row]} {why}" for row, why in faults.items()]
        raise CatalogError(
            f"{rows.path}: {list_faults(words)}",
            "mend the table, or go on without them: --set patches.skip_bad=true",
        )
    return tuple(Unreadable(ids[row], labels[row], why) for row, why in faults.items())
