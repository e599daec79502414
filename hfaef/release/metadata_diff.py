"""What differs between two releases besides rows, labels, splits and pixels, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hfaef.core.names import printable
from hfaef.release.card.notes import README, read_notes
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import KINDS, PICTURES, POINTS, STAC
from hfaef.release.handle import Release

_LONGEST = 60
"""Characters of a value in a sentence."""

_NAMED = frozenset({"pack.codec", "pack.format"})
"""Keys of the recipe that `version.classify_changes` names."""


def describe_manifests(before: Manifest, after: Manifest, *, same_rows: bool) -> Iterator[str]:
    """What the recipes, packages, notes and missing patches of two releases differ in.

    Notes tell of rows, so where rows differ they say nothing more.
    """
    if before.name != after.name:
        yield f"the name is {after.name} instead of {before.name}"
    yield from _keys("recipe: ", _flat(before.recipe), _flat(after.recipe), _NAMED)
    yield from _keys("package ", before.packages, after.packages)
    for word, old, new, shown in (
        ("notes of the build", before.notes, after.notes, same_rows),
        ("missing patches", before.missing, after.missing, True),
    ):
        if shown and old != new:
            yield f"other {word}: {len(new):,} instead of {len(old):,}"


def describe_notes(before: Release, after: Release, notes: str | None = None) -> Iterator[str]:
    """Whether the notes in their cards differ.

    Args:
        before: the release before.
        after: the release after.
        notes: that its card will have, if not those that it has.
    """
    old, new = _notes(before), _notes(after) if notes is None else notes
    if old != new:
        what = "new" if not old else "gone" if not new else "other ones"
        yield f"the notes in the card are {what}"


def describe_files(before: Release, after: Release) -> Iterator[str]:
    """What files differ in whose rows have the same labels, splits and pixels."""
    old = {file.path: file.sha256 for file in before.manifest.files}
    new = {file.path: file.sha256 for file in after.manifest.files}
    if {path for path in old if _is_data(path)} != {path for path in new if _is_data(path)}:
        yield "rows lie in other shards"
    if {old[path] for path in old if _is_data(path)} != {
        new[path] for path in new if _is_data(path)
    }:
        yield from _columns(before, after, set(old.values()) & set(new.values()))
    for path in sorted(old.keys() | new.keys()):
        # Those of STAC follow from the rows, the files and the recipe.
        if path.split("/", 1)[0] in (*KINDS, STAC) or old.get(path) == new.get(path):
            continue
        if path == POINTS and path in old and path in new:  # it follows from them and the scores
            continue
        what = "new" if path not in old else "gone" if path not in new else "another one"
        yield f"{path} is {what}"


def _is_data(path: str) -> bool:
    return path.startswith("data/")


def _columns(before: Release, after: Release, same: set[str]) -> Iterator[str]:
    """Columns of shards that differ, read without the pictures."""
    if not all(r.manifest.storage.format == "parquet" for r in (before, after)):
        yield "other metadata of rows, or another encoding of them"
        return
    old_types, old = _read(before, same)
    new_types, new = _read(after, same)
    gone = [name for name in old_types if name not in new_types]
    added = [name for name in new_types if name not in old_types]
    yield from (f"the column {name} is gone" for name in gone)
    yield from (f"the column {name} is new" for name in added)
    both = [name for name in old_types if name in new_types]
    found = bool(gone or added)
    for name in both:
        if old_types[name] != new_types[name]:
            found = True
            yield f"the column {name} is {new_types[name]} instead of {old_types[name]}"
    for name in (name for name in both if name not in PICTURES):
        changed = [key for key in old if key in new and old[key][name] != new[key][name]]
        if changed:
            found = True
            was, now = (_short(rows[changed[0]][name]) for rows in (old, new))
            rows = "row" if len(changed) == 1 else "rows"
            yield (
                f"the column {name} differs in {len(changed):,} {rows}, as {changed[0][1]}: "
                f"{now} instead of {was}"
            )
    if not found:
        yield "pictures or tables of the same rows are encoded otherwise"


def _read(
    release: Release, same: set[str]
) -> tuple[dict[str, str], dict[tuple[int, str], dict[str, Any]]]:
    """Types of columns, and rows without pictures by year and id, of shards that differ."""
    import pyarrow.parquet as pq

    types: dict[str, str] = {}
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for file in release.manifest.files:
        if not _is_data(file.path) or file.sha256 in same:
            continue
        with release.open(file.path) as opened, pq.ParquetFile(opened) as shard:
            types |= {field.name: str(field.type) for field in shard.schema_arrow}
            plain = [name for name in shard.schema_arrow.names if name not in PICTURES]
            for row in shard.read(columns=plain).to_pylist():
                rows[row["year"], row["id"]] = row
    return types, rows


def _notes(release: Release) -> str:
    try:
        with release.open(README) as file:
            return read_notes(file.read().decode("utf-8", "replace").replace("\r\n", "\n"))
    except (OSError, ValueError):
        return ""  # there is no card, or its marks are damaged: a check says so


def _keys(
    word: str, old: Mapping[str, Any], new: Mapping[str, Any], but: frozenset[str] = frozenset()
) -> Iterator[str]:
    for key in sorted((old.keys() | new.keys()) - but):
        if key not in new:
            yield f"{word}{key} is gone"
        elif key not in old:
            yield f"{word}{key} is {_short(new[key])}, and was not given"
        elif old[key] != new[key]:
            yield f"{word}{key} is {_short(new[key])} instead of {_short(old[key])}"


def _flat(content: Mapping[str, Any], before: Sequence[str] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        path = [*before, key]
        found |= _flat(value, path) if isinstance(value, dict) else {".".join(path): value}
    return found


def _short(value: object) -> str:
    text = printable(value if isinstance(value, str) else str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
