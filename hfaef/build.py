"""From a recipe to a release folder; everything before the push, in order."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfaef.card import CARD, render_card
from hfaef.catalog import Catalog, open_catalog
from hfaef.errors import IncompleteError
from hfaef.fetch import fetch
from hfaef.layout import Layout
from hfaef.pack import Packed, pack
from hfaef.progress import progress
from hfaef.recipe import Recipe
from hfaef.release import (
    FORMAT,
    KINDS,
    Manifest,
    Missing,
    PreviewBasis,
    make_configs,
    manifest_bytes,
    package_versions,
)
from hfaef.sources import open_source
from hfaef.store import (
    MANIFEST,
    Outcome,
    Store,
    inputs,
    put_into_release,
    require_ours,
    writing,
)
from hfaef.workers import core_count


@dataclass(frozen=True)
class Built:
    """What a build made."""

    folder: Path
    manifest: Manifest
    notes: tuple[str, ...]
    """What the user should know."""

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
    allow_missing: bool = False,
    layout: Layout | None = None,
) -> Built:
    """Make a release, doing only what earlier builds in the folder left undone.

    Args:
        recipe: what to make.
        folder: the release's folder; ``build/NAME`` by default.
        limit: patches a year, for a trial.
        threads: reads and encoders at work.
        allow_missing: whether to make a release without the patches that could not be had.
        layout: of the release before, whose rows stay in their shards.

    Raises:
        IncompleteError: if patches are missing and that is not allowed.
        HfaefError: of the kind that says what is wrong.
    """
    folder = folder or Path("build") / recipe.name
    require_ours(folder)
    if recipe.demo is not None:
        from hfaef.demo import write_world

        write_world(recipe.demo)
    whole = open_catalog(recipe)
    with Store(folder) as store:
        source = open_source(recipe.source, recipe.years)
        try:
            store.claim(inputs(recipe, whole))
            catalog = whole.first(limit)
            fetch(catalog.patches, source, store, threads)
        finally:
            source.close()
        outcomes = store.outcomes()
        missing = _missing(catalog, outcomes)
        if len(missing) == len(catalog.patches):
            raise IncompleteError(
                f"no patch could be had; the first: {missing[0].id}: {missing[0].reason}",
                f"hfaef status {folder} lists them",
            )
        if missing and not allow_missing:
            raise IncompleteError(
                f"{len(missing):,} of {len(catalog.patches):,} patches are missing; "
                f"the first: {missing[0].id}: {missing[0].reason}",
                "run again to retry them, or build without them: --allow-missing "
                f"(hfaef status {folder} lists them)",
            )
        threads = threads or core_count()
        manifest = _write_release(recipe, catalog, store, missing, threads, layout)
    return Built(folder, manifest, catalog.notes)


def _missing(catalog: Catalog, outcomes: dict[tuple[int, str], Outcome]) -> tuple[Missing, ...]:
    missing = []
    for patch in catalog.patches:
        outcome = outcomes.get((patch.year, patch.id))
        if outcome is None or not outcome.fetched:
            reason = outcome.reason if outcome else "not tried"
            missing.append(Missing(id=patch.id, year=patch.year, label=patch.label, reason=reason))
    return tuple(missing)


def _write_release(
    recipe: Recipe,
    catalog: Catalog,
    store: Store,
    missing: tuple[Missing, ...],
    threads: int,
    layout: Layout | None,
) -> Manifest:
    """Pack into the staging, then put the release in the place of the one before."""
    packing = store.staging / "release"
    rows = len(catalog.patches) - len(missing)
    with writing(packing):
        shutil.rmtree(packing, ignore_errors=True)
        packing.mkdir()
    with progress("pack", rows) as advance:
        packed = pack(
            catalog,
            store,
            packing,
            shard_bytes=int(recipe.pack.shard_bytes),
            threads=threads,
            advance=advance,
            layout=layout,
        )
    manifest = _manifest(recipe, catalog, packed, missing)
    with writing(packing):
        (packing / CARD).write_text(render_card(manifest), encoding="utf-8")
        _publish(packing, store.folder)
        put_into_release(store.folder, MANIFEST, manifest_bytes(manifest))
    return manifest


def _publish(packing: Path, folder: Path) -> None:
    """Move a packed release into its folder.

    The manifest goes first and comes last: a folder with one holds a whole release.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in KINDS:
        if (folder / name).exists():
            shutil.rmtree(folder / name)
        (packing / name).replace(folder / name)
    (packing / CARD).replace(folder / CARD)
    packing.rmdir()


def _manifest(
    recipe: Recipe, catalog: Catalog, packed: Packed, missing: tuple[Missing, ...]
) -> Manifest:
    gone = {(patch.year, patch.id) for patch in missing}
    kept = [patch for patch in catalog.patches if (patch.year, patch.id) not in gone]
    counts = Counter(patch.label for patch in kept)
    years = tuple(sorted({patch.year for patch in kept}, key=recipe.years.index))
    return Manifest(
        format=FORMAT,
        name=recipe.name,
        recipe=recipe.portable(),
        recipe_sha256=recipe.digest(),
        packages=package_versions(),
        years=years,
        schemes=catalog.schemes,
        label_names=catalog.label_names,
        rows=len(kept),
        rows_by_label={label: counts[label] for label in catalog.label_names},
        configs=make_configs(packed.files, years, catalog.schemes),
        files=packed.files,
        missing=missing,
        preview=PreviewBasis(
            components=packed.basis.components, low=packed.basis.low, high=packed.basis.high
        ),
        notes=catalog.notes,
    )
