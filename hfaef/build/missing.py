"""Patches that a build could not have: whether a release may be made without them, and what to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from hfaef.build.fetch.read import read_grid
from hfaef.build.fetch.retry import Policy
from hfaef.build.staging.ledger import Outcome
from hfaef.catalog.patch import Catalog, Patch, label_text
from hfaef.core.grid import WGS84, Grid, outlines, project, utm_crs
from hfaef.errors import HfaefError, IncompleteError, command_line
from hfaef.release.format.manifest import Missing
from hfaef.sources.base import Source

_SAMPLE = 5
"""Patches that are looked for with longitude and latitude exchanged."""

_SIDE = 8
"""Pixels a side that are read of each."""

_LIMIT = 84
"""Degrees: no embedding beyond this latitude."""

_SWAPPED = (
    "most patches lie where the source has nothing, but not with longitude and latitude exchanged"
)


def find_missing(
    catalog: Catalog, outcomes: Mapping[tuple[int, str], Outcome]
) -> tuple[Missing, ...]:
    """The patches of a catalog that are not staged, with reasons."""
    missing = []
    for patch in catalog.patches:
        outcome = outcomes.get((patch.year, patch.id))
        if outcome is None or not outcome.fetched:
            reason = outcome.reason if outcome else "not tried"
            label = label_text(patch.label)
            missing.append(Missing(id=patch.id, year=patch.row_year, label=label, reason=reason))
    return tuple(missing)


def unreadable_outcomes(catalog: Catalog, years: Sequence[int]) -> list[Outcome]:
    """What the ledger says of patches whose file or row the recipe lets us go on without."""
    return [
        Outcome(year, bad.id, fetched=False, reason=bad.reason, attempts=0, permanent=True)
        for bad in catalog.unreadable
        for year in (years if bad.year is None else (bad.year,))
    ]


def find_unreadable(catalog: Catalog, years: Sequence[int]) -> tuple[Missing, ...]:
    """The same patches, as the manifest lists them."""
    return tuple(
        Missing(id=bad.id, year=year, label=label_text(bad.label), reason=bad.reason)
        for bad in catalog.unreadable
        for year in (years if bad.year is None else (bad.year,))
    )


def require_years(catalog: Catalog, folder: Path, *, allow_missing: bool) -> None:
    """Raise IncompleteError if patches are of years without embeddings, and that is not allowed.

    Args:
        catalog: all of it.
        folder: of the release, for messages.
        allow_missing: whether a release may be made without some.
    """
    absent = [one for one in catalog.unreadable if not one.permitted]
    if absent and not allow_missing:
        total = len(catalog.patches) + len(catalog.unreadable)
        raise IncompleteError(
            f"{len(absent):,} of {total:,} patches are of years without embeddings; the first: "
            f"{absent[0].id}: {absent[0].reason}",
            "build without them: --allow-missing, or with the nearest year: "
            "--set patches.nearest_year=true "
            f"({command_line('hfaef', 'status', folder)} lists them)",
        )


def require_enough(
    catalog: Catalog,
    missing: Sequence[Missing],
    outcomes: Mapping[tuple[int, str], Outcome],
    source: Source,
    folder: Path,
    *,
    allow_missing: bool,
) -> tuple[str, ...]:
    """Notes for a release without these patches.

    Args:
        catalog: of the build.
        missing: what is not staged of it.
        outcomes: the ledger.
        source: of the build, asked for a few pixels if it has nothing at most patches.
        folder: of the release, for messages.
        allow_missing: whether a release may be made without some.

    Raises:
        IncompleteError: if it may not, or if no patch could be had.
    """
    if not missing:
        return ()
    keys = {(one.year, one.id) for one in missing}
    never = [
        patch
        for patch in catalog.patches
        if (patch.row_year, patch.id) in keys
        and (key := (patch.year, patch.id)) in outcomes
        and outcomes[key].permanent
    ]
    first = f"the first: {missing[0].id}: {missing[0].reason}"
    swapped = 2 * len(never) > len(catalog.patches) and _is_swapped(never, source)
    if swapped:
        first += f"; {_SWAPPED}"
    alone = "" if swapped else _alone(_among_others(never, catalog, keys))
    if alone:
        first += f"; {alone}"
    hint = f"{command_line('hfaef', 'status', folder)} lists them"
    if swapped or alone:
        hint = f"exchange longitude and latitude in the catalog (`patches` in the recipe); {hint}"
    if len(missing) == len(catalog.patches):
        raise IncompleteError(f"no patch could be had; {first}", hint)
    if not allow_missing:
        raise IncompleteError(
            f"{len(missing):,} of {len(catalog.patches):,} patches are missing; {first}",
            f"{_next_step(len(missing), len(never))}: --allow-missing ({hint})",
        )
    if alone:
        return (alone,)
    return (_SWAPPED,) if swapped else ()


def _next_step(missing: int, never: int) -> str:
    """What to do about so many missing patches, of which so many will never come."""
    if not never:
        return "run again to retry them, or build without them"
    nothing = f"the source has nothing at {never:,} of them, which are not asked for again"
    if never < missing:
        return f"{nothing}; run again to retry the others, or build without all"
    return f"{nothing} without --refetch; build without them"


def _is_swapped(patches: Sequence[Patch], source: Source) -> bool:
    """Whether the source has data at most of some places with exchanged longitude and latitude."""
    some = patches[:: max(len(patches) // _SAMPLE, 1)][:_SAMPLE]
    found = 0
    for patch in some:
        try:
            grid = _exchanged(patch.grid)
            if grid is not None:
                read_grid(source, grid, patch.year, Policy(attempts=1))
                found += 1
        except (HfaefError, ValueError):
            continue
    return 2 * found > len(some)


def _among_others(
    patches: Sequence[Patch], catalog: Catalog, missing: Collection[tuple[int, str]]
) -> list[Patch]:
    """Patches whose middle, with exchanged longitude and latitude, lies among those that are had."""
    had = [one.grid for one in catalog.patches if (one.row_year, one.id) not in missing]
    if not had:
        return []
    boxes = np.array([outline.bounds for outline in outlines(had)])
    (west, south), (east, north) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    found = []
    for patch, outline in zip(patches, outlines(one.grid for one in patches), strict=True):
        lat, lon = (sum(outline.bounds[side::2]) / 2 for side in (0, 1))
        if west <= lon <= east and south <= lat <= north:
            found.append(patch)
    return found


def _alone(patches: Sequence[Patch]) -> str:
    """That some patches alone seem to be exchanged; empty without any."""
    if not patches:
        return ""
    more = f" and {len(patches) - 1:,} more" if len(patches) > 1 else ""
    name = f"{patches[0].id}{more}"
    return f"{name} would lie among the others with longitude and latitude exchanged"


def _exchanged(grid: Grid) -> Grid | None:
    """A few pixels at a grid's middle with exchanged longitude and latitude; None beyond poles."""
    west, south, east, north = grid.bounds()
    lon, lat = (south + north) / 2, (west + east) / 2
    if abs(lat) > _LIMIT:
        return None
    crs = utm_crs(lon, lat)
    x, y = project(np.array([lon]), np.array([lat]), WGS84, crs)
    left, top = (round(float(value[0]) / 10) * 10.0 for value in (x, y))
    return Grid(crs, (10.0, 0.0, left, 0.0, -10.0, top), _SIDE, _SIDE)
