"""What a build will cost, before it costs anything: units of work, requests, bytes, time, disk.

Nothing is asked of a source; only a folder of tiles on this machine is looked at.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from hfaef.build.batches.count import count_batches, request_count
from hfaef.build.previous import Taken, find_unchanged, open_previous
from hfaef.build.staging.identity import inputs
from hfaef.build.staging.store import Settled, read_settled
from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Catalog, Patch
from hfaef.core.aef import Tile
from hfaef.core.grid import Grid
from hfaef.core.quantize import BANDS
from hfaef.core.workers import core_count
from hfaef.errors import RecipeError, count_of
from hfaef.recipe.model import FIRST_YEAR, Cog, EarthEngine, Recipe
from hfaef.release.benchmark.eval_yaml import require_test_split
from hfaef.release.handle import Release
from hfaef.sources.cog.index import TileIndex
from hfaef.sources.cog.open_index import find_index
from hfaef.sources.cog.tiling import (
    Block,
    block_bytes,
    block_of,
    blocks_across,
    blocks_of,
    tiles_of,
)
from hfaef.sources.earthengine.limits import BYTES_A_CODE, batch_kind

BLOCK_BYTES = 45_000_000
"""Compressed bytes of a block's 64 chunks in the published tiles, about, where all of it is land:
45 to 48 MB. So much zstd makes of 10 km of real codes at its fastest (level 1: 44.7 MB); at its
slowest (level 22) 33.5 MB."""

BLOCK_SECONDS = 0.12
"""Seconds in which one core decodes a block."""

LINE_BYTES = 25_000_000
"""Bytes a second that a line is taken to carry: 200 Mbit/s."""

ANSWER_SECONDS = 0.3
"""Seconds that Earth Engine is taken to need for a request."""

PATCH_SECONDS, PATCH_PIXELS = 0.04, 64 * 64
"""Seconds more for so many pixels of what is asked for together."""

OPENING_REQUESTS = 4
"""Requests with which a build looks at Earth Engine's collection."""

STAGED_HEADER = 128
"""Bytes that come before the values in a staged file."""

SHEET_SHARE = 1 / 2.4
"""Bytes of a patch in a release by its raw bytes: its sheet, preview and the rest of the row."""


@dataclass(frozen=True)
class Cost:
    """What fetching a catalog from one source takes."""

    source: str
    """``earthengine`` or ``cog``."""
    units: int
    """Pieces of work that share nothing: patches, or internal tiles with all patches on them."""
    requests: int
    """Of Earth Engine; chunks of files, 64 an internal tile, before neighbours are joined."""
    bytes: int
    """That come over the line, or from the disk."""
    seconds: float
    """At the quota, the line or the processor, whichever is slowest."""
    rests_on: str
    """Where the numbers come from, in words."""
    pixels: int = 0
    """That Earth Engine computes, which is what it counts EECU-hours for."""
    checks: int = 0
    """Requests that look whether what comes in batches is what comes alone."""
    requests_one_by_one: int = 0
    """Requests without batches."""
    seconds_one_by_one: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What a build will cost."""

    name: str
    patches: int
    """Times years."""
    years: tuple[int, ...]
    staged_bytes: int
    """Disk for pixels between fetching and packing."""
    release_bytes: int
    """Disk for the release, about."""
    costs: tuple[Cost, ...]
    """Of the recipe's own source, then of the other one."""
    taken: int = 0
    """Patches that are taken from the release before."""
    staged: int = 0
    """Patches whose pixels are staged already; the costs are those of the others."""
    notes: tuple[str, ...] = ()
    """What the user should know."""

    @property
    def disk_bytes(self) -> int:
        """Disk that a build needs at its end, when all of it is there."""
        return self.staged_bytes + self.release_bytes

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.name,
            "patches": self.patches,
            "years": list(self.years),
            "disk_bytes": self.disk_bytes,
            "staged_bytes": self.staged_bytes,
            "release_bytes": self.release_bytes,
            "source": self.costs[0].source,
            "taken": self.taken,
            "staged": self.staged,
            "notes": list(self.notes),
            "sources": {cost.source: asdict(cost) for cost in self.costs},
        }


def plan(
    recipe: Recipe,
    folder: Path | None = None,
    *,
    limit: int | None = None,
    previous: Release | None = None,
) -> Plan:
    """What `hfaef build` would cost.

    Args:
        recipe: what would be made.
        folder: the release's folder, of which what is staged is not fetched again; ``build/NAME``
            by default.
        limit: patches a year, for a trial.
        previous: the release before, of which unchanged rows would be taken.

    Raises:
        InputError: if the catalog, or a folder of tiles, cannot be read, or has none of a year.
        ReleaseError: if the release before is not what its manifest says.
    """
    if recipe.demo is not None:
        from hfaef.sources.demo import write_world

        write_world(recipe.demo)
    there = _years_there(_own_index(recipe.source)) if recipe.year_column else None
    whole = open_catalog(recipe, there)
    settled = read_settled(folder or Path("build") / recipe.name, inputs(recipe, whole))
    catalog = require_promised(recipe, whole.first(limit))
    taken = Taken()
    if previous is not None:
        open_patches = [p for p in catalog.patches if (p.year, p.id) not in settled.staged]
        taken = find_unchanged(open_previous(previous, recipe), open_patches)
    return make_plan(recipe, catalog, taken, settled)


