"""Metrics and their intervals equal scikit-learn, or a plain loop, on the same predictions."""

import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from hfaef.evaluation.probe import metrics
from hfaef.evaluation.probe.metrics import Prediction, average_precision, measure, values
from hfaef.evaluation.probe.paired import Candidate, compare, mcnemar

sklearn = pytest.importorskip("sklearn", reason="the extra `eval` is not installed")

CLASSES = 6


def of_kind(kind, seed=0, count=80):
    """True and predicted labels of a kind, with many ties among the scores."""
    rng = np.random.default_rng(seed)
    if kind == "number":
        truth = rng.normal(1e6, 3, count)
        return truth, Prediction(truth + rng.normal(size=count))
    scores = rng.integers(0, 8, (count, CLASSES)) / 8
    if kind == "classes":
        truth = rng.random((count, CLASSES)) < 0.2 + 0.5 * scores
        return truth, Prediction(scores > 0.5, scores)
    scores = (scores + 0.01) / (scores + 0.01).sum(axis=1, keepdims=True)
    truth = np.where(
        rng.random(count) < 0.5, scores.argmax(axis=1), rng.integers(0, CLASSES, count)
    )
    return truth, Prediction(scores.argmax(axis=1), scores)


def by_hand(kind, truth, prediction, *names: str):
    """Metrics by name; only these, if some are named."""
    from sklearn import metrics as theirs

    predicted, scores = prediction.values, prediction.scores

    def top2_accuracy() -> float:
        hits = []
        for label, row in zip(truth, scores, strict=True):
            first, second = sorted(range(CLASSES), key=lambda number: (-row[number], number))[:2]
            hits.append(label in (first, second))
        return float(np.mean(hits))

    def calibration_error() -> float:
        error, confidence = 0.0, scores.max(axis=1)
        for number in range(15):
            inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
            if inside.any():
                gap = abs((truth == predicted)[inside].mean() - confidence[inside].mean())
                error += inside.mean() * gap
        return error

    found = {
        "number": {
            "r2": lambda: theirs.r2_score(truth, predicted),
            "rmse": lambda: theirs.root_mean_squared_error(truth, predicted),
            "mae": lambda: theirs.mean_absolute_error(truth, predicted),
        },
        "classes": {
            "micro_ap": lambda: theirs.average_precision_score(truth, scores, average="micro"),
            "macro_ap": lambda: theirs.average_precision_score(truth, scores, average="macro"),
            "micro_f1": lambda: theirs.f1_score(truth, predicted, average="micro"),
        },
        "class": {
            "accuracy": lambda: theirs.accuracy_score(truth, predicted),
            "balanced_accuracy": lambda: theirs.balanced_accuracy_score(truth, predicted),
            "macro_f1": lambda: theirs.f1_score(truth, predicted, average="macro"),
            "top2_accuracy": top2_accuracy,
            "calibration_error": calibration_error,
        },
    }[kind]
    return {name: found[name]() for name in names or found}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["class", "classes", "number"])
def test_metrics_of_every_kind_are_those_of_scikit_learn(kind, seed) -> None:
    truth, prediction = of_kind(kind, seed)
    found = measure(truth, prediction, CLASSES)
    wanted = by_hand(kind, truth, prediction)
    assert {name: one.value for name, one in found.items()} == pytest.approx(wanted, rel=1e-9)
    assert {name: one.value for name, one in found.items()} == values(truth, prediction, CLASSES)
    assert next(iter(found)) == {"class": "accuracy", "classes": "micro_ap", "number": "r2"}[kind]
    low = {name: one.low <= one.high for name, one in found.items()}
    assert all(low.values())


def test_top_2_without_ties_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import top_k_accuracy_score

    rng = np.random.default_rng(1)
    scores = rng.dirichlet(np.ones(CLASSES), 100)
    truth = rng.integers(0, CLASSES, 100)
    found = values(truth, Prediction(scores.argmax(axis=1), scores), CLASSES)
    wanted = top_k_accuracy_score(truth, scores, k=2, labels=range(CLASSES))
    assert found["top2_accuracy"] == pytest.approx(wanted)


@pytest.mark.parametrize("offset", [0.0, 1e-9, 1e9])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_r2_stands_large_offsets_and_small_scales(offset, scale) -> None:
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(0)
    truth = offset + scale * rng.normal(size=50)
    if scale < 1 < offset:
        return  # a float64 holds no such numbers
    predicted = truth + scale * rng.normal(size=50)
    found = values(truth, Prediction(predicted), 0)["r2"]
    assert found == pytest.approx(r2_score(truth, predicted), rel=1e-6)


