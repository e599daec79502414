"""From a recipe to a release folder; everything before the push, in order."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hfaef.build.batches.queue import kinds_of
from hfaef.build.cluster import Cluster
from hfaef.build.fetch.dask import DaskExecutor
from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import ReadExecutor, read_asked
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.missing import (
    find_missing,
    find_unreadable,
    require_enough,
    require_years,
    unreadable_outcomes,
)
from hfaef.build.pack.manifest import make_manifest
from hfaef.build.pack.rows import pack, write_missing
from hfaef.build.plan import require_promised, sort_by_block
from hfaef.build.previous import open_previous, take_pixels
from hfaef.build.staging.command import forget_command, write_command
from hfaef.build.staging.filesystem import open_staging
from hfaef.build.staging.identity import inputs
from hfaef.build.staging.store import Store, require_ours
from hfaef.build.verify import verify
from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Catalog, Patch
from hfaef.core.files import folder_errors
from hfaef.core.net.endpoints import trusted_hosts
from hfaef.core.progress import progress
from hfaef.core.workers import ParallelMap, core_count, ordered_map
from hfaef.errors import HfaefError, count_of
from hfaef.recipe.model import Cog, EarthEngine, Recipe
from hfaef.release.atlas.files import atlas_files
from hfaef.release.benchmark.eval_yaml import EVAL_YAML, benchmark_bytes, registering_note
from hfaef.release.card.additions import (
    Carryover,
    again,
    carry,
    choose_notes,
    entry,
    read_carryover,
    remember_stale,
    with_files,
)
from hfaef.release.card.edits import remember_card
from hfaef.release.card.figures import draw_labels
from hfaef.release.card.render import CARD, render_card
from hfaef.release.format.manifest import (
    Manifest,
    Missing,
    manifest_bytes,
    package_versions,
)
from hfaef.release.format.paths import (
    ATLAS,
    FIGURES,
    KINDS,
    LABELS,
    MANIFEST,
    MISSING,
    STAC,
    StorageFormat,
)
from hfaef.release.format.scores import SCORES, read_evaluation
from hfaef.release.format.swap import NEW, recover, swap_in
from hfaef.release.handle import Release
from hfaef.release.locate import RowPlacement
from hfaef.release.stac.files import stac_files
from hfaef.sources import open_source
from hfaef.sources.base import Prefetching, Source
from hfaef.sources.earthengine.limits import REQUESTS_A_READ


@dataclass(frozen=True)
class Built:
    """What a build made."""

    folder: Path
    manifest: Manifest
    notes: tuple[str, ...]
    """What the user should know."""
    hung_reads: int = 0
    """Reads that hang in threads of this process, which may keep it from ending by itself."""

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.manifest.name,
            "folder": str(self.folder),
            "rows": self.manifest.rows,
            "missing": len(self.manifest.missing),
            "files": len(self.manifest.files),
            "bytes": sum(file.bytes for file in self.manifest.files),
            "configs": [config.name for config in self.manifest.configs],
            "notes": list(self.notes),
        }


def build(
    recipe: Recipe,
    folder: Path | None = None,
    *,
    limit: int | None = None,
    threads: int | None = None,
    scheduler: str | None = None,
    staging: str | None = None,
    allow_missing: bool = False,
    refetch: bool = False,
    verify_count: int = 0,
    previous: Release | None = None,
    replace_card: bool = False,
    command: Sequence[str] = (),
) -> Built:
    """Make a release, doing only what earlier builds in the folder left undone.

    Args:
        recipe: what to make.
        folder: the release's folder; ``build/NAME`` by default.
        limit: patches a year, for a trial.
        threads: reads and encoders at work.
        scheduler: address of a Dask scheduler, or ``local``, to read and encode there.
        staging: path or URL below which pixels are staged, for all machines to see; by default
            where they were, or in the release's folder.
        allow_missing: whether to make a release without the patches that could not be had.
        refetch: whether to drop what was staged from another source, and to ask again for patches
            of which the source said that it has nothing there.
        verify_count: patches that are read twice and compared.
        previous: the release before: its rows stay in their shards, and pixels of those that have
            not changed are taken from it; its notes, and scores and figures of the same rows, too.
        replace_card: whether edits of the folder's card outside its notes may go.
        command: what to type after ``hfaef build`` to go on, kept until the build has finished.

    Raises:
        IncompleteError: if patches are missing and that is not allowed.
        SourceError: if patches that were read twice differ, or a source fails.
        HfaefError: of the kind that says what is wrong.
    """
    folder = folder or Path("build") / recipe.name
    require_ours(folder)
    if staging is not None:
        open_staging(staging)  # what is wrong with it is said before any work is done
    before = open_previous(previous, recipe) if previous else None
    carryover = read_carryover(before.release) if before else None
    if recipe.demo is not None:
        from hfaef.sources.demo import write_world

        write_world(recipe.demo)
    with contextlib.ExitStack() as stack:
        # First, so that nobody downloads patches only to learn that a login has expired.
        source = stack.enter_context(contextlib.closing(open_source(recipe.source, recipe.years)))
        whole = open_catalog(recipe, source.years if recipe.year_column else None)
        catalog = require_promised(recipe, whole.first(limit))
        store = stack.enter_context(Store(folder, staging))
        reads = _at_once(source, threads, cluster=scheduler is not None)
        cluster = None
        if scheduler is not None:
            cluster = stack.enter_context(Cluster(scheduler, reads))
            cluster.require(package_versions, store.pixels.files)
        notes = _claim(
            store, recipe, whole, limit, command, refetch=refetch, allow_missing=allow_missing
        )
        choose_notes(folder, recipe.card.notes, carryover, replace=replace_card)
        policy = Policy()
        executor: ReadExecutor
        parallel_map: ParallelMap
        if cluster is None:
            executor = ThreadExecutor(partial(read_asked, source, store.pixels, policy), reads)
            parallel_map = partial(ordered_map, threads=threads or core_count())
        else:
            open_again = partial(open_source, recipe.source, trusted=trusted_hosts())
            executor = DaskExecutor(cluster, open_again, store.pixels, policy, reads)
            parallel_map = cluster.map
        stack.enter_context(_reporting_hung_reads(executor))
        patches = sort_by_block(catalog.patches)
        if before:
            notes += take_pixels(before, patches, store, threads).notes
        if cluster is None and isinstance(source, Prefetching):
            staged = {key for key, outcome in store.outcomes().items() if outcome.fetched}
            source.prefetch([(p.grid, p.year) for p in patches if (p.year, p.id) not in staged])
        notes += (
            *(_note_on_cluster(source, patches) if cluster else ()),
            *fetch(
                patches,
                executor,
                store,
                # What a worker of a cluster stages late must be right: patches are read alone.
                kind_of=None if cluster else kinds_of(source),
                per_minute=_reads_per_minute(recipe.source),
                policy=policy,
            ),
        )
        outcomes = store.outcomes()
        missing = find_missing(catalog, outcomes)
        notes += (
            *require_enough(
                catalog, missing, outcomes, source, folder, allow_missing=allow_missing
            ),
            *_verify(recipe, patches, verify_count, store, policy),
        )
        try:
            missing += find_unreadable(whole, recipe.years)
            manifest, more = _write_release(
                recipe,
                catalog,
                store,
                missing,
                parallel_map,
                before.placement if before else None,
                carryover,
                replace_card=replace_card,
            )
        except BaseException:
            # Half a release is of no use, and the disk may be full.
            shutil.rmtree(folder / NEW, ignore_errors=True)
            raise
        _finish(store)
    return Built(folder, manifest, (*catalog.notes, *notes, *more), executor.hung)


def _note_on_cluster(source: Source, patches: Sequence[Patch]) -> tuple[str, ...]:
    kind_of = kinds_of(source)
    if not kind_of or not any(kind_of(patch.grid, patch.year) for patch in patches):
        return ()
    return ("on a cluster patches are read one by one, not in batches",)


def _finish(store: Store) -> None:
    """Move the new release to its place, and drop what it needs no more."""
    parts = (*KINDS, STAC, ATLAS, FIGURES, SCORES, EVAL_YAML, MISSING, CARD, MANIFEST)
    swap_in(store.folder, parts)
    store.drop_gone()
    forget_command(store.staging)


def _at_once(source: Source, threads: int | None, *, cluster: bool) -> int:
    """Reads under way at once, no more than `threads` if that is given."""
    most = source.max_requests if cluster else source.max_reads
    return min(threads or most, most)


def _claim(
    store: Store,
    recipe: Recipe,
    catalog: Catalog,
    limit: int | None,
    command: Sequence[str],
    *,
    refetch: bool,
    allow_missing: bool,
) -> tuple[str, ...]:
    """Keep what the staging has of a catalog, and drop the rest; notes of how much that is.

    Raises IncompleteError as `require_years`.
    """
    recover(store.folder)
    reuse = store.claim(inputs(recipe, catalog), refetch=refetch)
    write_command(store.staging, command)
    for outcome in unreadable_outcomes(catalog, recipe.years):
        store.record(outcome)
    require_years(catalog, store.folder, allow_missing=allow_missing)
    few, all_ = len(catalog.first(limit).patches), len(catalog.patches)
    trial = (f"a trial: {few:,} of {count_of(all_, 'patch')} (--limit)",) if few < all_ else ()
    return (*reuse.notes(), *trial)


@contextlib.contextmanager
def _reporting_hung_reads(executor: ReadExecutor) -> Iterator[None]:
    """Let errors say how many reads hang in threads of this process."""
    try:
        yield
    except HfaefError as error:
        error.hung_reads = executor.hung
        raise


def _reads_per_minute(section: Cog | EarthEngine) -> int | None:
    """Patches that may be begun in a minute, on all machines together."""
    if not isinstance(section, EarthEngine):
        return None
    return max(1, section.requests_per_minute // REQUESTS_A_READ[section.reader])


def _verify(
    recipe: Recipe, patches: list[Patch], count: int, store: Store, policy: Policy
) -> tuple[str, ...]:
    """Compare some patches with what the source gives now; a note, if any are."""
    if not count:
        return ()
    section = recipe.source
    name = section.collection if isinstance(section, EarthEngine) else section.root
    open_alone = partial(open_source, section, recipe.years)
    return (verify(patches, count, store, open_alone, policy, name),)


def _write_release(
    recipe: Recipe,
    catalog: Catalog,
    store: Store,
    missing: tuple[Missing, ...],
    parallel_map: ParallelMap,
    placement: RowPlacement | None,
    before: Carryover | None,
    *,
    replace_card: bool,
) -> tuple[Manifest, tuple[str, ...]]:
    """Make a whole release in the staging; gives its manifest, and notes for the user."""
    packing = store.folder / NEW
    gone = {(patch.year, patch.id) for patch in missing}
    rows = sum((patch.row_year, patch.id) not in gone for patch in catalog.patches)
    with folder_errors(packing):
        shutil.rmtree(packing, ignore_errors=True)
        packing.mkdir()
    with progress("pack", rows) as advance:
        packed = pack(
            catalog,
            store,
            packing,
            shard_bytes=int(recipe.pack.shard_bytes),
            parallel_map=parallel_map,
            advance=advance,
            storage=StorageFormat(recipe.pack.format, recipe.pack.codec, recipe.pack.label_name),
            placement=placement,
        )
    files = packed.files
    if missing:
        files = (*files, write_missing(packing, missing))
    manifest = make_manifest(recipe, catalog, replace(packed, files=files), missing)
    # A second build of the same rows keeps the scores; other rows have other ones.
    carried = carry(store.folder, manifest, before)
    places = store.folder, before.folder if before else None
    atlas, lost = atlas_files(packing, manifest, carried.contents.get(SCORES), *places)
    additions = {
        **carried.contents,
        LABELS: draw_labels(packing, manifest),
        **stac_files(packing, manifest),
        **atlas,
    }
    if recipe.card.benchmark:
        additions[EVAL_YAML] = benchmark_bytes(manifest)
    manifest = with_files(manifest, [entry(*item) for item in additions.items()])
    with folder_errors(packing):
        for path, content in additions.items():
            (packing / path).parent.mkdir(exist_ok=True)
            (packing / path).write_bytes(content)
        # Read again, as people may have written while the build was at work.
        file = recipe.card.notes
        words, notes = choose_notes(store.folder, file, before, replace=replace_card)
        card = render_card(manifest, read_evaluation(packing), words)
        (packing / CARD).write_text(card, "utf-8")
        (packing / MANIFEST).write_bytes(manifest_bytes(manifest))
        remember_card(store.folder, card, said=words if file else None)
        remember_stale(store.folder, carried.stale)
    if carried.stale:
        notes += (again(store.folder, carried.stale),)
    if kept := sorted(carried.contents.keys() - {LABELS}):
        notes += (f"{' and '.join(kept)} kept: the rows are the same",)
    if recipe.card.benchmark:
        notes += (registering_note(),)
    return manifest, (*notes, *lost)
