"""Finding the index of tiles: in the folder, in the cache, or from a server."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from hfaef.core.files import atomic_file, atomic_write, cache_folder
from hfaef.errors import FolderError, InputError, PermanentError, Throttled, Transient
from hfaef.sources.cog.http import Body, ObjectMeta, Remote, address_of
from hfaef.sources.cog.index import NAME, TILE_PATH, TileIndex, index_of_headers, read_index

_MOST_BYTES = 2 << 30
_PIECE = 1 << 20


def find_index(root: Path, named: str | None) -> TileIndex:
    """The index of a folder with tiles: a named one, the folder's own, or its tiles' headers.

    Raises:
        InputError: if there is none of them.
        SourceError: if it is named by an address that does not give it.
    """
    if named and "://" in named:
        base, _, name = address_of(named).rpartition("/")
        remote = Remote(base)
        try:
            return read_index(download(remote, name))
        finally:
            remote.close()
    path = Path(named) if named else root / NAME
    if named or path.exists():
        return read_index(path)
    tiles = sorted(path for path in root.glob("[0-9]*/*/*.tif*") if re.search(TILE_PATH, str(path)))
    if not tiles:
        raise InputError(
            f"{root} holds neither an index {path} nor YEAR/ZONE/NAME.tiff",
            f"`source.root` must hold {NAME}, or name it in `source.index`",
        )
    return index_of_headers(root, tiles)


def download(remote: Remote, name: str, folder: Path | None = None) -> Path:
    """A file of a server, fetched into the cache unless it is there in the server's version.

    Returns:
        The path in the cache; the file's SHA-256 was checked.

    Raises:
        SourceError: if it is not there and the server does not give it.
        FolderError: if the cache cannot be written.
    """
    folder = folder or cache_folder() / "index"
    address = f"{remote.base}/{name}"
    path = folder / f"{hashlib.sha256(address.encode()).hexdigest()[:32]}.parquet"
    known = _known(path)
    try:
        with remote.stream_file(name, known.get("version", "")) as answer:
            if answer is None:
                return path
            _store(path, *answer, remote.base)
    except (Throttled, Transient):
        if known:
            return path
        raise
    except PermanentError as error:
        raise InputError(
            f"there is no index {address}: {error.message}",
            f"`source.root` must hold {NAME}, or name another place of it in `source.index`",
        ) from error
    return path


def _known(path: Path) -> dict[str, str]:
    """Version and SHA-256 of a file in the cache; empty unless the file is whole."""
    try:
        known = json.loads(path.with_suffix(".json").read_text())
        with path.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == known["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(known) if whole else {}


def _store(path: Path, body: Body, meta: ObjectMeta, host: str) -> None:
    """Write a file and its version and SHA-256, each whole or not at all."""
    if not 0 <= meta.size <= _MOST_BYTES:
        raise PermanentError(f"it has {meta.size} bytes, which is no index")
    digest = hashlib.sha256()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            for start in range(0, meta.size, _PIECE):
                piece = body.read_exactly(min(_PIECE, meta.size - start))
                digest.update(piece)
                file.write(piece)
        known = {"version": meta.version, "sha256": digest.hexdigest(), "from": host}
        atomic_write(path.with_suffix(".json"), json.dumps(known).encode())
    except OSError as error:
        raise FolderError(
            f"cannot write {path.parent}: {error.strerror}",
            "make room there, or name another folder in HFAEF_CACHE",
        ) from error
