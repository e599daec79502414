"""The atlas's file in a release, as a build writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hfaef.release.atlas.points import Predicted, make_points
from hfaef.release.atlas.predictions import kept_predictions
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import POINTS
from hfaef.release.format.scores import SCORES, Evaluation


def atlas_files(
    folder: Path, manifest: Manifest, scores: bytes | None, earlier: Sequence[Path]
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The points of a release whose shards are written, by path; and a note if they lack something.

    Args:
        folder: of the release.
        manifest: with its shards.
        scores: content of the ``evaluation.json`` that it takes over, if it does.
        earlier: releases whose predictions serve where they belong to these scores; the first that
            has any.

    Raises:
        ReleaseError: naming a shard that cannot be read.
    """
    points = make_points(folder, manifest)
    evaluation = None if scores is None else Evaluation.model_validate_json(scores)
    found = (kept_predictions(path / POINTS, points, evaluation) for path in earlier)
    predicted: tuple[Predicted, ...] = next(filter(None, found), ())
    lacking = evaluation is not None and not predicted
    words = f"{POINTS} has no predictions, as those that {SCORES} tells of were not kept; "
    words += "`hfaef eval` makes them again"
    return {POINTS: points.to_bytes(predicted)}, (words,) if lacking else ()
