"""What one page shows: files of a release, wherever they lie, and those that are made for it.

A release of before there was an atlas has no table of points, and none has another layout than its
own. Both are made beside it, and nothing is added to the release.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hfaef.core.files import atomic_write, cache_folder, folder_errors, sha256_of
from hfaef.core.progress import say
from hfaef.errors import command_line
from hfaef.release.atlas.points import points_bytes, tsne_bytes
from hfaef.release.format.manifest import File, Manifest, content_sha256
from hfaef.release.format.paths import KINDS, POINTS, TSNE
from hfaef.release.format.scores import SCORES
from hfaef.release.handle import open_folder

Layout = Literal["pca", "tsne"]


@dataclass(frozen=True)
class Listed:
    """A file that the page may ask for."""

    bytes: int
    sha256: str | None
    """As the manifest lists it; None for a file that was made for the page."""


@dataclass(frozen=True)
class Content:
    """What one page shows."""

    source: str
    """The release, as commands name it."""
    manifest: Manifest
    files: Mapping[str, Listed]
    """All that the page may ask for, by the path in the release."""
    local: Mapping[str, Path]
    """Those that lie here, in the release or beside it."""
    fetch: Callable[[str], Path]
    """Gives a local copy of any other one, compared with its manifest."""
    version: str | None = None
    home: str | None = None
    """Where people look at the data set."""
    address: str | None = None
    """Of the folder on the Hub that has those that do not lie here, with a slash at its end."""
    redirects: tuple[str, ...] = ()
    """Addresses to which the Hub sends whoever asks for one of them."""
    notes: tuple[str, ...] = ()
    """What the user should know."""

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.bytes for file in self.files.values())

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """Those that the page can show."""
        return ("pca", "tsne") if TSNE in self.files else ("pca",)

    @property
    def made(self) -> tuple[str, ...]:
        """Files that the release does not have, or not as its manifest lists them."""
        return tuple(path for path, file in self.files.items() if file.sha256 is None)

    def path_of(self, path: str) -> Path:
        """A local copy of a file."""
        return self.local[path] if path in self.local else self.fetch(path)


def read_folder(folder: Path, scratch: Path, layout: Layout = "pca") -> Content:
    """What a page shows of the release in a folder.

    Args:
        folder: of the release, without links.
        scratch: folder for points that the release lacks.
        layout: besides that of the points.

    Raises:
        ReleaseError: if the folder holds no release, or shards that points cannot be made of.
        MissingPackageError: if a layout needs a package that is not installed.
    """
    release = open_folder(folder)
    manifest = release.manifest
    listed = {file.path: file for file in manifest.files}
    notes = []
    local = {path: folder / path for path in needed_paths(manifest)}
    points = listed.get(POINTS)
    if points is None or not _is_whole(folder / POINTS, points):
        there = "a damaged" if (folder / POINTS).exists() else "no"
        again = command_line("hfaef", "eval", folder)
        lacks = f"; what probes predict is not in it: `{again}` writes it with that"
        scored = lacks if (folder / SCORES).exists() else ""
        notes.append(f"{folder} has {there} {POINTS}: it is made for this page{scored}")
        local[POINTS] = make_points(folder, manifest, scratch)
    if layout == "tsne" and not (TSNE in listed and _is_whole(folder / TSNE, listed[TSNE])):
        local[TSNE] = make_tsne(folder, manifest)
    gone = [
        path
        for path in local
        if local[path] == folder / path and not _has_size(local[path], listed[path].bytes)
    ]
    if gone:
        more = f" and {len(gone) - 1:,} more" if len(gone) > 1 else ""
        notes.append(
            f"the page goes without {gone[0]}{more}: missing, or not of the size that the manifest "
            f"lists; see {command_line('hfaef', 'check', folder)}"
        )
    local = {path: place for path, place in local.items() if path not in gone}
    made = {path for path, place in local.items() if place != folder / path}
    return Content(
        source=str(folder),
        manifest=manifest,
        files=list_files(manifest, local, local, made),
        local=local,
        fetch=release.fetch,
        version=manifest.version,
        notes=tuple(notes),
    )


def needed_paths(manifest: Manifest) -> list[str]:
    """Files of a release that a page may ask for."""
    listed = [file.path for file in manifest.files]
    ours = {POINTS, TSNE}
    return [path for path in listed if path in ours or path.partition("/")[0] in KINDS]


def list_files(
    manifest: Manifest, paths: Iterable[str], local: Mapping[str, Path], made: Collection[str]
) -> dict[str, Listed]:
    """What the page may ask for.

    Args:
        manifest: lists all but what is made.
        paths: of the files.
        local: where those lie that are made.
        made: paths of those that the manifest does not list as they are.
    """
    listed = {file.path: file for file in manifest.files}
    return {
        path: Listed(local[path].stat().st_size, None)
        if path in made
        else Listed(listed[path].bytes, listed[path].sha256)
        for path in dict.fromkeys(paths)
    }


def make_points(folder: Path, manifest: Manifest, scratch: Path) -> Path:
    """A table of points beside a release; gives its path."""
    say(f"making {POINTS} of {manifest.rows:,} rows")
    return _written(scratch / POINTS, points_bytes(folder, manifest))


def make_tsne(folder: Path, manifest: Manifest) -> Path:
    """A layout by t-SNE, from the user's cache if these rows had one made before; gives its path."""
    path = cache_folder() / "atlas" / f"tsne-{content_sha256(manifest)}.parquet"
    if not path.exists():
        say(
            f"making a layout of {manifest.rows:,} rows by t-SNE: minutes for 27,000; kept in {path}"
        )
        _written(path, tsne_bytes(folder, manifest))
    return path.resolve()


def _written(path: Path, content: bytes) -> Path:
    with folder_errors(path, "make room there, or name another folder in HFAEF_CACHE or TMPDIR"):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, content)
    return path


def _is_whole(path: Path, listed: File) -> bool:
    return _has_size(path, listed.bytes) and sha256_of(path) == listed.sha256


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