def require_promised(recipe: Recipe, catalog: Catalog) -> Catalog:
    """The catalog; raises InputError if it is not what the card promises, a benchmark."""
    if recipe.card.benchmark:
        schemes, patches = catalog.schemes, catalog.patches
        require_test_split({one: {patch.splits[one] for patch in patches} for one in schemes})
    return catalog


def make_plan(
    recipe: Recipe,
    catalog: Catalog,
    taken: Taken | None = None,
    settled: Settled | None = None,
) -> Plan:
    """What building a catalog costs, from the recipe's source and from the other one.

    Args:
        recipe: what would be made.
        catalog: its patches.
        taken: what is taken from the release before.
        settled: what earlier builds settled.

    Raises:
        InputError: if the recipe's own source is a folder that cannot be read, or a year is in
            the future, or the folder has no tile of it.
    """
    taken, settled = taken or Taken(), settled or Settled()
    spared = settled.staged | settled.nowhere | taken.taken
    keys = [key for patch in catalog.patches if (key := (patch.year, patch.id)) in spared]
    staged, nowhere = settled.staged.intersection(keys), settled.nowhere.intersection(keys)
    patches = [patch for patch in catalog.patches if (patch.year, patch.id) not in spared]
    own = recipe.source
    index = _own_index(own)
    _require_years(recipe, index)
    engine = own if isinstance(own, EarthEngine) else EarthEngine(kind="earthengine")
    costs = [earth_engine_cost(patches, engine), cog_cost(patches, own, index)]
    if isinstance(own, Cog):
        costs.reverse()
    values = _values(catalog.patches)
    return Plan(
        name=recipe.name,
        patches=len(catalog.patches),
        years=catalog.years if catalog.own_years else tuple(recipe.years),
        staged_bytes=values + STAGED_HEADER * len(catalog.patches),
        release_bytes=round(values * SHEET_SHARE),
        costs=tuple(costs),
        taken=len(taken.taken),
        staged=len(staged),
        notes=(
            *_notes_on_unreadable(catalog),
            *_notes_on_outside(patches, index),
            *taken.notes,
            *_notes_on(settled, len(staged), len(nowhere), len(patches)),
        ),
    )


def _notes_on_unreadable(catalog: Catalog) -> list[str]:
    if not catalog.unreadable:
        return []
    first = catalog.unreadable[0]
    count = count_of(len(catalog.unreadable), "patch")
    return [f"{count} will be missing; the first: {first.id}: {first.reason}"]


def _notes_on_outside(patches: Sequence[Patch], index: TileIndex | None) -> list[str]:
    """How many patches lie where no tile of the folder is, and where the tiles are."""
    if index is None:
        return []
    outside = index.outside([(one.grid, one.year) for one in patches])
    if not outside:
        return []
    first = patches[outside[0]]
    count = count_of(len(outside), "patch lies", "patches lie")
    where = index.where(first.grid, first.year)
    return [f"{count} outside every tile; the first, {first.id} of {first.year}: {where}"]


def _notes_on(settled: Settled, staged: int, nowhere: int, left: int) -> list[str]:
    notes = []
    if staged or nowhere:
        said = f", and the source has nothing at {nowhere:,}" if nowhere else ""
        notes.append(
            f"staged already: {count_of(staged, 'patch')}{said}; the costs are of the other {left:,}"
        )
    if settled.foreign:
        notes.append(
            f"{count_of(settled.foreign, 'staged patch was', 'staged patches were')} made from another "
            "source, or by an earlier version; `hfaef build` stops there without --refetch"
        )
    return notes


def _local_root(section: Cog | EarthEngine) -> Path | None:
    """The folder of tiles on this machine that a source is."""
    if isinstance(section, Cog) and "://" not in section.root:
        return Path(section.root)
    return None


def _own_index(section: Cog | EarthEngine) -> TileIndex | None:
    """The index of a folder of tiles, made from its files where it has none."""
    root = _local_root(section)
    return find_index(root, section.index) if root and isinstance(section, Cog) else None


def _require_years(recipe: Recipe, index: TileIndex | None) -> None:
    """Raise RecipeError if a year cannot be had."""
    there, words = _years_there(index), "no embedding can be there of"
    if index is not None:
        words = f"the tiles in {_local_root(recipe.source)} have no"
    if lacking := [str(year) for year in sorted(recipe.years) if year not in there]:
        raise RecipeError(
            f"years: {words} {', '.join(lacking)}", f"choose among {', '.join(map(str, there))}"
        )


