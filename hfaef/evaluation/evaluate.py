"""Evaluate a release: pool or join vectors, probe them in every split scheme, write the scores."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Literal

from hfaef.core.files import atomic_write, folder_errors
from hfaef.core.progress import progress
from hfaef.errors import InputError, missing_package
from hfaef.evaluation.features import read_features
from hfaef.evaluation.fit import Method
from hfaef.evaluation.measure import measure_all, step_count
from hfaef.evaluation.merge import merge, read_scores, require_mergeable
from hfaef.evaluation.pooling import ON, POOLINGS, On
from hfaef.evaluation.predictions import choose
from hfaef.evaluation.probe import curves, linear, metrics, neighbours
from hfaef.evaluation.rows import Fused, ProbePredictions, Rows, Vectors, VectorSet
from hfaef.evaluation.vectors import pool_release, read_rows
from hfaef.hub.open import open_published
from hfaef.hub.target import HubTarget, parse_target
from hfaef.recipe.columns import Target as Labelling
from hfaef.release.atlas.points import make_points
from hfaef.release.atlas.predictions import kept_predictions
from hfaef.release.card.additions import add_files
from hfaef.release.card.figures import draw
from hfaef.release.card.render import kept_notes
from hfaef.release.format.manifest import Manifest, content_sha256, package_versions, read_manifest
from hfaef.release.format.paths import POINTS, locked_release, require_no_links
from hfaef.release.format.scores import (
    METRICS,
    PRIMARY,
    SCORES,
    SCORES_FORMAT,
    Evaluation,
    FeatureSet,
    Origin,
    Probe,
    Protocol,
    evaluation_bytes,
)
from hfaef.release.handle import open_folder
from hfaef.release.label_names import require_label_names

PROTOCOLS = ("default", "published")

_PACKAGES = ("hfaef", "numpy", "scikit-learn", "scipy")


@dataclass(frozen=True)
class Target:
    """A release to evaluate."""

    folder: Path
    manifest: Manifest
    origin: Origin
    """Where it came from; its folder may be written to unless that is the Hub."""


def open_target(target: str) -> Target:
    """A release folder, or ``OWNER/NAME[@VERSION]`` on the Hub, downloaded into its cache.

    Raises:
        InputError: if it is neither.
        HubError: if the Hub has no such version, or does not give it.
        ReleaseError: if the folder holds no release, or shards with other label names.
    """
    parsed = parse_target(target)
    if isinstance(parsed, HubTarget):
        published = open_published(parsed)
        manifest = published.release.manifest
        origin = Origin(
            content_sha256=content_sha256(manifest),
            repo=published.repo.id,
            revision=published.version.tag,
            commit=published.snapshot.commit,
        )
        return Target(published.download("data"), manifest, origin)
    manifest = read_manifest(parsed)
    require_no_links(parsed)
    require_label_names(open_folder(parsed))
    return Target(parsed, manifest, Origin(content_sha256=content_sha256(manifest)))


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation wrote."""

    evaluation: Evaluation
    """All of the file, with scores that were there before."""
    path: Path
    """The file."""
    notes: tuple[str, ...]
    """What of tables was used, and what was replaced."""


