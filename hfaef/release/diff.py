"""The difference of two releases: rows, labels, splits, files, and the bytes to send."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hfaef.core.names import require_id
from hfaef.errors import ReleaseError, command_line, count_of
from hfaef.release.bump import VersionBump, classify_changes
from hfaef.release.format.manifest import File, Manifest
from hfaef.release.handle import Release
from hfaef.release.metadata_diff import describe_files, describe_manifests, describe_notes

_SHOWN = 5
"""Patches named in a line."""


@dataclass(frozen=True)
class RowDiff:
    """Rows that differ, as ``ID`` or, in a release of several years, ``YEAR/ID``."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[str, ...]
    resplit: tuple[str, ...]
    """In another split of a scheme that both releases have."""
    changed: tuple[str, ...]
    """With another value in a kept column that both releases have."""
    repixelled: tuple[str, ...]
    """With another embedding."""

    def lines(self) -> tuple[str, ...]:
        """In the words of a changelog; empty if no row differs."""
        words = {
            "added": self.added,
            "removed": self.removed,
            "with another label": self.relabelled,
            "in another split": self.resplit,
            "with another value in a kept column": self.changed,
            "with other pixels": self.repixelled,
        }
        return tuple(
            f"{count_of(len(ids), 'row')} {word}: {', '.join(ids[:_SHOWN])}"
            + (", ..." if len(ids) > _SHOWN else "")
            for word, ids in words.items()
            if ids
        )


@dataclass(frozen=True)
class FileDiff:
    """Files by what happens to them."""

    added: tuple[File, ...]
    changed: tuple[File, ...]
    unchanged: tuple[File, ...]
    deleted: tuple[File, ...]
    bytes_to_send: int
    """Of files whose content the first release has nowhere; with Xet it is less."""


@dataclass(frozen=True)
class ReleaseDiff:
    """How a release differs from the one before."""

    before: str
    after: str
    bump: VersionBump
    rows: RowDiff
    files: FileDiff
    others: tuple[str, ...] = ()
    """What else differs: the recipe, columns such as `source`, the card's notes."""

    @property
    def same(self) -> bool:
        """Whether the data are the same."""
        files = self.files
        return not (files.added or files.changed or files.deleted or self.rows.lines())

    def lines(self) -> tuple[str, ...]:
        """For a changelog: what matters first."""
        counted = () if self.same else self.rows.lines()
        reasons = [reason for reason in self.bump.reasons if not (counted and " row" in reason)]
        return (*reasons, *counted, *self.others)

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        files = self.files
        return {
            "before": self.before,
            "after": self.after,
            "same": self.same,
            "level": self.bump.level,
            "reasons": list(self.bump.reasons),
            "others": list(self.others),
            "rows": {name: list(ids) for name, ids in asdict(self.rows).items()},
            "files": {
                "added": [file.path for file in files.added],
                "changed": [file.path for file in files.changed],
                "deleted": [file.path for file in files.deleted],
                "unchanged": len(files.unchanged),
            },
            "bytes_to_send": files.bytes_to_send,
        }


def compare(before: Release, after: Release, *, notes: str | None = None) -> ReleaseDiff:
    """What differs; reads no more than the vectors of files that differ.

    Where these do not tell what differs, the shards' other columns are read, too.

    Args:
        before: the release before.
        after: the release after.
        notes: that its card will have, if not those that it has.
    """
    rows = compare_rows(before, after)
    others = [
        *(() if rows.lines() else describe_files(before, after)),
        *describe_manifests(before.manifest, after.manifest, same_rows=not rows.lines()),
        *describe_notes(before, after, notes),
    ]
    return ReleaseDiff(
        before.name,
        after.name,
        classify_changes(before.manifest, after.manifest),
        rows,
        compare_files(before.manifest, after.manifest),
        tuple(others),
    )


