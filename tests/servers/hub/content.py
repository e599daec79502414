"""Content: the bytes of files, by their SHA-256, and what a commit knows of each file."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

STEP = 1 << 20
"""Bytes read or sent at once."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of a commit."""

    oid: str
    """Git's SHA-1 of it; of its pointer if it is kept by LFS."""
    size: int
    """Bytes of the file itself."""
    sha256: str
    """Of the file itself."""
    lfs: bool
    """Whether git holds only a pointer to it."""

    @property
    def key(self) -> str:
        """What preupload calls the file's oid, and what is its ETag."""
        return self.sha256 if self.lfs else self.oid


def git_oid(content: bytes) -> str:
    """Git's SHA-1 of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324


def pointer(sha256: str, size: int) -> bytes:
    """The text that git holds for a file kept by LFS."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )


class Contents:
    """Bytes by SHA-256, in memory or in a folder.

    Args:
        folder: where files lie; None keeps them in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._held: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._lock = Lock()

    def put(self, pieces: Iterable[bytes]) -> tuple[str, int]:
        """Keeps the bytes; SHA-256 and size. If `pieces` raises, nothing is kept."""
        digest, size = hashlib.sha256(), 0
        if self._folder is None:
            content = bytearray()
            for piece in pieces:
                content += piece
                digest.update(piece)
            size = len(content)
            with self._lock:
                self._held[digest.hexdigest()] = bytes(content)
        else:
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".", delete=False) as file:
                part = Path(file.name)
                try:
                    for piece in pieces:
                        digest.update(piece)
                        size += file.write(piece)
                except BaseException:
                    part.unlink()
                    raise
            part.replace(self._folder / digest.hexdigest())
        with self._lock:
            self._sizes[digest.hexdigest()] = size
        return digest.hexdigest(), size

    def size(self, sha256: str) -> int | None:
        """Bytes, or None if there is no such content."""
        return self._sizes.get(sha256)

    def read(self, sha256: str, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes from `start` to `stop`.

        Raises:
            KeyError: if there is no such content.
        """
        return b"".join(self.pieces(sha256, start, stop))

    def pieces(self, sha256: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The same in pieces of at most `STEP` bytes."""
        end = self._sizes[sha256] if stop is None else min(stop, self._sizes[sha256])
        if self._folder is None:
            for offset in range(start, end, STEP):
                yield self._held[sha256][offset : min(offset + STEP, end)]
            return
        with (self._folder / sha256).open("rb") as file:
            file.seek(start)
            for offset in range(start, end, STEP):
                yield file.read(min(STEP, end - offset))
