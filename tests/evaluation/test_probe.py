"""Probes equal scikit-learn run by hand on the same vectors."""

from dataclasses import replace

import numpy as np
import pytest

from hfaef.evaluation.fit import Data, Method, _Both, doubts, fit, fit_folds
from hfaef.evaluation.probe import linear, neighbours
from hfaef.evaluation.probe.metrics import primary

sklearn = pytest.importorskip("sklearn", reason="the extra `eval` is not installed")

CLASSES = 6
KINDS = ("class", "classes", "number")


def problem(seed=0, train=300, test=150, dims=20, spread=1.4):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLASSES, dims))
    truth = rng.integers(0, CLASSES, train + test)
    vectors = centres[truth] + rng.normal(scale=spread, size=(train + test, dims))
    vectors = vectors.astype(np.float32)
    return vectors[:train], truth[:train], vectors[train:], truth[train:]


def data_of(kind, seed=0, train=150, held=60, test=90, dims=12):
    """Vectors and labels of a kind, in three splits; of none for `held` of 0."""
    rng = np.random.default_rng(seed)
    count = train + held + test
    vectors = rng.normal(size=(count, dims)).astype(np.float32)
    drawn = vectors @ rng.normal(size=(dims, CLASSES)) + rng.normal(scale=2, size=(count, CLASSES))
    truth = {
        "class": drawn.argmax(axis=1),
        "classes": drawn > 1.5,
        "number": 1000 + drawn[:, 0],
    }[kind]
    parts = (slice(0, train), slice(train, train + held), slice(train + held, None))
    return Data(*(one[part] for part in parts for one in (vectors, truth)))


def classes_of(kind):
    return 0 if kind == "number" else CLASSES


def published_neighbours(train, labels, test):
    found = neighbours.nearest(train, test, 9)
    return neighbours.by_neighbours(labels, found, CLASSES)


@pytest.mark.parametrize("seed", range(3))
def test_knn_is_that_of_scikit_learn(seed) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    train, labels, test, _ = problem(seed)
    found = published_neighbours(train, labels, test)
    assert tuple(found) == (1, 3, 5, 7, 9)
    for k, prediction in found.items():
        model = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(train, labels)
        np.testing.assert_array_equal(prediction.values, model.predict(test))


def test_neighbours_at_one_distance_come_in_their_order() -> None:
    train = np.array([[1, 0], [0, 1], [2, 0], [3, 0], [1, 1]], np.float32)
    found = neighbours.nearest(train, np.array([[5, 0], [0, 0]], np.float32), 4)
    assert found[0].tolist() == [0, 2, 3, 4]
    assert found[1].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("block", [3, 50, 1000])
