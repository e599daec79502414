"""``evaluation.json``: which vectors were probed, how, on which rows, with what result."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from hfaef.errors import ReleaseError, command_line
from hfaef.recipe.columns import Target
from hfaef.release.format.manifest import Manifest, Part, content_sha256, read_bounded

SCORES = "evaluation.json"

SCORES_FORMAT = 2

PROVENANCE = b"hfaef.provenance"
"""Key of a vectors table's metadata that holds a `Provenance` as JSON."""

Probe = Literal["knn", "linear"]

Fit = Literal["train", "train+validation", "folds"]
"""Patches that a probe is fit to; of folds, each time all but one."""

PRIMARY: dict[Target, str] = {"class": "accuracy", "classes": "micro_ap", "number": "r2"}
"""The metric that hyperparameters are chosen by and vectors compared by."""

SIGNIFICANT = 0.05
"""p below which a difference is shown, as by intervals of 95 per cent."""

PUBLISHED_NEIGHBOURS = 5
"""k of the published kNN, and so of the one that is shown beside it."""


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

    name: Literal["default", "published"] = "published"
    """Hyperparameters chosen on validation patches, or as published studies do it."""

    on: Literal["values", "codes"]
    """Whether dequantized values were pooled, or stored codes as they are."""
    order: str = "training and test patches sorted by id"
    knn: str
    linear: str
    interval: str
    seed: int
    curves: str = ""
    """Of few labels and of smaller vectors; empty for the published protocol, which has none."""


class Provenance(Part):
    """The model that vectors were made with, as the table of vectors tells it."""

    model: str
    """As `hfaef embed` names it."""
    address: str = ""
    """Where its weights are published; empty for a file of the user's, or without weights."""
    weights_sha256: str = ""
    """Of the file of weights; empty without one."""
    license: str = ""
    """Of the weights; empty if nobody says."""
    bands: tuple[str, ...] = ()
    """Of the images, in the order of its channels."""
    level: str = ""
    """Of the images, if somebody says."""
    transform: str = ""
    """In words: units, size, normalization."""
    pooling: str = ""
    """In words: what of its output the vector is."""
    packages: dict[str, str] = Field(default_factory=dict)
    device: str = ""
    notes: tuple[str, ...] = ()
    """What of the images does not fit it, and it did without."""


class FeatureSet(Part):
    """One vector a patch."""

    name: str
    kind: Literal["pooling", "table", "fused"]
    dimensions: int
    columns: tuple[str, ...] = ()
    """Of the table that the vectors are made of; none of a pooling, nor in files of hfaef 0.1."""
    made_of: str = ""
    """In words, of vectors from elsewhere: what was read and how it was pooled."""
    provenance: Provenance | None = None
    """Of vectors of a model that was run over the patches' images."""
    lacking: int = 0
    """Rows of the release that it has no vector for."""


class Interval(Part):
    """A metric with its bootstrap interval; over folds, its mean less and plus their deviation."""

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
    fit: Fit = "train"
    neighbours: int | None = None
    """k of a kNN."""
    penalty: float | None = None
    """C of a linear probe."""
    chosen_by: Literal["validation", "cross-validation"] | None = None
    """How k or C was chosen; None if it is fixed."""
    train: int
    test: int
    """Patches; of folds, all that are in one."""
    metrics: dict[str, Interval]
    """The primary one first."""
    confusion: tuple[tuple[int, ...], ...] = ()
    """Test patches by true class (rows) and predicted class (columns)."""
    warnings: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_format_1(cls, content: Any) -> Any:
        if isinstance(content, dict) and "metrics" not in content and "accuracy" in content:
            content = dict(content)
            names = ("accuracy", "balanced_accuracy", "macro_f1")
            content["metrics"] = {name: content.pop(name, None) for name in names}
            if content.pop("cross_validated", False):
                content["chosen_by"] = "cross-validation"
        return content

    @property
    def shown(self) -> bool:
        """Whether it stands for its probe: its hyperparameter was chosen, or is the published k."""
        return self.chosen_by is not None or self.neighbours == PUBLISHED_NEIGHBOURS


class Skipped(Part):
    """A probe that could not be run."""

    features: str
    scheme: str
    year: int | None
    """None for rows of all years, where each has its own."""
    probe: Probe
    reason: str


class Difference(Part):
    """Two sets of vectors on the same test patches, by pairs."""

    a: str
    b: str
    scheme: str
    year: int | None
    probe: Probe
    metric: str
    difference: Interval
    """Of `a` less `b`, resampled by patch."""
    only_a: int | None = None
    only_b: int | None = None
    """Patches that only one of the two gets right, where patches are right or wrong."""
    p_value: float | None = None
    """Of McNemar's exact test on these."""

    @property
    def better(self) -> str | None:
        """The better of the two; None if the interval holds 0, or the exact test doubts it.

        Of few test patches the bootstrap alone is too sure.
        """
        if self.p_value is not None and self.p_value >= SIGNIFICANT:
            return None
        if self.difference.low > 0:
            return self.a
        return self.b if self.difference.high < 0 else None


