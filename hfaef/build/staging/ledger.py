"""The ledger: what happened to each patch and year, one row each, in SQLite."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from hfaef.build.staging.pixels import StagedPixels, recorded_staging

LEDGER = "ledger.sqlite"

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


_COLUMNS = tuple(field.name for field in fields(Outcome))
"""In the order of the table."""


def open_ledger(staging: Path) -> sqlite3.Connection:
    """The ledger of a staging folder, made if there is none."""
    ledger = sqlite3.connect(staging / LEDGER)
    # A write-ahead log survives a kill at any moment; a row is lost at the most, never torn.
    ledger.execute("PRAGMA journal_mode=WAL")
    ledger.execute("PRAGMA synchronous=NORMAL")
    ledger.execute(_TABLE)
    return ledger


def read_outcomes(staging: Path, ledger: sqlite3.Connection) -> dict[tuple[int, str], Outcome]:
    """The ledger by year and id; a fetched patch whose pixels are gone is left out."""
    staged = StagedPixels(recorded_staging(staging)).keys()
    found = {}
    for row in ledger.execute(f"SELECT {', '.join(_COLUMNS)} FROM outcomes"):  # noqa: S608 - ours
        values = dict(zip(_COLUMNS, row, strict=True))
        if not values["fetched"] or (values["year"], values["id"]) in staged:
            values["origins"] = tuple(json.loads(values["origins"]))
            for name in ("fetched", "resampled"):
                values[name] = bool(values[name])
            found[values["year"], values["id"]] = Outcome(**values)
    return found


def write_outcome(ledger: sqlite3.Connection, outcome: Outcome) -> None:
    """Set a patch's row, and commit."""
    values = asdict(outcome) | {"origins": json.dumps(outcome.origins)}
    row = [values[name] for name in _COLUMNS]
    with ledger:
        ledger.execute("REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
