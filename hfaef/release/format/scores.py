"""``evaluation.json``: which vectors were probed, how, on which rows, with what result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from hfaef.errors import ReleaseError, command_line
from hfaef.release.format.manifest import Manifest, Part, content_sha256, read_bounded

SCORES = "evaluation.json"

SCORES_FORMAT = 1

Probe = Literal["knn", "linear"]


class Origin(Part):
    """The rows that were evaluated."""

    content_sha256: str
    """`manifest.content_sha256` of its release."""
    repo: str | None = None
    """``owner/name``, if they came from the Hub."""
    revision: str | None = None
    """The tag of its version."""
    commit: str | None = None


class Protocol(Part):
    """How everything was measured."""

    on: Literal["values", "codes"]
    """Whether dequantized values were pooled, or stored codes as they are."""
    order: str = "training and test patches sorted by id"
    knn: str
    linear: str
    interval: str
    seed: int


class FeatureSet(Part):
    """One vector a patch."""

    name: str
    kind: Literal["pooling", "table"]
    dimensions: int
    columns: tuple[str, ...] = ()
    """Of the table that the vectors are made of; none of a pooling, nor in files of hfaef 0.1."""


class Interval(Part):
    """A metric between 0 and 1, with its bootstrap interval."""

    value: float
    low: float
    high: float


class Score(Part):
    """A probe fit to the training patches, and how well it predicts the test patches."""

    features: str
    scheme: str
    year: int | None
    """None for rows of all years, where each has its own."""
    probe: Probe
    neighbours: int | None = None
    """k of a kNN."""
    penalty: float | None = None
    """C of a linear probe."""
    cross_validated: bool = False
    """Whether C was chosen by cross-validation."""
    train: int
    test: int
    """Patches."""
    accuracy: Interval
    balanced_accuracy: Interval
    macro_f1: Interval
    confusion: tuple[tuple[int, ...], ...]
    """Test patches by true label (rows) and predicted label (columns)."""
    warnings: tuple[str, ...] = ()


class Skipped(Part):
    """A probe that could not be run."""

    features: str
    scheme: str
    year: int | None
    """None for rows of all years, where each has its own."""
    probe: Probe
    reason: str


class Evaluation(Part):
    """``evaluation.json``."""

    format: int = Field(le=SCORES_FORMAT)
    measured_on: Origin
    packages: dict[str, str]
    protocol: Protocol
    label_names: tuple[str, ...]
    features: tuple[FeatureSet, ...]
    scores: tuple[Score, ...]
    skipped: tuple[Skipped, ...] = ()

    def of(self, manifest: Manifest) -> bool:
        """Whether it was measured on the rows of this release."""
        return self.measured_on.content_sha256 == content_sha256(manifest)

    def score(
        self, features: str, scheme: str, year: int | None, *, neighbours: int | None = None
    ) -> Score | None:
        """The kNN with these neighbours; without, the cross-validated linear probe."""
        wanted = (features, scheme, year, neighbours, neighbours is None)
        for one in self.scores:
            if (one.features, one.scheme, one.year, one.neighbours, one.cross_validated) == wanted:
                return one
        return None


def evaluation_bytes(evaluation: Evaluation) -> bytes:
    """The content of ``evaluation.json``: one score a line, the same for the same scores."""
    content = evaluation.model_dump(mode="json")
    lists = {name: content.pop(name) for name in ("features", "scores", "skipped")}
    for item in lists["features"]:
        if not item["columns"]:
            del item["columns"]
    head = json.dumps(content, indent=1, sort_keys=True).removesuffix("\n}")
    parts = [head]
    for name, items in lists.items():
        lines = ",\n  ".join(json.dumps(item, sort_keys=True) for item in items)
        parts.append(f' "{name}": [\n  {lines}\n ]' if items else f' "{name}": []')
    return (",\n".join(parts) + "\n}\n").encode()


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"
    return str(error).split("\n", 1)[0]


def read_evaluation(folder: Path) -> Evaluation | None:
    """The evaluation of a release folder; None if there is none.

    Raises:
        ReleaseError: if it cannot be read.
    """
    path = folder / SCORES
    try:
        return Evaluation.model_validate_json(read_bounded(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ReleaseError(
            f"cannot read {path}: {_first_line(error)}", command_line("hfaef", "eval", folder)
        ) from error
