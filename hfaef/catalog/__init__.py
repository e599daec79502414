"""Which patches a recipe names; `patch` holds the contract, and `open_catalog` opens a kind.

The kinds are `geotiffs`, `table` and `torchgeo`; `tables` reads tables, `splits` lists of patches.
`make_splits` and `years` give patches what their table does not say.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hfaef.catalog.patch import Catalog, Patch, Unreadable, list_faults, sort_patches
from hfaef.catalog.years import choose_years
from hfaef.errors import CatalogError
from hfaef.recipe.model import FIRST_YEAR, MOST_SHEET_PIXELS, RAW_HINT, EarthEngine, Recipe
from hfaef.recipe.patches import MOST_SIDE, Described, Geotiffs, Table, TorchGeo


def open_catalog(recipe: Recipe, available: Collection[int] | None = None) -> Catalog:
    """The catalog that a recipe names; reads headers, tables and lists only.

    Args:
        recipe: names the patches.
        available: years that the source has, from which patches with years of their own get
            theirs; all years by default.

    Raises:
        CatalogError: naming the file, list or patch that cannot be used.
    """
    year = recipe.years[0] if recipe.years else FIRST_YEAR
    match recipe.patches:
        case Geotiffs() as section:
            from hfaef.catalog import geotiffs

            catalog = geotiffs.read(section, year)
        case TorchGeo() as section:
            from hfaef.catalog import torchgeo

            catalog = torchgeo.read(section, year)
        case Table() as section:
            from hfaef.catalog import table

            catalog = table.read(section, year)
    if catalog.own_years:
        if recipe.years:
            words = "`years` of the recipe is not used: each patch has its own"
            catalog = replace(catalog, notes=(*catalog.notes, words))
        if available is not None:
            nearest = isinstance(recipe.patches, Described) and recipe.patches.nearest_year
            catalog = choose_years(catalog, available, nearest=nearest)
        return _within_limits(replace(catalog, patches=sort_patches(catalog.patches)), recipe)
    catalog = _within_limits(catalog, recipe)
    others = [replace(p, year=year) for year in recipe.years[1:] for p in catalog.patches]
    return replace(catalog, patches=sort_patches([*catalog.patches, *others]))


def _within_limits(catalog: Catalog, recipe: Recipe) -> Catalog:
    """The same catalog, without what the recipe lets us skip.

    Raises:
        CatalogError: naming patches that could be fetched in vain, or not at all.
    """
    reasons = ((patch, _fault_of(patch, recipe)) for patch in catalog.patches)
    faults = [
        Unreadable(patch.id, patch.label, reason, patch.row_year if catalog.own_years else None)
        for patch, reason in reasons
        if reason
    ]
    if not faults:
        return catalog
    if not recipe.patches.skip_bad:
        words = [f"patch {patch.id} {patch.reason}" for patch in faults]
        raise CatalogError(
            list_faults(words), "mend that, or go on without them: --set patches.skip_bad=true"
        )
    gone = {(patch.id, patch.year) for patch in faults}
    return replace(
        catalog,
        patches=tuple(
            patch
            for patch in catalog.patches
            if (patch.id, patch.row_year if catalog.own_years else None) not in gone
        ),
        unreadable=(*catalog.unreadable, *faults),
    )


def _fault_of(patch: Patch, recipe: Recipe) -> str | None:
    """Why a patch cannot be fetched or kept; None if it can."""
    height, width, crs = patch.grid.height, patch.grid.width, patch.grid.crs
    if max(height, width) > MOST_SIDE:
        return f"is {height} x {width} pixels, over {MOST_SIDE:,} a side"
    if recipe.pack.codec == "png" and height * width > MOST_SHEET_PIXELS:
        return (
            f"is {height} x {width} pixels, whose sheet is over what PNG readers accept; {RAW_HINT}"
        )
    source = recipe.source
    if isinstance(source, EarthEngine) and source.reader == "xee" and not crs.startswith("EPSG:"):
        return f'lies in {crs[:40]}, and Xee takes EPSG codes only; set `source.reader = "pixels"`'
    return None
