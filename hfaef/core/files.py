"""Files that are written whole or not at all, and what to say when they cannot be."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hfaef.errors import FolderError


@contextmanager
def folder_errors(path: Path | str) -> Iterator[None]:
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
