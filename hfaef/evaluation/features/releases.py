"""Vectors of a release of hfaef, in a folder or on the Hub: its table of pooled vectors."""

from __future__ import annotations

import numpy as np

from hfaef.errors import InputError
from hfaef.evaluation.features.argument import Argument
from hfaef.evaluation.features.joined import Found, Labels
from hfaef.evaluation.rows import Rows
from hfaef.release.format.manifest import content_sha256
from hfaef.release.format.paths import MANIFEST, VECTORS
from hfaef.release.format.rows import read_rows
from hfaef.release.handle import Release

OPTIONS = ("pooling",)

COLUMNS = {
    **{name: (name,) for name in VECTORS},
    "stats": ("min", "max", "mean", "std"),
    "mean_max": ("mean", "max"),
    "mean_std": ("mean", "std"),
}
"""Of the table of pooled vectors, by pooling."""


def read_release(argument: Argument, release: Release, rows: Rows) -> Found:
    """The pooled vectors of a release, whose files are compared with its manifest.

    They are joined by id and year; by id alone if the release has one year, which none of the rows
    has.

    Raises:
        HubError: if the Hub does not give a file.
        InputError: if there is no such pooling.
        ReleaseError: if a file is not what the manifest says.
    """
    argument.allow(OPTIONS, "a release")
    pooling = argument.options.get("pooling", "mean")
    columns = COLUMNS.get(pooling)
    if columns is None:
        raise InputError(
            f"{release.name} holds no vectors pooled as {pooling!r}", f"one of {', '.join(COLUMNS)}"
        )
    manifest = release.manifest
    for file in manifest.files:
        if file.path.startswith("pooled/"):
            release.fetch(file.path)
    folder = release.fetch(MANIFEST).parent
    found = list(read_rows(folder, manifest, "pooled", columns=["id", "year", "label", *columns]))
    years = [row["year"] for row in found]
    here = {*years}
    notes: list[str] = []
    by_year = len(here) > 1 or not here.isdisjoint(rows.years.tolist())
    if not by_year:
        (other,) = here or {0}
        notes.append(f"its vectors are of {other}, a year that this release has no rows of")
    vectors = [np.concatenate([row[name] for name in columns]) for row in found]
    return Found(
        source=release.name,
        ids=[row["id"] for row in found],
        array=np.asarray(vectors, np.float32).reshape(len(found), -1),
        made_of=f"the {pooling} of the embeddings of {manifest.name}, "
        f"content {content_sha256(manifest)[:12]}",
        years=years if by_year else None,
        labels=Labels("its labels", [row["label"] for row in found], manifest.label_names or None),
        notes=tuple(notes),
    )