def compare_files(before: Manifest, after: Manifest) -> FileDiff:
    """Files of two manifests by what happens to them."""
    old = {file.path: file for file in before.files}
    new = {file.path for file in after.files}
    kept = [(old[file.path], file) for file in after.files if file.path in old]
    stored = {file.sha256 for file in before.files}
    sent = {file.sha256: file.bytes for file in after.files if file.sha256 not in stored}
    return FileDiff(
        added=tuple(file for file in after.files if file.path not in old),
        changed=tuple(file for was, file in kept if was.sha256 != file.sha256),
        unchanged=tuple(file for was, file in kept if was.sha256 == file.sha256),
        deleted=tuple(file for file in before.files if file.path not in new),
        bytes_to_send=sum(sent.values()),
    )


def compare_rows(before: Release, after: Release) -> RowDiff:
    """Rows of two releases by what differs.

    The pooled vectors stand for the embeddings: they are small, and other pixels have another
    mean.
    """
    told = {*after.manifest.schemes, *after.manifest.folds}
    schemes = [n for n in (*before.manifest.schemes, *before.manifest.folds) if n in told]
    kept = [column.name for column in before.manifest.kept if column in after.manifest.kept]
    same = {file.sha256 for file in before.manifest.files} & {
        file.sha256 for file in after.manifest.files
    }
    # Only rows of files that differ can differ; equal bytes mean equal rows, label names included.
    if before.manifest.label_names != after.manifest.label_names:
        same = set()
    old = _read(before, same, schemes, kept)
    new = _read(after, same, schemes, kept)
    both = sorted(old.keys() & new.keys())
    several = len({*before.manifest.years, *after.manifest.years}) > 1

    def names(keys: Iterable[tuple[int, str]]) -> tuple[str, ...]:
        return tuple(f"{year}/{name}" if several else name for year, name in sorted(keys))

    return RowDiff(
        added=names(new.keys() - old.keys()),
        removed=names(old.keys() - new.keys()),
        relabelled=names(key for key in both if old[key].label != new[key].label),
        resplit=names(key for key in both if old[key].splits != new[key].splits),
        changed=names(key for key in both if old[key].kept != new[key].kept),
        repixelled=names(key for key in both if old[key].vector != new[key].vector),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    label: str | float | tuple[str, ...]
    splits: tuple[str, ...]
    kept: tuple[str, ...]
    vector: bytes


def _read(
    release: Release, same: set[str], schemes: Sequence[str], kept: Sequence[str]
) -> dict[tuple[int, str], _Row]:
    """The rows of the files whose content is not in `same`, by year and id.

    Raises:
        ReleaseError: naming a file that is not what a release holds.
    """
    import pyarrow as pa

    found: dict[tuple[int, str], _Row] = {}
    for file in release.manifest.files:
        if not file.path.startswith("pooled/") or file.sha256 in same:
            continue
        try:
            found |= _read_table(release, file, schemes, kept)
        except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
            raise ReleaseError(
                f"{release.name}: {file.path} cannot be read: {error}",
                command_line("hfaef", "check", release.name),
            ) from error
    return found


def _read_table(
    release: Release, file: File, schemes: Sequence[str], kept: Sequence[str]
) -> dict[tuple[int, str], _Row]:
    import pyarrow.parquet as pq

    columns = ["id", "year", "label", "valid_fraction", "mean", *schemes, *kept]
    table = pq.read_table(release.fetch(file.path), columns=columns, partitioning=None)
    means = table["mean"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    fractions = table["valid_fraction"].to_numpy()
    plain = table.select(["id", "year", "label", *schemes, *kept]).to_pylist()
    return {
        (row["year"], require_id(row["id"])): _Row(
            _label(row["label"], release.manifest),
            tuple(row[scheme] for scheme in schemes),
            tuple(repr(row[name]) for name in kept),
            mean.tobytes() + fraction.tobytes(),
        )
        for row, mean, fraction in zip(plain, means, fractions, strict=True)
    }


def _label(value: float | list[int], manifest: Manifest) -> str | float | tuple[str, ...]:
    """A row's label by which releases are compared: hfaef 0.1 wrote numbers as float64."""
    label = manifest.label_of(value)
    if not isinstance(label, float):
        return label
    held: float = struct.unpack("f", struct.pack("f", label))[0]
    return held if math.isfinite(held) else label  # those that no float32 holds differ, too
