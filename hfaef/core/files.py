"""Files and folders that appear whole or not at all, a lock that one process at a time holds, and
where files are kept between builds.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from hfaef.core.names import loadable_problem
from hfaef.errors import FolderError, ReleaseError, command_line

STAGING = ".staging"
"""Folder of unfinished work, in the folder of a release."""

TEMPORARY = ".part"
"""Ends the name of a file or folder that is not whole yet; only a kill leaves one behind."""

WHOLE = ".whole"
"""Ends the name of a folder that is whole, and from which all is moved into the folder it lies in."""

_UNFINISHED = re.compile(rf".*\.[0-9a-f]{{32}}({re.escape(TEMPORARY)}|{re.escape(WHOLE)})")

_NEW_FILE = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    # Not on all systems.
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)
"""A file that is there, or a link in its place, is an error."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits; of any size in little memory.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_sha256(release: str, name: str, expected: str, find: Callable[[], str | None]) -> None:
    """Compare a file of a release with its manifest, before any of it is used.

    Args:
        release: as the user names it.
        name: of the file.
        expected: its SHA-256, as the manifest lists it.
        find: gives the one that it has.

    Raises:
        ReleaseError: naming the file, if it differs or cannot be read.
    """
    try:
        fault = "" if find() == expected else "is not what the manifest lists (its SHA-256 differs)"
    except ConnectionError:  # no fault of the file
        raise
    except OSError as error:
        fault = f"cannot be read: {error}"
    if fault:
        raise ReleaseError(
            f"{release}: {name} {fault}; nothing of it is used",
            command_line("hfaef", "check", release),
        )


@contextmanager
def folder_errors(
    path: Path | str,
    hint: str = "make room or mend the rights, then run the same command again; staged work is kept",
) -> Iterator[None]:
    """Turn a failure to write here into a FolderError that says so.

    Args:
        path: is named where the failure itself names no file.
        hint: what to do then.

    Raises:
        FolderError: naming the file, for example when the disk is full.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FolderError(
            f"cannot write {getattr(error, 'filename', None) or path}: {reason}", hint
        ) from error


def require_room(folder: Path, size: int, work: str, hint: str) -> None:
    """Raise FolderError if the disk of a folder has not the room that a work needs.

    Args:
        folder: is there.
        size: bytes that it needs.
        work: what needs them, in words.
        hint: what to do if they are not there.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise FolderError(
            f"{work} needs {size / 1e6:,.0f} MB in {folder}, where {free / 1e6:,.0f} MB are free",
            hint,
        )


@contextmanager
def atomic_file(path: Path, staging: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write, which replaces `path` once all of it is on the disk.

    Args:
        path: its folder must be there.
        staging: folder of the temporary file, on the same filesystem; by default beside `path`.

    Raises:
        OSError: if it cannot be written; `path` is what it was, and the temporary file is gone.
    """
    temporary = _temporary(staging or path.parent, path.name)
    descriptor = os.open(temporary, _NEW_FILE, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def atomic_write(path: Path, content: bytes | memoryview, staging: Path | None = None) -> None:
    """Write a whole file, as `atomic_file`."""
    with atomic_file(path, staging) as file:
        file.write(content)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` when the block ends without an error.

    Args:
        folder: new or empty; its parents are made. The folder that we are in stays itself, as its
            shell would be nowhere otherwise, and so does a mount point: what was made is moved
            into it, files last. A kill meanwhile leaves that to `finish_folder`.

    Raises:
        OSError: if it cannot be made, or `folder` is not empty; what was written is removed.
    """
    folder = folder.resolve()
    inside = folder == Path.cwd() or folder.is_mount()
    temporary = _temporary(folder if inside else folder.parent, folder.name)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _require_empty(folder)
        if inside:
            temporary.rename(temporary.with_suffix(WHOLE))
            finish_folder(folder)
        else:
            if os.name == "nt":
                with contextlib.suppress(FileNotFoundError):
                    folder.rmdir()
            temporary.replace(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def finish_folder(folder: Path) -> None:
    """Move what `atomic_folder` has made whole into the folder that it lies in, files last.

    Another process may be doing the same.

    Raises:
        OSError: if something cannot be moved; doing it again goes on.
    """
    for whole in [*folder.iterdir()] if folder.is_dir() else []:
        if whole.suffix != WHOLE or not is_unfinished(whole) or whole.is_symlink():
            continue
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            for path in sorted(whole.iterdir(), key=lambda path: (path.is_file(), path.name)):
                with contextlib.suppress(FileNotFoundError):
                    path.rename(folder / path.name)
            whole.rmdir()


def is_unfinished(path: Path) -> bool:
    """Whether a file or folder has a name as `atomic_file` and `atomic_folder` give while they work."""
    return _UNFINISHED.fullmatch(path.name) is not None


def _require_empty(folder: Path) -> None:
    """Raise FileExistsError if a folder is there and holds more than what others are making."""
    if folder.exists() and not all(
        is_unfinished(path) and path.suffix == TEMPORARY for path in folder.iterdir()
    ):
        reason = "something else was written into it meanwhile"
        raise FileExistsError(errno.ENOTEMPTY, reason, str(folder))


def links_in(folder: Path) -> list[str]:
    """Paths, from the folder on, of all symbolic links in it; none is followed."""
    return sorted(
        (Path(top) / name).relative_to(folder).as_posix()
        for top, folders, files in os.walk(folder)
        for name in (*folders, *files)
        if (Path(top) / name).is_symlink()
    )


def make_real_folders(folder: Path, name: str) -> Path:
    """Folders below a folder, made as far as they are not there; gives the last one's path.

    Args:
        folder: which is there, or may be a link.
        name: from it on, with ``/``; ``.`` for itself.

    Raises:
        NotADirectoryError: if one of them is a link or a file, which would lead elsewhere.
    """
    path = folder
    for part in PurePosixPath(name).parts:
        path /= part
        if path.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "it is a link", str(path))
        path.mkdir(exist_ok=True)
    return path


def require_loadable(folder: Path, hint: str) -> None:
    """Raise FolderError if `datasets` could not load a release in a folder, for the folder's path.

    Args:
        folder: of the release; it need not be there.
        hint: what to do then.
    """
    if problem := loadable_problem(str(folder.resolve())):
        raise FolderError(problem, hint)


@contextmanager
def folder_lock(folder: Path, name: str, hint: str) -> Iterator[None]:
    """Keep other processes of hfaef out of a folder.

    Args:
        folder: theirs and ours.
        name: of the lock file in it, which stays; folders are made.
        hint: what to do if another process holds the lock.

    Raises:
        FolderError: if another process holds it, or it cannot be written.
    """
    import filelock

    path = folder / name
    lock = filelock.FileLock(path)
    with folder_errors(path.parent):
        folder.mkdir(parents=True, exist_ok=True)
        make_real_folders(folder, PurePosixPath(name).parent.as_posix())
        if path.is_symlink():
            raise FileExistsError(errno.EEXIST, "it is a link", str(path))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise FolderError(f"another hfaef is at work in {folder}", hint) from error
    try:
        yield
    finally:
        lock.release()


def _temporary(folder: Path, name: str) -> Path:
    return folder / f"{name}.{uuid.uuid4().hex}{TEMPORARY}"


def cache_folder() -> Path:
    """``HFAEF_CACHE``, else a folder in the user's own cache; it need not exist.

    All that is in it can be fetched or made anew.
    """
    if named := os.environ.get("HFAEF_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hfaef"