@pytest.mark.parametrize("number", [0.0, 0.1, 1e9 + 0.1])
def test_r2_of_one_number_is_that_of_scikit_learn(number) -> None:
    truth = np.full(7, number)
    for predicted, wanted in ((truth, 1.0), (truth + 1, 0.0)):
        assert measure(truth, Prediction(predicted), 0)["r2"].value == wanted


@pytest.mark.parametrize("kind", ["class", "classes", "number"])
def test_intervals_are_those_of_a_plain_loop_over_samples(kind, monkeypatch) -> None:
    monkeypatch.setattr(metrics, "_BLOCK", 3000)
    truth, prediction = of_kind(kind, 4, count=40)
    random = np.random.default_rng(0)
    draws = []
    for _ in range(1000):
        rows = random.integers(40, size=40)
        scores = None if prediction.scores is None else prediction.scores[rows]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a label without a patch in the sample
            draws.append(by_hand(kind, truth[rows], Prediction(prediction.values[rows], scores)))
    found = measure(truth, prediction, CLASSES)
    names = {
        "class": ("top2_accuracy", "calibration_error"),
        "classes": ("micro_ap", "micro_f1"),
        "number": ("r2", "rmse", "mae"),
    }[kind]
    for name in names:
        low, high = np.percentile([draw[name] for draw in draws], [2.5, 97.5])
        assert (found[name].low, found[name].high) == pytest.approx((low, high), rel=1e-6)
    if kind == "class":  # as it was frozen, from a multinomial over the cells of the confusion
        low, high = np.percentile([draw["accuracy"] for draw in draws], [2.5, 97.5])
        assert found["accuracy"].low == pytest.approx(low, abs=0.03)
        assert found["accuracy"].high == pytest.approx(high, abs=0.03)


@given(st.data())
def test_average_precision_over_weights_is_that_of_scikit_learn(data) -> None:
    from sklearn.metrics import average_precision_score

    count = data.draw(st.integers(1, 30))
    truth = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    numbers = st.lists(st.integers(0, 5), min_size=count, max_size=count)
    scores = np.array(data.draw(numbers)) / 5
    weights = np.array([data.draw(numbers) for _ in range(3)], float)
    found = average_precision(weights, truth, scores, np.arange(count))
    for value, weight in zip(found, weights, strict=True):
        if weight[truth].sum() == 0:
            assert np.isnan(value)
        else:
            used = weight > 0
            wanted = average_precision_score(truth[used], scores[used], sample_weight=weight[used])
            assert value == pytest.approx(wanted)


def test_a_sample_without_a_positive_is_left_out_of_the_interval() -> None:
    truth = np.zeros((30, 2), bool)
    truth[0, 0] = True
    scores = np.tile(np.linspace(0, 1, 30)[:, None], 2)
    found = measure(truth, Prediction(scores > 0.5, scores), 2)
    assert all(np.isfinite([one.low, one.value, one.high]).all() for one in found.values())


def test_metrics_of_a_confusion_are_those_of_scikit_learn() -> None:
    from sklearn import metrics as theirs

    rng = np.random.default_rng(0)
    for _ in range(20):
        truth, predicted = rng.integers(0, 4, 30), rng.integers(1, 6, 30)
        counts = metrics.confusion(truth, predicted, CLASSES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a label that is predicted, but does not occur
            wanted = {
                "accuracy": theirs.accuracy_score(truth, predicted),
                "balanced_accuracy": theirs.balanced_accuracy_score(truth, predicted),
                "macro_f1": theirs.f1_score(truth, predicted, average="macro"),
            }
        np.testing.assert_array_equal(
            counts, theirs.confusion_matrix(truth, predicted, labels=range(CLASSES))
        )
        found = metrics.measure_confusion(counts)
        assert {name: one.value for name, one in found.items()} == pytest.approx(wanted)
        assert all(one.low <= one.value <= one.high for one in found.values())


def test_interval_is_that_of_drawing_test_samples_again() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, CLASSES, 400)
    predicted = np.where(rng.random(400) < 0.8, truth, rng.integers(0, CLASSES, 400))
    found = metrics.measure_confusion(metrics.confusion(truth, predicted, CLASSES))
    draws = rng.integers(0, 400, (4000, 400))
    scores = (truth == predicted)[draws].mean(axis=1)
    low, high = np.percentile(scores, [2.5, 97.5])
    assert found["accuracy"].low == pytest.approx(low, abs=0.006)
    assert found["accuracy"].high == pytest.approx(high, abs=0.006)


