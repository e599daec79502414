"""Vectors that are there already: parts of a fixed number of rows, staged beside their table.

A part is whole or not there. What they were made with stands beside them, so that parts of
another model or of other images are never taken for these.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from hfaef.core.files import atomic_write, folder_errors, folder_lock, is_unfinished
from hfaef.encoders.base import Float32
from hfaef.errors import FolderError

_IDENTITY = "identity"
_LOCK = "lock"


@dataclass(frozen=True)
class Part:
    """The vectors of some images in a row."""

    kept: npt.NDArray[np.bool_]
    """Of each image, whether it has a vector."""
    vectors: Float32
    """Of those that have one (kept, dimensions)."""


class Parts:
    """A folder of parts by their number; opened by `staged_parts`.

    Args:
        folder: it is there, and nobody else writes to it.
        dropped: parts of another identity that were in it.
    """

    def __init__(self, folder: Path, dropped: int) -> None:
        self._folder = folder
        self.dropped = dropped

    def read(self, number: int, rows: int) -> Part | None:
        """A part of so many images; None if it is not there."""
        path = self._path(number)
        if not path.is_file():
            return None
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
                part = Part(arrays["kept"], arrays["vectors"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # it is made again
            return None
        whole = part.kept.shape == (rows,) and part.vectors.shape[:1] == (part.kept.sum(),)
        return part if whole and part.vectors.dtype == np.float32 else None

    def write(self, number: int, part: Part) -> None:
        """Keep a part.

        Raises:
            FolderError: if it cannot be written.
        """
        buffer = io.BytesIO()
        np.savez(buffer, kept=part.kept, vectors=part.vectors)
        with folder_errors(self._folder):
            atomic_write(self._path(number), buffer.getbuffer())

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.npz"


def parts_folder(table: Path) -> Path:
    """Where the parts of a table lie."""
    return table.with_name(f"{table.name}.parts")


@contextmanager
def staged_parts(table: Path, identity: str) -> Iterator[Parts]:
    """The parts of a table, to go on with; they are removed when the block ends without an error.

    Args:
        table: the file that they become.
        identity: of what they are made with; parts of another are dropped.

    Raises:
        FolderError: if another process is at work there, or the folder holds something else.
    """
    folder = parts_folder(table)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FolderError(f"{folder} is no folder", "move it away, or give another --out")
    with folder_lock(folder, _LOCK, "wait for it, or give another --out"):
        with folder_errors(folder):
            dropped = _prepare(folder, identity)
        yield Parts(folder, dropped)
        with folder_errors(folder):
            _empty(folder)
    _remove(folder)


def _prepare(folder: Path, identity: str) -> int:
    """Make a folder one of parts of this identity; gives how many of another were dropped."""
    marker = folder / _IDENTITY
    before = marker.read_text() if marker.is_file() else None
    parts = _parts_in(folder)
    foreign = sorted(path.name for path in folder.iterdir() if not _is_ours(path))
    if foreign or (before is None and parts):
        held = foreign[0] if foreign else parts[0].name
        raise FolderError(
            f"{folder} holds something else: {held}", "move it away, or give another --out"
        )
    if before == identity:
        return 0
    _empty(folder)
    atomic_write(marker, identity.encode())
    return len(parts)


def remove_parts(table: Path, identity: str) -> None:
    """Remove what a kill has left of the parts of a table that is whole."""
    folder = parts_folder(table)
    marker = folder / _IDENTITY
    if marker.is_file() and marker.read_text() == identity:
        with staged_parts(table, identity):
            pass
    _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder in which the lock alone is left."""
    with contextlib.suppress(OSError):  # another process may be at work there again
        if {path.name for path in folder.iterdir()} <= {_LOCK}:
            (folder / _LOCK).unlink(missing_ok=True)
            folder.rmdir()


def _parts_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.npz") if path.stem.isdigit())


def _is_ours(path: Path) -> bool:
    named = path.name in (_IDENTITY, _LOCK) or (path.suffix == ".npz" and path.stem.isdigit())
    return (named or is_unfinished(path)) and path.is_file() and not path.is_symlink()


def _empty(folder: Path) -> None:
    """Remove all but the lock; the marker last, as parts without it would be nobody's."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == _IDENTITY):
        if path.name != _LOCK:
            path.unlink()
