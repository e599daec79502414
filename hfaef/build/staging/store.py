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
import io
import json
import math
import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock
import numpy as np
import numpy.typing as npt

from hfaef.build.staging.filesystem import Folder, Place, open_place
from hfaef.catalog import Catalog, Patch
from hfaef.core.quantize import BANDS
from hfaef.errors import FolderError, ReleaseError
from hfaef.recipe.model import Recipe
from hfaef.sources import Pixels

STAGING = ".staging"
MANIFEST = "release.json"
PLACE = "place.json"

_TABLE = """
CREATE TABLE IF NOT EXISTS outcomes (
  year INTEGER NOT NULL,
  id TEXT NOT NULL,
  fetched INTEGER NOT NULL,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  seconds REAL NOT NULL,
  requests INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  origins TEXT NOT NULL,
  resampled INTEGER NOT NULL,
  PRIMARY KEY (year, id)
)
"""


@dataclass(frozen=True)
class Outcome:
    """What happened to one patch in one year."""

    year: int
    id: str
    fetched: bool
    """Whether its pixels are staged."""
    reason: str = ""
    """Why it is missing, in words; empty if it is not."""
    attempts: int = 1
    """Reads that were started for it, in the last build that tried."""
    seconds: float = 0.0
    """Spent on it, all attempts together, without waiting between them."""
    requests: int = 0
    """`Pixels.requests`."""
    bytes: int = 0
    """`Pixels.received`."""
    origins: tuple[str, ...] = ()
    """`Pixels.origins`."""
    resampled: bool = False
    """`Pixels.resampled`."""


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


@dataclass(frozen=True)
class StagedPixels:
    """The pixels that a build has staged; a value that can be sent to other machines."""

    place: Place

    def keys(self) -> set[tuple[int, str]]:
        """Year and id of every patch whose pixels are there.

        Raises:
            FolderError: if the place does not answer.
        """
        try:
            names = self.place.names()
        except OSError as error:
            raise FolderError(
                f"cannot list the staged pixels in {self.place}: {error}",
                "see that it can be reached, then run the same command again",
            ) from error
        parts = (name.removesuffix(".npy").split("/") for name in names)
        return {(int(year), patch) for year, patch in parts}

    def write(self, patch: Patch, pixels: Pixels) -> None:
        """Write a patch's pixels, whole or not at all.

        Raises:
            FolderError: if the disk is full, or the folder is gone.
            Transient: if that may pass.
        """
        name = _file_name(patch)
        # numpy writes to files through a buffer of its own, and misses a full disk.
        buffer = io.BytesIO()
        np.save(buffer, pixels.codes, allow_pickle=False)
        with writing(self.place.where(name)):
            try:
                self.place.put(name, buffer.getvalue())
            except FileNotFoundError as error:
                raise FolderError(
                    f"{self.place} was removed while the build was running",
                    "run the same command again; it fetches what is gone",
                ) from error

    def read(self, patch: Patch) -> npt.NDArray[np.int8]:
        """The codes of a patch, int8 (64, H, W).

        Raises:
            ReleaseError: if the file is gone or is not what was staged.
        """
        name = _file_name(patch)
        try:
            content = self.place.get(name)
            return _decode(content, (BANDS, patch.grid.height, patch.grid.width))
        except OSError as error:
            raise ReleaseError(
                f"the staged pixels {self.place.where(name)} cannot be read: {error}",
                "run the same command again; it fetches what is gone",
            ) from error
        except ValueError as error:
            raise ReleaseError(
                f"the staged pixels {self.place.where(name)} are damaged: {error}",
                "remove the file and run the same command again",
            ) from error


def _file_name(patch: Patch) -> str:
    return f"{patch.year}/{patch.id}.npy"


def _decode(content: bytes, shape: tuple[int, int, int]) -> npt.NDArray[np.int8]:
    """The array of a ``.npy`` file that should have this shape; `numpy.load` takes twice as long."""
    head = _npy_head(shape)
    if not content.startswith(head):
        raise ValueError(f"no .npy file of {' x '.join(map(str, shape))} int8")
    if len(content) - len(head) != math.prod(shape):
        raise ValueError(f"{len(content):,} bytes, not {len(head) + math.prod(shape):,}")
    return np.frombuffer(content, np.int8, offset=len(head)).reshape(shape)


@lru_cache
def _npy_head(shape: tuple[int, int, int]) -> bytes:
    """What a ``.npy`` file of an int8 array of this shape begins with."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|i1", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


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
        with writing(self.staging):
            self.staging.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(self.staging / "lock")
        with writing(self.staging):
            try:
                self._lock.acquire(timeout=0)
            except filelock.Timeout as error:
                raise FolderError(
                    f"another hfaef is at work in {folder}", "wait for it, or choose another --out"
                ) from error
        with writing(self.staging):
            self._ledger = _open_ledger(self.staging)
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
        place = _place(self.staging)
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
        with writing(str(place)):
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
            with writing(path):
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
        with writing(self.staging):
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
        with writing(self.staging / "ledger.sqlite"), self._ledger:
            self._ledger.execute("REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def read_outcomes(staging: Path, ledger: sqlite3.Connection) -> dict[tuple[int, str], Outcome]:
    """The ledger of a staging folder, as in `Store.outcomes`."""
    there = StagedPixels(_place(staging)).keys()
    found = {}
    names = [field.name for field in fields(Outcome)]
    for row in ledger.execute(f"SELECT {', '.join(names)} FROM outcomes"):  # noqa: S608 - our names
        values = dict(zip(names, row, strict=True))
        if not values["fetched"] or (values["year"], values["id"]) in there:
            values["origins"] = tuple(json.loads(values["origins"]))
            for name in ("fetched", "resampled"):
                values[name] = bool(values[name])
            found[values["year"], values["id"]] = Outcome(**values)
    return found


def _place(staging: Path) -> Place:
    """Where the pixels of a staging folder are."""
    recorded = staging / PLACE
    if not recorded.is_file():
        return Folder(staging.absolute() / "pixels")
    try:
        return open_place(str(json.loads(recorded.read_text())["pixels"]))
    except (ValueError, LookupError, TypeError) as error:
        raise FolderError(
            f"{recorded} is damaged", f"remove {staging} to fetch all again"
        ) from error


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Turn a failure to write here into a FolderError that says so.

    Raises:
        FolderError: naming the file, for example when the disk is full.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FolderError(
            f"cannot write {getattr(error, 'filename', None) or path}: {reason}",
            "make room or mend the rights, then run the same command again; staged work is kept",
        ) from error


def replace_file(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)


def put_into_release(folder: Path, name: str, content: bytes) -> None:
    """Write a file of a release whole or not at all; a kill leaves nothing beside it.

    Args:
        folder: the release's.
        name: of the file; it lies in the folder itself.
        content: all of it.
    """
    staging = folder / STAGING
    staging.mkdir(exist_ok=True)
    # Not beside the file: a check would object to what a kill leaves there.
    staged = staging / f"{name}.part"
    staged.write_bytes(content)
    staged.replace(folder / name)


def _open_ledger(staging: Path) -> sqlite3.Connection:
    ledger = sqlite3.connect(staging / "ledger.sqlite")
    # A write-ahead log survives a kill at any moment; a row is lost at the most, never torn.
    ledger.execute("PRAGMA journal_mode=WAL")
    ledger.execute("PRAGMA synchronous=NORMAL")
    ledger.execute(_TABLE)
    return ledger


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
