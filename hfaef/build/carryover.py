"""What a new release takes over beside rows: people's notes, scores and figures.

They come from the release that lies in its folder, and else from the one that it is built from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hfaef.release.card.additions import ADDITIONS, Carried, carry_additions
from hfaef.release.card.edits import fill_notes, released_notes
from hfaef.release.card.render import CARD, kept_notes
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import LABELS, MANIFEST
from hfaef.release.handle import Release


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
    for path in paths:
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
