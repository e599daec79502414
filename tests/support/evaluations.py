"""Evaluations made up number by number, to see what cards make of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hfaef.release.format.scores import (
    PRIMARY,
    Curve,
    CurvePoint,
    Difference,
    Evaluation,
    FeatureSet,
    Interval,
    Origin,
    Protocol,
    Score,
    Shrunk,
)


def interval(value: float, margin: float = 0.02) -> Interval:
    return Interval(value=value, low=value - margin, high=value + margin)


def feature_set(name: str, kind: Any = "pooling", dimensions: int = 64) -> FeatureSet:
    return FeatureSet(name=name, kind=kind, dimensions=dimensions)


def score(features: str, value: float, **more: Any) -> Score:
    """A kNN with k = 5 on `random`, fit to 144 patches and asked about 48."""
    probe = more.get("probe", "knn")
    found = {
        "scheme": "random",
        "year": 2018,
        "probe": "knn",
        "neighbours": 5 if probe == "knn" else None,
        "penalty": 0.1 if probe == "linear" else None,
        "chosen_by": "validation",
        "train": 144,
        "test": 48,
        "metrics": {"accuracy": interval(value)},
        **more,
    }
    return Score(features=features, **found)


def difference(a: str, b: str, values: tuple[float, float, float], **more: Any) -> Difference:
    """Low, value and high of `a` less `b`, of a kNN on `random`."""
    low, value, high = values
    found = {
        "scheme": "random",
        "year": 2018,
        "probe": "knn",
        "metric": "accuracy",
        "difference": Interval(value=value, low=low, high=high),
        **more,
    }
    return Difference(a=a, b=b, **found)


def curve(
    features: str, points: Sequence[tuple[int, float, float]], full: float, **more: Any
) -> Curve:
    """Of labels, mean and spread of each point."""
    found = {"scheme": "random", "year": 2018, "enough": None, **more}
    drawn = tuple(
        CurvePoint(labels=labels, train=6 * labels, mean=mean, spread=spread)
        for labels, mean, spread in points
    )
    return Curve(features=features, full=full, points=drawn, **found)


def shrunk(features: str, form: str, size: float, value: float, **more: Any) -> Shrunk:
    found = {"scheme": "random", "year": 2018, "dimensions": 2, **more}
    return Shrunk(features=features, form=form, bytes=size, score=interval(value), **found)


def evaluation(
    features: Sequence[FeatureSet], scores: Sequence[Score] = (), **more: Any
) -> Evaluation:
    """Of these, measured on rows of no release."""
    protocol = Protocol(name="default", on="values", knn="k", linear="C", interval="95 %", seed=0)
    found = {
        "format": 2,
        "measured_on": Origin(content_sha256="0" * 64),
        "packages": {"hfaef": "0.1.0", "scikit-learn": "1.7"},
        "protocol": protocol,
        "label_names": ("a", "b"),
        **more,
    }
    assert found.get("target", "class") in PRIMARY
    return Evaluation(features=tuple(features), scores=tuple(scores), **found)
