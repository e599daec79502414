"""A draft of a recipe's ``[patches]`` that fits a table or a folder of GeoTIFFs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Container, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import shapely

from hfaef.catalog import geotiffs, table
from hfaef.catalog.make_splits import make_splits
from hfaef.catalog.patch import Catalog
from hfaef.catalog.tables import recognise
from hfaef.catalog.tables.attributes import read_years
from hfaef.catalog.tables.columns import Rows
from hfaef.catalog.tables.files import read_rows
from hfaef.catalog.tables.geometry import describe_mixture
from hfaef.core.names import printable
from hfaef.errors import CatalogError, count_of
from hfaef.recipe.columns import UNASSIGNED
from hfaef.recipe.model import FIRST_YEAR
from hfaef.recipe.patches import Described, Geotiffs, MakeSplits, Table
from hfaef.recipe.write import Draft, Line

Kind = TypeVar("Kind", bound=Described)

_YEAR = 2018
"""Of the embeddings, where nothing says which; a year that every source has."""

_BLOCKS_KM = (20.0, 10.0, 5.0, 2.0, 1.0, 0.5)
"""Sides of blocks: the first is taken that leaves no split empty, and half of all for training."""

_SHOWN = 5
"""Labels that are named with their counts."""

_TABLES = (".csv", ".tsv", ".parquet", ".geojson")
"""Tables that may lie beside GeoTIFFs."""

_POINTS = {shapely.GeometryType.POINT}


def inspect(path: Path) -> Draft:
    """What a recipe says of the patches of a table, or of a folder of GeoTIFFs.

    Raises:
        CatalogError: naming what cannot be used, as `open_catalog` does.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise CatalogError(f"there is no file or folder {printable(str(path))}", "mend --from")
    if path.suffix.lower() in (".tif", ".tiff"):
        raise CatalogError(
            f"{printable(str(path))} is one GeoTIFF", "give the folder of all of them"
        )
    return _table(path)


def _table(path: Path) -> Draft:
    rows, to_do = _with_fixed_names(read_rows(path, ()), ("id", "label"))
    place = _place(rows)
    rows, more = _with_fixed_names(rows, place)
    to_do += more
    lines, found, unclear_years = _described(rows, place)
    lines[:0] = [Line("kind", "table"), Line("path", _relative(path))]
    where, points = _where(rows, place)
    if points:
        words = "pixels of 10 m a side round a point; 1 for the pixel alone"
        lines.append(Line("size", 64, words, unclear=True))
    catalog = None
    mixed = recognise.mixed_columns(rows, rows.names)
    if "id" in rows.names:
        section = Table.model_validate({**_keys(lines, mixed), "path": path})
        catalog = _without_bad(partial(table.read_catalog, rows), section)
    splits, told = _made_splits(catalog, lines)
    head = [("rows", f"{rows.count:,} in {printable(path.name)}"), ("place", where)]
    if rows.shapes is not None and (kinds := describe_mixture(rows.shapes, "size x size")):
        head.append(("geometries", kinds))
    to_do += recognise.to_mend(mixed)
    bad = _bad(catalog)
    lines += [*splits, *bad]
    told += [("bad", line.comment) for line in bad]
    return Draft(
        patches=tuple(lines),
        years=unclear_years,
        found=(*head, *_labels_found(catalog, found), *told),
        to_do=tuple(to_do),
    )


