"""Which patches a recipe names; `patch` holds the contract, and `open_catalog` opens a kind.

The kinds are `geotiffs`, `table` and `torchgeo`. A table is read by `tabular` (files), `columns`
(values) and `geometry` (places); `splits` reads lists of patches.
"""

from __future__ import annotations

from dataclasses import replace

from hfaef.catalog.patch import Catalog, Patch, Unreadable, list_faults, sort_patches
from hfaef.core.quantize import MAX_SIDE
from hfaef.errors import CatalogError
from hfaef.recipe.model import (
    MOST_SHEET_PIXELS,
    RAW_HINT,
    EarthEngine,
    Geotiffs,
    Recipe,
    Table,
    TorchGeo,
)


def open_catalog(recipe: Recipe) -> Catalog:
    """The catalog that a recipe names; reads headers and lists only.

    Raises:
        CatalogError: naming the file, list or patch that cannot be used.
    """
    match recipe.patches:
        case Geotiffs() as section:
            from hfaef.catalog import geotiffs

            catalog = geotiffs.read(section, recipe.years[0])
        case TorchGeo() as section:
            from hfaef.catalog import torchgeo

            catalog = torchgeo.read(section, recipe.years[0])
        case Table() as section:
            from hfaef.catalog import table

            catalog = table.read(section, recipe.years[0])
    catalog = _within_limits(catalog, recipe)
    others = [replace(p, year=year) for year in recipe.years[1:] for p in catalog.patches]
    return replace(catalog, patches=sort_patches([*catalog.patches, *others]))


def _within_limits(catalog: Catalog, recipe: Recipe) -> Catalog:
    """The same catalog, without what the recipe lets us skip.

    Raises:
        CatalogError: naming patches that could be fetched in vain, or not at all.
    """
    reasons = ((patch, _fault_of(patch, recipe)) for patch in catalog.patches)
    faults = [Unreadable(patch.id, patch.label, reason) for patch, reason in reasons if reason]
    if not faults:
        return catalog
    if not recipe.patches.skip_bad:
        words = [f"patch {patch.id} {patch.reason}" for patch in faults]
        raise CatalogError(
            list_faults(words), "mend that, or go on without them: --set patches.skip_bad=true"
        )
    gone = {patch.id for patch in faults}
    return replace(
        catalog,
        patches=tuple(patch for patch in catalog.patches if patch.id not in gone),
        unreadable=(*catalog.unreadable, *faults),
    )


def _fault_of(patch: Patch, recipe: Recipe) -> str | None:
    """Why a patch cannot be fetched or kept; None if it can."""
    height, width, crs = patch.grid.height, patch.grid.width, patch.grid.crs
    if max(height, width) > MAX_SIDE:
        return f"is {height} x {width} pixels, over {MAX_SIDE:,} a side"
    if recipe.pack.codec == "png" and height * width > MOST_SHEET_PIXELS:
        return (
            f"is {height} x {width} pixels, whose sheet is over what PNG readers accept; {RAW_HINT}"
        )
    source = recipe.source
    if isinstance(source, EarthEngine) and source.reader == "xee" and not crs.startswith("EPSG:"):
        return f'lies in {crs[:40]}, and Xee takes EPSG codes only; set `source.reader = "pixels"`'
    return None
