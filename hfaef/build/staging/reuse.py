"""Which staged pixels a build may use, and which it must fetch anew or drop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hfaef.build.staging.identity import Inputs, Key, source_changes, source_identity
from hfaef.build.staging.ledger import Outcome
from hfaef.errors import FolderError, command_line, count_of


@dataclass(frozen=True)
class Reuse:
    """What becomes of each patch that the ledger knows, and of those that it does not."""

    kept: frozenset[Key]
    """Staged, from the same grid and source."""
    new: frozenset[Key]
    """Not in the ledger."""
    moved: frozenset[Key]
    """Staged, from another grid."""
    gone: frozenset[Key]
    """Staged, and not in the catalog any more."""
    refetched: frozenset[Key]
    """Staged, from another source."""
    retried: frozenset[Key]
    """Missing, and asked for again: from another grid or source, or because the user says so."""
    changes: tuple[str, ...]
    """What differs between those sources and this one, in words."""

    def notes(self) -> tuple[str, ...]:
        """What the user should know; nothing after a build of the same patches."""
        notes = []
        if self.moved or self.gone or (self.new and self.kept):
            notes.append(
                f"kept {count_of(len(self.kept), 'staged patch')}, {len(self.new):,} new, "
                f"{len(self.moved):,} moved, {len(self.gone):,} gone"
            )
        if self.refetched:
            made = "made from another source and"
            again = count_of(
                len(self.refetched),
                f"staged patch was {made} is",
                f"staged patches were {made} are",
            )
            notes.append(f"{again} fetched again: {'; '.join(self.changes)}")
        if self.retried:
            again = count_of(len(self.retried), "missing patch is", "missing patches are")
            notes.append(f"{again} asked for again")
        return tuple(notes)


def decide(
    wanted: Inputs,
    rows: Mapping[Key, Outcome],
    left: AbstractSet[Key],
    staged: AbstractSet[Key],
    folder: Path,
    *,
    refetch: bool,
) -> Reuse:
    """What becomes of the rows of a ledger.

    Args:
        wanted: by this build.
        rows: of the ledger, those of patches that left the catalog before, too.
        left: keys of those.
        staged: keys whose pixels are there.
        folder: of the release, for messages.
        refetch: whether pixels of another source are fetched again, and patches asked for that
            will never come.

    Raises:
        FolderError: if pixels were staged from another source, or by a version that did not
            write down where, unless `refetch`.
    """
    sets: dict[str, set[Key]] = {
        name: set() for name in ("kept", "moved", "gone", "refetched", "retried")
    }
    changes: dict[str, list[str]] = {}
    for key, row in rows.items():
        if row.source not in changes:
            before = json.loads(row.source) if row.source else {}
            changes[row.source] = source_changes(before, wanted.source) if before else []
        if key not in wanted.grids:
            what = "gone" if row.fetched and key not in left else ""
        elif row.fetched and key not in staged:
            what = ""  # its pixels were removed; it is fetched again as ever
        elif row.fetched:
            other = changes[row.source] or not row.grid
            same = row.grid == wanted.grids[key]
            what = "refetched" if other else "kept" if same else "moved"
        else:
            other = changes[row.source] or row.grid != wanted.grids[key]
            # An earlier version noted no grid; what could not be read had none.
            noted = row.grid or row.permanent
            again = bool(noted and other) or (refetch and row.permanent)
            what = "retried" if again else ""
        if what:
            sets[what].add(key)
    differences = tuple(dict.fromkeys(text for texts in changes.values() for text in texts))
    if sets["refetched"] and not refetch:
        _refuse(len(sets["refetched"]), differences, folder)
    return Reuse(
        new=frozenset(wanted.grids.keys() - rows.keys()),
        changes=differences or ("they were staged by an earlier version",),
        **{name: frozenset(keys) for name, keys in sets.items()},
    )


def _refuse(count: int, changes: tuple[str, ...], folder: Path) -> None:
    raise FolderError(
        f"{folder} has {count_of(count, 'patch')} staged from another source: {'; '.join(changes)}"
        if changes
        else f"{folder} has {count_of(count, 'patch')} staged by an earlier version, which did "
        "not write down where each one lies, and the catalog is another one now",
        "to drop them and fetch them again: "
        + command_line("hfaef", "build", "RECIPE", "--out", folder, "--refetch"),
    )


def with_identity(
    rows: Mapping[Key, Outcome], wanted: Inputs, found: Mapping[str, Any]
) -> dict[Key, Outcome]:
    """Rows that an earlier version wrote without grid and source, as its inputs.json tells them.

    Only those whose patches are still where they were can be told.

    Args:
        rows: of the ledger.
        wanted: by this build.
        found: the content of inputs.json.
    """
    now = wanted.summary()
    told = {"places": now["places"], "years": now["years"]}
    if not all(found.get(key) == value for key, value in told.items()):
        return {}
    source = json.dumps(source_identity(found.get("source") or {}), sort_keys=True)
    return {
        key: replace(row, grid=wanted.grids[key], source=source)
        for key, row in rows.items()
        if not row.grid and key in wanted.grids
    }