def _folder(root: Path) -> Draft:
    paths, _ = geotiffs.find_rasters(root, by_folder=False)
    if not paths:
        raise CatalogError(f"there is no .tif below {printable(str(root))}", "mend --from")
    names = {path.stem for path in paths}
    folders = {path.parent for path in paths}
    tables = [] if len(folders - {root}) > 1 else _tables_of(root, names)
    if not tables and folders == {root}:
        raise CatalogError(
            f"{printable(str(root))} holds {count_of(len(paths), 'GeoTIFF')} in no folders of "
            "labels, and no table names them",
            f"put them into one folder a label, or a table with columns id and label beside them "
            f"({', '.join(_TABLES)})",
        )
    lines = [Line("kind", "geotiffs"), Line("root", _relative(root))]
    head = [("files", f"{count_of(len(paths), 'GeoTIFF')} in {printable(root.name or str(root))}")]
    to_do: list[str] = []
    years: Line | None = Line("years", [_YEAR], _NO_YEAR, unclear=True)
    found: list[tuple[str, str]] = []
    if tables:
        (path, rows, column), *others = tables
        also = _also(others) if others else ""
        lines.append(Line("table", _relative(path), also, unclear=bool(others)))
        head.append(("table", f"{printable(path.name)}; files are named by `{printable(column)}`"))
        rows, to_do = _with_fixed_names(rows, ("label",))
        if column not in geotiffs.FILE_COLUMNS:
            to_do.append(_to_rename(column, "id"))
            rows = recognise.renamed(rows, {"id": column})
        elif column != (first := next(n for n in geotiffs.FILE_COLUMNS if n in rows.names)):
            to_do.append(f"take the column `{first}` out: `{column}` names the files")
        more, found, years = _described(rows, (column, "id"))
        lines += more
    mixed = recognise.mixed_columns(rows, rows.names) if tables else {}
    catalog = None
    if not to_do:
        own = {"root": root, **({"table": tables[0][0]} if tables else {})}
        section = Geotiffs.model_validate({**_keys(lines, mixed), **own})
        catalog = _without_bad(geotiffs.read, section)
    to_do += recognise.to_mend(mixed)
    splits, told = _made_splits(catalog, lines)
    lists = {split: f"lists/{split}.txt" for split in ("train", "val", "test")}
    words = "or lists of your own, a file's name a line"
    bad = _bad(catalog)
    told += [("bad", line.comment) for line in bad]
    lines += [*splits, *bad, Line("splits", {"split": lists}, words, is_set=False)]
    return Draft(
        patches=tuple(lines),
        years=years,
        found=(*head, *_labels_found(catalog, found), *told),
        to_do=tuple(to_do),
    )


_NO_YEAR = "nothing says of which year the labels are; 2017 and later"


def _also(others: Sequence[tuple[Path, Rows, str]]) -> str:
    names = ", ".join(path.name for path, _, _ in others)
    return f"these name the files, too: {names}"


def _tables_of(root: Path, stems: set[str]) -> list[tuple[Path, Rows, str]]:
    """Tables in and beside a folder that name its files, with the column that does; best first."""
    found = []
    for folder in (root, Path(os.path.normpath(root / ".."))):
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in _TABLES or not path.is_file():
                continue
            try:
                rows = read_rows(path, ())
            except CatalogError:
                if folder == root:
                    raise
                continue  # a table of something else, perhaps
            counts = {name: geotiffs.count_named(rows, name, stems) for name in rows.names}
            column = max(counts, key=counts.__getitem__)
            if counts[column] and recognise.other_name(rows, "label"):
                found.append((counts[column], path, rows, column))
    found.sort(key=lambda one: -one[0])  # stable: what lies in the folder comes first
    return [(path, rows, column) for _, path, rows, column in found]


def _with_fixed_names(rows: Rows, wanted: Sequence[str]) -> tuple[Rows, list[str]]:
    """The table with some columns under the names that they must have, and what is to be renamed.

    Raises:
        CatalogError: if there is no column `label`, under any name that is known.
    """
    names = {}
    to_do = []
    for name in wanted:
        if name in rows.names:
            continue
        other = recognise.other_name(rows, name)
        if other is None and name == "label":
            known = printable(", ".join(rows.names[:20])) or "none"
            raise CatalogError(
                f"{rows.path} has no column 'label'", f"add it; its columns: {known}"
            )
        if other is None:
            to_do.append(f"add a column `{name}` with a name of its own for each row")
        else:
            names[name] = other
            to_do.append(_to_rename(other, name))
    return recognise.renamed(rows, names) if names else rows, to_do


def _to_rename(old: str, new: str) -> str:
    return f"rename the column `{old}` to `{new}`"


def _place(rows: Rows) -> tuple[str, ...]:
    """The names that the columns of places must have; none, if geometries say where patches are.

    Raises:
        CatalogError: if there are neither.
    """
    if rows.shapes is None:
        for names in (table.POINT, table.BOX):
            if all(recognise.other_name(rows, name) for name in names):
                return names
    return table.find_place(rows)


