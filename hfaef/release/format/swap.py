"""A new release takes the place of the old one; at every moment one of them is whole.

The new release is made in the staging. A journal then says that it is to be moved in, and is removed
when it has been. Whoever opens the folder first finishes what the journal says, so a kill at any
moment leaves the old release or the new one::

    .staging/release/   the new release, until it is moved
    .staging/old/       what it replaced, until that is removed
    .staging/swap.json  there while files are moved
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from hfaef.core.files import STAGING, atomic_write, folder_errors
from hfaef.errors import FolderError

NEW = f"{STAGING}/release"
"""Where a new release is made, in the folder of the old one."""

_OLD = f"{STAGING}/old"
_JOURNAL = f"{STAGING}/swap.json"
_LOCK = f"{STAGING}/swap.lock"
"""Held while files are moved, and by nothing else: whoever reads a release may wait for it."""

_PATIENCE = 60.0
"""Seconds to wait for another process that moves files; it takes milliseconds."""


def swap_in(folder: Path, replaced: tuple[str, ...]) -> None:
    """Move the release in `NEW` to the place of the one in the folder.

    Args:
        folder: of the release.
        replaced: names in the folder that are part of a release, the manifest last, as it is moved
            last; those that the new one lacks go.

    Raises:
        FolderError: if something cannot be moved; doing the same again, or reading, goes on.
    """
    with folder_errors(folder):
        there = {path.name for path in (folder / NEW).iterdir()}
        new = [*sorted(there - {*replaced}), *(name for name in replaced if name in there)]
        _clear(folder / _OLD)
        (folder / _OLD).mkdir()
        words = {"new": new, "gone": sorted({*replaced} - {*new})}
        atomic_write(folder / _JOURNAL, json.dumps(words).encode())
    recover(folder)


def recover(folder: Path) -> None:
    """Finish moving a new release in, if somebody was interrupted while doing so.

    Raises:
        FolderError: if it cannot be finished.
    """
    journal = folder / _JOURNAL
    if not journal.is_file():
        return
    import filelock

    with folder_errors(journal):
        try:
            with filelock.FileLock(folder / _LOCK, timeout=_PATIENCE):
                if journal.is_file():  # else another process was faster
                    _move(folder, *_read_journal(journal))
                    journal.unlink()
                    _clear(folder / _OLD)
                    _clear(folder / NEW)
        except filelock.Timeout as error:
            raise FolderError(
                f"another hfaef replaces the release in {folder}", "wait for it, then run it again"
            ) from error


def _move(folder: Path, new: list[str], gone: list[str]) -> None:
    """Move old files and folders out and new ones in; what was done before is passed over."""
    for name in new:
        source, place = folder / NEW / name, folder / name
        if source.exists():  # else it is in its place
            if place.exists() or place.is_symlink():
                place.replace(folder / _OLD / name)
            source.replace(place)
    for name in gone:
        if (folder / name).exists() or (folder / name).is_symlink():
            (folder / name).replace(folder / _OLD / name)


def _read_journal(journal: Path) -> tuple[list[str], list[str]]:
    """Names that the new release has, and those that only the old one has."""
    try:
        words = json.loads(journal.read_text())
        new, gone = ([str(name) for name in words[key]] for key in ("new", "gone"))
    except (ValueError, LookupError, TypeError) as error:
        raise FolderError(
            f"{journal} is damaged", f"remove {journal.parent} and build again"
        ) from error
    if any(Path(name).name != name for name in (*new, *gone)):
        raise FolderError(f"{journal} names files outside the release", f"remove {journal}")
    return new, gone


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
