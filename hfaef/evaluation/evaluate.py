"""Evaluate a release: pool or join vectors, probe them in every split scheme, write the scores."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hfaef.core.files import atomic_write, folder_errors
from hfaef.core.progress import Advance, progress
from hfaef.errors import InputError, missing_package
from hfaef.evaluation import probe
from hfaef.evaluation.features import read_features
from hfaef.evaluation.merge import merge, read_scores, require_mergeable
from hfaef.evaluation.pooling import ON, POOLINGS, On
from hfaef.evaluation.vectors import (
    ChosenVectors,
    Rows,
    Vectors,
    pool_release,
    read_rows,
)
from hfaef.hub.open import open_published
from hfaef.hub.target import HubTarget, parse_target
from hfaef.release.card.additions import add_files
from hfaef.release.card.figures import draw
from hfaef.release.card.render import kept_notes
from hfaef.release.card.tables import PUBLISHED_NEIGHBOURS
from hfaef.release.format.manifest import Manifest, content_sha256, package_versions, read_manifest
from hfaef.release.format.paths import locked_release, require_no_links
from hfaef.release.format.scores import (
    SCORES,
    SCORES_FORMAT,
    Evaluation,
    FeatureSet,
    Interval,
    Origin,
    Protocol,
    Score,
    Skipped,
    evaluation_bytes,
)
from hfaef.release.handle import open_folder
from hfaef.release.label_names import require_label_names

TRAIN, TEST = "train", "test"

_PACKAGES = ("hfaef", "numpy", "scikit-learn", "scipy")

Result = Score | Skipped


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


def evaluate(
    target: str,
    *,
    poolings: Sequence[str] = (),
    on: str = "values",
    features: Sequence[str] = (),
    probes: Sequence[str] = ("knn", "linear"),
    out: Path | None = None,
    replace_card: bool = False,
) -> Evaluated:
    """Probe a release, and write ``evaluation.json``.

    It is added to the release folder, whose figures and card are written again; that of a
    published version, or one with an `out`, is written by itself. Scores of the same rows that
    are in the file already and are not measured again stay there.

    Args:
        target: a release folder, or ``OWNER/NAME[@VERSION]``.
        poolings: of `POOLINGS`; all by default.
        on: ``values`` or ``codes``: what is pooled.
        features: ``NAME=PATH`` of tables that `read_features` reads.
        probes: ``knn``, ``linear``.
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
    _require("pooling", poolings, POOLINGS)
    _require("probe", probes, ("knn", "linear"))
    _require("--on", (on,), ON)
    chosen = cast("On", on)
    try:
        import_module("sklearn")  # now, rather than after an hour of pooling
    except ImportError as error:
        raise missing_package("`hfaef eval`", error) from error
    opened = open_target(target)
    _require_probable(target, opened.manifest)
    poolings = poolings or tuple(POOLINGS)
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
        names = [*poolings, *(argument.partition("=")[0] for argument in features)]
        asked = product(names, probes)
        require_mergeable(before, opened.origin.content_sha256, protocol(chosen), asked, path)
        if inside:
            kept_notes(opened.folder, replace=replace_card)  # said before the work, not after it
        measured, used = measure(
            opened, poolings=poolings, on=chosen, features=features, probes=probes
        )
        evaluation, notes = merge(before, measured)
        content = evaluation_bytes(evaluation)
        if inside:
            contents = {SCORES: content, **draw(opened.folder, opened.manifest)}
            add_files(opened.folder, contents, replace_card=replace_card)
        else:
            with folder_errors(path):
                atomic_write(path, content)
    return Evaluated(evaluation, path, (*damaged, *used, *notes))


def _require_probable(target: str, manifest: Manifest) -> None:
    """Raise InputError if a release's labels or splits are none that the probes know."""
    if not manifest.schemes:
        folds = f", but folds ({', '.join(manifest.folds)})" if manifest.folds else ""
        alone = "cross-validate its pooled vectors yourself, or " if folds else ""
        raise InputError(
            f"{target} has no split scheme{folds}, so nothing to train and test on",
            f"{alone}name one in the recipe's `patches`, or have one made by `patches.make_splits`",
        )
    words = {
        "number": ("are numbers to predict", "a regression"),
        "classes": ("are several a patch", "a multi-label classifier"),
    }
    if manifest.labelling in words:
        what, instead = words[manifest.labelling]
        raise InputError(
            f"the labels of {target} {what}, and the probes tell one class from others",
            f"probe its pooled vectors with {instead} of your own",
        )


def summary(evaluation: Evaluation) -> Iterator[str]:
    """Accuracies in per cent, a line a feature set; kNN with k = 5 and cross-validated linear."""
    for features in evaluation.features:
        parts = []
        for score in evaluation.scores:
            shown = score.cross_validated or score.neighbours == PUBLISHED_NEIGHBOURS
            if score.features == features.name and shown:
                value = 100 * score.accuracy.value
                parts.append(f"{score.probe} {score.scheme} {score.year or 'all'} {value:.1f}")
        yield f"{features.name}: {', '.join(parts) or 'nothing to tell'}"
    warned = sum(len(score.warnings) for score in evaluation.scores)
    if warned or evaluation.skipped:
        yield f"warnings: {warned}, probes not run: {len(evaluation.skipped)}"


