"""What a change of a release means for those who use it: a major, minor or patch version."""

from __future__ import annotations

from dataclasses import dataclass

from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import POINTS, PREVIOUS_YEAR, STAC_FILES
from hfaef.release.version import Level


@dataclass(frozen=True)
class VersionBump:
    """What differs between two manifests, in the words of a changelog, and how much it matters."""

    level: Level
    reasons: tuple[str, ...]
    """What matters most first."""


def classify_changes(before: Manifest, after: Manifest) -> VersionBump:
    """How much a new release differs from the one before.

    Major is what makes code read wrong values: the columns, or what codes and label numbers mean.
    Minor is other data: rows, labels, splits, years. Patch is what is said about the same data.
    """
    if major := tuple(_breaking(before, after)):
        return VersionBump("major", major + tuple(_data(before, after)))
    if minor := tuple(_data(before, after)):
        return VersionBump("minor", minor)
    return VersionBump("patch", ("the same data, described anew",))


def _breaking(before: Manifest, after: Manifest) -> list[str]:
    return [*_other_meaning(before, after), *_columns_gone(before, after)]


def _other_meaning(before: Manifest, after: Manifest) -> list[str]:
    found = []
    if before.format != after.format:
        found.append(f"the rows have format {after.format} instead of {before.format}")
    for key in ("codec", "format"):
        old, new = (manifest.recipe.get("pack", {}).get(key) for manifest in (before, after))
        if old != new:
            found.append(f"the {key} of the embeddings is {new} instead of {old}")
    if before.labelling != after.labelling:
        found.append(f"label is of the target {after.labelling} instead of {before.labelling}")
    elif before.labelling == "number" and bool(before.target) != bool(after.target):
        found.append(f"label is {_number(after)} instead of {_number(before)}")
    if before.own_years != after.own_years:
        found.append("`year` is the patch's own" if after.own_years else "`year` is one for all")
    if after.label_names[: len(before.label_names)] != before.label_names:
        found.append("label numbers mean other labels")
    return found


def _number(manifest: Manifest) -> str:
    """The type of numbers to predict."""
    return "float32" if manifest.target else "float64"


def _columns_gone(before: Manifest, after: Manifest) -> list[str]:
    found = []
    if before.storage.label_name and not after.storage.label_name:
        found.append("the column label_name is gone")
    if before.nearest_years and not after.nearest_years:
        found.append("the column observed_year is gone")
    if before.previous_year and not after.previous_year:
        found.append(f"the column {PREVIOUS_YEAR} of pooled vectors is gone")
    if before.emb and not after.emb:
        found.append("pooled vectors have no `geometry` and no `bbox`")
    found += [
        f"the split scheme {scheme} is gone"
        for scheme in before.schemes
        if scheme not in after.schemes
    ]
    found += [f"the folds {name} are gone" for name in before.folds if name not in after.folds]
    types = {column.name: column for column in after.kept}
    for column in before.kept:
        if types.get(column.name, column) != column:
            found.append(f"the column {column.name} is of another type")
    found += [f"the column {one.name} is gone" for one in before.kept if one.name not in types]
    return found


def _data(before: Manifest, after: Manifest) -> list[str]:
    found = []
    if after.storage.label_name and not before.storage.label_name:
        found.append("the column label_name is new")
    if after.nearest_years and not before.nearest_years:
        found.append("the column observed_year is new")
    if after.previous_year and not before.previous_year:
        found.append(f"the column {PREVIOUS_YEAR} of pooled vectors is new")
    if after.emb and not before.emb:
        found.append("pooled vectors have `geometry` and `bbox`, and files say what values are")
    if before.rows != after.rows:
        found.append(f"{after.rows:,} rows instead of {before.rows:,}")
    for word, old, new in (
        ("year", before.years, after.years),
        ("split scheme", before.schemes, after.schemes),
        ("fold column", before.folds, after.folds),
        ("column", [one.name for one in before.kept], [one.name for one in after.kept]),
        ("label", before.label_names, after.label_names),
    ):
        found += [f"the {word} {item} is new" for item in new if item not in old]
        if word == "year":
            found += [f"the {word} {item} is gone" for item in old if item not in new]
    was, now = _files(before), _files(after)
    if not found and {*was.values()} != {*now.values()}:
        found.append("other data in as many rows")
    elif not found and was.keys() != now.keys():
        found.append("the same files under other names")
    return found


def _files(manifest: Manifest) -> dict[str, str]:
    """SHA-256 by path of what does not follow from other files and the recipe."""
    follow = (*STAC_FILES, POINTS)
    return {file.path: file.sha256 for file in manifest.files if file.path not in follow}
