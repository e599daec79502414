"""Patches that are GeoTIFFs, labelled by their folders or by a table; only headers are read."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from hfaef.catalog.patch import (
    Catalog,
    Patch,
    Unreadable,
    id_of,
    label_names,
    list_faults,
    naming,
    note_encoded,
)
from hfaef.catalog.rasters import WITHOUT_LISTING
from hfaef.catalog.splits import read_schemes
from hfaef.catalog.tables.attributes import Attributes, read_attributes, without_split
from hfaef.catalog.tables.columns import Rows, texts
from hfaef.catalog.tables.files import read_rows
from hfaef.core.grid import Grid, canonical_crs, misplaced
from hfaef.core.names import clean, fault_of, printable
from hfaef.core.workers import ordered_map
from hfaef.errors import CatalogError
from hfaef.recipe.patches import Geotiffs

_SUFFIXES = {".tif", ".tiff"}
_SYSTEM = {"__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN", "lost+found"}
"""What systems leave in folders; names with a dot in front are left out, too."""

_HIDDEN = "hidden and system files and folders left out"
_OTHER = "files left out that are no .tif or .tiff"

_DEEPEST = 64
"""Folders in one another; more are a mistake, or a trap."""

_UNUSABLE = "has a grid that cannot be used: "

_THREADS = 8
"""Enough to hide the latency of a network disk."""

_TOGETHER = 16
"""Headers that a thread reads in one go: each time that threads take turns costs a tenth of one."""


FILE_COLUMNS = ("id", "file", "filename", "file_name", "image", "name", "path")
"""Columns of a table that may name files; the first that is there does."""


def read(section: Geotiffs, year: int) -> Catalog:
    """The catalog of a folder.

    Raises:
        CatalogError: naming the files, the folder, the table or the list that cannot be used.
    """
    root = section.root
    try:
        there = root.is_dir()
    except OSError as error:  # a name that is too long, or a folder that is closed to us
        raise CatalogError(
            f"cannot read {_shown(root)}: {error.strerror}", "mend `patches.root`"
        ) from error
    if not there:
        raise CatalogError(f"there is no folder {root}", "mend `patches.root`")
    paths, notes = find_rasters(root, by_folder=section.table is None)
    if not paths:
        raise CatalogError(f"there is no .tif below {root}", "mend `patches.root`")
    ids, more = make_ids(paths)
    id_by_name = {clean(path.stem): identity for path, identity in ids.items()}
    listed, told = read_schemes(
        section.splits, id_by_name, unassigned=section.unassigned is not None
    )
    notes = [*notes, *more, *told]
    if section.table is None:
        of = _described_by_folders(section, ids)
    else:
        of = _described_by_table(section.table, section, id_by_name)
    splits = [
        {**listed[identity], **split} for identity, split in zip(of.ids, of.splits, strict=True)
    ]
    dropped, alone = without_split(section, splits)
    left = {identity for row, identity in enumerate(of.ids) if row not in dropped}
    ids = {path: identity for path, identity in ids.items() if identity in left}
    grids = {ids[path]: grid for path, grid in zip(ids, read_all(ids), strict=True)}
    _require_grids(ids, grids, skip=section.skip_bad)
    years = of.years or [year] * len(of.ids)
    patches, unreadable = [], []
    for row, identity in enumerate(of.ids):
        if row in dropped:
            continue
        grid, label = grids[identity], of.labels[row]
        if isinstance(grid, str):
            own = of.years[row] if of.years else None
            unreadable.append(Unreadable(identity, label, grid, own))
        else:
            patches.append(Patch(identity, grid, label, splits[row], years[row], kept=of.kept[row]))
    with naming(section.table or root):
        return Catalog(
            patches=tuple(patches),
            label_names=of.label_names,
            schemes=(*section.splits, *of.schemes),
            target=section.target,
            folds=of.folds,
            kept=of.kept_columns,
            own_years=of.years is not None,
            notes=(*notes, *of.notes, *alone),
            unreadable=tuple(unreadable),
            files={identity: path for path, identity in ids.items()},
        )


def _described_by_folders(section: Geotiffs, ids: Mapping[Path, str]) -> Attributes:
    """Of each file, its label: the name of its folder."""
    labels, notes = _labels(ids)
    names = label_names(labels.values(), section.labels)
    return Attributes(
        ids=list(ids.values()),
        labels=list(labels.values()),
        label_names=names,
        splits=[{} for _ in ids],
        schemes=(),
        folds=(),
        years=None,
        kept=[() for _ in ids],
        kept_columns=(),
        notes=tuple(notes),
    )


def _described_by_table(path: Path, section: Geotiffs, id_by_name: Mapping[str, str]) -> Attributes:
    """Of each row that names a file what the table says; the ids are those of the files.

    Raises:
        CatalogError: naming the column or row that cannot be used, or a file without a row.
    """
    rows = read_rows(path, ("label",))
    column = next((name for name in FILE_COLUMNS if name in rows.names), None)
    if column is None:
        raise CatalogError(
            f"{path} has no column that names files",
            f"call it `id`, or one of {', '.join(FILE_COLUMNS[1:])}; "
            f"its columns: {printable(', '.join(rows.names[:20]))}",
        )
    names, told = texts(rows, column)
    known = [name_of_file(name, id_by_name) for name in names]
    here = [row for row, name in enumerate(known) if name is not None]
    if lacking := sorted(id_by_name.keys() - {*known}):
        more = f", and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
        raise CatalogError(
            f"{path} has no row for the file {printable(lacking[0])}{more}",
            "add rows, or take the files out of `patches.root`",
        )
    ids = [id_by_name[name] for row in here if (name := known[row]) is not None]
    of = read_attributes(rows.select(here), section, [column], ids)
    notes = [f"files are named by the column {column!r}"] if column != "id" else []
    notes += told
    if others := len(names) - len(here):
        notes.append(f"rows of {path.name} that name no file here: {others:,}")
    if rows.shapes is not None:
        notes.append("geometries not used: the files say where patches are")
    return replace(of, notes=(*notes, *of.notes))


def name_of_file(text: str, known: Collection[str]) -> str | None:
    """The name without folder and extension that a text means; None for none of those known."""
    name = PurePosixPath(text.replace("\\", "/")).name
    stem = clean(PurePosixPath(name).stem)
    return name if name in known else stem if stem in known else None


def count_named(rows: Rows, name: str, known: Collection[str]) -> int:
    """How many files the values of a column name, of those known."""
    try:
        values, _ = texts(rows, name)
    except CatalogError:
        return 0
    return len({name_of_file(value, known) for value in values} - {None})


def _require_grids(ids: Mapping[Path, str], grids: Mapping[str, Grid | str], *, skip: bool) -> None:
    """Raise CatalogError, naming the first files without a grid, unless they are to be skipped."""
    faults = {path: grid for path, name in ids.items() if isinstance(grid := grids[name], str)}
    if faults and not skip:
        words = [f"{_shown(path)} {reason}" for path, reason in faults.items()]
        count = f"{len(words):,} of {len(ids):,} files cannot be used: " if len(words) > 1 else ""
        alone = len(faults) == len(ids)
        way_out = "" if alone else ", or go on without it: --set patches.skip_bad=true"
        raise CatalogError(f"{count}{list_faults(words)}", f"mend or remove what is wrong{way_out}")


def find_rasters(root: Path, *, by_folder: bool = True) -> tuple[list[Path], list[str]]:
    """GeoTIFFs in folders below a root, in order, and notes on what was passed over.

    Links are followed. Where folders are labels (`by_folder`), no file may lie beside them.

    Raises:
        CatalogError: naming a link to a folder above it, or a GeoTIFF that is in no folder of
            a label.
    """
    found: list[Path] = []
    passed: dict[str, list[str]] = {_HIDDEN: [], _OTHER: []}
    try:
        _walk(root, (os.path.realpath(root),), found, passed)
    except OSError as error:
        raise CatalogError(f"cannot read {error.filename}: {error.strerror}", "mend it") from error
    above = {folder for path in found for folder in path.parents[1:]} | {root}
    stray = [path for path in found if path.parent in above]
    if stray and by_folder:
        more = f", and {len(stray) - 1:,} more" if len(stray) > 1 else ""
        raise CatalogError(
            f"{_shown(stray[0])}{more} lies beside the folders of labels, in none of them",
            "move it into the folder of its label, or out of `patches.root`",
        )
    notes = [f"{what}: {len(names):,} ({names[0]})" for what, names in passed.items() if names]
    return sorted(found), notes


def _walk(
    folder: Path, trail: tuple[str, ...], found: list[Path], passed: dict[str, list[str]]
) -> None:
    """Add to what is found and passed over in a folder; `trail` are it and those above it."""
    if len(trail) > _DEEPEST:
        raise CatalogError(
            f"{_shown(folder)[:200]} lies in over {_DEEPEST} folders", "move it up, or remove it"
        )
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        path = folder / entry.name
        if entry.name.startswith(".") or entry.name in _SYSTEM:
            passed[_HIDDEN].append(printable(entry.name))
        elif entry.is_dir():
            real = os.path.realpath(path) if entry.is_symlink() else f"{trail[-1]}/{entry.name}"
            if real in trail:
                raise CatalogError(f"{_shown(path)} links to a folder above it", "remove the link")
            _walk(path, (*trail, real), found, passed)
        elif path.suffix.lower() in _SUFFIXES:
            found.append(path)
        elif entry.is_symlink() and not path.exists():
            raise CatalogError(f"{_shown(path)} links to nothing", "mend or remove the link")
        else:
            passed[_OTHER].append(printable(entry.name))


def _shown(path: Path) -> str:
    return printable(str(path))


def _labels(paths: Iterable[Path]) -> tuple[dict[Path, str], list[str]]:
    """Labels of files, which are the names of their folders, and a note on mended ones."""
    labels = {path: clean(path.parent.name) for path in paths}
    mended = {path.parent.name for path, label in labels.items() if label != path.parent.name}
    for path, label in labels.items():
        if fault := fault_of(label):
            raise CatalogError(f"the folder {_shown(path.parent)} {fault}", "rename it")
    words = "labels whose folders' names have stray spaces, or not Unicode's composed form (NFC)"
    return labels, [f"{words}: {len(mended):,}"] if mended else []


def make_ids(paths: Iterable[Path]) -> tuple[dict[Path, str], list[str]]:
    """Ids of files, made of their names without extension, and notes on them.

    Raises:
        CatalogError: naming a file whose name can be no id, or two files with one.
    """
    names = {path: clean(path.stem) for path in paths}
    ids: dict[Path, str] = {}
    path_of: dict[str, Path] = {}
    for path, name in names.items():
        try:
            if fault := fault_of(name):
                raise ValueError(fault)  # noqa: TRY301 - as `id_of` does
            ids[path] = identity = id_of(name)
        except ValueError as error:
            raise CatalogError(f"the name of {_shown(path)} {error}", "rename it") from error
        if (other := path_of.setdefault(identity, path)) != path:
            raise CatalogError(
                f"two files give the patch id {identity}: {_shown(other)} and {_shown(path)}",
                "rename one of them",
            )
    mended = sum(path.stem != name for path, name in names.items())
    words = "ids whose files' names have stray spaces, or not Unicode's composed form (NFC)"
    notes = note_encoded(list(names.values()), list(ids.values()))
    return ids, [*notes, f"{words}: {mended:,}"] if mended else notes


def read_patches(
    ids: Mapping[Path, str],
    labels: Mapping[Path, str],
    splits_of: Mapping[str, dict[str, str]],
    year: int,
    *,
    skip_bad: bool,
) -> tuple[tuple[Patch, ...], tuple[Unreadable, ...]]:
    """Patches of GeoTIFFs, and those that cannot be read, if they are to be skipped.

    Raises:
        CatalogError: naming the first files that cannot be used, if they are not to be skipped.
    """
    grids = {ids[path]: grid for path, grid in zip(ids, read_all(ids), strict=True)}
    _require_grids(ids, grids, skip=skip_bad)
    patches, unreadable = [], []
    for path, identity in ids.items():
        grid = grids[identity]
        if isinstance(grid, str):
            unreadable.append(Unreadable(identity, labels[path], grid))
        else:
            patches.append(Patch(identity, grid, labels[path], splits_of[identity], year))
    return tuple(patches), tuple(unreadable)


def read_all(paths: Iterable[Path]) -> list[Grid | str]:
    """Grids of GeoTIFFs, read in parallel, or why there is none."""
    every = list(paths)
    chunks = [every[start : start + _TOGETHER] for start in range(0, len(every), _TOGETHER)]
    with warnings.catch_warnings():
        # A file without georeferencing is an error of ours, with its name.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        found = [one for chunk in ordered_map(_read_some, chunks, _THREADS) for one in chunk]
    grids = {row: grid for row, grid in enumerate(found) if isinstance(grid, Grid)}
    rows = list(grids)
    for number, reason in misplaced(list(grids.values())).items():  # at once: it is a third faster
        found[rows[number]] = _UNUSABLE + reason
    return found


def read_grid(path: Path) -> Grid:
    """The grid of a GeoTIFF, north-up.

    Raises:
        CatalogError: if it is no whole, georeferenced TIFF.
    """
    (found,) = read_all([path])
    if isinstance(found, str):
        raise CatalogError(f"{_shown(path)} {found}", "mend it, or remove it")
    return found


def _read_some(paths: Iterable[Path]) -> list[Grid | str]:
    with rasterio.Env(**WITHOUT_LISTING):
        return [_read_one(path) for path in paths]


def _read_one(path: Path) -> Grid | str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            return "is no file"
        return _grid_or_fault(path)
    except (RasterioError, CPLE_BaseError, OSError):
        return "is no readable GeoTIFF"
    except ValueError as error:
        return f"{_UNUSABLE}{error}"


def _grid_or_fault(path: Path) -> Grid | str:
    # rioxarray reads the same header through rasterio, in five times the time.
    with rasterio.open(path, driver="GTiff") as dataset:
        if dataset.crs is None:
            return "has no CRS"
        if dataset.transform.is_identity:
            return "has no affine"
        if _is_cut_off(path, dataset):
            return "is cut off"
        a, b, c, d, e, f = (float(value) for value in dataset.transform[:6])
        return Grid(
            crs=canonical_crs(dataset.crs.to_wkt()),
            transform=(a, b, c, d, e, f),
            height=dataset.height,
            width=dataset.width,
        ).north_up()


def _is_cut_off(path: Path, dataset: rasterio.DatasetReader) -> bool:
    """Whether the last block lies beyond the end of the file."""
    block_height, block_width = dataset.block_shapes[-1]
    last = (dataset.width - 1) // block_width, (dataset.height - 1) // block_height
    place, size = (
        dataset.get_tag_item(f"{item}_{last[0]}_{last[1]}", "TIFF", bidx=dataset.count)
        for item in ("BLOCK_OFFSET", "BLOCK_SIZE")
    )
    return bool(place and size and int(place) + int(size) > path.stat().st_size)
