"""The atlas's file in a release, as a build writes it."""

from __future__ import annotations

from pathlib import Path

from hfaef.errors import command_line
from hfaef.release.atlas.points import Predicted, make_points
from hfaef.release.atlas.predictions import kept_predictions
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import POINTS
from hfaef.release.format.scores import SCORES, Evaluation


def atlas_files(
    packing: Path, manifest: Manifest, scores: bytes | None, folder: Path, before: Path | None
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The points of a release whose shards are written, by path; and a note if they lack something.

    Args:
        packing: holds the shards.
        manifest: with these shards.
        scores: content of the ``evaluation.json`` that the release takes over, if it does.
        folder: that it comes to; if a release there has predictions of these scores, they serve.
        before: of the release that it is built from, whose predictions serve else.

    Raises:
        ReleaseError: naming a shard that cannot be read.
    """
    points = make_points(packing, manifest)
    if scores is None:
        return {POINTS: points.to_bytes()}, ()
    evaluation = Evaluation.model_validate_json(scores)
    found = (
        kept_predictions(path / POINTS, points, evaluation) for path in (folder, before) if path
    )
    predicted: tuple[Predicted, ...] = next(filter(None, found), ())
    again = command_line("hfaef", "eval", folder)
    words = f"{POINTS} has no predictions, as none of those that {SCORES} tells of were kept: "
    words += f"run `{again}` again"
    return {POINTS: points.to_bytes(predicted)}, () if predicted else (words,)