def _where(rows: Rows, place: Sequence[str]) -> tuple[str, bool]:
    """How the table says where patches are, and whether it is by points."""
    if rows.shapes is None:
        return ", ".join(place), tuple(place) == table.POINT
    kinds = {*shapely.get_type_id(rows.shapes.values).tolist()} - {-1}
    if kinds <= _POINTS:
        return "geometries, points", True
    return "geometries, which the patches cover", bool(kinds & _POINTS)


def _described(
    rows: Rows, place: Sequence[str]
) -> tuple[list[Line], list[tuple[str, str]], Line | None]:
    """Keys of what a table says of each patch, what was found, and the years for all."""
    lines, found = [], []
    kind = recognise.label_kind(rows)
    if kind.target != "class" or kind.comment:
        lines.append(Line("target", kind.target, kind.comment, unclear=kind.unclear))
    if kind.separator:
        lines.append(Line("separator", kind.separator))
    others = [name for name in rows.names if name not in ("id", "label", *place)]
    for_all: Line | None = Line("years", [_YEAR], _NO_YEAR, unclear=True)
    year = recognise.year_column(rows, others)
    if year is not None:
        for_all = None
        lines += _year_lines(rows, year)
        others.remove(year)
    lines += (of_splits := _split_lines(rows, others))
    found += [(line.key, ", ".join(line.value)) for line in of_splits if line.is_set and line.value]
    taken = {
        *recognise.split_columns(rows, others),
        *recognise.fold_columns(rows, others),
        *recognise.mixed_columns(rows, others),
    }
    others = [name for name in others if name not in taken]
    kept = [name for name in others if recognise.can_be_kept(name)]
    if kept:
        lines.append(Line("keep", kept, "columns that may come along", is_set=False))
        found.append(("not used", printable(", ".join(kept))))
    if others != kept:
        words = "to keep these rename them: hfaef has columns of these names"
        left = [name for name in others if name not in kept]
        lines.append(Line("ignore", left, words, is_set=False))
    return lines, found, for_all


def _split_lines(rows: Rows, others: Sequence[str]) -> list[Line]:
    """Keys of the columns that hold splits or folds."""
    mixed = recognise.mixed_columns(rows, others)
    schemes = [*recognise.split_columns(rows, others), *mixed]
    folds = recognise.fold_columns(rows, [name for name in others if name not in schemes])
    lines = []
    for key, columns in (("schemes", schemes), ("folds", folds)):
        fine = [name for name in columns if recognise.can_be_scheme(name)]
        bad = [name for name in columns if name not in fine]
        if fine:
            words = "; ".join(
                f"`{name}` holds words for splits and others: {recognise.counted(mixed[name])}"
                for name in fine
                if name in mixed
            )
            lines.append(Line(key, fine, words, unclear=bool(words)))
        if bad:
            words = f"rename `{bad[0]}` in the table, and set this"
            lines.append(
                Line(key, [recognise.scheme_name(bad[0])], words, unclear=True, is_set=False)
            )
    if "split" in others and "split" not in (*schemes, *folds):
        words = "`split` holds neither names of splits nor a few folds"
        lines.append(Line("schemes", [], words, unclear=True))
    if none := [name for name in (*schemes, *folds) if recognise.blanks(rows, name)]:
        count = recognise.blanks(rows, none[0])
        lack = count_of(count, "patch has", "patches have")
        words = f"{lack} no `{none[0]}`: kept as `{UNASSIGNED}`, or left out so"
        lines.append(Line("unassigned", "drop", words, is_set=False))
    return lines


def _without_bad(read: Callable[[Kind, int], Catalog], section: Kind) -> Catalog:
    """The patches that can be read and placed.

    Raises:
        CatalogError: naming what is wrong otherwise, or if there are none.
    """
    try:
        return read(section.model_copy(update={"skip_bad": True}), _YEAR)
    except CatalogError:
        return read(section, _YEAR)  # where all are bad, this names them as they stand in the input


