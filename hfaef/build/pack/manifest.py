"""The manifest of a release whose shards are written: what is in them, and what is not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from hfaef.catalog.patch import Catalog, Patch
from hfaef.core.grid import outlines
from hfaef.recipe.columns import SPLITS
from hfaef.recipe.model import Recipe
from hfaef.release.format.manifest import (
    FORMAT,
    File,
    Manifest,
    Missing,
    make_configs,
    package_versions,
)
from hfaef.release.format.preview import PreviewBasis
from hfaef.release.leakage import Leak, audit
from hfaef.release.stac import extension


@dataclass(frozen=True)
class Packed:
    """What was written."""

    files: tuple[File, ...]
    basis: PreviewBasis
    previous_year: bool
    """Whether pooled rows have the column `PREVIOUS_YEAR`."""


def make_manifest(
    recipe: Recipe, catalog: Catalog, packed: Packed, missing: tuple[Missing, ...]
) -> Manifest:
    """The manifest of packed patches of a catalog, and of those that are missing."""
    gone = {(patch.year, patch.id) for patch in missing}
    kept = [patch for patch in catalog.patches if (patch.row_year, patch.id) not in gone]
    counts = Counter(
        name
        for patch in kept
        for name in (patch.label if isinstance(patch.label, tuple) else (patch.label,))
    )
    years = tuple(sorted({patch.row_year for patch in kept}))
    if not catalog.own_years:
        years = tuple(year for year in recipe.years if year in years)
    config_years = (None,) if catalog.own_years else years
    return Manifest(
        format=FORMAT,
        name=recipe.name,
        recipe=recipe.portable(),
        recipe_sha256=recipe.digest(),
        packages=package_versions(),
        years=years,
        schemes=catalog.schemes,
        target=catalog.target,
        label_names=catalog.label_names,
        folds=catalog.folds,
        kept=catalog.kept,
        own_years=catalog.own_years,
        nearest_years=catalog.nearest_years,
        previous_year=packed.previous_year,
        emb=extension.VERSION,
        rows=len(kept),
        rows_by_label={label: counts[label] for label in catalog.label_names},
        configs=make_configs(packed.files, config_years, catalog.schemes),
        files=packed.files,
        missing=missing,
        preview=packed.basis,
        leakage=_leakage(kept, catalog, config_years[0]),
        notes=catalog.notes,
    )


def _leakage(kept: list[Patch], catalog: Catalog, year: int | None) -> tuple[Leak, ...]:
    """How near splits and folds come to each other; the places are the same every year."""
    patches = [patch for patch in kept if year in (None, patch.year)]
    rings = np.array([outline.ring for outline in outlines(patch.grid for patch in patches)])
    splits, folds = (
        {name: [patch.splits[name] for patch in patches] for name in names}
        for names in (catalog.schemes, catalog.folds)
    )
    return audit(rings, splits, SPLITS, folds)
