"""Labels of a release: their names in its shards and its manifest, and whether they can be learnt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from hfaef.core.names import BYTES, alike, fault_of, printable
from hfaef.errors import ReleaseError, command_line, count_of
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import MANIFEST
from hfaef.release.handle import Release

_NAMED = 5
"""Labels that are named of those without a row."""

_KEY = b"huggingface"
"""Of a Parquet file's metadata: how `datasets` types its columns, as JSON."""


def require_label_names(release: Release) -> None:
    """Compare a manifest's label names with what one shard declares; reads no row.

    A release without a Parquet file that can be read passes: `hfaef check` looks at all of it.

    Raises:
        ReleaseError: naming the first label that differs.
    """
    expected = release.manifest.label_names
    for path, found in _declared(release):
        pairs = zip_longest(expected, found)
        for number, (ours, theirs) in enumerate(pairs):
            if ours != theirs:
                raise ReleaseError(
                    f"label {number} of {release.name} is {_shown(ours)} in its {MANIFEST}, and "
                    f"{_shown(theirs)} in {path}",
                    command_line("hfaef", "check", release.name),
                )
        return


def bad_names(manifest: Manifest) -> Iterator[str]:
    """Names of labels that no reader should ever see."""
    for name in manifest.label_names:
        if BYTES.fullmatch(name):
            yield f"has the label {name!r}, which is Python's writing of bytes"
        elif fault := fault_of(name.strip()):
            yield f"has the label {name!r}, which {fault}"
    for group in alike(manifest.label_names):
        names = " and ".join(map(repr, group))
        yield f"has the labels {names}, which differ only in spaces, case or Unicode form"


def learning_gaps(manifest: Manifest) -> Iterator[str]:
    """What of the labels a sound release does not let anybody learn, a sentence each."""
    counts = manifest.rows_by_label
    absent = [name for name in manifest.label_names if not counts[name]]
    if absent:
        more = ", ..." if len(absent) > _NAMED else ""
        names = ", ".join(map(_shown, absent[:_NAMED])) + more
        yield f"{count_of(len(absent), 'label has', 'labels have')} no row: {names}"
    held = [name for name in manifest.label_names if counts[name]]
    if len(held) == 1 and manifest.labelling == "class":
        yield f"all rows have the label {_shown(held[0])}: scores of one label tell nothing"
    for config in manifest.configs:
        splits = [split.name for split in config.splits]
        if config.kind == "data" and config.scheme in manifest.schemes and "train" not in splits:
            words = f"has no split train, which probes are fit to, but {', '.join(splits)}"
            yield f"the config {config.name!r} {words}"


def _declared(release: Release) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Shards whose metadata can be read, the small ones of pooled vectors first, and their names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = [file.path for file in release.manifest.files if file.path.endswith(".parquet")]
    for kind in ("pooled/", "data/"):
        for path in paths:
            if not path.startswith(kind):
                continue
            try:
                with release.open(path) as file:
                    metadata = pq.read_schema(file).metadata or {}
                columns = json.loads(metadata[_KEY])["info"]["features"]
                yield path, _names(columns["label"])
            except (OSError, ValueError, LookupError, TypeError, pa.ArrowException):
                continue


def _names(column: dict[str, Any]) -> tuple[str, ...]:
    """Of a class, or of a list of classes; none of a number."""
    return tuple(column.get("feature", column).get("names", ()))


def _shown(name: object) -> str:
    return "not there" if name is None else repr(printable(str(name)))
