"""What is done and what is missing in a build's folder, and what to type next."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hfaef.build.staging.command import is_unfinished, read_command
from hfaef.build.staging.ledger import Outcome, read_ledger
from hfaef.errors import FolderError, command_line
from hfaef.release.card.additions import stale_additions
from hfaef.release.card.render import card_edits
from hfaef.release.format.manifest import Manifest, read_manifest
from hfaef.release.format.paths import MANIFEST, STAGING
from hfaef.release.format.scores import SCORES
from hfaef.release.format.swap import recover


@dataclass(frozen=True)
class Status:
    """A build's folder, looked at from outside; a build may be running there."""

    folder: Path
    patches: int
    """In the catalog, times years."""
    fetched: int
    missing: tuple[Outcome, ...]
    """Tried, and not had."""
    manifest: Manifest | None
    """Of the finished release; None if there is none."""
    stale: tuple[str, ...] = ()
    """Scores and figures of the release before that this one lacks."""
    unfinished: bool = False
    """Whether a build was begun after the release was made, and has not finished."""
    command: str | None = None
    """What goes on with that build; None if it is not known."""
    together: int = 0
    """Patches that were fetched in batches."""
    batches: int = 0
    """That they came in; one all of whose patches are missing may count, where others came."""
    checks: int = 0
    """Of these patches, those that were read once more, alone, and were the same."""
    unchecked: int = 0
    """Of these patches, those after which a check is still to come, or not done."""
    edits: tuple[str, ...] = ()
    """What stops the card from being written again, and the ways out; mostly nothing."""

    @property
    def released_rows(self) -> int | None:
        """Rows of the finished release."""
        return self.manifest.rows if self.manifest else None

    @property
    def published(self) -> str | None:
        """``OWNER/NAME@VERSION`` that the release is published as; None if it is not."""
        if self.manifest is None or self.manifest.repo is None or self.manifest.version is None:
            return None
        return f"{self.manifest.repo}@{self.manifest.version}"

    @property
    def is_stuck(self) -> bool:
        """Whether all was tried, and the same build again asks for nothing of what is missing."""
        # What `skip_bad` leaves out was never asked for, and stops no build.
        asked = [outcome for outcome in self.missing if outcome.attempts]
        tried = self.fetched + len(asked) >= self.patches or " --limit " in (self.command or "")
        return (
            (self.unfinished or self.manifest is None)
            and bool(asked)
            and tried
            and all(outcome.permanent for outcome in asked)
        )

    @property
    def next_command(self) -> str:
        """What to type next."""
        if self.edits and not self.published:  # they stop all commands below but the check
            return command_line("hfaef", "card", self.folder)
        if self.unfinished or self.manifest is None:
            return self._next_build()
        if self.published:
            return command_line("hfaef", "check", self.published)
        if SCORES in self.stale:
            return command_line("hfaef", "eval", self.folder)
        if self.stale:
            return command_line("hfaef", "show", self.folder)
        return command_line("hfaef", "push", self.folder, "OWNER/NAME")

    def _next_build(self) -> str:
        again = self.command or command_line("hfaef", "build", "RECIPE", "--out", self.folder)
        if not self.is_stuck:
            return again
        if not self.fetched:  # no release is of no patch
            return f"{again} --refetch"
        return again if re.search(" --allow-missing( |$)", again) else f"{again} --allow-missing"

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "folder": str(self.folder),
            "patches": self.patches,
            "fetched": self.fetched,
            "missing": [asdict(outcome) for outcome in self.missing],
            "released_rows": self.released_rows,
            "repo": self.manifest.repo if self.manifest else None,
            "version": self.manifest.version if self.manifest else None,
            "stale": list(self.stale),
            "unfinished": self.unfinished,
            "together": self.together,
            "batches": self.batches,
            "checks": self.checks,
            "unchecked": self.unchecked,
            "edits": list(self.edits),
            "next": self.next_command,
        }


def read_status(folder: Path) -> Status:
    """The state of a build's folder.

    Raises:
        FolderError: if no build was ever started there, or its staging is damaged.
        ReleaseError: if its manifest is damaged.
    """
    staging = folder / STAGING
    recover(folder)
    manifest = read_manifest(folder) if (folder / MANIFEST).is_file() else None
    edits = card_edits(folder) if manifest else ()
    if not (staging / "inputs.json").is_file():
        if manifest is None:
            raise FolderError(
                f"no build was started in {folder}",
                command_line("hfaef", "build", "RECIPE", "--out", folder),
            )
        return Status(folder, manifest.rows, manifest.rows, (), manifest, edits=edits)
    try:
        patches = int(json.loads((staging / "inputs.json").read_text())["patches"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FolderError(
            f"cannot read {staging / 'inputs.json'}: {error}",
            command_line("hfaef", "build", "RECIPE", "--out", folder),
        ) from error
    outcomes = read_ledger(staging)
    missing = tuple(outcome for _, outcome in sorted(outcomes.items()) if not outcome.fetched)
    stale = stale_additions(folder)
    together = [one for one in outcomes.values() if one.together > 1 and one.fetched]
    return Status(
        folder,
        patches,
        len(outcomes) - len(missing),
        missing,
        manifest,
        stale,
        is_unfinished(staging),
        read_command(staging),
        together=len(together),
        batches=_count_batches(outcomes.values()),
        checks=sum(outcome.checks > 0 for outcome in together),
        unchecked=sum(outcome.unchecked for outcome in together),
        edits=edits,
    )


def _count_batches(outcomes: Iterable[Outcome]) -> int:
    """Batches that fetched patches came in; what else they held may be missing, or came alone."""
    came, fetched = Counter[int](), Counter[int]()
    for outcome in outcomes:
        came[outcome.together] += 1
        fetched[outcome.together] += outcome.fetched
    sizes = [size for size in came if size > 1]
    return sum(min(-(-came[size] // size), fetched[size]) for size in sizes)
