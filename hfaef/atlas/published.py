"""What a page shows of a version on the Hub, and what of it has to be downloaded for that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hfaef.atlas.content import (
    Content,
    Layout,
    list_files,
    make_points,
    make_tsne,
    needed_paths,
)
from hfaef.core.progress import progress, say
from hfaef.errors import ReleaseError, command_line, count_of
from hfaef.hub.open import PublishedRelease
from hfaef.release.format.paths import MANIFEST, POINTS, TSNE
from hfaef.release.handle import Release


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
    paths = needed_paths(manifest)
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
        what = f"{count_of(len(paths), 'file')}, {size / 1e6:,.1f} MB"
        say(f"{target}: {what} to download, unless they are in the cache")
        local = _download(release, paths)
        notes.append(f"{what} are served from here and not from the Hub: {why}")
    if POINTS not in listed:
        local[POINTS] = make_points(folder, manifest, scratch)
    if layout == "tsne" and TSNE not in listed:
        found.download("pooled")
        local[TSNE] = make_tsne(folder, manifest)
    rest = [path for path in paths if path not in local]
    made = {path for path in (POINTS, TSNE) if path in local and path not in listed}
    return Content(
        source=target,
        manifest=manifest,
        files=list_files(manifest, [*paths, *local], local, made),
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