class CurvePoint(Part):
    """A linear probe fit to few labels."""

    labels: int
    """Of each class, or in all if they are numbers."""
    train: int
    """Patches."""
    mean: float
    spread: float
    """Mean and standard deviation of the primary metric over several draws."""


class Curve(Part):
    """How the primary metric of a linear probe grows with the labels it is fit to."""

    features: str
    scheme: str
    year: int | None
    full: float
    """With all labels."""
    points: tuple[CurvePoint, ...]
    enough: int | None
    """Labels with which nine tenths of that are reached."""
    warnings: tuple[str, ...] = ()
    """Of the solver, where it did not converge."""


class Shrunk(Part):
    """The primary metric of a linear probe on a smaller form of vectors."""

    features: str
    scheme: str
    year: int | None
    form: str
    dimensions: int
    bytes: float
    """Of a vector."""
    penalty: float | None = None
    """C, chosen for this form as for whole vectors."""
    score: Interval
    warnings: tuple[str, ...] = ()


class Transfer(Part):
    """The primary metric of a linear probe fit to one year and asked about another."""

    features: str
    scheme: str
    train_year: int
    test_year: int
    score: Interval
    warnings: tuple[str, ...] = ()


class Stability(Part):
    """Cosines of patches with themselves in another year: some quantiles."""

    features: str
    years: tuple[int, int]
    patches: int
    quantiles: tuple[float, float, float, float, float]
    """5, 25, 50, 75 and 95 per cent."""


class Evaluation(Part):
    """``evaluation.json``."""

    format: int = Field(le=SCORES_FORMAT)
    measured_on: Origin
    packages: dict[str, str]
    protocol: Protocol
    label_names: tuple[str, ...]
    features: tuple[FeatureSet, ...]
    target: Target = "class"
    scores: tuple[Score, ...]
    skipped: tuple[Skipped, ...] = ()
    differences: tuple[Difference, ...] = ()
    curves: tuple[Curve, ...] = ()
    shrunk: tuple[Shrunk, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    stability: tuple[Stability, ...] = ()

    def of(self, manifest: Manifest) -> bool:
        """Whether it was measured on the rows of this release."""
        return self.measured_on.content_sha256 == content_sha256(manifest)

    @property
    def primary(self) -> str:
        """Name of the metric that vectors are compared by."""
        return PRIMARY[self.target]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What solvers said of all probes, one after the other."""
        probes = (self.scores, self.curves, self.shrunk, self.transfers)
        return tuple(text for some in probes for one in some for text in one.warnings)

    def score(
        self,
        features: str,
        scheme: str,
        year: int | None,
        probe: Probe,
        *,
        neighbours: int | None = None,
        fit: Fit | None = None,
    ) -> Score | None:
        """The score that stands for a probe, or that with these neighbours."""
        for one in self.scores:
            same = (one.features, one.scheme, one.year, one.probe)
            fits = one.fit in (("train", "folds") if fit is None else (fit,))
            right = one.shown if neighbours is None else one.neighbours == neighbours
            if same == (features, scheme, year, probe) and fits and right:
                return one
        return None


PROBES: tuple[tuple[str, Probe], ...] = (("kNN", "knn"), ("linear", "linear"))
"""In words, and as evaluations name them."""

METRICS = {
    "accuracy": "overall accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "top2_accuracy": "top-2 accuracy",
    "calibration_error": "calibration error",
    "micro_ap": "micro average precision",
    "macro_ap": "macro average precision",
    "micro_f1": "micro F1",
    "r2": "R2",
    "rmse": "RMSE",
    "mae": "MAE",
}
"""In words; those of numbers to predict are no per cents."""

PLAIN = frozenset({"r2", "rmse", "mae"})
"""Metrics that are no shares, so no per cents."""


def shown(value: float, metric: str) -> str:
    """A metric as people read it: per cent, but for those of numbers to predict."""
    text = f"{value:.3f}" if metric in PLAIN else f"{100 * value:.1f}"
    return text.removeprefix("-") if float(text) == 0 else text


def shown_range(found: Interval, metric: str, *, folds: bool = False) -> str:
    """How sure a metric is: its interval, or over folds its deviation."""
    if folds:
        return f"± {shown((found.high - found.low) / 2, metric)}"
    if found.low == found.high:  # no draw differs, which is no certainty
        return "no interval"
    return f"{shown(found.low, metric)} to {shown(found.high, metric)}"


_LISTS: dict[str, tuple[str, ...]] = {
    "features": ("columns", "made_of", "provenance", "lacking"),
    "scores": (),
    "skipped": (),
    "differences": (),
    **dict.fromkeys(("curves", "shrunk", "transfers"), ("warnings",)),
    "stability": (),
}
"""Keys whose items are written a line each, and which keys of these only where they say something."""


def evaluation_bytes(evaluation: Evaluation) -> bytes:
    """The content of ``evaluation.json``: one score a line, the same for the same scores."""
    content = evaluation.model_dump(mode="json")
    lists = {name: content.pop(name) for name in _LISTS}
    for kind, names in _LISTS.items():
        for item, name in product(lists[kind], names):
            if not item[name]:
                del item[name]
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
