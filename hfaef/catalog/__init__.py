"""Which patches a recipe names; `patch` holds the contract, and `open_catalog` opens a kind.

The kinds are `geotiffs`, `table` and `torchgeo`; `tables` reads tables, `splits` lists of patches.
`make_splits` and `years` give patches what their table does not say.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hfaef.catalog.make_splits import make_splits
from hfaef.catalog.patch import Catalog, Patch, Unreadable, list_faults, sort_patches
from hfaef.catalog.years import choose_years
from hfaef.core.quantize import MAX_SIDE
from hfaef.errors import CatalogError
from hfaef.recipe.model import FIRST_YEAR, MOST_SHEET_PIXELS, RAW_HINT, EarthEngine, Recipe
from hfaef.recipe.patches import Described, Geotiffs, Table, TorchGeo


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
    if recipe.pack.format == "webdataset":
        catalog = _with_texts_told(catalog)
    catalog = _within_limits(catalog, recipe)
    if isinstance(recipe.patches, Described):
        catalog = make_splits(catalog, recipe.patches.make_splits)
    others = [
        replace(patch, year=other)
        for other in (() if catalog.own_years else recipe.years[1:])
        for patch in catalog.patches
    ]
    return replace(catalog, patches=sort_patches([*catalog.patches, *others]))


def _with_texts_told(catalog: Catalog) -> Catalog:
    """The same catalog; a note names kept columns that the JSON of a WebDataset holds as texts."""
    times = [one.name for one in catalog.kept if one.dtype.startswith(("date", "timestamp"))]
    words = f"dates and times that a WebDataset holds as texts (ISO 8601): {', '.join(times)}"
    return replace(catalog, notes=(*catalog.notes, words)) if times else catalog


def _within_limits(catalog: Catalog, recipe: Recipe) -> Catalog:
    """The same catalog, without what the recipe lets us skip.

    Raises:
        CatalogError: naming patches that could be fetched in vain, or not at all.
    """
    found = ((patch, _fault_of(patch, recipe)) for patch in catalog.patches)
    faults = {(patch.year, patch.id): (patch, reason) for patch, reason in found if reason}
    if not faults:
        return catalog
    if not recipe.patches.skip_bad:
        words = [f"patch {patch.id} {reason}" for patch, reason in faults.values()]
        raise CatalogError(
            list_faults(words), "mend that, or go on without them: --set patches.skip_bad=true"
        )
    gone = (
        Unreadable(patch.id, patch.label, reason, patch.row_year if catalog.own_years else None)
        for patch, reason in faults.values()
    )
    return replace(
        catalog,
        patches=tuple(patch for patch in catalog.patches if (patch.year, patch.id) not in faults),
        unreadable=(*catalog.unreadable, *gone),
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