def test_interval_is_the_same_each_time() -> None:
    counts = metrics.confusion(np.arange(60) % 6, np.arange(60) % 5, CLASSES)
    assert metrics.measure_confusion(counts) == metrics.measure_confusion(counts)
    assert metrics.measure_confusion(counts) != metrics.measure_confusion(counts, seed=1)


def differences(truth, *predictions: Prediction, rows=None):
    """Of made-up sets a, b ... on these rows of the truth."""
    candidates = [
        Candidate(name, one, np.arange(len(truth)) if rows is None else rows[name])
        for name, one in zip("abc", predictions, strict=False)
    ]
    return compare(truth, candidates, frozenset("bc"), scheme="random", year=None, probe="knn")


@pytest.mark.parametrize("kind", ["class", "classes", "number"])
def test_a_prediction_does_not_differ_from_itself(kind) -> None:
    truth, prediction = of_kind(kind)
    (found,) = differences(truth, prediction, prediction)
    got = found.difference
    assert (got.low, got.value, got.high) == (0, 0, 0)
    assert found.better is None
    assert found.p_value == (1.0 if kind == "class" else None)


@pytest.mark.parametrize("kind", ["class", "classes", "number"])
def test_differences_are_those_of_a_plain_loop_over_pairs(kind) -> None:
    truth, one = of_kind(kind, 1, count=50)
    _, two = of_kind(kind, 2, count=50)
    (found,) = differences(truth, one, two)
    name = {"class": "accuracy", "classes": "micro_ap", "number": "r2"}[kind]
    assert found.metric == name

    def value(prediction, rows) -> float:
        scores = None if prediction.scores is None else prediction.scores[rows]
        taken = Prediction(prediction.values[rows], scores)
        return by_hand(kind, truth[rows], taken, name)[name]

    random = np.random.default_rng(0)
    draws = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label without a patch in the sample
        for _ in range(1000):
            rows = random.integers(50, size=50)
            draws.append(value(one, rows) - value(two, rows))
    low, high = np.percentile(draws, [2.5, 97.5])
    whole = value(one, slice(None)) - value(two, slice(None))
    got = found.difference
    assert (got.value, got.low, got.high) == pytest.approx(
        (whole, low, high),
        rel=0,
        abs=6e-7,  # as written, with six decimals
    )
    assert found.better == ("a" if low > 0 else "b" if high < 0 else None)


def test_patches_that_only_one_gets_right_are_counted() -> None:
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    scores = np.full((8, 2), 0.5)
    one = Prediction(np.array([0, 0, 0, 0, 1, 0, 0, 0]), scores)
    two = Prediction(np.array([1, 1, 1, 0, 1, 1, 0, 0]), scores)
    (found,) = differences(truth, one, two)
    assert (found.only_a, found.only_b, found.p_value) == (3, 1, 0.625)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (5, 5), (10, 2), (0, 7), (321, 254)])
def test_mcnemar_is_exact(a, b) -> None:
    from math import comb

    from scipy.stats import binomtest

    found = mcnemar(a, b)
    if a + b:
        assert found == pytest.approx(binomtest(a, a + b, 0.5).pvalue, abs=1e-6)
    tail = sum(comb(a + b, k) for k in range(min(a, b) + 1))
    assert found == pytest.approx(min(1.0, 2 * tail / 2 ** (a + b)), abs=1e-6)


def test_sets_that_cover_parts_are_compared_on_what_both_have() -> None:
    truth, one = of_kind("class", 1, count=60)
    _, two = of_kind("class", 2, count=60)
    left, right = np.arange(40), np.arange(20, 60)
    some = [Prediction(one.values[left], one.scores[left])]
    some += [Prediction(two.values[right], two.scores[right])]
    (found,) = differences(truth, *some, rows={"a": left, "b": right})
    both = slice(20, 40)
    wanted = (one.values == truth)[both].mean() - (two.values == truth)[both].mean()
    assert found.difference.value == pytest.approx(wanted)
    assert differences(truth, *some, rows={"a": left, "b": left + 40}) == []


def test_the_first_is_compared_with_all_and_named_ones_with_each_other() -> None:
    truth, one = of_kind("class")
    found = differences(truth, one, one, one)
    assert [(pair.a, pair.b) for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
