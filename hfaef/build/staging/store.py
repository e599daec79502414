"""What a build has so far: staged pixels and a ledger of what happened to each patch.

All of it lies in ``.staging`` of the output folder::

    .staging/inputs.json          what the staged pixels were made from
    .staging/ledger.sqlite        one row a patch and year
    .staging/pixels/YEAR/ID.npy   codes, int8 (64, H, W)
    .staging/place.json           where the pixels lie instead, with --staging

A file is renamed into place before its row is written, and a row counts only with its file, so
the process may be killed at any moment.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hfaef.build.staging.filesystem import StagingStore, open_staging
from hfaef.build.staging.ledger import LEDGER, Outcome, open_ledger, read_outcomes, write_outcome
from hfaef.build.staging.pixels import RECORD, StagedPixels, recorded_staging
from hfaef.catalog.patch import Catalog
from hfaef.core.files import atomic_write, folder_errors, folder_lock
from hfaef.errors import FolderError
from hfaef.recipe.model import Recipe
from hfaef.release.format.paths import LOCK, MANIFEST, STAGING, require_no_links


def inputs(recipe: Recipe, catalog: Catalog) -> dict[str, Any]:
    """What staged pixels depend on: grids, years and source, but neither labels nor packing."""
    digest = hashlib.sha256()
    for patch in catalog.patches:
        grid = patch.grid
        text = (patch.id, grid.crs, grid.transform, grid.height, grid.width)
        digest.update(repr(text).encode())
    # None of these changes a pixel.
    speed = {"project", "max_requests", "requests_per_minute", "workload_tag", "reader", "hosts"}
    return {
        "years": sorted(recipe.years),
        "source": recipe.source.model_dump(mode="json", exclude=speed, exclude_none=True),
        "patches": len(catalog.patches),
        "places": digest.hexdigest(),
    }


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

    def claim(self, wanted: dict[str, Any]) -> None:
        """Take the staging for these `inputs`.

        Raises:
            FolderError: if what is staged was made from others.
        """
        path = self.staging / "inputs.json"
        if not path.exists():
            with folder_errors(path):
                atomic_write(path, json.dumps(wanted, indent=2).encode())
            return
        try:
            found = json.loads(path.read_text())
        except ValueError:
            found = {}
        if found == wanted:
            return
        differs = [key for key in wanted if found.get(key) != wanted[key]]
        words = {"places": "the places of the patches", "patches": "the number of patches"}
        raise FolderError(
            f"{self.staging} was made from another recipe or catalog: "
            f"{' and '.join(words.get(key, key) for key in differs)} changed",
            "choose another --out, or remove that folder to fetch all again",
        )

    def outcomes(self) -> dict[tuple[int, str], Outcome]:
        """The ledger by year and id; a fetched patch whose pixels are gone is left out."""
        with folder_errors(self.staging):
            return read_outcomes(self.staging, self._ledger)

    def record(self, outcome: Outcome) -> None:
        """Write what happened to a patch; from the thread that opened the store."""
        with folder_errors(self.staging / LEDGER):
            write_outcome(self._ledger, outcome)


def require_ours(folder: Path) -> None:
    """Raise FolderError unless a folder is new, empty, or made by a build.

    Raises:
        ReleaseError: if there is a symbolic link in it.
    """
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
