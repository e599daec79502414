"""What a build has so far: staged pixels and a ledger of what happened to each patch.

All of it lies in ``.staging`` of the output folder::

    .staging/command.json         what goes on with a build that has not finished
    .staging/inputs.json          patches and source of the last build
    .staging/ledger.sqlite        one row a patch and year: what happened, on which grid, from where
    .staging/pixels/YEAR/ID.npy   codes, int8 (64, H, W)
    .staging/place.json           where the pixels lie instead, with --staging

A file is renamed into place before its row is written, and a row counts only with its file, so
the process may be killed at any moment.
"""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from hfaef.build.staging.filesystem import StagingStore, open_staging
from hfaef.build.staging.identity import Inputs, Key
from hfaef.build.staging.ledger import (
    LEDGER,
    Outcome,
    count_check,
    drop_unchecked,
    open_ledger,
    read_outcomes,
    read_rows,
    trust_rows,
    update_rows,
    write_outcomes,
)
from hfaef.build.staging.pixels import RECORD, StagedPixels, recorded_staging
from hfaef.build.staging.reuse import Reuse, decide, with_identity
from hfaef.core.files import atomic_write, folder_errors, folder_lock, require_loadable
from hfaef.errors import FolderError
from hfaef.release.format.paths import LOCK, MANIFEST, STAGING, require_no_links


class Store:
    """The staging of one output folder, held by one process at a time.

    Args:
        folder: of the release.
        above: path or URL below which pixels are staged, in a folder of their own; by default
            where earlier builds of this folder staged them, or in the folder itself.

    Raises:
        FolderError: if the folder holds something else, another build is running there, or its
            pixels are staged elsewhere.
        InputError: if pixels cannot be staged at the path or URL.
    """

    def __init__(self, folder: Path, above: str | None = None) -> None:
        self.folder = folder
        self.staging = folder / STAGING
        self._claimed: Inputs | None = None
        require_ours(folder)
        with ExitStack() as stack:
            hint = "wait for it, or choose another --out"
            stack.enter_context(folder_lock(folder, LOCK, hint))
            with folder_errors(self.staging):
                self._ledger = stack.enter_context(closing(open_ledger(self.staging)))
                self.pixels = StagedPixels(self._settle(above))
            self._held = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()

    def _settle(self, above: str | None) -> StagingStore:
        """Where pixels are staged, prepared and recorded."""
        files = recorded_staging(self.staging)
        wanted = None if above is None else str(open_staging(above))
        if wanted is not None and str(files).rpartition("/")[0] != wanted:
            if StagedPixels(files).keys():
                raise FolderError(
                    f"earlier builds of {self.folder} staged pixels in {files}",
                    "build without --staging to go on with them, or remove "
                    f"{self.staging} to fetch all again",
                )
            # A name of its own: others stage there, too.
            name = re.sub(r"[^A-Za-z0-9_-]", "-", self.folder.absolute().name)
            files = open_staging(f"{wanted}/{name}-{uuid.uuid4().hex[:8]}")
        with folder_errors(str(files)):
            files.prepare()
        if wanted is not None:
            atomic_write(self.staging / RECORD, json.dumps({"pixels": str(files)}).encode())
        return files

    def claim(self, wanted: Inputs, *, refetch: bool = False) -> Reuse:
        """Take the staging for a build: what it may use is kept, what it must not is dropped.

        Pixels of patches that left the catalog stay until `drop_gone`.

        Args:
            wanted: by the build.
            refetch: whether pixels of another source are dropped, and patches asked for again
                that will never come.

        Raises:
            FolderError: if pixels were staged from another source, unless `refetch`.
        """
        path = self.staging / "inputs.json"
        found = _read_inputs(path)
        with folder_errors(self.staging):
            rows = read_rows(self._ledger, gone=False)
            if told := with_identity(rows, wanted, found):
                write_outcomes(self._ledger, told.values())
                rows |= told
            left = read_rows(self._ledger, gone=True)
            reuse = decide(
                wanted, rows | left, left.keys(), self.pixels.keys(), self.folder, refetch=refetch
            )
            dropped = reuse.moved | reuse.refetched
            missing = {key for key, row in rows.items() if not row.fetched}
            update_rows(
                self._ledger,
                forget=dropped | reuse.retried | (missing - wanted.grids.keys()),
                leave=reuse.gone,
                back=left.keys() & reuse.kept,
            )
            for key in sorted(dropped):
                self.pixels.remove(key)
        if found != wanted.summary():
            with folder_errors(path):
                atomic_write(path, json.dumps(wanted.summary(), indent=2).encode())
        self._claimed = wanted
        return reuse

    def drop_gone(self) -> None:
        """Drop pixels of patches that the build which claimed the staging does not need."""
        wanted = self._claimed.grids.keys() if self._claimed else set[Key]()
        with folder_errors(self.staging):
            gone = read_rows(self._ledger, gone=True).keys()
            update_rows(self._ledger, forget=gone, leave=(), back=())
            for key in sorted(self.pixels.keys() - wanted):
                self.pixels.remove(key)

    def outcomes(self) -> dict[Key, Outcome]:
        """The ledger by year and id; a fetched patch whose pixels are gone is left out."""
        with folder_errors(self.staging):
            return read_outcomes(self.staging, self._ledger)

    def record(self, *outcomes: Outcome) -> None:
        """Write what happened to patches, all or none, and to which grids of which source.

        From the thread that opened the store, as all that writes.
        """
        if self._claimed is not None:
            grids, source = self._claimed.grids, self._claimed.source_text
            outcomes = tuple(
                replace(one, grid=grids.get((one.year, one.id), ""), source=source)
                for one in outcomes
            )
        with folder_errors(self.staging / LEDGER):
            write_outcomes(self._ledger, outcomes)

    def count_check(self, key: Key, requests: int, size: int) -> None:
        """Write that a patch was read once more and was the same, at a cost of requests and bytes."""
        with folder_errors(self.staging / LEDGER):
            count_check(self._ledger, key, requests, size)

    def trust(self, keys: Iterable[Key]) -> None:
        """Write that patches which came together with others were checked."""
        with folder_errors(self.staging / LEDGER):
            trust_rows(self._ledger, keys)

    def drop_unchecked(self) -> set[Key]:
        """Drop what came together with others and was not checked; gives the keys."""
        with folder_errors(self.staging):
            dropped = drop_unchecked(self._ledger)
            for key in sorted(dropped):
                self.pixels.remove(key)
        return dropped


