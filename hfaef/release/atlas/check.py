"""What a release's table of points says that its shards and its scores do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.errors import ReleaseError, command_line
from hfaef.release.atlas.metadata import KEY, About, AboutLayout, Scheme
from hfaef.release.atlas.points import Points, about, make_points, read_points
from hfaef.release.atlas.predictions import fault, predictions_of
from hfaef.release.format.manifest import Manifest, content_sha256
from hfaef.release.format.paths import POINTS, TSNE
from hfaef.release.format.scores import read_evaluation

_LAYOUT = ("x", "y")
"""Columns that shards decide up to the machine that worked them out."""

_CHECKED = ("target", "label_names", "years", "schemes", "vectors", "shards", "missing")
"""What of the metadata manifest and shards decide; the rest are words."""


def atlas_problems(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Path and problem, in words; nothing for a release without these files, as older ones are.

    Args:
        folder: of the release; its files are those that the manifest lists.
        manifest: the release's.
    """
    listed = {file.path for file in manifest.files}
    if POINTS in listed:
        yield from ((POINTS, problem) for problem in _points(folder, manifest))
    if TSNE in listed:
        yield from ((TSNE, problem) for problem in _tsne(folder / TSNE, manifest))


def _points(folder: Path, manifest: Manifest) -> Iterator[str]:
    build, evaluate = "build the release again", command_line("hfaef", "eval", folder)
    try:
        table, found = read_points(folder / POINTS)
    except ReleaseError as error:
        yield f"{error.message}; {build}"
        return
    if found.rows != content_sha256(manifest):
        yield f"tells of other rows than the release holds; {build}"
        return
    points = make_points(folder, manifest)
    if differing := list(_differing(table, found, points)):
        yield f"has another {differing[0]} than the release; {build}"
        return
    if problem := _predictions(folder, table, found):
        yield f"{problem}; `{evaluate}` makes them again"


def _differing(table: pa.Table, found: About, points: Points) -> Iterator[str]:
    """What of a table is not what shards and manifest say, in words."""
    predicted = {scheme.predicted for scheme in found.schemes}
    if [name for name in table.column_names if name not in predicted] != points.table.column_names:
        yield "set of columns"
        return
    for name in points.table.column_names:
        if name in _LAYOUT:
            same = bool(np.isfinite(table[name].to_numpy()).all())
        else:
            same = table[name].equals(points.table[name])
        if not same:
            yield f"column {name!r}"
    plain = found.model_copy(update={"schemes": tuple(map(_plain, found.schemes))})
    expected = about(points.manifest, {})
    for name in _CHECKED:
        if getattr(plain, name) != getattr(expected, name):
            yield f"`{name}` in its metadata"


def _plain(scheme: Scheme) -> Scheme:
    return scheme.model_copy(update={"predicted": None, "measured": ()})


def _predictions(folder: Path, table: pa.Table, found: About) -> str:
    """What is wrong with predictions, in words; empty if nothing is."""
    evaluation = read_evaluation(folder)
    for scheme in found.schemes:
        if scheme.predicted is None:
            continue
        if evaluation is None:
            return f"has predictions for {scheme.name!r}, but the release has no scores"
        if scheme.predicted not in table.column_names:
            return f"has no column of predictions for {scheme.name!r}"
        some = list(predictions_of(table, scheme))
        for one in some:
            if words := fault(one, table, evaluation):
                return f"its predictions for {scheme.name!r} {words}"
        column = table[scheme.predicted]
        if len(table) - column.null_count != sum(len(one.points) for one in some):
            return f"has predictions for {scheme.name!r} without a score"
    return ""


def _tsne(path: Path, manifest: Manifest) -> Iterator[str]:
    try:
        with pq.ParquetFile(path) as file:
            found = AboutLayout.model_validate_json((file.metadata.metadata or {})[KEY])
            table = file.read(columns=["x", "y"])
            places = np.stack([table["x"].to_numpy(), table["y"].to_numpy()])
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        yield f"is no layout of points: {error}; make it again"
        return
    if found.rows != content_sha256(manifest) or places.shape[1] != manifest.rows:
        yield "tells of other rows than the release holds; make it again"
    elif not np.isfinite(places).all():
        yield "has places that are no numbers; make it again"
