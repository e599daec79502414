"""Patches with years of their own: which embedding each one gets, or why it gets none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace

from hfaef.catalog.patch import Catalog, Patch, Unreadable
from hfaef.errors import CatalogError
from hfaef.recipe.model import FIRST_YEAR


def choose_years(catalog: Catalog, available: Collection[int], *, nearest: bool) -> Catalog:
    """The same catalog, each patch with the year whose embedding it gets.

    Args:
        catalog: of patches with years of their own.
        available: years that the source has.
        nearest: whether a year that it has not gives way to the nearest; of two, the earlier.

    Raises:
        CatalogError: if no patch is left, or two of one id would get one embedding.
    """
    patches: list[Patch] = []
    without: list[Patch] = []
    for patch in catalog.patches:
        if patch.year in available:
            patches.append(patch)
        elif nearest and available:
            chosen = min(available, key=lambda year: (abs(year - patch.year), year))
            patches.append(replace(patch, year=chosen, stated_year=patch.year))
        else:
            without.append(patch)
    if not patches:
        raise CatalogError(
            f"no patch is of a year that the source has: {_counted(p.year for p in without)}",
            "mend the column of `patches.year`, or set patches.nearest_year = true; "
            f"the source has {', '.join(map(str, sorted(available)))}",
        )
    for (year, identity), count in Counter((p.year, p.id) for p in patches).items():
        if count > 1 and nearest:
            raise CatalogError(
                f"patch {identity} is there for {count} years whose nearest is {year}",
                "give each its own id",
            )
    notes = []
    if without:
        words = "patches of years without embeddings, which are missing"
        notes.append(f"{words}: {len(without):,} ({_counted(p.year for p in without)})")
    moved = [patch for patch in patches if patch.stated_year is not None]
    if moved:
        years = Counter((patch.row_year, patch.year) for patch in moved)
        words = ", ".join(f"{a} as {b} ({n:,})" for (a, b), n in sorted(years.items()))
        notes.append(f"patches with the embedding of the nearest year: {len(moved):,} ({words})")
    return replace(
        catalog,
        patches=tuple(patches),
        nearest_years=nearest,
        unreadable=(*catalog.unreadable, *map(_without_embedding, without)),
        notes=(*catalog.notes, *notes),
    )


def _without_embedding(patch: Patch) -> Unreadable:
    reason = (
        f"is of {patch.year}, before AlphaEarth's first year, {FIRST_YEAR}"
        if patch.year < FIRST_YEAR
        else f"is of {patch.year}, of which the source has no embedding"
    )
    return Unreadable(patch.id, patch.label, reason, patch.year, permitted=False)


def _counted(years: Iterable[int]) -> str:
    return ", ".join(f"{year}: {count:,}" for year, count in sorted(Counter(years).items()))
