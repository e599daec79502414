"""Where staged files lie: a folder that all machines see, or a folder of an object store.

A file is whole or not there, and any number of threads, processes and machines may write at once:
a folder's files are renamed into place, an object appears when all of it has arrived. Filesystems
that can do neither are refused. All failures are OSErrors, as of a folder.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hfaef.core.files import TEMPORARY, atomic_write
from hfaef.errors import InputError, Transient

OBJECT_STORES = frozenset(
    {"abfs", "abfss", "az", "gcs", "gs", "memory", "oci", "oss", "s3", "s3a", "tos"}
)
"""Protocols of fsspec in which a file appears whole."""

_STAGE_THERE = (
    "name a folder that all machines see, or one of an object store: --staging s3://BUCKET/FOLDER, "
    "gs://BUCKET/FOLDER or abfs://CONTAINER/FOLDER"
)


class StagingStore(Protocol):
    """Files by name, ``YEAR/ID.npy`` or without a folder; a value that other processes can use."""

    def prepare(self) -> None:
        """Make it, see that it can be written, and remove what a killed build left half-written.

        Raises:
            OSError: if nothing can be written there.
            Transient: if that may pass.
        """

    def names(self) -> list[str]:
        """Names of all files in folders; none if there is no such store."""

    def put(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all.

        Raises:
            FileNotFoundError: if the store is not there any more.
            OSError: if the file cannot be written.
            Transient: if that may pass.
        """

    def get(self, name: str) -> bytes:
        """Content of a file.

        Raises:
            OSError: if it cannot be read.
        """

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def where(self, name: str) -> str:
        """Path or URL of a file."""


@dataclass(frozen=True)
class LocalStaging:
    """A folder of this machine, or one that several share."""

    path: Path

    def __str__(self) -> str:
        return self.path.as_posix()

    def prepare(self) -> None:
        """Make the folder, but not its parent: a share that is not mounted is not there."""
        self.path.mkdir(exist_ok=True)
        for path in (*self.path.glob(f"*{TEMPORARY}"), *self.path.glob(f"*/*{TEMPORARY}")):
            path.unlink(missing_ok=True)

    def names(self) -> list[str]:
        years = sorted(self.path.iterdir()) if self.path.is_dir() else []
        return [f"{year.name}/{path.name}" for year in years for path in year.glob("*.npy")]

    def put(self, name: str, content: bytes) -> None:
        path = self.path / name
        # The store itself is not made again: if that is gone, so is what was staged.
        if path.parent != self.path:
            path.parent.mkdir(exist_ok=True)
        atomic_write(path, content)

    def get(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def where(self, name: str) -> str:
        return (self.path / name).as_posix()


@dataclass(frozen=True)
class FsspecStaging:
    """A folder of an object store, through fsspec.

    Its clients find credentials as they do elsewhere; a URL holds none, so it may be written down.
    """

    url: str
    """Without a slash at its end."""

    def __str__(self) -> str:
        return self.url

    def prepare(self) -> None:
        """See that what is written there is what is read; objects need no folder."""
        name, content = uuid.uuid4().hex, uuid.uuid4().bytes
        self.put(name, content)
        if self.get(name) != content:
            raise OSError("what is written there is not what is read")
        self.remove(name)

    def names(self) -> list[str]:
        with _os_errors():
            files, root = self.connect()
            files.invalidate_cache()
            try:
                paths = files.find(root)
            except FileNotFoundError:
                return []
            return ["/".join(path.rsplit("/", 2)[1:]) for path in paths if path.endswith(".npy")]

    def put(self, name: str, content: bytes) -> None:
        try:
            with _os_errors():
                files, root = self.connect()
                files.pipe_file(f"{root}/{name}", content)
        except (FileNotFoundError, PermissionError):
            raise
        except OSError as error:
            raise Transient(
                f"cannot write {self.where(name)}: {error}",
                "see that it can be reached, then run the same command again; staged work is kept",
            ) from error

    def get(self, name: str) -> bytes:
        with _os_errors():
            files, root = self.connect()
            return bytes(files.cat_file(f"{root}/{name}"))

    def remove(self, name: str) -> None:
        with _os_errors(), suppress(FileNotFoundError):
            files, root = self.connect()
            files.rm_file(f"{root}/{name}")

    def where(self, name: str) -> str:
        return f"{self.url}/{name}"

    def connect(self) -> tuple[Any, str]:
        """The filesystem, and the path of the folder there.

        fsspec keeps one instance a thread, which matters: not all of its clients may be shared.
        """
        from fsspec.core import url_to_fs

        files, root = url_to_fs(self.url)
        return files, root.rstrip("/")


def open_staging(text: str) -> StagingStore:
    """The store at a path or a URL, ``PROTOCOL://...``.

    Raises:
        InputError: if a URL holds a secret, its filesystem is none of `OBJECT_STORES`, or fsspec
            cannot open it.
    """
    text = text.removeprefix("file://")
    if "://" not in text:
        return LocalStaging(Path(text).absolute())
    protocol, _, rest = text.partition("://")
    # A password may hold slashes; the URL is not shown, as its password would be, too.
    if ":" in rest.rpartition("@")[0] or any(sign in text for sign in ("?", "#", "::")):
        raise InputError(
            "--staging takes a plain URL, without a password, `?`, `#` or `::`",
            "give credentials where the client of that store looks for them, "
            "and type --staging PROTOCOL://BUCKET/FOLDER",
        )
    if protocol not in OBJECT_STORES:
        raise InputError(
            f"--staging {text}: {protocol}:// is no object store, so files may be seen half-written",
            _STAGE_THERE,
        )
    if not rest.strip("/"):
        raise InputError(
            f"--staging {text} names no folder", f"type --staging {protocol}://BUCKET/FOLDER"
        )
    store = FsspecStaging(text.rstrip("/"))
    _require_client(protocol)
    try:
        store.connect()
    except Exception as error:
        raise InputError(
            f"--staging {text} cannot be opened: {type(error).__name__}: {error}",
            "see what the client of that store needs, or choose another --staging",
        ) from error
    return store


def _require_client(protocol: str) -> None:
    """Raise InputError unless the packages are there that fsspec needs for a protocol."""
    from fsspec.registry import get_filesystem_class, known_implementations

    try:
        get_filesystem_class(protocol)
    except (ImportError, ValueError) as error:
        # abfss:// is known only once Azure's package is there.
        known = known_implementations.get(protocol) or known_implementations["abfs"]
        raise InputError(
            f"--staging {protocol}:// needs a package that is not installed: {error}",
            f"pip install {known['class'].partition('.')[0]}, here and on all workers",
        ) from error


@contextmanager
def _os_errors() -> Iterator[None]:
    """Turn whatever a client raises into an OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
