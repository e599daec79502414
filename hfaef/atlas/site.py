"""A static site: the page's files with the particulars of a release, and its data where they go along.

It is written whole or not at all, and what is in a folder already stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hfaef.atlas.content import Content
from hfaef.atlas.policy import content_policy, data_origins, with_policy
from hfaef.core.files import atomic_folder, folder_errors, require_room
from hfaef.core.net.endpoints import same_origin
from hfaef.core.progress import progress, say
from hfaef.errors import FolderError, ReleaseError, command_line, count_of
from hfaef.release.format.paths import MANIFEST

PAGE = Path(__file__).with_name("page")
"""The page as browsers get it."""

INDEX = "index.html"

PARTICULARS = "atlas.json"
"""Tells the page what it shows, and where its data lie."""

DATA = "data/"
"""Folder of a site that holds files of the release."""

_PIECE = 1 << 20


@dataclass(frozen=True)
class Written:
    """A site in a folder."""

    folder: Path
    files: int
    bytes: int

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"folder": str(self.folder), "files": self.files, "bytes": self.bytes}


def page_files(
    content: Content, data: str, origins: Iterable[str] = (), page: Path = PAGE
) -> dict[str, bytes]:
    """The page's files by name, with what one release has of its own.

    Args:
        content: what the page shows.
        data: address of the folder that holds the release's files, from the page's own on.
        origins: others than the page's own that are asked for them.
        page: folder of the page.
    """
    files = {
        path.relative_to(page).as_posix(): path.read_bytes()
        for path in sorted(page.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    files[INDEX] = with_policy(files[INDEX].decode(), content_policy(origins)).encode()
    particulars = {
        "data": data,
        "name": content.manifest.name,
        "version": content.version,
        "home": content.home,
        "layouts": list(content.layouts),
    }
    return files | {PARTICULARS: f"{json.dumps(particulars, indent=1)}\n".encode()}


def require_no_site(folder: Path) -> None:
    """Raise FolderError if a folder holds a site that `write_site` wrote, and no release."""
    if (folder / PARTICULARS).is_file() and not (folder / MANIFEST).exists():
        raise FolderError(
            f"{folder} is a site that --site wrote, which is no release",
            "serve it with a web server that answers ranges, such as nginx or Caddy, or name the "
            "release that it was written from",
        )


def require_new_folder(folder: Path) -> None:
    """Raise FolderError unless a site can go to a folder: it is not there, or empty."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FolderError(f"{folder} is no folder, and stays", "name another folder with --site")
    if folder.is_dir() and any(folder.iterdir()):
        raise FolderError(
            f"{folder} is not empty, and what is in it stays",
            "name a new or empty folder with --site",
        )


def write_site(
    folder: Path, content: Content, *, data: str | None = None, page: Path = PAGE
) -> Written:
    """Write a site into a new or empty folder, and say before how large it will be.

    Args:
        folder: of the site.
        content: what it shows.
        data: address of the release's files; without one they are copied, and compared with the
            release's manifest meanwhile.
        page: folder of the page.

    Raises:
        FolderError: if the folder holds something, or cannot be written.
        ReleaseError: if a file is not what the manifest lists.
    """
    require_new_folder(folder)
    on_hub = data and content.address and same_origin(data, content.address)
    origins = data_origins(data, content.redirects if on_hub else ()) if data else ()
    files = page_files(content, data or DATA, origins, page)
    copies = {} if data else {path: content.path_of(path) for path in content.files}
    size = sum(map(len, files.values())) + sum(content.files[path].bytes for path in copies)
    count = len(files) + len(copies)
    say(f"{folder}: {count_of(count, 'file')}, {size / 1e6:,.1f} MB")
    with folder_errors(folder, "make room or mend the rights, then run the same command again"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        require_room(folder.parent, size, "the site", "make room, or name another --site")
        with atomic_folder(folder) as made, progress("site", count) as advance:
            for name, text in files.items():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                (made / name).write_bytes(text)
                advance("")
            for path, source in copies.items():
                target = made / DATA / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with source.open("rb") as here, target.open("xb") as there:
                    digest = _copy(here, there)
                expected = content.files[path].sha256
                if expected is not None and digest != expected:
                    raise ReleaseError(
                        f"{path} of {content.source} is not what its manifest lists; no site is made",
                        command_line("hfaef", "check", content.source),
                    )
                advance("")
    return Written(folder, count, size)


def _copy(here: IO[bytes], there: IO[bytes]) -> str:
    """Copy a file; gives its SHA-256."""
    digest = hashlib.sha256()
    while piece := here.read(_PIECE):
        digest.update(piece)
        there.write(piece)
    return digest.hexdigest()
