"""Probes and metrics equal scikit-learn run by hand on the same vectors."""

import warnings

import numpy as np
import pytest

from hfaef.evaluation import probe

sklearn = pytest.importorskip("sklearn", reason="the extra `eval` is not installed")

CLASSES = 6


def problem(seed=0, train=300, test=150, dims=20, spread=1.4):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLASSES, dims))
    truth = rng.integers(0, CLASSES, train + test)
    vectors = centres[truth] + rng.normal(scale=spread, size=(train + test, dims))
    vectors = vectors.astype(np.float32)
    return vectors[:train], truth[:train], vectors[train:], truth[train:]


@pytest.mark.parametrize("seed", range(3))
def test_knn_is_that_of_scikit_learn(seed) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    train, labels, test, _ = problem(seed)
    found = probe.knn(train, labels, test, CLASSES)
    assert tuple(found) == (1, 3, 5, 7, 9)
    for k, prediction in found.items():
        model = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(train, labels)
        np.testing.assert_array_equal(prediction.labels, model.predict(test))


def test_neighbours_at_one_distance_come_in_their_order() -> None:
    train = np.array([[1, 0], [0, 1], [2, 0], [3, 0], [1, 1]], np.float32)
    found = probe.nearest(train, np.array([[5, 0], [0, 0]], np.float32), 4)
    assert found[0].tolist() == [0, 2, 3, 4]
    assert found[1].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("block", [3, 50, 1000])
def test_ties_do_not_depend_on_blocks(block, monkeypatch):
    rng = np.random.default_rng(0)
    train = rng.integers(-1, 2, (200, 3)).astype(np.float32)
    test = rng.integers(-1, 2, (50, 3)).astype(np.float32)
    monkeypatch.setattr(probe, "_TRAIN_ROWS", block)
    similar = probe._unit(test) @ probe._unit(train).T
    wanted = np.argsort(-similar, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(probe.nearest(train, test, 9), wanted)


def test_neighbours_do_not_depend_on_threads_or_blocks(monkeypatch) -> None:
    train, _, test, _ = problem(4, test=300)
    found = probe.nearest(train, test, 9, threads=1)
    monkeypatch.setattr(probe, "_TEST_ROWS", 7)
    monkeypatch.setattr(probe, "_TRAIN_ROWS", 5)
    np.testing.assert_array_equal(found, probe.nearest(train, test, 9, threads=3))


def test_fewer_training_vectors_than_neighbours() -> None:
    train, labels, test, _ = problem(train=4)
    assert tuple(probe.knn(train, labels, test, CLASSES)) == (1, 3)


@pytest.mark.parametrize("penalty", [None, 1.0])
def test_linear_probe_is_that_of_scikit_learn(penalty) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.preprocessing import StandardScaler

    train, labels, test, _ = problem(1)
    scaler = StandardScaler().fit(train)
    a, b = scaler.transform(train), scaler.transform(test)
    wanted = penalty
    if penalty is None:
        scores = []
        for c in (1e-3, 1e-2, 1e-1, 1, 10, 100):
            folds = StratifiedKFold(3).split(a, labels)
            models = [
                (LogisticRegression(C=c, max_iter=1000).fit(a[i], labels[i]), j) for i, j in folds
            ]
            scores.append(np.mean([model.score(a[j], labels[j]) for model, j in models]))
        wanted = (1e-3, 1e-2, 1e-1, 1, 10, 100)[int(np.argmax(scores))]
    model = LogisticRegression(C=wanted, max_iter=1000).fit(a, labels)
    found = probe.linear(train, labels, test, penalty)
    assert found.penalty == wanted
    assert found.warnings == ()
    np.testing.assert_array_equal(found.labels, model.predict(b))


def test_what_the_solver_warns_of_is_told(monkeypatch) -> None:
    monkeypatch.setattr(probe, "MAX_ITERATIONS", 1)
    train, labels, test, _ = problem()
    (said,) = probe.linear(train, labels, test, 1.0).warnings
    assert said.startswith("ConvergenceWarning: lbfgs failed to converge")


def test_rare_labels_are_told_too() -> None:
    train, labels, test, _ = problem()
    labels[labels == 5] = 4
    labels[:2] = 5
    (said,) = probe.linear(train, labels, test, None).warnings
    assert "least populated class" in said


def test_too_little_to_learn_from_is_an_error() -> None:
    train, labels, test, _ = problem(train=6)
    with pytest.raises(ValueError, match="one label"):
        probe.linear(train, labels * 0, test, 1.0)
    with pytest.raises(ValueError, match="3 training patches"):
        probe.linear(train, np.arange(6), test, None)


def test_metrics_are_those_of_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(0)
    for _ in range(20):
        truth, predicted = rng.integers(0, 4, 30), rng.integers(1, 6, 30)
        counts = probe.confusion(truth, predicted, CLASSES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a label that is predicted, but does not occur
            wanted = {
                "accuracy": metrics.accuracy_score(truth, predicted),
                "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
                "macro_f1": metrics.f1_score(truth, predicted, average="macro"),
            }
        np.testing.assert_array_equal(
            counts, metrics.confusion_matrix(truth, predicted, labels=range(CLASSES))
        )
        found = probe.measure(counts)
        assert {name: one.value for name, one in found.items()} == pytest.approx(wanted)
        assert all(one.low <= one.value <= one.high for one in found.values())


def test_interval_is_that_of_drawing_test_samples_again() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, CLASSES, 400)
    predicted = np.where(rng.random(400) < 0.8, truth, rng.integers(0, CLASSES, 400))
    found = probe.measure(probe.confusion(truth, predicted, CLASSES))
    draws = rng.integers(0, 400, (4000, 400))
    scores = (truth == predicted)[draws].mean(axis=1)
    low, high = np.percentile(scores, [2.5, 97.5])
    assert found["accuracy"].low == pytest.approx(low, abs=0.006)
    assert found["accuracy"].high == pytest.approx(high, abs=0.006)


def test_interval_is_the_same_each_time() -> None:
    counts = probe.confusion(np.arange(60) % 6, np.arange(60) % 5, CLASSES)
    assert probe.measure(counts) == probe.measure(counts)
    assert probe.measure(counts) != probe.measure(counts, seed=1)
