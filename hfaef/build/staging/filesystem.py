"""Where staged files lie: a folder, or a URL of any filesystem that fsspec knows.

A file is whole or not there, and any number of threads, processes and machines that see a place
may write to it at once. All failures are OSErrors, as of a folder.
"""

from __future__ import annotations

import contextlib
import errno
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hfaef.errors import InputError, Transient

_PART = ".part"
"""Ends the names of files that are being written; what a killed build left is removed."""

_WHOLE = frozenset({"abfs", "abfss", "az", "gcs", "gs", "memory", "oci", "oss", "s3", "s3a", "tos"})
"""Protocols of stores in which an object appears whole; they have no folders, and a move there is
a copy."""

_LASTING = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EISDIR,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Failures that do not pass by themselves."""


class Place(Protocol):
    """Files named ``YEAR/ID.npy``, and marks that have no folder; a value that can be sent."""

    def prepare(self) -> None:
        """Make the place, and remove what a killed build left half-written.

        Raises:
            OSError: if nothing can be written there.
            Transient: if that may pass.
        """

    def names(self) -> list[str]:
        """Names of all files in folders; none if the place is not there."""

    def put(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all.

        Raises:
            FileNotFoundError: if the place is not there any more.
            OSError: if the file cannot be written.
            Transient: if that may pass.
        """

    def get(self, name: str) -> bytes:
        """What a file holds.

        Raises:
            OSError: if it cannot be read.
        """

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def where(self, name: str) -> str:
        """The address of a file, for people."""


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, or one that several share."""

    path: Path

    def __str__(self) -> str:
        return self.path.as_posix()

    def prepare(self) -> None:
        """As of `Place`."""
        # Its parent is not made: a share that is not mounted is not there.
        self.path.mkdir(exist_ok=True)
        for path in (*self.path.glob(f"*{_PART}"), *self.path.glob(f"*/*{_PART}")):
            path.unlink(missing_ok=True)

    def names(self) -> list[str]:
        """As of `Place`."""
        years = sorted(self.path.iterdir()) if self.path.is_dir() else []
        return [f"{year.name}/{path.name}" for year in years for path in year.glob("*.npy")]

    def put(self, name: str, content: bytes) -> None:
        """As of `Place`."""
        path = self.path / name
        beside = path.with_name(_beside(path.name))
        # The place itself is not: if that is gone, so is what was staged.
        if path.parent != self.path:
            path.parent.mkdir(exist_ok=True)
        try:
            beside.write_bytes(content)
            beside.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise

    def get(self, name: str) -> bytes:
        """As of `Place`."""
        return (self.path / name).read_bytes()

    def remove(self, name: str) -> None:
        """As of `Place`."""
        (self.path / name).unlink(missing_ok=True)

    def where(self, name: str) -> str:
        """As of `Place`."""
        return (self.path / name).as_posix()


@dataclass(frozen=True)
class Address:
    """A folder of a filesystem that fsspec knows.

    Its clients find credentials as they do elsewhere; a URL holds none, so it may be written down.
    """

    url: str
    """Without a slash at its end."""

    def __str__(self) -> str:
        return self.url

    def prepare(self) -> None:
        """As of `Place`."""
        with _os_errors():
            files, root = self._open()
            if not self._whole:
                with contextlib.suppress(FileExistsError):
                    files.mkdir(root, create_parents=False)
                for path in self._list(files, root):
                    if path.endswith(_PART):
                        files.rm_file(path)
        # Some filesystems can only be read.
        mark, content = f"{uuid.uuid4().hex}{_PART}", uuid.uuid4().bytes
        self.put(mark, content)
        if self.get(mark) != content:
            raise OSError("what is written there is not what is read")
        self.remove(mark)

    def names(self) -> list[str]:
        """As of `Place`; one listing a year."""
        with _os_errors():
            files, root = self._open()
            listed = self._list(files, root)
            return ["/".join(path.rsplit("/", 2)[1:]) for path in listed if path.endswith(".npy")]

    def put(self, name: str, content: bytes) -> None:
        """As of `Place`."""
        try:
            with _os_errors():
                files, root = self._open()
                if self._whole:
                    files.pipe_file(f"{root}/{name}", content)
                else:
                    _write_beside(files, root, name, content)
        except OSError as error:
            if error.errno in _LASTING or isinstance(error, FileNotFoundError | PermissionError):
                raise
            raise Transient(
                f"cannot write {self.where(name)}: {error}",
                "see that it can be reached, then run the same command again; staged work is kept",
            ) from error

    def get(self, name: str) -> bytes:
        """As of `Place`."""
        with _os_errors():
            files, root = self._open()
            return bytes(files.cat_file(f"{root}/{name}"))

    def remove(self, name: str) -> None:
        """As of `Place`."""
        with _os_errors(), contextlib.suppress(FileNotFoundError):
            files, root = self._open()
            files.rm_file(f"{root}/{name}")

    def where(self, name: str) -> str:
        """As of `Place`."""
        return f"{self.url}/{name}"

    @property
    def _whole(self) -> bool:
        return self.url.partition("://")[0] in _WHOLE

    def _open(self) -> tuple[Any, str]:
        """The filesystem and the path of the folder there.

        fsspec keeps one instance a thread, which matters: not all of its clients may be shared.
        """
        from fsspec.core import url_to_fs

        files, root = url_to_fs(self.url)
        return files, root.rstrip("/")

    def _list(self, files: Any, root: str) -> Iterator[str]:
        """Paths of what lies in the folder and in its folders."""
        files.invalidate_cache()
        try:
            found = files.ls(root, detail=True)
        except FileNotFoundError:
            return
        for entry in found:
            path = entry["name"].rstrip("/")
            # Some stores list the folder itself, as an empty object.
            if path == root:
                continue
            if entry["type"] == "directory":
                yield from files.ls(path, detail=False)
            else:
                yield path


def open_place(text: str) -> Place:
    """The place that somebody named: a path, or ``PROTOCOL://...``.

    Raises:
        InputError: if a URL holds a secret, or fsspec cannot open it.
    """
    if "://" not in text:
        return Folder(Path(text).absolute())
    protocol, _, rest = text.partition("://")
    # A password may hold slashes; the URL is not shown, as its password would be, too.
    if ":" in rest.rpartition("@")[0] or any(mark in text for mark in ("?", "#", "::")):
        raise InputError(
            "--staging takes a plain URL, without a password, `?`, `#` or `::`",
            "give credentials where the client of that store looks for them, "
            "and type --staging PROTOCOL://BUCKET/FOLDER",
        )
    if not rest.strip("/"):
        raise InputError(
            f"--staging {text} names no folder", f"type --staging {protocol}://BUCKET/FOLDER"
        )
    place = Address(text.rstrip("/"))
    _require_client(protocol)
    try:
        place._open()  # noqa: SLF001 - ours
    except Exception as error:
        raise InputError(
            f"--staging {text} cannot be opened: {type(error).__name__}: {error}",
            "see what the client of that store needs, or choose another --staging",
        ) from error
    return place


def _require_client(protocol: str) -> None:
    """Raise InputError unless fsspec knows a protocol and has what it needs for it."""
    from fsspec.registry import get_filesystem_class, known_implementations

    try:
        get_filesystem_class(protocol)
    except ValueError as error:
        raise InputError(
            f"--staging: no filesystem is called {protocol}://",
            "type --staging s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or a path that all workers see",
        ) from error
    except ImportError as error:
        package = known_implementations.get(protocol, {}).get("class", "").partition(".")[0]
        command = f"pip install {package}" if package not in {"", "fsspec"} else str(error)
        raise InputError(
            f"--staging {protocol}:// needs a package that is not installed: {error}",
            f"{command}, here and on all workers",
        ) from error


def _beside(name: str) -> str:
    return f"{name}.{uuid.uuid4().hex}{_PART}"


def _write_beside(files: Any, root: str, name: str, content: bytes) -> None:
    """Write a file beside its place and move it there."""
    path = f"{root}/{name}"
    beside = _beside(path)
    try:
        try:
            files.pipe_file(beside, content)
        except FileNotFoundError:
            # The place itself is not made: if that is gone, so is what was staged.
            with contextlib.suppress(FileExistsError):
                files.mkdir(path.rpartition("/")[0], create_parents=False)
            files.pipe_file(beside, content)
        try:
            files.mv(beside, path)
        except OSError:
            # Not all filesystems move over a file that is there.
            if not files.exists(path):
                raise
            files.rm_file(path)
            files.mv(beside, path)
    except Exception:
        with contextlib.suppress(Exception):
            files.rm_file(beside)
        raise


@contextmanager
def _os_errors() -> Iterator[None]:
    """Turn whatever a client raises into an OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
