"""Patches that are GeoTIFFs in one folder a label; only their headers are read."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from hfaef.catalog.patch import Catalog, Patch, label_names
from hfaef.catalog.splits import read_schemes
from hfaef.core.grid import Grid, canonical_crs
from hfaef.core.workers import ordered_map
from hfaef.errors import CatalogError
from hfaef.recipe.model import Geotiffs

_SUFFIXES = {".tif", ".tiff"}
_THREADS = 8
"""Enough to hide the latency of a network disk."""


def read(section: Geotiffs, year: int) -> Catalog:
    """The catalog of a folder.

    Raises:
        CatalogError: naming the file or list that cannot be used.
    """
    root = section.root
    if not root.is_dir():
        raise CatalogError(f"there is no folder {root}", "mend `patches.root`")
    paths = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    )
    if not paths:
        raise CatalogError(f"there is no .tif below {root}", "mend `patches.root`")
    path_of = unique_ids(paths)
    grids = read_grids(paths)
    splits_of, notes = read_schemes(section.splits, path_of.keys())
    patches = [
        Patch(
            id=path.stem,
            grid=grid,
            label=path.parent.name,
            splits=splits_of[path.stem],
            year=year,
        )
        for path, grid in zip(paths, grids, strict=True)
    ]
    return Catalog(
        patches=tuple(patches),
        label_names=label_names((path.parent.name for path in paths), section.labels),
        schemes=tuple(section.splits),
        notes=notes,
    )


def unique_ids(paths: Iterable[Path]) -> dict[str, Path]:
    """Files by their names without extension.

    Raises:
        CatalogError: naming two files with one name.
    """
    path_of: dict[str, Path] = {}
    for path in paths:
        if path_of.setdefault(path.stem, path) != path:
            raise CatalogError(
                f"two files give the patch id {path.stem}: {path_of[path.stem]} and {path}",
                "rename one of them",
            )
    return path_of


def read_grids(paths: Iterable[Path]) -> list[Grid]:
    """Grids of GeoTIFFs, read in parallel.

    Raises:
        CatalogError: naming the first file that cannot be used.
    """
    with warnings.catch_warnings():
        # A file without georeferencing is an error of ours, with its name.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return list(ordered_map(read_grid, paths, _THREADS))


def read_grid(path: Path) -> Grid:
    """The grid of a GeoTIFF, north-up.

    Raises:
        CatalogError: if it is no whole, georeferenced TIFF.
    """
    try:
        # rioxarray reads the same header through rasterio, in five times the time.
        with rasterio.open(path, driver="GTiff") as dataset:
            if dataset.crs is None:
                raise CatalogError(f"{path} has no CRS", "give it one, or remove it")
            if dataset.transform.is_identity:
                raise CatalogError(f"{path} has no affine", "give it one, or remove it")
            _require_whole(path, dataset)
            a, b, c, d, e, f = (float(value) for value in dataset.transform[:6])
            return Grid(
                crs=canonical_crs(dataset.crs.to_wkt()),
                transform=(a, b, c, d, e, f),
                height=dataset.height,
                width=dataset.width,
            ).north_up()
    except RasterioError as error:
        raise CatalogError(f"{path} is no readable GeoTIFF", "get it anew, or remove it") from error
    except ValueError as error:
        raise CatalogError(f"{path}: {error}", "mend it, or remove it") from error


def _require_whole(path: Path, dataset: rasterio.DatasetReader) -> None:
    """Raise CatalogError if the last block lies beyond the end of the file."""
    block_height, block_width = dataset.block_shapes[-1]
    last = (dataset.width - 1) // block_width, (dataset.height - 1) // block_height
    place, size = (
        dataset.get_tag_item(f"{item}_{last[0]}_{last[1]}", "TIFF", bidx=dataset.count)
        for item in ("BLOCK_OFFSET", "BLOCK_SIZE")
    )
    if place and size and int(place) + int(size) > path.stat().st_size:
        raise CatalogError(f"{path} is cut off", "get it anew, or remove it")