def _bad(catalog: Catalog | None) -> list[Line]:
    """The key without which a build stops at what cannot be read or placed, if there is some."""
    if catalog is None or not catalog.unreadable:
        return []
    bad, first = len(catalog.unreadable), catalog.unreadable[0]
    words = (
        f"{bad:,} of {bad + len(catalog.patches):,} patches cannot be used ({first.id} "
        f"{first.reason}): mend them, or go on without"
    )
    return [Line("skip_bad", True, words, unclear=True, is_set=False)]


def _year_lines(rows: Rows, column: str) -> list[Line]:
    """Keys of years that each patch has."""
    exact = column.lower() == "year"
    words = "" if exact else "each patch's own year; or one for all: remove this, set `years`"
    lines = [Line("year", column, words, unclear=not exact)]
    years = read_years(rows, column, recognise.rows_as_ids(rows), [])
    early = [year for year in years if year < FIRST_YEAR]
    words = f"of years before {FIRST_YEAR}, AlphaEarth's first"
    if len(early) == len(years):
        lines.append(Line("nearest_year", True, f"all patches are {words}"))
    elif early:
        words = f"{count_of(len(early), 'patch is', 'patches are')} {words}: missing without this"
        lines.append(Line("nearest_year", True, words, unclear=True, is_set=False))
    return lines


def _made_splits(
    catalog: Catalog | None, lines: Sequence[Line]
) -> tuple[list[Line], list[tuple[str, str]]]:
    """The key of splits that are made here, if there are none, and what comes of it."""
    if any(line.is_set and line.value for line in lines if line.key in ("schemes", "folds")):
        return [], []
    for km in _BLOCKS_KM:
        wanted: dict[str, Any] = {"spatial": {"km": int(km) if km >= 1 else km, "seed": 0}}
        words = "whole blocks of ground go into one split; or random = {seed = 0}"
        if catalog is None:
            return [Line("make_splits", wanted, words)], [("splits", f"to be made, of {km:g} km")]
        try:
            made = make_splits(catalog, MakeSplits.model_validate(wanted))
        except CatalogError:
            continue
        counts = Counter(patch.splits["spatial"] for patch in made.patches)
        if 2 * counts["train"] >= counts.total():
            return [Line("make_splits", wanted, words)], [("splits", f"none; {made.notes[-1]}")]
    wanted = {"spatial": {"km": 20, "seed": 0}}
    words = "too few patches, or too close together, for splits by blocks of ground: all are train"
    line = Line("make_splits", wanted, words, unclear=True, is_set=False)
    return [line], [("splits", "none; too few patches, or too close together, to make some")]


def _labels_found(
    catalog: Catalog | None, found: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """What the labels and years are, and what else was found."""
    if catalog is None:
        return [*found]
    counts = Counter(
        printable(str(name))
        for patch in catalog.patches
        for name in (patch.label if isinstance(patch.label, tuple) else [patch.label])
    )
    shown = ", ".join(f"{label} {n:,}" for label, n in counts.most_common(_SHOWN))
    more = f", and {len(counts) - _SHOWN:,} more" if len(counts) > _SHOWN else ""
    match catalog.target:
        case "number":
            values = [patch.label for patch in catalog.patches if isinstance(patch.label, float)]
            label = f"numbers to predict, {min(values):g} to {max(values):g}"
        case "classes":
            names = count_of(len(catalog.label_names), "name")
            label = f"several a patch, of {names} ({shown}{more})"
        case _:
            label = f"one of {len(catalog.label_names):,} ({shown}{more})"
    lines = [("label", label)]
    if catalog.own_years:
        years = sorted(Counter(patch.year for patch in catalog.patches).items())
        lines.append(("year", ", ".join(f"{year}: {n:,}" for year, n in years)))
    return [*lines, *found]


def _keys(lines: Sequence[Line], mixed: Container[str]) -> dict[str, Any]:
    """The keys by which the patches are read here; without schemes that no build takes yet."""
    keys = {line.key: line.value for line in lines if line.is_set}
    if "schemes" in keys:
        keys["schemes"] = [name for name in keys["schemes"] if name not in mixed]
    return keys


def _relative(path: Path) -> Path:
    """A path as it counts from the working folder, where the recipe goes."""
    return Path(os.path.relpath(path))
