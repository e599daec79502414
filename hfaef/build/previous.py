"""Pixels of the release before: rows that have not changed are taken from it, not fetched again.

A row holds every code of its patch, so it serves as well as the source does, if it is of the same
patch and year, lies on the same grid, and was made from the same source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hfaef.build.staging.identity import Key, source_changes, source_identity
from hfaef.build.staging.ledger import Outcome
from hfaef.build.staging.pixels import StagedPixels
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.core.aef import is_coarse
from hfaef.core.codec import decode_row
from hfaef.core.progress import progress
from hfaef.core.quantize import from_stored
from hfaef.core.workers import core_count, ordered_map
from hfaef.errors import ReleaseError, command_line, count_of
from hfaef.recipe.model import Recipe
from hfaef.release.format import webdataset
from hfaef.release.handle import Release, verified
from hfaef.release.locate import RowPlacement, read_placement
from hfaef.sources.base import Pixels

_ROWS = 16
"""Rows of a shard that are in memory at a time."""

_AHEAD = 4
"""Rows a thread that may wait to be decoded."""

_WHERE = ("id", "year", "observed_year", "crs", "transform")
_PIXELS = ("embedding", "height", "width", "resampled", "source")


@dataclass(frozen=True)
class Previous:
    """A release whose rows a build may take, and where they lie."""

    release: Release
    placement: RowPlacement
    changes: tuple[str, ...]
    """What differs between its source and the recipe's, in words; then no row is taken."""
    unnamed: bool = False
    """Whether its source is a folder of tiles, whose path no release names."""


@dataclass(frozen=True)
class Taken:
    """What became of rows that a release and a catalog have in common."""

    taken: frozenset[Key] = frozenset()
    """From the same grid and source."""
    moved: frozenset[Key] = frozenset()
    """On another grid now."""
    notes: tuple[str, ...] = field(default=())
    """The same in words."""


def open_previous(release: Release, recipe: Recipe) -> Previous:
    """A release, whose files are verified, compared with the source of a recipe.

    Raises:
        ReleaseError: if its files are not what its manifest says.
    """
    release = verified(release)
    before = source_identity(release.manifest.recipe.get("source") or {})
    now = source_identity(recipe.portable()["source"])
    unnamed = now.get("kind") == "cog" and "root" not in now
    changes = tuple(source_changes(before, now))
    return Previous(release, read_placement(release), changes, unnamed and not changes)


def find_unchanged(previous: Previous, patches: Iterable[Patch]) -> Taken:
    """Which patches a build would take, from the columns that say where rows lie."""
    wanted = _wanted(previous, patches)
    if previous.changes:
        return _counted(previous, set(), set(), wanted)
    taken, moved = set[Key](), set[Key]()
    for path, some in _by_shard(previous, wanted).items():
        for row in _rows(previous, path, some, _WHERE):
            patch = wanted[row["year"], row["id"]]
            (taken if _same_place(row, patch) else moved).add((patch.year, patch.id))
    return _counted(previous, taken, moved, {})


def take_pixels(
    previous: Previous, patches: Iterable[Patch], store: Store, threads: int | None = None
) -> Taken:
    """Stage the pixels of rows that have not changed; a kill in between keeps what is staged.

    Args:
        previous: the release.
        patches: of the build; those that are staged are passed over.
        store: gets pixels and outcomes.
        threads: decode rows.

    Raises:
        ReleaseError: if a shard is not what the manifest says, or a row cannot be decoded.
        HubError: if the Hub does not give a shard.
        FolderError: if the store cannot be written.
    """
    staged = {key for key, outcome in store.outcomes().items() if outcome.fetched}
    wanted = _wanted(previous, (p for p in patches if (p.year, p.id) not in staged))
    if previous.changes or not wanted:
        return _counted(previous, set(), set(), wanted)
    taken, moved = set[Key](), set[Key]()
    stage = partial(_stage, store.pixels, previous.release.name)
    with progress("take", len(wanted)) as advance:
        for path, some in _by_shard(previous, wanted).items():
            rows = _rows(previous, path, some, (*_WHERE, *_PIXELS))
            pairs = ((row, wanted[row["year"], row["id"]]) for row in rows)
            for outcome in ordered_map(stage, pairs, threads or core_count(), _AHEAD):
                key = outcome.year, outcome.id
                (taken if outcome.fetched else moved).add(key)
                if outcome.fetched:
                    store.record(outcome)
                advance("")
    return _counted(previous, taken, moved, {})