@dataclass(frozen=True)
class Settings:
    """What to measure, and how."""

    poolings: Sequence[str] = ()
    """Of `POOLINGS`; all of them for none."""
    on: On = "values"
    """What is pooled: dequantized values, or stored codes as they are."""
    features: Sequence[str] = ()
    """``NAME=PLACE`` of vectors from elsewhere, as `read_features` reads them."""
    fuse: Sequence[str] = ()
    """``A+B``: sets to put side by side."""
    probes: Sequence[Probe] = ("knn", "linear")
    protocol: Literal["default", "published"] = "default"
    quick: bool = False
    """Whether only one pooling is probed, without curves and years."""
    max_iterations: int = linear.MAX_ITERATIONS
    """Of the solver of linear probes."""

    @property
    def method(self) -> Method:
        """How everything is measured."""
        return Method(self.protocol == "published", self.quick, self.max_iterations)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all sets of vectors."""
        given = (argument.partition("=")[0] for argument in self.features)
        return (*self.poolings, *given, *self.fuse)


def _complete(settings: Settings) -> Settings:
    """The same settings, checked, with all poolings by name.

    Raises:
        InputError: if something is asked for that is not known.
    """
    _require("pooling", settings.poolings, tuple(POOLINGS))
    _require("probe", settings.probes, ("knn", "linear"))
    _require("--on", (settings.on,), ON)
    _require("--protocol", (settings.protocol,), PROTOCOLS)
    if settings.max_iterations < 1:
        raise InputError(
            f"--max-iterations {settings.max_iterations}: the solver needs one at least",
            f"leave it out for {linear.MAX_ITERATIONS}",
        )
    poolings = tuple(settings.poolings) or (("mean",) if settings.quick else tuple(POOLINGS))
    settings = replace(settings, poolings=poolings)
    known = settings.names[: len(settings.names) - len(settings.fuse)]
    for fused in settings.fuse:
        parts = fused.split("+")
        if len(parts) < 2 or len({*parts}) < len(parts):
            raise InputError(f"--fuse {fused}: not A+B of two sets", "as in `--fuse mean+tessera`")
        _require(f"--fuse {fused}:", parts, known)
    return settings


def evaluate(
    target: str,
    settings: Settings | None = None,
    *,
    out: Path | None = None,
    replace_card: bool = False,
) -> Evaluated:
    """Probe a release, and write ``evaluation.json``.

    It is added to the release folder, whose figures, points and card are written again; that of a
    published version, or one with an `out`, is written by itself. Scores of the same rows that
    are in the file already and are not measured again stay there.

    Args:
        target: a release folder, or ``OWNER/NAME[@VERSION]``.
        settings: what to measure, and how.
        out: the file to write; ``evaluation.json`` here by default for a published version.
        replace_card: whether edits of the folder's card outside its notes may go.

    Raises:
        InputError: if something is asked for that is not known, or the file holds something
            else, or scores that were measured otherwise and would stay.
        HubError: if the Hub has no such version, or does not give it.
        ReleaseError: if the release is not what its manifest says, its folder holds a link, or its
            card was edited outside its notes.
        FolderError: if another command is at work in the folder.
    """
    settings = _complete(settings or Settings())
    try:
        import_module("sklearn")  # now, rather than after an hour of pooling
    except ImportError as error:
        raise missing_package("`hfaef eval`", error) from error
    opened = open_target(target)
    if not (opened.manifest.schemes or opened.manifest.folds):
        raise InputError(
            f"{target} has no split scheme, so nothing to train and test on",
            "name one in the recipe's `patches`, or let it be made: `patches.make_splits`",
        )
    inside = opened.origin.repo is None and out is None
    path = opened.folder / SCORES if inside else out or Path(SCORES)
    with locked_release(opened.folder) if inside else nullcontext():
        damaged: tuple[str, ...] = ()
        try:
            before = read_scores(path)
        except InputError:
            if not inside:  # a release's own file can be nothing else
                raise
            before, damaged = None, (f"{path} could not be read, and is replaced",)
        asked = product(settings.names, settings.probes)
        told = protocol(settings, opened.manifest.labelling)
        require_mergeable(before, opened.origin.content_sha256, told, asked, path)
        if inside:
            kept_notes(opened.folder, replace=replace_card)  # said before the work, not after it
            points = make_points(opened.folder, opened.manifest)
        measured = measure(opened, settings)
        evaluation, notes = merge(before, measured.evaluation)
        content = evaluation_bytes(evaluation)
        if inside:
            kept = kept_predictions(opened.folder / POINTS, points, evaluation)
            made = measured.rows, measured.predictions
            predicted, lost = choose(points, *made, kept, evaluation)
            contents = {
                SCORES: content,
                POINTS: points.to_bytes(predicted),
                **draw(opened.folder, opened.manifest, evaluation),
            }
            add_files(opened.folder, contents, replace_card=replace_card)
            notes += lost
        else:
            with folder_errors(path):
                atomic_write(path, content)
    return Evaluated(evaluation, path, (*damaged, *measured.notes, *notes))


def require_possible(target: str, settings: Settings, out: Path | None = None) -> None:
    """Refuse what `evaluate` would refuse, before vectors are made for it.

    Args:
        target: a release folder.
        settings: what to measure; of features their names alone are looked at.
        out: the file to write.

    Raises:
        InputError: if something is asked for that is not known, or scores of another protocol
            would stay in the file.
        ReleaseError: if the folder holds no release, or its manifest cannot be read.
    """
    settings = _complete(settings)
    opened = open_target(target)
    path = out or opened.folder / SCORES
    try:
        before = read_scores(path)
    except InputError:
        return  # `evaluate` says so, or replaces it
    asked = product(settings.names, settings.probes)
    told = protocol(settings, opened.manifest.labelling)
    require_mergeable(before, opened.origin.content_sha256, told, asked, path)


def summary(evaluation: Evaluation) -> Iterator[str]:
    """The primary metric of the probes that are shown, a line a feature set."""
    scale = 1 if evaluation.target == "number" else 100
    for features in evaluation.features:
        parts = [
            f"{score.probe} {score.scheme} {score.year or 'all'} "
            f"{scale * score.metrics[evaluation.primary].value:.{1 if scale > 1 else 3}f}"
            for score in evaluation.scores
            if score.features == features.name and score.shown and score.fit != "train+validation"
        ]
        yield f"{features.name}: {', '.join(parts) or 'nothing to tell'}"
    warned = len(evaluation.warnings)
    if warned or evaluation.skipped:
        yield f"warnings: {warned}, probes not run: {len(evaluation.skipped)}"


def _require(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise InputError(f"{what} {name!r} is not known", f"one of {', '.join(known)}")


@dataclass(frozen=True)
class Measurement:
    """An evaluation, in memory."""

    evaluation: Evaluation
    notes: tuple[str, ...]
    """Of what was used of other vectors."""
    rows: Rows
    predictions: tuple[ProbePredictions, ...]
    """Of these rows."""


def measure(target: Target, settings: Settings) -> Measurement:
    """Measure a release, and write nothing."""
    manifest = target.manifest
    rows = read_rows(target.folder, manifest)
    tables = {one.name: one for one in (read_features(text, rows) for text in settings.features)}
    if len(tables) < len(settings.features):
        raise InputError("two --features have one name", "give each its own")
    with tempfile.TemporaryDirectory(prefix="hfaef-") as scratch:
        with progress("pool", len(rows.ids)) as advance:
            pooled = pool_release(
                target.folder, manifest, settings.poolings, settings.on, Path(scratch), advance
            )
        sets = {name: VectorSet(vectors, "pooling") for name, vectors in pooled.items()}
        sets |= {name: VectorSet(one.vectors, "table", one.lacking) for name, one in tables.items()}
        sets |= {text: _fused(text, sets) for text in settings.fuse}
        steps = step_count(sets, manifest, settings.probes, quick=settings.quick)
        with progress("probe", steps) as advance:
            results = measure_all(
                sets,
                rows,
                manifest,
                settings.probes,
                advance,
                settings.method,
            )
    evaluation = Evaluation(
        format=SCORES_FORMAT,
        measured_on=target.origin,
        packages=package_versions(_PACKAGES),
        protocol=protocol(settings, manifest.labelling),
        label_names=manifest.label_names,
        target=manifest.labelling,
        features=tuple(
            FeatureSet(
                name=name,
                kind=one.kind,
                dimensions=one.vectors.dimensions,
                columns=tables[name].columns if name in tables else (),
                made_of=tables[name].made_of if name in tables else "",
                provenance=tables[name].provenance if name in tables else None,
                lacking=len(one.lacking),
            )
            for name, one in sets.items()
        ),
        **{
            name: tuple(found)
            for name, found in vars(results).items()
            if name in Evaluation.model_fields
        },
    )
    notes = tuple(note for one in tables.values() for note in one.notes)
    return Measurement(evaluation, notes, rows, tuple(results.predictions))


def _fused(text: str, sets: dict[str, VectorSet]) -> VectorSet:
    parts: dict[str, Vectors] = {}
    lacking: frozenset[int] = frozenset()
    for name in text.split("+"):
        one = sets[name]
        if not isinstance(one.vectors, Fused):
            parts[name] = one.vectors
            lacking |= one.lacking
    return VectorSet(Fused(parts), "fused", lacking)


def protocol(settings: Settings, target: Labelling) -> Protocol:
    """How everything is measured, for ``evaluation.json``."""
    metric = METRICS[PRIMARY[target]]
    published = settings.protocol == "published"
    counts = ", ".join(map(str, neighbours.NEIGHBOURS))
    penalties = ", ".join(f"{c:g}" for c in linear.PENALTIES)
    votes = {
        "class": "equal votes, ties to the lower label number",
        "classes": "labels that more than half of the neighbours bear",
        "number": "the mean of the neighbours",
    }[target]
    model = {
        "class": "logistic regression, lbfgs",
        "classes": "a logistic regression a label, lbfgs",
        "number": "ridge regression, alpha = 1 / C",
    }[target]
    chosen = f"the one with the best {metric} on validation patches, without them"
    chosen += f" in {linear.FOLDS}-fold cross-validation of the training patches"
    return Protocol(
        name=settings.protocol,
        on=settings.on,
        knn=f"k in {counts}"
        + ("" if published else f", {chosen}")
        + f"; cosine distance, brute force, {votes}",
        linear=f"StandardScaler fit on train; {model}, at most {settings.max_iterations} iterations; "
        + (
            f"C = 1, and C of {penalties} by {linear.FOLDS}-fold cross-validation"
            if published
            else f"C of {penalties}, {chosen}"
        ),
        interval=f"{metrics.LEVEL} % percentile bootstrap over test samples, "
        f"{metrics.RESAMPLES:,} resamples",
        seed=metrics.SEED,
        # Published studies have none, and what they say stays as hfaef 0.1 wrote it.
        curves=""
        if published
        else f"few labels: C = {curves.PENALTY:g}, mean of {curves.DRAWS} draws; "
        "smaller vectors: C of each form chosen as that of the linear probe",
    )
