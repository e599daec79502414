"""What one page shows: files of a release, wherever they lie, and those that are made for it.

A release of before there was an atlas has no table of points, and none has another layout than its
own. Both are made beside it, and nothing is added to the release.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hfaef.core.files import atomic_write, folder_errors, sha256_of
from hfaef.core.progress import progress, say
from hfaef.errors import ReleaseError, command_line
from hfaef.hub.open import PublishedRelease
from hfaef.release.atlas.points import points_bytes, tsne_bytes
from hfaef.release.format.manifest import File, Manifest, content_sha256
from hfaef.release.format.paths import KINDS, MANIFEST, POINTS, TSNE
from hfaef.release.handle import Release, open_folder
from hfaef.sources.cog.cache import cache_folder

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
    local = {path: folder / path for path in _needed(manifest)}
    points = listed.get(POINTS)
    if points is None or not _is_whole(folder / POINTS, points):
        fault = f"has no {POINTS}" if points is None else f"has a damaged {POINTS}"
        notes.append(f"{folder} {fault}: it is made for this page, and goes with it")
        local[POINTS] = _make_points(folder, manifest, scratch)
    if layout == "tsne" and not (TSNE in listed and _is_whole(folder / TSNE, listed[TSNE])):
        local[TSNE] = _make_tsne(folder, manifest)
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
        files=_listed(manifest, local, local, made),
        local=local,
        fetch=release.fetch,
        version=manifest.version,
        notes=tuple(notes),
    )


def read_published(found: PublishedRelease, scratch: Path, layout: Layout = "pca") -> Content:
    """What a page shows of a version on the Hub.

    The browser asks the Hub itself, unless it would need a token for that: files of a private or
    gated repository are downloaded first, and so are those that points have to be made of.

    Args:
        found: the version.
        scratch: folder for points that the version lacks.
        layout: besides that of the points.

    Raises:
        HubError: if the Hub does not give what is needed.
        ReleaseError: if a file is not what the manifest lists.
        MissingPackageError: if a layout needs a package that is not installed.
    """
    release, manifest, repo = found.release, found.release.manifest, found.repo
    target = f"{repo.id}@{found.version}"
    listed = {file.path: file for file in manifest.files}
    paths = _needed(manifest)
    for path in paths:
        stored = found.snapshot.files.get(path)
        if stored is None or stored.sha256 not in (None, listed[path].sha256):
            raise ReleaseError(
                f"{target}: {path} is not what the manifest lists, so nothing of it is shown",
                command_line("hfaef", "check", target),
            )
    folder = release.fetch(MANIFEST).parent
    local, notes = dict[str, Path](), list[str]()
    if why := _why_downloaded(found):
        size = sum(listed[path].bytes for path in paths)
        what = f"{len(paths):,} files, {size / 1e6:,.1f} MB"
        say(f"{target}: {what} to download, unless they are in the cache")
        local = _download(release, paths)
        notes.append(f"{what} are served from here and not from the Hub: {why}")
    if POINTS not in listed:
        local[POINTS] = _make_points(folder, manifest, scratch)
    if layout == "tsne" and TSNE not in listed:
        found.download("pooled")
        local[TSNE] = _make_tsne(folder, manifest)
    rest = [path for path in paths if path not in local]
    made = {path for path in (POINTS, TSNE) if path in local and path not in listed}
    return Content(
        source=target,
        manifest=manifest,
        files=_listed(manifest, [*paths, *local], local, made),
        local=local,
        fetch=release.fetch,
        version=str(found.version),
        home=f"{repo.url}/tree/{found.version.tag}",
        address=repo.address(found.snapshot.commit) if rest else None,
        redirects=(repo.redirect(rest[0], found.snapshot.commit),) if rest else (),
        notes=tuple(notes),
    )


def _why_downloaded(found: PublishedRelease) -> str:
    """Why a page cannot read a version from the Hub; empty if it can."""
    if not found.repo.is_open():
        return f"{found.repo.id} is private or gated, and the browser gets no token"
    if POINTS not in {file.path for file in found.release.manifest.files}:
        return f"{found.repo.id}@{found.version} has no {POINTS}, which is made of them"
    return ""


def _download(release: Release, paths: Sequence[str]) -> dict[str, Path]:
    """Local copies of files of a version, by path."""
    found = {}
    with progress("download", len(paths)) as advance:
        for path in paths:
            found[path] = release.fetch(path).resolve()  # the cache holds links
            advance("")
    return found


def _needed(manifest: Manifest) -> list[str]:
    """Files of a release that a page may ask for."""
    listed = [file.path for file in manifest.files]
    ours = {POINTS, TSNE}
    return [path for path in listed if path in ours or path.partition("/")[0] in KINDS]


def _listed(
    manifest: Manifest, paths: Iterable[str], local: Mapping[str, Path], made: Collection[str]
) -> dict[str, Listed]:
    listed = {file.path: file for file in manifest.files}
    return {
        path: Listed(local[path].stat().st_size, None)
        if path in made
        else Listed(listed[path].bytes, listed[path].sha256)
        for path in dict.fromkeys(paths)
    }


def _make_points(folder: Path, manifest: Manifest, scratch: Path) -> Path:
    """A table of points beside a release; gives its path."""
    say(f"making {POINTS} of {manifest.rows:,} rows")
    return _written(scratch / POINTS, points_bytes(folder, manifest))


def _make_tsne(folder: Path, manifest: Manifest) -> Path:
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
