"""Which patches a recipe names: one module a kind, behind the contract in `patch`."""

from __future__ import annotations

from dataclasses import replace

from hfaef.catalog.patch import Catalog, sort_patches
from hfaef.recipe.model import Geotiffs, Recipe, Table, TorchGeo


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
    others = [replace(p, year=year) for year in recipe.years[1:] for p in catalog.patches]
    return replace(catalog, patches=sort_patches([*catalog.patches, *others]))
