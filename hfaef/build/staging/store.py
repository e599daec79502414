"""What a build has so far: staged pixels and a ledger of what happened to each patch.

All of it lies in ``.staging`` of the output folder::

    .staging/inputs.json          what the staged pixels were made from
    .staging/ledger.sqlite        one row a patch and year
    .staging/pixels/YEAR/ID.npy   codes, int8 (64, H, W)
    .staging/place.json           where the pixels are instead, if somebody named another place

A file is renamed into place before its row is written, and a row counts only with its file, so
the process may be killed at any moment.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock

from hfaef.build.staging.filesystem import Place, open_place
from hfaef.build.staging.ledger import Outcome, open_ledger, read_outcomes
from hfaef.build.staging.pixels import PLACE, StagedPixels, recorded_place
from hfaef.catalog.patch import Catalog
from hfaef.core.files import folder_errors, replace_file
from hfaef.errors import FolderError
from hfaef.recipe.model import Recipe
from hfaef.release.format.paths import MANIFEST, STAGING


def inputs(recipe: Recipe, catalog: Catalog) -> dict[str, Any]:
    """What staged pixels depend on: places, years and source, but neither labels nor packing."""
    digest = hashlib.sha256()
    for patch in catalog.patches:
        grid = patch.grid
        text = (patch.id, grid.crs, grid.transform, grid.height, grid.width)
        digest.update(repr(text).encode())
    # Neither changes a pixel.
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
        place: path or URL below which pixels are staged, in a folder of their own; by default
            where earlier builds of this folder staged them, or in the folder itself.

    Raises:
        FolderError: if the folder holds something else, another build is running there, or its
            pixels are staged elsewhere.
        InputError: if the place cannot be opened.
    """

    def __init__(self, folder: Path, place: str | None = None) -> None:
        self.folder = folder
        self.staging = folder / STAGING
        require_ours(folder)
        with folder_errors(self.staging):
            self.staging.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(self.staging / "lock")
        with folder_errors(self.staging):
            try:
                self._lock.acquire(timeout=0)
            except filelock.Timeout as error:
                raise FolderError(
                    f"another hfaef is at work in {folder}", "wait for it, or choose another --out"
                ) from error
        with folder_errors(self.staging):
            self._ledger = open_ledger(self.staging)
            self.pixels = StagedPixels(self._settle(place))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ledger.close()
        self._lock.release()

    def _settle(self, wanted: str | None) -> Place:
        """The place of the pixels, made and remembered."""
        place = recorded_place(self.staging)
        above = None if wanted is None else str(open_place(wanted))
        if above is not None and str(place).rpartition("/")[0] != above:
            if StagedPixels(place).keys():
                raise FolderError(
                    f"earlier builds of {self.folder} staged pixels in {place}",
                    "build without --staging to go on with them, or remove "
                    f"{self.staging} to fetch all again",
                )
            # A name of its own: others stage there, too.
            name = re.sub(r"[^A-Za-z0-9_-]", "-", self.folder.absolute().name)
            place = open_place(f"{above}/{name}-{uuid.uuid4().hex[:8]}")
        with folder_errors(str(place)):
            place.prepare()
        if above is not None:
            replace_file(self.staging / PLACE, json.dumps({"pixels": str(place)}).encode())
        return place

    def claim(self, wanted: dict[str, Any]) -> None:
        """Take the staging for these `inputs`.

        Raises:
            FolderError: if what is staged was made from others.
        """
        path = self.staging / "inputs.json"
        if not path.exists():
            with folder_errors(path):
                replace_file(path, json.dumps(wanted, indent=2).encode())
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
        """The ledger by year and id; a fetched patch whose file is gone is left out."""
        with folder_errors(self.staging):
            return read_outcomes(self.staging, self._ledger)

    def record(self, outcome: Outcome) -> None:
        """Write what happened to a patch; from the thread that opened the store."""
        row = (
            outcome.year,
            outcome.id,
            outcome.fetched,
            outcome.reason,
            outcome.attempts,
            outcome.seconds,
            outcome.requests,
            outcome.bytes,
            json.dumps(outcome.origins),
            outcome.resampled,
        )
        with folder_errors(self.staging / "ledger.sqlite"), self._ledger:
            self._ledger.execute("REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def require_ours(folder: Path) -> None:
    """Raise FolderError unless a folder is new, empty, or made by a build."""
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file", "choose another --out")
    if not folder.is_dir() or (folder / STAGING).is_dir() or (folder / MANIFEST).is_file():
        return
    others = sorted(path.name for path in folder.iterdir())
    if others:
        raise FolderError(
            f"{folder} holds something else ({others[0]})", "choose another --out, or empty it"
        )
