"""Scores and pictures added to a finished release, whose manifest and card then name them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from hfaef.core.files import atomic_write, folder_errors
from hfaef.errors import HfaefError
from hfaef.release.card.figures import BALANCE, LABELS, MAP, draw, stack
from hfaef.release.card.render import write_card
from hfaef.release.format.manifest import (
    File,
    Manifest,
    content_sha256,
    manifest_bytes,
    read_manifest,
)
from hfaef.release.format.paths import (
    MANIFEST,
    locked_release,
    put_into_release,
)
from hfaef.release.format.scores import SCORES

ADDITIONS = (SCORES, LABELS, MAP, BALANCE)
"""Paths of all that may be added; none of them holds rows."""


def add_files(folder: Path, contents: Mapping[str, bytes]) -> Manifest:
    """Put files into a release folder, list them in its manifest, and write its card again.

    The caller holds `locked_release`. Killed in between, `hfaef check` says so, and doing the same again mends it.

    Args:
        folder: of a finished release.
        contents: by path, from the folder on.

    Raises:
        ReleaseError: if the folder holds no finished release.
    """
    manifest = read_manifest(folder)
    for path, content in contents.items():
        with folder_errors(folder / path):
            put_into_release(folder, path, content)
    manifest = with_files(manifest, [entry(*item) for item in contents.items()])
    with folder_errors(folder / MANIFEST):
        put_into_release(folder, MANIFEST, manifest_bytes(manifest))
    write_card(folder)
    return manifest


def write_figures(folder: Path, out: Path | None = None) -> list[Path]:
    """Draw a release; gives the paths of the pictures.

    Args:
        folder: of the release, which they are added to.
        out: a PNG of all of them, written instead.

    Raises:
        ReleaseError: if the folder holds no finished release, or a link.
        FolderError: if another command is at work there.
    """
    manifest = read_manifest(folder)
    if out is None:
        with locked_release(folder):
            figures = draw(folder, manifest)
            add_files(folder, figures)
        return [folder / path for path in figures]
    figures = draw(folder, manifest)
    with folder_errors(out):
        atomic_write(out, stack(list(figures.values())))
    return [out]


def reusable_additions(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Additions of an earlier release in the folder that hold for these rows just as well."""
    try:
        earlier = read_manifest(folder)
        if content_sha256(earlier) != content_sha256(manifest):
            return {}
        listed = [file for file in earlier.files if file.path in ADDITIONS]
        contents = {file.path: (folder / file.path).read_bytes() for file in listed}
        return contents if all(entry(*item) in listed for item in contents.items()) else {}
    except (HfaefError, OSError):
        return {}


def entry(path: str, content: bytes) -> File:
    """The manifest's line on a file without rows."""
    return File(path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), rows=0)


def with_files(manifest: Manifest, files: list[File]) -> Manifest:
    """The manifest with these files listed, in the place of those of the same path."""
    new = {file.path: file for file in files}
    kept = [file for file in manifest.files if file.path not in new]
    listed = tuple(sorted([*kept, *new.values()], key=lambda file: file.path))
    return manifest.model_copy(update={"files": listed})
