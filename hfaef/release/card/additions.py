"""Scores and pictures added to a finished release, whose manifest and card then name them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hfaef.core.files import atomic_write, folder_errors
from hfaef.errors import HfaefError, command_line
from hfaef.release.card.edits import put_card
from hfaef.release.card.figures import draw, stack
from hfaef.release.card.render import CARD, kept_notes, render_card
from hfaef.release.format.manifest import (
    File,
    Manifest,
    content_sha256,
    manifest_bytes,
    read_manifest,
)
from hfaef.release.format.paths import (
    BALANCE,
    LABELS,
    MANIFEST,
    MAP,
    STAGING,
    locked_release,
    put_into_release,
    require_outside,
)
from hfaef.release.format.scores import SCORES, read_evaluation
from hfaef.release.handle import open_folder
from hfaef.release.label_names import require_label_names

ADDITIONS = (SCORES, LABELS, MAP, BALANCE)
"""Paths of all that may be added; none of them holds rows."""

_STALE = f"{STAGING}/stale.json"


def add_files(
    folder: Path, contents: Mapping[str, bytes], *, replace_card: bool = False
) -> Manifest:
    """Put files into a release folder, list them in its manifest, and write its card again.

    The caller holds `locked_release`. Killed in between, `hfaef check` says so, and doing the same again mends it.

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
        ReleaseError: if the folder holds no finished release, or a link, its shards have other
            label names than its manifest, or its card was edited outside its notes.
        FolderError: if another command is at work there, or `out` lies in it.
    """
    manifest = read_manifest(folder)
    require_label_names(open_folder(folder))
    if out is None:
        kept_notes(folder, replace=replace_card)  # said before anything is done, not after it
        with locked_release(folder):
            figures = draw(folder, manifest)
            add_files(folder, figures, replace_card=replace_card)
        return [folder / path for path in figures]
    require_outside(out, folder, "--out")
    figures = draw(folder, manifest)
    with folder_errors(out):
        atomic_write(out, stack(list(figures.values())))
    return [out]


@dataclass(frozen=True)
class Carried:
    """What a new release takes over from the one before in its folder."""

    contents: Mapping[str, bytes]
    """By path: what holds for the new rows just as well."""
    stale: tuple[str, ...]
    """Paths of what was made from other rows, so the new release lacks it."""


def carry_additions(folder: Path, manifest: Manifest, paths: Sequence[str] = ADDITIONS) -> Carried:
    """What an earlier release in the folder holds that is true of a new one.

    Args:
        folder: of the earlier release, if there is one.
        manifest: of the new one.
        paths: what of `ADDITIONS` is looked at.
    """
    contents = {}
    stale = {path for path in stale_additions(folder) if path != LABELS}
    for path in paths:
        try:
            content = (folder / path).read_bytes()
        except OSError:
            continue
        if _holds_for(folder, path, content, manifest):
            contents[path] = content
        elif path != LABELS:  # drawn for every release
            stale.add(path)
    return Carried(contents, tuple(sorted(stale - contents.keys())))


def _holds_for(folder: Path, path: str, content: bytes, manifest: Manifest) -> bool:
    """Whether an addition in a folder is true of the rows of a manifest."""
    try:
        if path == SCORES:  # says itself which rows were measured
            found = read_evaluation(folder)
            return found is not None and found.of(manifest)
        earlier = read_manifest(folder)
    except (HfaefError, OSError):
        return False
    same = ("name", "label_names", "schemes")
    return (
        entry(path, content) in earlier.files
        and content_sha256(earlier) == content_sha256(manifest)
        and all(getattr(earlier, name) == getattr(manifest, name) for name in same)
    )


def remember_stale(folder: Path, paths: tuple[str, ...]) -> None:
    """Write down which additions a new release lacks that the one before had."""
    atomic_write(folder / _STALE, json.dumps(paths).encode())


def stale_additions(folder: Path) -> tuple[str, ...]:
    """Paths of additions that an earlier release in the folder had, and this one lacks."""
    try:
        paths = json.loads((folder / _STALE).read_text())
        listed = {file.path for file in read_manifest(folder).files}
    except (HfaefError, OSError, ValueError):
        return ()
    return tuple(path for path in ADDITIONS if path in paths and path not in listed)


def again(folder: Path, paths: Sequence[str]) -> str:
    """What to type after the rows of a release with these additions have changed."""
    commands = [command_line("hfaef", "eval", folder)] if SCORES in paths else []
    if set(paths) - {SCORES}:
        commands.append(command_line("hfaef", "show", folder))
    return (
        f"{' and '.join(paths)} told of other rows and {'are' if len(paths) > 1 else 'is'} left "
        f"out: run {' and '.join(f'`{command}`' for command in commands)} again"
    )


def entry(path: str, content: bytes) -> File:
    """The manifest's line on a file without rows."""
    return File(path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), rows=0)


def with_files(manifest: Manifest, files: list[File]) -> Manifest:
    """The manifest with these files listed, in the place of those of the same path."""
    new = {file.path: file for file in files}
    kept = [file for file in manifest.files if file.path not in new]
    listed = tuple(sorted([*kept, *new.values()], key=lambda file: file.path))
    return manifest.model_copy(update={"files": listed})