def test_ties_do_not_depend_on_blocks(block, monkeypatch):
    rng = np.random.default_rng(0)
    train = rng.integers(-1, 2, (200, 3)).astype(np.float32)
    test = rng.integers(-1, 2, (50, 3)).astype(np.float32)
    monkeypatch.setattr(neighbours, "_TRAIN_ROWS", block)
    similar = neighbours.unit(test) @ neighbours.unit(train).T
    wanted = np.argsort(-similar, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(neighbours.nearest(train, test, 9), wanted)


def test_neighbours_do_not_depend_on_threads_or_blocks(monkeypatch) -> None:
    train, _, test, _ = problem(4, test=300)
    found = neighbours.nearest(train, test, 9, threads=1)
    monkeypatch.setattr(neighbours, "_TEST_ROWS", 7)
    monkeypatch.setattr(neighbours, "_TRAIN_ROWS", 5)
    np.testing.assert_array_equal(found, neighbours.nearest(train, test, 9, threads=3))


def test_fewer_training_vectors_than_neighbours() -> None:
    train, labels, test, _ = problem(train=4)
    assert tuple(published_neighbours(train, labels, test)) == (1, 3)


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
        (found,) = linear.predict_by_folds(train, labels, [test], CLASSES)
    else:
        (found,) = linear.predict(train, labels, [test], penalty, CLASSES)
    model = LogisticRegression(C=wanted, max_iter=1000).fit(a, labels)
    assert found.penalty == wanted
    assert found.warnings == ()
    np.testing.assert_array_equal(found.values, model.predict(b))


def test_what_the_solver_warns_of_is_told() -> None:
    train, labels, test, _ = problem()
    ((said,),) = (one.warnings for one in linear.predict(train, labels, [test], 1.0, CLASSES, 1))
    assert said.startswith("ConvergenceWarning: lbfgs failed to converge")
    (chosen,) = linear.predict_by_validation(
        train, labels, train[:50], labels[:50], [test], CLASSES, 1
    )
    assert chosen.warnings == (said,)
    (folded,) = linear.predict_by_folds(train, labels, [test], CLASSES, 1)
    assert folded.warnings == (said,)


def test_rare_labels_are_told_too() -> None:
    train, labels, test, _ = problem()
    labels[labels == 5] = 4
    labels[:2] = 5
    ((said,),) = (one.warnings for one in linear.predict_by_folds(train, labels, [test], CLASSES))
    assert "least populated class" in said


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dims", [1, 256, 257, 700])
def test_vectors_are_standardized_as_by_scikit_learn_to_the_bit(dims, dtype) -> None:
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    vectors = (1000 + rng.normal(size=(5000, dims))).astype(dtype)
    vectors[:, 0] = 7
    scaler, scaled = linear._scaled(vectors)
    wanted = StandardScaler().fit(vectors)
    np.testing.assert_array_equal(scaled, wanted.transform(vectors))
    np.testing.assert_array_equal(scaler.transform(vectors[:9]), wanted.transform(vectors[:9]))
    assert scaled.dtype == dtype
    own = vectors.copy()
    assert linear._scaled(own, overwrite=True)[1] is own
    np.testing.assert_array_equal(own, scaled)


@pytest.mark.parametrize("block", [7, 100, 4096])
def test_neighbours_in_two_arrays_are_those_in_one(block, monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "_TRAIN_ROWS", block)
    train, _, test, _ = problem()
    for cut in (0, 1, 100, 299, 300):
        both = _Both(train[:cut], train[cut:])
        assert len(both) == len(train)
        np.testing.assert_array_equal(both[90:310], train[90:310])
        found = neighbours.nearest(both, test, 5)
        np.testing.assert_array_equal(found, neighbours.nearest(train, test, 5))


def test_vectors_are_left_as_they_are_unless_they_may_be_overwritten() -> None:
    train, labels, test, _ = problem()
    before = train.copy(), test.copy()
    (one,) = linear.predict(train, labels, [test], 1.0, CLASSES)
    linear.predict_by_folds(train, labels, [test], CLASSES)
    np.testing.assert_array_equal(train, before[0])
    (two,) = linear.predict(train.copy(), labels, [test], 1.0, CLASSES, overwrite=True)
    np.testing.assert_array_equal(one.scores, two.scores)
    np.testing.assert_array_equal(test, before[1])
    data = data_of("class")
    parts = data.train.copy(), data.validation.copy(), data.test.copy()
    list(fit("linear", data, classes_of("class")))
    for part, was in zip((data.train, data.validation, data.test), parts, strict=True):
        np.testing.assert_array_equal(part, was)


def test_too_little_to_learn_from_is_an_error() -> None:
    train, labels, test, _ = problem(train=6)
    with pytest.raises(ValueError, match="one label"):
        linear.predict(train, labels * 0, [test], 1.0, CLASSES)
    with pytest.raises(ValueError, match="3 training patches"):
        linear.predict_by_folds(train, np.arange(6), [test], CLASSES)
    with pytest.raises(ValueError, match="have one number"):
        linear.predict(train, np.full(6, 2.5), [test], 1.0, 0)
    with pytest.raises(ValueError, match="have one set of labels"):
        linear.predict(train, np.eye(6, dtype=bool)[labels * 0], [test], 1.0, CLASSES)
    with pytest.raises(ValueError, match="fewer than 6 training patches"):
        linear.predict_by_folds(train[:5], np.arange(5) / 2, [test], 0)


def by_hand(kind, penalty, train, truth, test):
    """Of scikit-learn: predicted values, and scores where there are classes."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=penalty, max_iter=1000)
    if kind == "classes":
        model = OneVsRestClassifier(model)
    if kind == "number":
        model = Ridge(alpha=1 / penalty)
    model = make_pipeline(StandardScaler(), model)
    model.fit(train, truth.astype(int) if kind == "classes" else truth)
    return model.predict(test), None if kind == "number" else model.predict_proba(test)


def score_by_hand(kind, truth, predicted, scores):
    from sklearn import metrics

    if kind == "class":
        return metrics.accuracy_score(truth, predicted)
    if kind == "number":
        return metrics.r2_score(truth, predicted)
    return metrics.average_precision_score(truth, scores, average="micro")


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_c_is_chosen_on_validation_and_the_probe_fit_again_to_both(kind, seed) -> None:
    data = data_of(kind, seed)
    tried = {}
    for penalty in (1e-3, 1e-2, 1e-1, 1, 10, 100):
        found = by_hand(kind, penalty, data.train, data.truth, data.validation)
        tried[penalty] = score_by_hand(kind, data.validation_truth, *found)
    best = max(tried, key=tried.get)
    one, both = fit("linear", data, classes_of(kind))
    together = (
        np.concatenate([data.train, data.validation]),
        np.concatenate([data.truth, data.validation_truth]),
    )
    for got, name, count, given in (
        (one, "train", 150, (data.train, data.truth)),
        (both, "train+validation", 210, together),
    ):
        assert (got.fit, got.train, got.chosen_by) == (name, count, "validation")
        assert got.prediction.penalty == best
        values, scores = by_hand(kind, best, *given, data.test)
        np.testing.assert_allclose(got.prediction.values, values, rtol=1e-5)
        if scores is not None:
            np.testing.assert_allclose(got.prediction.scores, scores, atol=1e-6)
        assert primary(data.test_truth, got.prediction) == pytest.approx(
            score_by_hand(kind, data.test_truth, values, scores)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_without_validation_c_is_chosen_by_cross_validation(kind) -> None:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.metrics import average_precision_score, make_scorer
    from sklearn.model_selection import GridSearchCV
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import StandardScaler

    data = data_of(kind, 3, held=0)
    values = [1e-3, 1e-2, 1e-1, 1, 10, 100]
    ap = make_scorer(average_precision_score, average="micro", response_method="predict_proba")
    model, grid, scoring = {
        "class": (LogisticRegression(max_iter=1000), {"C": values}, "accuracy"),
        "classes": (OneVsRestClassifier(LogisticRegression()), {"estimator__C": values}, ap),
        "number": (Ridge(), {"alpha": [1 / c for c in values]}, "r2"),
    }[kind]
    search = GridSearchCV(model, grid, scoring=scoring, cv=3)
    truth = data.truth.astype(int) if kind == "classes" else data.truth
    search.fit(StandardScaler().fit_transform(data.train), truth)
    (wanted,) = search.best_params_.values()
    (found,) = fit("linear", data, classes_of(kind))
    assert found.chosen_by == "cross-validation"
    assert found.prediction.penalty == pytest.approx(1 / wanted if kind == "number" else wanted)
    best = values[search.best_index_]
    np.testing.assert_allclose(
        found.prediction.values,
        by_hand(kind, best, data.train, data.truth, data.test)[0],
        rtol=1e-5,
    )


def test_one_label_that_patches_bear_or_not_is_probed() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    data = data_of("classes")
    some = Data(
        data.train,
        data.truth[:, :1],
        data.validation,
        data.validation_truth[:, :1],
        data.test,
        data.test_truth[:, :1],
    )
    one, _ = fit("linear", some, 1)
    scaler = StandardScaler().fit(data.train)
    model = LogisticRegression(C=one.prediction.penalty, max_iter=1000)
    model.fit(scaler.transform(data.train), data.truth[:, 0].astype(int))
    wanted = model.predict_proba(scaler.transform(data.test))[:, 1:]
    np.testing.assert_allclose(one.prediction.scores, wanted, atol=1e-6)


@pytest.mark.parametrize("held", [60, 0])
@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_of_every_kind_are_those_of_scikit_learn(kind, held) -> None:
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    data = data_of(kind, 5, held=held)

    def neighbours_by_hand(k, train, truth, test) -> tuple:
        if kind == "number":
            model = KNeighborsRegressor(k, metric="cosine", algorithm="brute").fit(train, truth)
            return model.predict(test), None
        model = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(train, truth)
        shares = model.predict_proba(test)
        if kind == "classes":
            shares = np.stack([one[:, 1] for one in shares], axis=1)
        return model.predict(test).astype(truth.dtype), shares

    tried = {}
    for k in (1, 3, 5, 7, 9):
        if held:
            found = neighbours_by_hand(k, data.train, data.truth, data.validation)
            tried[k] = score_by_hand(kind, data.validation_truth, *found)
            continue
        folds = (StratifiedKFold if kind == "class" else KFold)(3)
        parts = [
            (j, *neighbours_by_hand(k, data.train[i], data.truth[i], data.train[j]))
            for i, j in folds.split(data.train, data.truth)
        ]
        order, values, *scores = (
            np.concatenate(x) for x in zip(*parts, strict=True) if x[0] is not None
        )
        tried[k] = score_by_hand(kind, data.truth[order], values, scores[0] if scores else None)
    best = max(tried, key=tried.get)
    one, *both = fit("knn", data, classes_of(kind))
    assert one.prediction.neighbours == best
    assert one.chosen_by == ("validation" if held else "cross-validation")
    values, shares = neighbours_by_hand(best, data.train, data.truth, data.test)
    np.testing.assert_allclose(one.prediction.values, values)
    if shares is not None:
        np.testing.assert_allclose(one.prediction.scores, shares)
    assert [(again.fit, again.train) for again in both] == [("train+validation", 210)] * bool(held)
    if both:
        values, _ = neighbours_by_hand(
            best,
            np.concatenate([data.train, data.validation]),
            np.concatenate([data.truth, data.validation_truth]),
            data.test,
        )
        np.testing.assert_allclose(both[0].prediction.values, values)


@pytest.mark.parametrize("kind", KINDS)
def test_published_protocol_gives_every_k_and_two_linear_probes(kind) -> None:
    data = data_of(kind)
    found = list(fit("knn", data, classes_of(kind), Method(published=True)))
    assert [one.prediction.neighbours for one in found] == [1, 3, 5, 7, 9]
    assert {(one.fit, one.chosen_by) for one in found} == {("train", None)}
    chosen, fixed = fit("linear", data, classes_of(kind), Method(published=True))
    assert (chosen.chosen_by, fixed.chosen_by) == ("cross-validation", None)
    assert fixed.prediction.penalty == 1
    values, _ = by_hand(kind, 1.0, data.train, data.truth, data.test)
    np.testing.assert_allclose(fixed.prediction.values, values, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("probe", ["knn", "linear"])
def test_folds_are_predicted_by_all_others(kind, probe) -> None:
    data = data_of(kind, 2, train=120, held=0, test=0)
    folds = [np.arange(120) % 3 == number for number in range(3)]

    def read(held) -> Data:
        none = data.train[:0], data.truth[:0]
        return Data(data.train[~held], data.truth[~held], *none, data.train[held], data.truth[held])

    about = {"features": "mean", "scheme": "fold", "year": 2018, "probe": probe}
    score, together = fit_folds(
        about, [lambda held=held: read(held) for held in folds], classes_of(kind)
    )
    found = [next(iter(fit(probe, read(held), classes_of(kind)))) for held in folds]
    by_fold = [
        primary(data.truth[held], one.prediction) for held, one in zip(folds, found, strict=True)
    ]
    name = {"class": "accuracy", "classes": "micro_ap", "number": "r2"}[kind]
    mean, spread = np.mean(by_fold), np.std(by_fold, ddof=1)
    got = score.metrics[name]
    assert (got.value, got.low, got.high) == pytest.approx(
        (mean, mean - spread, mean + spread), abs=6e-7
    )  # it is written with six decimals
    assert (score.fit, score.train, score.test) == ("folds", 120, 120)
    np.testing.assert_array_equal(
        together.values, np.concatenate([one.prediction.values for one in found])
    )
    counts = {one.prediction.neighbours for one in found}
    assert score.neighbours == (counts.pop() if len(counts) == 1 else None)


NAMES = tuple("abcdef")


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_that_are_all_the_same_are_doubted(kind) -> None:
    data = data_of(kind)
    constant = replace(data, train=np.ones_like(data.train))
    words = "all training patches have the same vector, so scores say nothing of it"
    assert words in doubts(constant, NAMES)
    assert words not in doubts(data, NAMES)


def test_folds_of_vectors_that_are_all_the_same_are_doubted() -> None:
    data = data_of("class", held=0)
    same = replace(data, train=np.ones_like(data.train), test=np.ones_like(data.test))
    about = {"features": "mean", "scheme": "fold", "year": 2018, "probe": "knn"}
    score, _ = fit_folds(about, [lambda: same, lambda: same], CLASSES)
    assert any("the same vector" in warning for warning in score.warnings)
    score, _ = fit_folds(about, [lambda: same, lambda: data], CLASSES)
    assert not any("the same vector" in warning for warning in score.warnings)


def test_one_class_is_said_to_tell_nothing() -> None:
    data = data_of("class")
    one = replace(
        data, truth=np.full_like(data.truth, 2), test_truth=np.full_like(data.test_truth, 2)
    )
    assert [*doubts(one, NAMES)] == ["one class tells nothing: all patches are c"]
    other = replace(one, test_truth=data.test_truth)
    assert not any("one class" in words for words in doubts(other, NAMES))
