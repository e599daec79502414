"""A buffer of arrays that wait to be read: in memory while there is room, else in files."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Hashable
from pathlib import Path

import numpy as np

from hfaef.errors import FolderError
from hfaef.sources.cog.tile_store import Codes

ROOM_BYTES = 256 << 20
"""Bytes of arrays in memory; more go to files."""


class SpillBuffer:
    """Arrays by owner and key; used from many threads.

    Args:
        folder: gets files, in a folder of its own that is removed by `close`.
        room: bytes in memory.
    """

    def __init__(self, folder: Path, room: int = ROOM_BYTES) -> None:
        self._folder = folder
        self._room = room
        self._lock = threading.Lock()
        self._arrays: dict[Hashable, dict[Hashable, Codes | Path]] = {}
        self._held = 0
        """Bytes in memory."""
        self._files: Path | None = None
        self._count = 0

    def put(self, owner: Hashable, key: Hashable, codes: Codes) -> None:
        """Keep an array.

        Raises:
            FolderError: if there is no room for its file.
        """
        with self._lock:
            kept = self._arrays.setdefault(owner, {})
            self._discard(kept.pop(key, None))
            fits = self._held + codes.nbytes <= self._room
            kept[key] = codes if fits else self._write(codes)
            self._held += codes.nbytes if fits else 0

    def get(self, owner: Hashable, key: Hashable) -> Codes | None:
        """An array, which is kept; None if there is none."""
        with self._lock:
            kept = self._arrays.get(owner, {}).get(key)
            return np.load(kept) if isinstance(kept, Path) else kept

    def drop(self, owner: Hashable) -> None:
        """Forget all arrays of an owner."""
        with self._lock:
            for kept in self._arrays.pop(owner, {}).values():
                self._discard(kept)

    def close(self) -> None:
        """Forget all."""
        with self._lock:
            self._arrays.clear()
            if self._files is not None:
                shutil.rmtree(self._files, ignore_errors=True)

    def _discard(self, kept: Codes | Path | None) -> None:
        if isinstance(kept, Path):
            kept.unlink(missing_ok=True)
        elif kept is not None:
            self._held -= kept.nbytes

    def _write(self, codes: Codes) -> Path:
        try:
            if self._files is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._files = Path(tempfile.mkdtemp(prefix="parts-", dir=self._folder))
            self._count += 1
            path = self._files / f"{self._count}.npy"
            np.save(path, codes)
        except OSError as error:
            raise FolderError(
                f"cannot write {self._folder}: {error.strerror or error}",
                "make room there, or name another folder in HFAEF_CACHE",
            ) from error
        return path