def _require(what: str, given: Sequence[str], known: Sequence[str] | dict[str, Any]) -> None:
    for name in given:
        if name not in known:
            raise InputError(f"{what} {name!r} is not known", f"one of {', '.join(known)}")


def measure(
    target: Target,
    *,
    poolings: Sequence[str],
    on: On,
    features: Sequence[str],
    probes: Sequence[str],
) -> tuple[Evaluation, tuple[str, ...]]:
    """The evaluation of a release, in memory, and notes of what was used of tables."""
    manifest = target.manifest
    rows = read_rows(target.folder, manifest)
    read = [read_features(argument, rows) for argument in features]
    tables = {one.name: one for one in read}
    if len(tables) < len(features):
        raise InputError("two --features have one name", "give each its own")
    with tempfile.TemporaryDirectory(prefix="hfaef-") as scratch:
        with progress("pool", len(rows.ids)) as advance:
            pooled = pool_release(target.folder, manifest, poolings, on, Path(scratch), advance)
        sets: dict[str, Vectors] = {**pooled, **{one.name: one.vectors for one in read}}
        works = len(sets) * len(manifest.schemes) * len(manifest.config_years) * len(probes)
        with progress("probe", works) as advance:
            results = list(_results(sets, rows, manifest, probes, advance))
    evaluation = Evaluation(
        format=SCORES_FORMAT,
        measured_on=target.origin,
        packages=package_versions(_PACKAGES),
        protocol=protocol(on),
        label_names=manifest.label_names,
        features=tuple(
            FeatureSet(
                name=name,
                kind="pooling" if name in pooled else "table",
                dimensions=vectors.dimensions,
                columns=tables[name].columns if name in tables else (),
            )
            for name, vectors in sets.items()
        ),
        scores=tuple(result for result in results if isinstance(result, Score)),
        skipped=tuple(result for result in results if isinstance(result, Skipped)),
    )
    return evaluation, tuple(note for one in read for note in one.notes)


def protocol(on: On) -> Protocol:
    """How everything is measured, for ``evaluation.json``."""
    return Protocol(
        on=on,
        knn=f"k in {', '.join(map(str, probe.NEIGHBOURS))}; cosine distance, brute force, "
        "equal votes, ties to the lower label number",
        linear="StandardScaler fit on train; logistic regression, lbfgs, at most "
        f"{probe.MAX_ITERATIONS} iterations; C = 1, and C of "
        f"{', '.join(f'{c:g}' for c in probe.PENALTIES)} by {probe.FOLDS}-fold cross-validation",
        interval=f"{probe.LEVEL} % percentile bootstrap over test samples, "
        f"{probe.RESAMPLES:,} resamples",
        seed=probe.SEED,
    )


def _results(
    sets: dict[str, Vectors],
    rows: Rows,
    manifest: Manifest,
    probes: Sequence[str],
    advance: Advance,
) -> Iterator[Result]:
    for (name, vectors), year, scheme in product(
        sets.items(), manifest.config_years, manifest.schemes
    ):
        train, test = (rows.of_split(scheme, year, split) for split in (TRAIN, TEST))
        about = {"features": name, "scheme": scheme, "year": year}
        for kind in probes:
            if len(train) and len(test):
                # Test vectors are in memory: asked for in small parts, and a third of the others.
                data = (
                    ChosenVectors(vectors, train),
                    rows.labels[train],
                    vectors.take(test),
                    rows.labels[test],
                )
                run = _knn if kind == "knn" else _linear
                yield from run(about, data, len(manifest.label_names))
            else:
                reason = f"no patch for {TRAIN if not len(train) else TEST}"
                yield Skipped(**about, probe=kind, reason=reason)
            advance(f"{name}, {scheme}, {kind}")


Data = tuple[ChosenVectors, npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""Training vectors and labels, test vectors and labels."""


def _knn(about: dict[str, Any], data: Data, classes: int) -> Iterator[Result]:
    train, labels, test, _ = data
    for k, prediction in probe.knn(train, labels, test, classes).items():
        yield _score(about, data, prediction, classes, probe="knn", neighbours=k)
    for k in probe.NEIGHBOURS:
        if k > len(labels):
            yield Skipped(**about, probe="knn", reason=f"fewer than {k} training patches")


def _linear(about: dict[str, Any], data: Data, classes: int) -> Iterator[Result]:
    chosen, labels, test, _ = data
    train = chosen[:]
    for penalty in (None, 1.0):
        try:
            prediction = probe.linear(train, labels, test, penalty)
        except ValueError as error:
            yield Skipped(**about, probe="linear", reason=str(error))
        else:
            yield _score(
                about,
                data,
                prediction,
                classes,
                probe="linear",
                penalty=prediction.penalty,
                cross_validated=penalty is None,
                warnings=prediction.warnings,
            )


def _score(
    about: dict[str, Any],
    data: Data,
    prediction: probe.Prediction,
    classes: int,
    **how: Any,
) -> Score:
    counts = probe.confusion(data[3], prediction.labels, classes)
    metrics = {
        name: Interval(**{edge: round(value, 6) for edge, value in measured})
        for name, measured in probe.measure(counts).items()
    }
    return Score(
        **about,
        **how,
        **metrics,
        train=len(data[1]),
        test=len(data[3]),
        confusion=tuple(tuple(row) for row in counts.tolist()),
    )
