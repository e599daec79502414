"""Curves of a linear probe: over few labels, and over ever smaller vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.core.quantize import dequantize, quantize
from hfaef.evaluation.probe.linear import (
    MAX_ITERATIONS,
    Vectors,
    predict,
    predict_by_folds,
    predict_by_validation,
)
from hfaef.evaluation.probe.metrics import (
    SEED,
    Prediction,
    Truth,
    measure_primary,
    primary,
    target_of,
)
from hfaef.release.format.scores import Curve, CurvePoint, Shrunk

LABELS_A_CLASS = (1, 2, 5, 10, 20, 50, 100)
"""Labels of each class, or label, that a probe is fit to."""

LABELS = (10, 20, 50, 100, 200, 500, 1000)
"""Numbers to predict that a probe is fit to."""

DRAWS = 10
"""Balanced draws of each size, as in AlphaEarth's own trials: https://arxiv.org/abs/2507.22291"""

ENOUGH = 0.9
"""Share of the score with all labels that is called enough."""

PENALTY = 1.0
"""C with few labels, of which none can be spared to choose it by."""

COMPONENTS = (2, 4, 8, 16, 32)
"""Principal components that vectors are cut to."""


def few_labels(
    vectors: tuple[Vectors, Vectors],
    truths: tuple[Truth, Truth],
    classes: int,
    full: float,
    about: dict[str, Any],
    max_iterations: int = MAX_ITERATIONS,
) -> Curve:
    """Scores of probes fit to a few labels, drawn at random several times.

    Args:
        vectors: of training and test patches.
        truths: theirs.
        classes: how many there are; 0 for numbers.
        full: score with all labels.
        about: vectors, scheme and year, for the curve.
        max_iterations: of the solver.
    """
    train, test = vectors
    points = []
    said: set[str] = set()
    for size in LABELS_A_CLASS if classes else LABELS:
        scores, counts = [], []
        for draw in range(DRAWS):
            rows = _drawn(truths[0], size, np.random.default_rng((SEED, size, draw)))
            if len(rows) == len(truths[0]):
                break  # all of them: that is the full score
            try:
                drawn = train[rows], truths[0][rows]
                (found,) = predict(*drawn, [test], PENALTY, classes, max_iterations)
            except ValueError:
                break  # one class alone is not told apart
            said.update(_not_converged(found))
            scores.append(primary(truths[1], found))
            counts.append(len(rows))
        if len(scores) == DRAWS:
            mean, spread = float(np.mean(scores)), float(np.std(scores, ddof=1))
            points.append(
                CurvePoint(
                    labels=size,
                    train=round(float(np.mean(counts))),
                    mean=round(mean, 6),
                    spread=round(spread, 6),
                )
            )
    # Below 0 an R2 is worse than the mean of all, and no share of it is enough.
    reached = (point.labels for point in points if full > 0 and point.mean >= ENOUGH * full)
    enough = next(reached, None)
    return Curve(
        **about,
        full=round(full, 6),
        points=tuple(points),
        enough=enough,
        warnings=tuple(sorted(said)),
    )


def _not_converged(prediction: Prediction) -> tuple[str, ...]:
    """Warnings that a solver did not end; that few labels lack a class is no news."""
    return tuple(text for text in prediction.warnings if text.startswith("ConvergenceWarning"))


def _drawn(truth: Truth, size: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Patches with so many labels of each class, or as many as there are, in their order."""
    target = target_of(truth)
    if target == "number":
        groups: Sequence[npt.NDArray[np.int64]] = [np.arange(len(truth))]
    elif target == "classes":
        groups = [np.flatnonzero(column) for column in truth.T]
    else:
        groups = [np.flatnonzero(truth == number) for number in np.unique(truth)]
    chosen = [random.permutation(group)[:size] for group in groups]
    return np.unique(np.concatenate(chosen)).astype(np.int64)


def shrunk(
    vectors: tuple[Vectors, Vectors, Vectors],
    truths: tuple[Truth, Truth, Truth],
    classes: int,
    about: dict[str, Any],
    max_iterations: int = MAX_ITERATIONS,
) -> list[Shrunk]:
    """Scores of ever smaller forms of vectors, each with a C of its own.

    Principal components of the training vectors; codes of 8 bits, as AlphaEarth stores them; and
    one bit a dimension, its sign. C is the one with the best primary metric on validation patches,
    or without them in cross-validation of the training patches, as that of whole vectors.

    Args:
        vectors: of training, validation and test patches.
        truths: theirs; those of validation may be none.
        classes: how many there are; 0 for numbers.
        about: vectors, scheme and year, for the results.
        max_iterations: of the solver.
    """
    found = []
    for form, length, size, (train, held, test) in _forms(vectors):
        how = [test], classes, max_iterations
        if len(held):
            (one,) = predict_by_validation(train, truths[0], held, truths[1], *how)
        else:
            (one,) = predict_by_folds(train, truths[0], *how)
        found.append(
            Shrunk(
                **about,
                form=form,
                dimensions=length,
                bytes=size,
                penalty=one.penalty,
                score=measure_primary(truths[2], one, classes),
                warnings=_not_converged(one),
            )
        )
    return found


def _forms(
    vectors: tuple[Vectors, Vectors, Vectors],
) -> Iterator[tuple[str, int, float, Sequence[Vectors]]]:
    """Name, length and bytes of each form, and the three parts in it, one form at a time."""
    from sklearn.decomposition import PCA

    train = vectors[0]
    dimensions = train.shape[1]
    counts = [count for count in COMPONENTS if count < min(train.shape)]
    if counts:  # the first of many components are those of a few
        solver: Any = "covariance_eigh" if len(train) > dimensions else "full"
        basis = PCA(max(counts), svd_solver=solver).fit(train.astype(np.float64))
        parts = [basis.transform(one.astype(np.float64)) if len(one) else one for one in vectors]
        for count in counts:
            yield f"{count} components", count, 4.0 * count, [one[:, :count] for one in parts]
    if max(float(np.abs(one).max(initial=0)) for one in vectors) <= 1:
        small = [dequantize(quantize(one)) for one in vectors]
        yield "int8", dimensions, float(dimensions), small
    yield "1 bit", dimensions, dimensions / 8, [np.sign(one) for one in vectors]
