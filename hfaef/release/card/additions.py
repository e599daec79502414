"""Scores and pictures added to a finished release, whose manifest and card then name them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from hfaef.core.files import atomic_write, folder_errors
from hfaef.errors import HfaefError
from hfaef.release.card.edits import put_card
from hfaef.release.card.figures import BALANCE, LABELS, MAP, draw, stack
from hfaef.release.card.render import CARD, kept_notes, render_card
from hfaef.release.format.manifest import (
    File,
    Manifest,
    content_sha256,
    manifest_bytes,
    read_manifest,
)
from hfaef.release.format.paths import MANIFEST, put_into_release
from hfaef.release.format.scores import SCORES, read_evaluation

ADDITIONS = (SCORES, LABELS, MAP, BALANCE)
"""Paths of all that may be added; none of them holds rows."""


def add_files(
    folder: Path, contents: Mapping[str, bytes], *, replace_card: bool = False
) -> Manifest:
    """Put files into a release folder, list them in its manifest, and write its card again.

    Killed in between, `hfaef check` says so, and doing the same again mends it.

    Args:
        folder: of a finished release.
        contents: by path, from the folder on.
        replace_card: whether edits of the card outside its notes may go.

    Raises:
        ReleaseError: if the folder holds no finished release, or its card was edited outside its
            notes.
    """
    manifest = read_manifest(folder)
    notes = kept_notes(folder, replace=replace_card)  # before anything is written
    for path, content in contents.items():
        with folder_errors(folder / path):
            put_into_release(folder, path, content)
    manifest = with_files(manifest, [entry(*item) for item in contents.items()])
    with folder_errors(folder / MANIFEST):
        put_into_release(folder, MANIFEST, manifest_bytes(manifest))
    put_card(folder / CARD, render_card(manifest, read_evaluation(folder), notes))
    return manifest


def write_figures(
    folder: Path, out: Path | None = None, *, replace_card: bool = False
) -> list[Path]:
    """Draw a release; gives the paths of the pictures.

    Args:
        folder: of the release, which they are added to.
        out: a PNG of all of them, written instead.
        replace_card: whether edits of the card outside its notes may go.

    Raises:
        ReleaseError: if the folder holds no finished release, or its card was edited outside its
            notes.
    """
    manifest = read_manifest(folder)
    if out is None:
        kept_notes(folder, replace=replace_card)  # said before the work, not after it
    figures = draw(folder, manifest)
    if out is None:
        add_files(folder, figures, replace_card=replace_card)
        return [folder / path for path in figures]
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