@dataclass(frozen=True)
class Settled:
    """What a build in a folder would not ask a source for."""

    staged: frozenset[Key] = frozenset()
    """Patches whose pixels are there, of this grid and source."""
    nowhere: frozenset[Key] = frozenset()
    """Patches of which the source said that it has nothing there."""
    foreign: int = 0
    """Staged patches of another source, which a build drops with ``--refetch`` only."""


def read_settled(folder: Path, wanted: Inputs) -> Settled:
    """What earlier builds settled of what is wanted; a build may be running there.

    Args:
        folder: of the release; need not be there.
        wanted: by the next build.
    """
    staging = folder / STAGING
    if not (staging / LEDGER).is_file():
        return Settled()
    with folder_errors(staging):
        ledger = sqlite3.connect(f"file:{quote(str(staging / LEDGER))}?mode=ro", uri=True)
        with closing(ledger):
            rows, left = (read_rows(ledger, gone=gone) for gone in (False, True))
        rows |= with_identity(rows, wanted, _read_inputs(staging / "inputs.json"))
        pixels = StagedPixels(recorded_staging(staging)).keys()
    reuse = decide(wanted, rows | left, left.keys(), pixels, folder, refetch=True)
    permanent = {key for key, row in rows.items() if row.permanent and key in wanted.grids}
    return Settled(
        staged=reuse.kept,
        nowhere=frozenset(
            key
            for key in permanent
            if rows[key].grid == wanted.grids[key] and rows[key].source == wanted.source_text
        ),
        foreign=len(reuse.refetched),
    )


def _read_inputs(path: Path) -> dict[str, Any]:
    """What an earlier build wrote down; nothing if there was none, or its file is damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def require_ours(folder: Path) -> None:
    """Raise FolderError unless a folder is new, empty, or made by a build, and can be loaded from.

    Raises:
        ReleaseError: if there is a symbolic link in it.
    """
    require_loadable(folder, "choose another --out")
    require_no_links(folder)
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file", "choose another --out")
    if not folder.is_dir() or (folder / STAGING).is_dir() or (folder / MANIFEST).is_file():
        return
    others = sorted(path.name for path in folder.iterdir())
    if others:
        raise FolderError(
            f"{folder} holds something else ({others[0]})", "choose another --out, or empty it"
        )
