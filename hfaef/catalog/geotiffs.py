"""Patches that are GeoTIFFs in one folder a label; only their headers are read."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

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
from hfaef.catalog.splits import read_schemes
from hfaef.core.grid import Grid, canonical_crs
from hfaef.core.names import clean, fault_of, printable
from hfaef.core.workers import ordered_map
from hfaef.errors import CatalogError
from hfaef.recipe.model import Geotiffs

_SUFFIXES = {".tif", ".tiff"}
_SYSTEM = {"__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN", "lost+found"}
"""What systems leave in folders; names with a dot in front are left out, too."""

_HIDDEN = "hidden and system files and folders left out"
_OTHER = "files left out that are no .tif or .tiff"

_DEEPEST = 64
"""Folders in one another; more are a mistake, or a trap."""

_THREADS = 8
"""Enough to hide the latency of a network disk."""


def read(section: Geotiffs, year: int) -> Catalog:
    """The catalog of a folder.

    Raises:
        CatalogError: naming the files, the folder or the list that cannot be used.
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
    paths, notes = find_rasters(root)
    if not paths:
        raise CatalogError(f"there is no .tif below {root}", "mend `patches.root`")
    ids, more = make_ids(paths)
    labels, spaced = _labels(paths)
    splits_of, told = read_schemes(section.splits, {clean(path.stem): ids[path] for path in paths})
    patches, unreadable = read_patches(ids, labels, splits_of, year, skip_bad=section.skip_bad)
    names = label_names(labels.values(), section.labels)
    with naming(root):
        return Catalog(
            patches=patches,
            label_names=names,
            schemes=tuple(section.splits),
            notes=(*notes, *more, *spaced, *told),
            unreadable=unreadable,
        )


def find_rasters(root: Path) -> tuple[list[Path], list[str]]:
    """GeoTIFFs in folders below a root, in order, and notes on what was passed over.

    Links are followed.

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
    if stray:
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
    patches, unreadable = [], []
    faults: dict[Path, str] = {}
    for path, grid in zip(ids, _read_all(ids), strict=True):
        identity, label = ids[path], labels[path]
        if isinstance(grid, str):
            faults[path] = grid
            unreadable.append(Unreadable(identity, label, grid))
        else:
            patches.append(Patch(identity, grid, label, splits_of[identity], year))
    if faults and not skip_bad:
        words = [f"{_shown(path)} {reason}" for path, reason in faults.items()]
        count = f"{len(words):,} of {len(ids):,} files cannot be used: " if len(words) > 1 else ""
        raise CatalogError(
            f"{count}{list_faults(words)}",
            "mend or remove what is wrong, or go on without it: --set patches.skip_bad=true",
        )
    return tuple(patches), tuple(unreadable)


def _read_all(paths: Iterable[Path]) -> list[Grid | str]:
    """Grids of GeoTIFFs, read in parallel, or why there is none."""
    with warnings.catch_warnings():
        # A file without georeferencing is an error of ours, with its name.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return list(ordered_map(_read_one, paths, _THREADS))


def read_grid(path: Path) -> Grid:
    """The grid of a GeoTIFF, north-up.

    Raises:
        CatalogError: if it is no whole, georeferenced TIFF.
    """
    (found,) = _read_all([path])
    if isinstance(found, str):
        raise CatalogError(f"{_shown(path)} {found}", "mend it, or remove it")
    return found


def _read_one(path: Path) -> Grid | str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            return "is no file"
        return _grid_or_fault(path)
    except (RasterioError, CPLE_BaseError, OSError):
        return "is no readable GeoTIFF"
    except ValueError as error:
        return f"has a grid that cannot be used: {error}"


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
        grid = Grid(
            crs=canonical_crs(dataset.crs.to_wkt()),
            transform=(a, b, c, d, e, f),
            height=dataset.height,
            width=dataset.width,
        ).north_up()
        grid.bounds()
        return grid


def _is_cut_off(path: Path, dataset: rasterio.DatasetReader) -> bool:
    """Whether the last block lies beyond the end of the file."""
    block_height, block_width = dataset.block_shapes[-1]
    last = (dataset.width - 1) // block_width, (dataset.height - 1) // block_height
    place, size = (
        dataset.get_tag_item(f"{item}_{last[0]}_{last[1]}", "TIFF", bidx=dataset.count)
        for item in ("BLOCK_OFFSET", "BLOCK_SIZE")
    )
    return bool(place and size and int(place) + int(size) > path.stat().st_size)