def _wanted(previous: Previous, patches: Iterable[Patch]) -> dict[Key, Patch]:
    """Patches of which the release has a row of that year."""
    rows = previous.placement.rows
    return {(p.row_year, p.id): p for p in patches if (p.row_year, p.id) in rows}


def _by_shard(previous: Previous, wanted: Iterable[Key]) -> dict[str, set[Key]]:
    """Keys by the path of their shard, in the order of paths."""
    found: dict[str, set[Key]] = defaultdict(set)
    for key in wanted:
        found[previous.placement.rows[key].path].add(key)
    return dict(sorted(found.items()))


def _counted(
    previous: Previous, taken: set[Key], moved: set[Key], other: Mapping[Key, Patch]
) -> Taken:
    name, notes = previous.release.name, []
    if taken or moved:
        note = f"{count_of(len(taken), 'patch is', 'patches are')} taken from {name}"
        also = count_of(len(moved), "has moved and is", "have moved and are")
        notes.append(note + (f", {also} fetched" if moved else ""))
    if taken and previous.unnamed:
        notes.append(f"{name} does not name its folder of tiles; it is taken for the recipe's")
    if other:
        notes.append(
            f"{count_of(len(other), f'patch of {name} is', f'patches of {name} are')} fetched, as it was "
            f"made from another source: "
            f"{'; '.join(previous.changes)}"
        )
    return Taken(frozenset(taken), frozenset(moved), tuple(notes))


def _rows(
    previous: Previous, path: str, keys: set[Key], columns: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Rows of a shard with these keys; of a Parquet file only their row groups are read."""
    import tarfile

    import pyarrow as pa
    import pyarrow.parquet as pq

    release = previous.release
    left = set(keys)
    try:
        if path.endswith(".tar"):
            found: Iterable[dict[str, Any]] = webdataset.read_rows(release.fetch(path))
            for row in found:
                if (row["year"], row["id"]) in left:
                    left.discard((row["year"], row["id"]))
                    yield row
        else:
            groups = sorted({previous.placement.rows[key].group for key in keys})
            pixels = "embedding" in columns
            with (
                _open(release, path, whole=pixels) as file,
                pq.ParquetFile(file, pre_buffer=False) as shard,
            ):
                names = [name for name in columns if name in shard.schema_arrow.names]
                for batch in shard.iter_batches(_ROWS, row_groups=groups, columns=names):
                    for row in batch.to_pylist():
                        if (row["year"], row["id"]) in left:
                            left.discard((row["year"], row["id"]))
                            yield row
    except (OSError, ValueError, LookupError, pa.ArrowException, tarfile.TarError) as error:
        raise ReleaseError(
            f"{release.name}: {path} cannot be read: {error}",
            command_line("hfaef", "check", release.name),
        ) from error
    if left:
        raise ReleaseError(
            f"{release.name}: {path} lacks patch {min(left)[1]}, which its pooled vectors list",
            f"{command_line('hfaef', 'check', release.name)}, or build without --from",
        )


def _open(release: Release, path: str, *, whole: bool) -> Any:
    """A shard, to be read whole from this machine, or in parts from where it lies."""
    return release.fetch(path).open("rb") if whole else release.open(path)


def _same_place(row: Mapping[str, Any], patch: Patch) -> bool:
    grid = patch.grid
    if row.get("observed_year", row["year"]) != patch.year:
        return False
    return (row.get("crs"), tuple(row.get("transform") or ())) == (grid.crs, tuple(grid.transform))


def _stage(pixels: StagedPixels, name: str, pair: tuple[Mapping[str, Any], Patch]) -> Outcome:
    """Stage a row's pixels; not fetched, if it lies on another grid than the patch."""
    row, patch = pair
    nothing = Outcome(patch.year, patch.id, fetched=False)
    if not _same_place(row, patch):
        return nothing
    try:
        codes = from_stored(decode_row(row))
        if codes.shape[1:] != (patch.grid.height, patch.grid.width):
            return nothing
        means = is_coarse(patch.grid)
        found = Pixels(codes, tuple(row["source"]), bool(row["resampled"]), means=means)
    except (ValueError, LookupError, TypeError) as error:
        raise ReleaseError(
            f"{name}: the row of patch {patch.id} of {patch.year} is not a patch: {error}",
            f"{command_line('hfaef', 'check', name)}, or build without --from",
        ) from error
    pixels.write(patch, found)
    return Outcome(
        patch.year,
        patch.id,
        fetched=True,
        attempts=0,
        origins=found.origins,
        resampled=found.resampled,
        taken_from=name,
    )
