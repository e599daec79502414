"""Names of labels as the shards of a release hold them, against those of its manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from hfaef.core.names import printable
from hfaef.errors import ReleaseError, command_line
from hfaef.release.format.paths import MANIFEST
from hfaef.release.handle import Release

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