def _years_there(index: TileIndex | None) -> list[int]:
    """Years that the recipe's source has, or can have."""
    if index is not None:
        return index.years
    # A year's embedding is made when the year is over.
    return list(range(FIRST_YEAR, datetime.now(tz=UTC).year))


def sort_by_block(patches: Sequence[Patch]) -> list[Patch]:
    """Patches in the order in which they are best read: by year, then by internal tile."""
    return sorted(patches, key=lambda patch: (patch.year, block_of(patch.grid), patch.id))


def earth_engine_cost(patches: Sequence[Patch], section: EarthEngine) -> Cost:
    """What Earth Engine is asked for these patches."""
    count = count_batches(patches, partial(batch_kind, section=section))
    together = count.batches + count.checks
    requests = OPENING_REQUESTS + together + _requests_alone(count.alone, section)
    pixels = _values(patches) // BANDS
    one_by_one = OPENING_REQUESTS + _requests_alone(patches, section)
    more = PATCH_SECONDS * (pixels - _values(count.alone) // BANDS) / PATCH_PIXELS
    words = f", and {PATCH_SECONDS} s for each 64 x 64 pixels of a batch" if together else ""
    return Cost(
        source="earthengine",
        units=len(patches),
        requests=requests,
        bytes=BYTES_A_CODE[section.reader] * _values(patches),
        seconds=_engine_seconds(requests, more, section),
        rests_on=f"{count_of(section.requests_per_minute, 'request')} a minute, {section.max_requests} at "
        f"once, {ANSWER_SECONDS} s each{words}",
        pixels=pixels,
        checks=count.checks,
        requests_one_by_one=one_by_one,
        seconds_one_by_one=_engine_seconds(one_by_one, 0.0, section),
    )


def _requests_alone(patches: Sequence[Patch], section: EarthEngine) -> int:
    shapes = Counter((patch.grid.height, patch.grid.width) for patch in patches)
    return sum(n * request_count(*shape, section.reader) for shape, n in shapes.items())


def _engine_seconds(requests: int, more: float, section: EarthEngine) -> float:
    """At the quota or the service's speed, with so many seconds for what batches hold."""
    answers = (requests * ANSWER_SECONDS + more) / section.max_requests
    return max(requests * 60 / section.requests_per_minute, answers)


def cog_cost(
    patches: Sequence[Patch], section: Cog | EarthEngine, index: TileIndex | None = None
) -> Cost:
    """What is read of AEF's files for these patches, each internal tile once.

    Args:
        patches: in any order.
        section: the recipe's source; for another one than files, the published ones are meant.
        index: of a folder of tiles, if it is known.

    Raises:
        InputError: if a folder's index cannot be read.
    """
    index = index or _own_index(section)
    root = _local_root(section)
    by_year: dict[int, list[Grid]] = defaultdict(list)
    for patch in patches:
        by_year[patch.year].append(patch.grid)
    count = size = 0
    for year, grids in sorted(by_year.items()):
        if index is None or root is None:
            blocks = blocks_of(grids)
            size += round(sum(block.share for block in blocks) * BLOCK_BYTES)
            count += len(blocks)
        else:
            tiles = tiles_of(index, year)
            found = _bytes_on_disk(root, tiles, blocks_of(grids, tiles.__contains__))
            size += sum(found.values())
            count += len(found)
    seconds = count * BLOCK_SECONDS / core_count()
    words = f"{count_of(count, 'internal tile')}, {BLOCK_SECONDS} s each to decode on a core"
    if index is None:
        seconds = max(seconds, size / LINE_BYTES)
        words += f", {BLOCK_BYTES / 1e6:.0f} MB each over a line of {LINE_BYTES / 1e6:.0f} MB/s"
    return Cost("cog", count, count * BANDS, size, seconds, words)


def _bytes_on_disk(root: Path, tiles: dict[Tile, str], blocks: Sequence[Block]) -> dict[Block, int]:
    """Bytes of blocks in a folder of tiles; those that hold nothing are left out."""
    import rasterio
    from rasterio.errors import RasterioError

    by_image = defaultdict(list)
    for block in blocks:
        by_image[block.tile, block.overview].append(block)
    found = {}
    for (tile, overview), some in by_image.items():
        level = {"overview_level": overview - 1} if overview else {}
        try:
            with rasterio.open(root / tiles[tile], driver="GTiff", **level) as file:
                for block in some:
                    # AEF's files begin in the south; others may not.
                    last = blocks_across(overview) - 1
                    row = block.row if file.transform.e > 0 else last - block.row
                    if size := block_bytes(file, block.column, row):
                        found[block] = size
        except RasterioError:
            continue  # the build will say so, patch by patch
    return found


def _values(patches: Sequence[Patch]) -> int:
    """Codes of all bands of all patches."""
    return BANDS * sum(patch.grid.height * patch.grid.width for patch in patches)
