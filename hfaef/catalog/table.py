"""Patches that are rows of a table: points or boxes in lon/lat (WGS 84), or geometries."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hfaef.catalog.patch import Catalog, Patch, Unreadable, list_faults, naming
from hfaef.catalog.tables.attributes import Attributes, read_attributes, without_split
from hfaef.catalog.tables.columns import Rows, column_hint, coordinates
from hfaef.catalog.tables.files import read_rows
from hfaef.catalog.tables.geometry import (
    Places,
    describe_mixture,
    make_grids,
    places_of_boxes,
    places_of_shapes,
)
from hfaef.core.grid import Grid
from hfaef.errors import CatalogError
from hfaef.recipe.patches import Table

POINT = ("lon", "lat")
BOX = ("west", "south", "east", "north")


def read(section: Table, year: int) -> Catalog:
    """The catalog of a table.

    Args:
        section: the recipe's.
        year: of all patches, unless the section names the column of their own.

    Raises:
        CatalogError: naming the file, and the column or row that cannot be used.
    """
    return read_catalog(read_rows(section.path, ("id", "label")), section, year)


def read_catalog(rows: Rows, section: Table, year: int) -> Catalog:
    """The catalog of the rows of a table, as `read`."""
    place_columns = find_place(rows)
    of = read_attributes(rows, section, place_columns)
    places = _places(rows, place_columns)
    found = make_grids(places, section.size, section.resolution)
    years = of.years or [year] * rows.count
    dropped, more = without_split(section, of.splits)
    notes = [*of.notes, *more]
    if rows.shapes is not None and rows.shapes.heights:
        notes.append("not used: heights of the geometries")
    square = f"{section.size} x {section.size}"
    if rows.shapes is not None and (kinds := describe_mixture(rows.shapes, square)):
        notes.append(f"geometries of several kinds, or neither points nor polygons: {kinds}")
    unreadable = _unreadable(rows, of, found, dropped, skip=section.skip_bad)
    patches = tuple(
        Patch(
            id=of.ids[row],
            grid=grid,
            label=of.labels[row],
            splits=of.splits[row],
            year=years[row],
            kept=of.kept[row],
        )
        for row, grid in enumerate(found)
        if isinstance(grid, Grid) and row not in dropped
    )
    with naming(section.path):
        return Catalog(
            patches=patches,
            label_names=of.label_names,
            schemes=of.schemes,
            target=section.target,
            folds=of.folds,
            kept=of.kept_columns,
            own_years=of.years is not None,
            notes=tuple(notes),
            unreadable=unreadable,
        )


def find_place(rows: Rows) -> tuple[str, ...]:
    """The columns that say where patches are; none, if geometries do.

    Raises:
        CatalogError: if there are neither.
    """
    if rows.shapes is not None:
        return ()
    for names in (POINT, BOX):
        if set(names) <= set(rows.names):
            return names
    raise CatalogError(
        f"{rows.path} has no place columns",
        column_hint(
            rows.names,
            (*POINT, *BOX, "geometry"),
            "add lon and lat, or west, south, east and north, or geometry",
        ),
    )


def _places(rows: Rows, names: Sequence[str]) -> Places:
    """The place of each row."""
    if rows.shapes is not None:
        return places_of_shapes(rows.shapes)
    wrong: dict[int, str] = {}
    sides = []
    for name in names:
        values, faults = coordinates(rows, name)
        sides.append(values)
        wrong = {**faults, **wrong}
    corners = sides if names == BOX else [*sides, *sides]
    return places_of_boxes(*corners, wrong=wrong)


def _unreadable(
    rows: Rows,
    of: Attributes,
    found: Sequence[Grid | str],
    dropped: Collection[int],
    *,
    skip: bool,
) -> tuple[Unreadable, ...]:
    """Rows without a grid, if they are to be skipped."""
    faults = {
        row: reason
        for row, reason in enumerate(found)
        if isinstance(reason, str) and row not in dropped
    }
    if faults and not skip:
        words = [f"{rows.where(row)}: patch {of.ids[row]} {why}" for row, why in faults.items()]
        alone = len(faults) + len(dropped) == rows.count
        way_out = "" if alone else ", or go on without them: --set patches.skip_bad=true"
        raise CatalogError(f"{rows.path}: {list_faults(words)}", f"mend the table{way_out}")
    return tuple(
        Unreadable(of.ids[row], of.labels[row], why, of.years[row] if of.years else None)
        for row, why in faults.items()
    )
