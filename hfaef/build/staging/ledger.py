"""The ledger: what happened to each patch and year, one row each, in SQLite."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from pathlib import Path

from hfaef.build.staging.identity import Key
from hfaef.build.staging.pixels import StagedPixels, recorded_staging
from hfaef.errors import FolderError

LEDGER = "ledger.sqlite"

_COPIES = 5
"""Tries to copy a ledger that is written to."""

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

_ADDED = {
    "grid": "TEXT NOT NULL DEFAULT ''",
    "source": "TEXT NOT NULL DEFAULT ''",
    "taken_from": "TEXT NOT NULL DEFAULT ''",
    "permanent": "INTEGER NOT NULL DEFAULT 0",
    "gone": "INTEGER NOT NULL DEFAULT 0",
    "together": "INTEGER NOT NULL DEFAULT 1",
    "unchecked": "INTEGER NOT NULL DEFAULT 0",
    "checks": "INTEGER NOT NULL DEFAULT 0",
}
"""Columns that ledgers of earlier versions lack. `gone`: the patch left the catalog; its pixels
are kept until a release is made without it, in case it comes back."""


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
    grid: str = ""
    """`identity.grid_digest` of the grid that was asked for."""
    source: str = ""
    """`identity.Inputs.source_text` of the source that was asked."""
    taken_from: str = ""
    """The release whose row held the pixels; empty if the source gave them."""
    permanent: bool = False
    """Whether asking again is of no use: there is nothing at this place."""
    together: int = 1
    """Patches that were read with the request that settled it."""
    unchecked: bool = False
    """Whether it came together with others, and no check of such patches was made since."""
    checks: int = 0
    """Times that it was read once more, alone, and was the same."""


_COLUMNS = tuple(field.name for field in fields(Outcome))
_FLAGS = ("fetched", "resampled", "permanent", "unchecked")


def open_ledger(staging: Path) -> sqlite3.Connection:
    """The ledger of a staging folder, made if there is none."""
    ledger = sqlite3.connect(staging / LEDGER)
    # A write-ahead log survives a kill at any moment; a row is lost at the most, never torn.
    ledger.execute("PRAGMA journal_mode=WAL")
    ledger.execute("PRAGMA synchronous=NORMAL")
    ledger.execute(_TABLE)
    for name in _ADDED.keys() - _columns_of(ledger):
        ledger.execute(f"ALTER TABLE outcomes ADD COLUMN {name} {_ADDED[name]}")
    return ledger


def read_ledger(staging: Path) -> dict[Key, Outcome]:
    """The ledger of a staging folder that is only looked at, as `read_outcomes`; writes nothing.

    A build may be at work there, or may have been killed.

    Raises:
        FolderError: if there is none, or it is damaged.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="hfaef-") as scratch:
            path = _unlogged(staging / LEDGER, Path(scratch))
            uri = f"{path.absolute().as_uri()}?mode=ro&immutable={int(path.parent == staging)}"
            with closing(sqlite3.connect(uri, uri=True)) as ledger:
                return read_outcomes(staging, ledger)
    except (OSError, sqlite3.Error, ValueError) as error:
        raise FolderError(
            f"cannot read {staging / LEDGER}: {error}",
            f"remove {staging} to fetch all again, and build",
        ) from error


def _unlogged(path: Path, scratch: Path) -> Path:
    """A ledger that nobody writes to: itself, or a copy with its log, beside which SQLite writes.

    Whoever writes to a ledger has a log (https://www.sqlite.org/wal.html), and moves what it holds
    into the ledger now and then; a copy made meanwhile is made again.
    """
    log = path.with_name(f"{path.name}-wal")
    if not log.is_file():
        return path
    for _ in range(_COPIES):
        before = path.stat()
        shutil.copy(path, scratch)
        with suppress(FileNotFoundError):  # the last one who wrote has gone, and taken it along
            shutil.copy(log, scratch)
        after = path.stat()
        if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
            break
    return scratch / path.name


def read_outcomes(staging: Path, ledger: sqlite3.Connection) -> dict[Key, Outcome]:
    """The ledger by year and id, without patches that left the catalog.

    A fetched patch whose pixels are gone is left out.
    """
    staged = StagedPixels(recorded_staging(staging)).keys()
    return {
        key: outcome
        for key, outcome in read_rows(ledger, gone=False).items()
        if not outcome.fetched or key in staged
    }


def read_rows(ledger: sqlite3.Connection, *, gone: bool) -> dict[Key, Outcome]:
    """All rows of patches that left the catalog, or of those that did not."""
    there = _columns_of(ledger)  # a ledger that is only looked at may be an earlier version's
    if "gone" not in there and gone:
        return {}
    names = [name for name in _COLUMNS if name in there]
    where = f" WHERE gone = {int(gone)}" if "gone" in there else ""
    found = {}
    for row in ledger.execute(f"SELECT {', '.join(names)} FROM outcomes{where}"):  # noqa: S608 - ours
        values = dict(zip(names, row, strict=True))
        values["origins"] = tuple(json.loads(values["origins"]))
        for name in _FLAGS:
            values[name] = bool(values.get(name))
        found[values["year"], values["id"]] = Outcome(**values)
    return found


def write_outcome(ledger: sqlite3.Connection, outcome: Outcome) -> None:
    """Set a patch's row, and commit."""
    write_outcomes(ledger, [outcome])


def write_outcomes(ledger: sqlite3.Connection, outcomes: Iterable[Outcome]) -> None:
    """Set the rows of patches, all or none."""
    rows = []
    for outcome in outcomes:
        values = vars(outcome) | {"origins": json.dumps(outcome.origins)}
        rows.append([values[name] for name in _COLUMNS])
    marks = ", ".join("?" * len(_COLUMNS))
    with ledger:
        ledger.executemany(
            f"REPLACE INTO outcomes ({', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608 - ours
            rows,
        )


def trust_rows(ledger: sqlite3.Connection, keys: Iterable[Key]) -> None:
    """Mark rows as checked."""
    with ledger:
        ledger.executemany("UPDATE outcomes SET unchecked = 0 WHERE year = ? AND id = ?", keys)


def count_check(ledger: sqlite3.Connection, key: Key, requests: int, size: int) -> None:
    """Count a good check of a patch, and the requests and bytes that it took."""
    with ledger:
        ledger.execute(
            "UPDATE outcomes SET checks = checks + 1, requests = requests + ?, bytes = bytes + ? "
            "WHERE year = ? AND id = ?",
            [requests, size, *key],
        )


def drop_unchecked(ledger: sqlite3.Connection) -> set[Key]:
    """Forget rows that are not checked; gives their keys."""
    with ledger:
        found = set(ledger.execute("SELECT year, id FROM outcomes WHERE unchecked"))
        ledger.execute("DELETE FROM outcomes WHERE unchecked")
    return found


def update_rows(
    ledger: sqlite3.Connection, *, forget: Iterable[Key], leave: Iterable[Key], back: Iterable[Key]
) -> None:
    """Forget rows, and mark others as of patches that left the catalog or came back; all or none."""
    with ledger:
        ledger.executemany("DELETE FROM outcomes WHERE year = ? AND id = ?", forget)
        ledger.executemany("UPDATE outcomes SET gone = 1 WHERE year = ? AND id = ?", leave)
        ledger.executemany("UPDATE outcomes SET gone = 0 WHERE year = ? AND id = ?", back)


def _columns_of(ledger: sqlite3.Connection) -> set[str]:
    return {row[1] for row in ledger.execute("PRAGMA table_info(outcomes)")}
