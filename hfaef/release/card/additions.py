"""Scores and pictures added to a finished release, whose manifest and card then name them.

The next release takes over those that are true of its rows, and people's notes: from the release in
its folder, and else from the one that it is built from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hfaef.core.files import atomic_write, folder_errors
from hfaef.errors import HfaefError, command_line
from hfaef.release.card.edits import fill_notes, put_card, released_notes
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
    FIGURE_FILES,
    LABELS,
    MANIFEST,
    POINTS,
    STAGING,
    locked_release,
    put_into_release,
    require_outside,
)
from hfaef.release.format.scores import SCORES, read_evaluation
from hfaef.release.handle import Release, open_folder
from hfaef.release.label_names import require_label_names

ADDITIONS = (SCORES, *FIGURE_FILES)
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
    folder: Path,
    out: Path | None = None,
    *,
    replace_card: bool = False,
    more: Callable[[], Mapping[str, bytes]] = dict,
) -> list[Path]:
    """Draw a release; gives the paths of the pictures.

    Args:
        folder: of the release, which they are added to.
        out: a PNG of all of them, written instead.
        replace_card: whether edits of the card outside its notes may go.
        more: draws others by path, which are added, too, but are not in `out`.

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
            figures = {**draw(folder, manifest, read_evaluation(folder)), **more()}
            add_files(folder, figures, replace_card=replace_card)
        return [folder / path for path in figures]
    require_outside(out, folder, "--out")
    figures = draw(folder, manifest, read_evaluation(folder))
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


@dataclass(frozen=True)
class Carryover:
    """What a new release may take over from the one that it is built from."""

    name: str
    """Of that release."""
    notes: str
    """Of its card."""
    folder: Path
    """Where its manifest, scores and figures lie on this machine."""
    paths: tuple[str, ...]
    """Of its scores and figures."""


def read_carryover(release: Release) -> Carryover:
    """Read the notes, scores and figures of a release whose files are verified.

    Raises:
        ReleaseError: if one of them is not what the manifest says, or the card cannot be read.
        HubError: if the Hub does not give them.
    """
    listed = {file.path for file in release.manifest.files}
    paths = tuple(path for path in ADDITIONS if path in listed and path != LABELS)
    for path in (*paths, *({POINTS} & listed)):  # points hold predictions, beside the scores
        release.fetch(path)
    folder = release.fetch(MANIFEST).parent
    return Carryover(release.name, released_notes(release), folder, paths)


def choose_notes(
    folder: Path, file: Path | None, before: Carryover | None, *, replace: bool
) -> tuple[str, tuple[str, ...]]:
    """The notes of a folder's next card, and what became of those of the release before.

    Args:
        folder: of the new release, which may hold an earlier one.
        file: that ``card.notes`` of the recipe names; it comes first.
        before: the release that the new one is built from; its notes serve where there are none.
        replace: whether edits of the folder's card outside its notes may go.

    Raises:
        RecipeError: if the file cannot be read.
        FolderError: if the folder's notes are neither empty nor what the file says or said last.
        ReleaseError: if the folder's card was edited outside its notes.
    """
    own = kept_notes(folder, replace=replace)
    words = fill_notes(folder, own, file)
    if before is None or before.notes in ("", words):
        return words, ()
    if file is not None:
        return words, (f"the notes of {before.name} are left out: card.notes names {file}",)
    if own:
        return own, (f"the notes of {before.name} are left out: {folder / CARD} has its own",)
    return before.notes, (f"the notes of {before.name} are taken over",)


def carry(folder: Path, manifest: Manifest, before: Carryover | None) -> Carried:
    """Scores and figures that are true of a new release, and those that are not.

    Args:
        folder: of the new release; what lies there comes first.
        manifest: of the new release.
        before: the release that it is built from.
    """
    own = carry_additions(folder, manifest)
    if before is None:
        return own
    other = carry_additions(before.folder, manifest, before.paths)
    contents = {**other.contents, **own.contents}
    return Carried(contents, tuple(sorted({*own.stale, *other.stale} - contents.keys())))


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
