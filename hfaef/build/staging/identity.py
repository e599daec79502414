"""What staged pixels were made from: a grid, a year and a source; neither labels nor packing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfaef.catalog.patch import Catalog
from hfaef.core.grid import Grid
from hfaef.recipe.model import Cog, EarthEngine, Recipe

Key = tuple[int, str]
"""Year and id of a patch."""

_NO_PIXEL = frozenset(
    {
        "project",
        "max_requests",
        "requests_per_minute",
        "workload_tag",
        "reader",
        "batch",
        "hosts",
        "url",
    }
)
"""Keys of a recipe's source that change no pixel."""


@dataclass(frozen=True)
class Inputs:
    """What a build needs: the grid of each patch and year, and the source of their pixels."""

    years: tuple[int, ...]
    source: Mapping[str, Any]
    """`source_identity` of the recipe's source."""
    grids: Mapping[Key, str]
    """`grid_digest` of each patch."""
    places: str = ""
    """SHA-256 over ids and grids in the order of the catalog."""

    @property
    def source_text(self) -> str:
        """The source as the ledger holds it."""
        return json.dumps(self.source, sort_keys=True)

    def summary(self) -> dict[str, Any]:
        """For ``inputs.json``."""
        return {
            "years": sorted(self.years),
            "source": dict(self.source),
            "patches": len(self.grids),
            "places": self.places,
        }


def inputs(recipe: Recipe, catalog: Catalog) -> Inputs:
    """What staged pixels of a recipe depend on."""
    places = hashlib.sha256()
    grids = {}
    for patch in catalog.patches:
        places.update(repr((patch.id, *_grid_values(patch.grid))).encode())
        grids[patch.year, patch.id] = grid_digest(patch.grid)
    years = catalog.years if catalog.own_years else tuple(recipe.years)
    return Inputs(years, source_identity(recipe.source), grids, places.hexdigest())


def grid_digest(grid: Grid) -> str:
    """Tells grids apart: CRS, affine, height and width."""
    return hashlib.sha256(repr(_grid_values(grid)).encode()).hexdigest()[:32]


def source_identity(section: Cog | EarthEngine | Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a recipe's source that pixels depend on; speed, account and endpoint are none."""
    if isinstance(section, Cog | EarthEngine):
        section = section.model_dump(mode="json", exclude_none=True)
    return {key: value for key, value in section.items() if key not in _NO_PIXEL}


def source_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two `source_identity`, in words; none if they are one source.

    A folder is the same however its path is written.
    """
    return [
        f"source.{key} was {before.get(key)!r} and is {after.get(key)!r}"
        for key in sorted(before.keys() | after.keys(), key=lambda key: (key != "kind", key))
        if _location(before.get(key)) != _location(after.get(key))
    ]


def _location(value: Any) -> Any:
    if isinstance(value, str) and "://" not in value and "/" in value:
        return str(Path(value).resolve())
    return value


def _grid_values(grid: Grid) -> tuple[Any, ...]:
    return grid.crs, grid.transform, grid.height, grid.width
