"""What is done and what is missing in a build's folder, and what to type next."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hfaef.build.staging.ledger import Outcome, read_outcomes
from hfaef.errors import FolderError, command_line
from hfaef.release.format.manifest import read_manifest
from hfaef.release.format.paths import MANIFEST, STAGING


@dataclass(frozen=True)
class Status:
    """A build's folder, looked at from outside; a build may be running there."""

    folder: Path
    patches: int
    """In the catalog, times years."""
    fetched: int
    missing: tuple[Outcome, ...]
    """Tried, and not had."""
    released_rows: int | None
    """Rows of the finished release; None if there is none."""

    @property
    def next_command(self) -> str:
        """What to type next."""
        if self.released_rows is not None:
            return command_line("hfaef", "push", self.folder, "OWNER/NAME")
        return command_line("hfaef", "build", "RECIPE", "--out", self.folder)

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "folder": str(self.folder),
            "patches": self.patches,
            "fetched": self.fetched,
            "missing": [asdict(outcome) for outcome in self.missing],
            "released_rows": self.released_rows,
            "next": self.next_command,
        }


def read_status(folder: Path) -> Status:
    """The state of a build's folder.

    Raises:
        FolderError: if no build was ever started there.
    """
    staging = folder / STAGING
    released = read_manifest(folder).rows if (folder / MANIFEST).is_file() else None
    if not (staging / "inputs.json").is_file():
        if released is None:
            raise FolderError(f"no build was started in {folder}", "hfaef build RECIPE --out DIR")
        return Status(folder, released, released, (), released)
    patches = json.loads((staging / "inputs.json").read_text())["patches"]
    ledger = sqlite3.connect(f"file:{staging / 'ledger.sqlite'}?mode=ro", uri=True)
    try:
        outcomes = read_outcomes(staging, ledger)
    finally:
        ledger.close()
    missing = tuple(outcome for _, outcome in sorted(outcomes.items()) if not outcome.fetched)
    return Status(folder, patches, len(outcomes) - len(missing), missing, released)
