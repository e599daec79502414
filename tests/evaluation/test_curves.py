"""Curves over labels and sizes, years and fused vectors equal scikit-learn run by hand."""

import warnings

import numpy as np
import pytest

from hfaef.core.quantize import dequantize, quantize
from hfaef.evaluation.fit import Method
from hfaef.evaluation.measure import measure_all
from hfaef.evaluation.probe import curves
from hfaef.evaluation.rows import ArrayVectors, Fused, Rows, VectorSet
from hfaef.release.format.manifest import Manifest

pytest.importorskip("sklearn", reason="the extra `eval` is not installed")

CLASSES = 4
WHERE = {"features": "mean", "scheme": "random", "year": 2018}
KINDS = ("class", "classes", "number")


def problem(kind, seed=0, count=240, dims=20):
    """Vectors of at most 1 and labels, the first 160 for training."""
    rng = np.random.default_rng(seed)
    vectors = np.tanh(rng.normal(size=(count, dims)) / 2).astype(np.float32)
    drawn = vectors @ rng.normal(size=(dims, CLASSES)) + rng.normal(
        scale=0.5, size=(count, CLASSES)
    )
    truth = {"class": drawn.argmax(axis=1), "classes": drawn > 0.5, "number": drawn[:, 0]}[kind]
    return (vectors[:160], vectors[160:]), (truth[:160], truth[160:])


def score_by_hand(kind, train, truth, test, test_truth, penalty=1.0):
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    return unscaled_by_hand(kind, train, truth, test, test_truth, penalty)


def unscaled_by_hand(kind, train, truth, test, test_truth, penalty):
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.metrics import average_precision_score
    from sklearn.multiclass import OneVsRestClassifier

    if kind == "number":
        return Ridge(alpha=1 / penalty).fit(train, truth).score(test, test_truth)
    model = LogisticRegression(C=penalty, max_iter=1000)
    if kind == "class":
        return model.fit(train, truth).score(test, test_truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label that all of a few patches bear
        model = OneVsRestClassifier(model).fit(train, truth.astype(int))
    return average_precision_score(test_truth, model.predict_proba(test), average="micro")


@pytest.mark.parametrize("kind", KINDS)
def test_few_labels_are_scored_as_by_hand(kind) -> None:
    vectors, truths = problem(kind)
    classes = 0 if kind == "number" else CLASSES
    found = curves.few_labels(vectors, truths, classes, 0.8, WHERE)
    sizes = curves.LABELS_A_CLASS if classes else curves.LABELS
    assert tuple(point.labels for point in found.points) == sizes[: len(found.points)]
    assert len(found.points) >= 4
    for point in found.points:
        scores, counts = [], []
        for draw in range(10):
            rows = curves._drawn(
                truths[0], point.labels, np.random.default_rng((0, point.labels, draw))
            )
            train, truth = vectors[0][rows], truths[0][rows]
            scores.append(score_by_hand(kind, train, truth, vectors[1], truths[1]))
            counts.append(len(rows))
        assert point.mean == pytest.approx(np.mean(scores), abs=2e-6)
        assert point.spread == pytest.approx(np.std(scores, ddof=1), abs=2e-6)
        assert point.train == round(np.mean(counts))
    enough = [point.labels for point in found.points if point.mean >= 0.9 * 0.8]
    assert found.enough == (enough[0] if enough else None)
    assert found == curves.few_labels(vectors, truths, classes, 0.8, WHERE)
    # Below 0 there are no nine tenths.
    assert curves.few_labels(vectors, truths, classes, -1.0, WHERE).enough is None


def test_draws_are_balanced_and_take_no_patch_twice() -> None:
    truth = np.repeat(np.arange(3), [50, 20, 4])
    for draw in range(5):
        rows = curves._drawn(truth, 10, np.random.default_rng(draw))
        assert np.bincount(truth[rows]).tolist() == [10, 10, 4]
        assert len(np.unique(rows)) == len(rows)
    several = np.random.default_rng(0).random((100, 3)) < 0.3
    rows = curves._drawn(several, 5, np.random.default_rng(0))
    assert (several[rows].sum(axis=0) >= 5).all()
    assert len(np.unique(rows)) == len(rows) <= 15
    assert len(curves._drawn(truth / 7, 10, np.random.default_rng(0))) == 10
    first, again, other = (
        curves._drawn(truth, 5, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)
    )
    assert first == again != other


def penalty_by_hand(kind, train, truth, held, held_truth):
    """C with the best score on validation vectors, or in three folds of the training vectors."""
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.preprocessing import StandardScaler

    penalties = (1e-3, 1e-2, 1e-1, 1, 10, 100)
    if held is not None:
        scores = [score_by_hand(kind, train, truth, held, held_truth, c) for c in penalties]
        return penalties[int(np.argmax(scores))]
    scaled = StandardScaler().fit_transform(train)
    folds = StratifiedKFold(3) if kind == "class" else KFold(3)
    splits = list(folds.split(scaled, truth if kind == "class" else None))
    means = [
        np.mean(
            [
                unscaled_by_hand(kind, scaled[fit], truth[fit], scaled[asked], truth[asked], c)
                for fit, asked in splits
            ]
        )
        for c in penalties
    ]
    return penalties[int(np.argmax(means))]


@pytest.mark.parametrize("held", [True, False], ids=["validation", "cross-validation"])
@pytest.mark.parametrize("kind", KINDS)
def test_smaller_vectors_are_scored_as_by_hand_each_with_its_own_c(kind, held) -> None:
    from sklearn.decomposition import PCA

    (both, test), (both_truth, truth) = problem(kind)
    cut = 110 if held else 160
    vectors, truths = (both[:cut], both[cut:], test), (both_truth[:cut], both_truth[cut:], truth)
    found = curves.shrunk(vectors, truths, 0 if kind == "number" else CLASSES, WHERE)
    wanted = {}
    for count in (2, 4, 8, 16):
        basis = PCA(count, svd_solver="full").fit(vectors[0].astype(np.float64))
        parts = [basis.transform(one.astype(np.float64)) for one in (both, test)]
        wanted[f"{count} components", 4 * count] = parts
    wanted["int8", 20] = [dequantize(quantize(one)) for one in (both, test)]
    wanted["1 bit", 2.5] = [np.sign(one) for one in (both, test)]
    assert [(one.form, one.bytes) for one in found] == list(wanted)
    for one, (few, asked) in zip(found, wanted.values(), strict=True):
        chosen = (few[cut:], truths[1]) if held else (None, None)
        c = penalty_by_hand(kind, few[:cut], truths[0], *chosen)
        assert one.penalty == c
        value = score_by_hand(kind, few[:cut], truths[0], asked, truth, c)
        assert one.score.value == pytest.approx(value, abs=2e-6)
        assert one.score.low <= one.score.value <= one.score.high
    assert len({one.penalty for one in found}) > 1
    assert found == curves.shrunk(vectors, truths, 0 if kind == "number" else CLASSES, WHERE)


def test_vectors_beyond_1_have_no_codes_of_8_bits() -> None:
    (train, test), (truth, test_truth) = problem("class")
    for part in range(3):
        vectors = [train[:100], train[100:], test]
        vectors[part] = 2 * vectors[part]
        truths = (truth[:100], truth[100:], test_truth)
        forms = [one.form for one in curves.shrunk(tuple(vectors), truths, CLASSES, WHERE)]
        assert "int8" not in forms
        assert "1 bit" in forms


def rows_of(truth, splits, years=None):
    """Rows of made-up patches, of one year or of several with the same ids."""
    count = len(truth)
    ids = tuple(f"p{number:03d}" for number in range(count))
    if years is None:
        return Rows(ids, truth, np.full(count, 2018), {"random": tuple(splits)})
    return Rows(
        ids * len(years),
        np.concatenate([truth] * len(years)),
        np.repeat(years, count),
        {"random": tuple(splits) * len(years)},
    )


def manifest_of(years=(2018,), classes=CLASSES):
    """What an evaluation asks of a manifest."""
    names = tuple("abcdefgh"[:classes])
    return Manifest.model_construct(
        years=years,
        schemes=("random",),
        folds=(),
        label_names=names,
        labelling="class" if classes else "number",
        config_years=years,
    )


def measured(sets, rows, manifest, **how: bool):
    return measure_all(sets, rows, manifest, ("knn", "linear"), lambda _: None, Method(**how))


SPLITS = ["train"] * 100 + ["validation"] * 60 + ["test"] * 80


def test_years_are_compared_and_probes_moved_between_them() -> None:
    vectors, truths = problem("class")
    truth = np.concatenate(truths)
    before = np.concatenate(vectors)
    after = before + np.random.default_rng(1).normal(scale=0.2, size=before.shape).astype(
        np.float32
    )
    rows = rows_of(truth, SPLITS, (2018, 2024))
    array = np.concatenate([before, after])
    sets = {"mean": VectorSet(ArrayVectors(array), "pooling")}
    found = measured(sets, rows, manifest_of((2018, 2024)))
    (one,) = found.stability
    cosines = (
        (before * after).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    )
    assert (one.years, one.patches) == ((2018, 2024), 240)
    assert one.quantiles == pytest.approx(np.percentile(cosines, (5, 25, 50, 75, 95)), abs=2e-6)
    by_year = {2018: before, 2024: after}
    assert len(found.transfers) == 4
    for transfer in found.transfers:
        score = next(
            score
            for score in found.scores
            if score.probe == "linear"
            and score.year == transfer.train_year
            and score.fit == "train"
        )
        wanted = score_by_hand(
            "class",
            by_year[transfer.train_year][:100],
            truth[:100],
            by_year[transfer.test_year][160:],
            truth[160:],
            score.penalty,
        )
        assert transfer.score.value == pytest.approx(wanted, abs=2e-6)
        if transfer.train_year == transfer.test_year:
            assert transfer.score == score.metrics["accuracy"]
    assert not measured(sets, rows, manifest_of((2018, 2024)), quick=True).transfers


def test_fused_vectors_are_standardized_by_the_training_patches() -> None:
    vectors, truths = problem("class")
    one, truth = np.concatenate(vectors), np.concatenate(truths)
    two = (1000 * np.random.default_rng(2).normal(size=(240, 3)) + truth[:, None]).astype(
        np.float32
    )
    parts = {"mean": ArrayVectors(one), "other": ArrayVectors(two)}
    sets = {name: VectorSet(part, "table") for name, part in parts.items()}
    sets["mean+other"] = VectorSet(Fused(parts), "fused")
    found = measured(sets, rows_of(truth, SPLITS), manifest_of(), quick=True)
    scaled = [(part - part[:100].mean(0)) / part[:100].std(0) for part in (one, two)]
    together = np.concatenate(scaled, axis=1)
    (score,) = (
        score
        for score in found.scores
        if (score.features, score.probe, score.fit) == ("mean+other", "linear", "train")
    )
    data = together[:100], truth[:100], together[160:], truth[160:]
    wanted = score_by_hand("class", *data, score.penalty)
    assert score.metrics["accuracy"].value == pytest.approx(wanted, abs=2e-6)
    pairs = {(pair.a, pair.b) for pair in found.differences}
    assert pairs == {("mean", "other"), ("mean", "mean+other"), ("other", "mean+other")}


def test_vectors_of_a_part_are_scored_on_it_and_compared_on_what_both_have() -> None:
    vectors, truths = problem("class")
    array, truth = np.concatenate(vectors), np.concatenate(truths)
    some = array.copy()
    some[[0, 120, 200, 201]] = np.nan
    sets = {
        "mean": VectorSet(ArrayVectors(array), "pooling"),
        "part": VectorSet(ArrayVectors(some), "table", frozenset({0, 120, 200, 201})),
    }
    found = measured(sets, rows_of(truth, SPLITS), manifest_of(), quick=True)
    counts = {(one.features, one.fit, one.train, one.test) for one in found.scores}
    assert counts == {
        ("mean", "train", 100, 80),
        ("mean", "train+validation", 160, 80),
        ("part", "train", 99, 78),
        ("part", "train+validation", 158, 78),
    }
    assert {(one.a, one.b) for one in found.differences} == {("mean", "part")}
    nothing = {**sets, "part": VectorSet(sets["part"].vectors, "table", frozenset(range(160, 240)))}
    found = measured(nothing, rows_of(truth, SPLITS), manifest_of(), quick=True)
    assert {(one.features, one.reason) for one in found.skipped} == {("part", "no patch for test")}


@pytest.mark.parametrize(
    ("splits", "reason"),
    [
        (["train"] * 240, "no patch for test"),
        (["test"] * 240, "no patch for train"),
    ],
)
def test_a_split_without_patches_is_told(splits, reason) -> None:
    vectors, truths = problem("class")
    array = ArrayVectors(np.concatenate(vectors))
    sets = {"mean": VectorSet(array, "pooling")}
    sets["mean+mean"] = VectorSet(Fused({"mean": array}), "fused")
    found = measured(sets, rows_of(np.concatenate(truths), splits), manifest_of())
    assert not found.scores
    assert {one.reason for one in found.skipped} == {reason}
    assert len(found.skipped) == 4


def single(truth, splits=SPLITS, classes=CLASSES, **how: bool):
    """What is measured of random vectors of patches with these labels."""
    vectors = np.random.default_rng(0).normal(size=(len(truth), 5)).astype(np.float32)
    sets = {"mean": VectorSet(ArrayVectors(vectors), "pooling")}
    return measured(sets, rows_of(truth, splits), manifest_of(classes=classes), **how)


def test_a_class_that_no_training_patch_has_is_told() -> None:
    truth = np.arange(240) % 3
    truth[-4:] = 3
    found = single(truth)
    said = "no training patch has d, and 4 labels of test patches are so"
    assert {one.warnings for one in found.scores} == {(said,)}


def test_one_class_alone_is_told_and_the_rest_goes_on() -> None:
    truth = np.zeros(240, np.int64)
    truth[100:] = np.arange(140) % 4
    found = single(truth)
    assert [(one.probe, one.reason) for one in found.skipped] == [
        ("linear", "all training patches have one label")
    ]
    assert {one.probe for one in found.scores} == {"knn"}


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_numbers_that_are_all_one_are_told(part) -> None:
    truth = np.random.default_rng(0).normal(size=240)
    truth[[name == part for name in SPLITS]] = 7.1
    found = single(truth, classes=0)
    told = {text for one in found.scores for text in one.warnings}
    if part == "train":
        assert [one.reason for one in found.skipped] == ["all training patches have one number"]
    if part == "test":
        assert told == {"R2 says nothing: all test patches have one number"}
    chosen = {one.chosen_by for one in found.scores}
    assert chosen == {"cross-validation" if part == "validation" else "validation"}
    assert all(np.isfinite(m.value) for one in found.scores for m in one.metrics.values())


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_patches_without_any_label_are_told(part) -> None:
    truth = np.random.default_rng(0).random((240, CLASSES)) < 0.4
    truth[[name == part for name in SPLITS]] = False
    found = single(truth)
    reasons = {one.reason for one in found.skipped}
    if part == "validation":
        assert {one.chosen_by for one in found.scores} == {"cross-validation"}
        assert reasons == set()
    else:
        assert not found.scores
        assert reasons == {f"no labelled patch for {part}"}


def test_a_class_with_fewer_labels_than_folds_is_told() -> None:
    truth = np.arange(240) % 3
    truth[:2] = 3
    splits = ["test" if name == "validation" else name for name in SPLITS]
    found = single(truth, splits)
    assert {one.chosen_by for one in found.scores} == {"cross-validation"}
    assert len(found.scores) == 2
    assert all("least populated class" in one.warnings[0] for one in found.scores)


def test_a_solver_that_did_not_end_is_told_of_scores_curves_and_years() -> None:
    vectors, truths = problem("class")
    array, truth = np.concatenate(vectors), np.concatenate(truths)
    rows = rows_of(truth, SPLITS, (2018, 2024))
    sets = {"mean": VectorSet(ArrayVectors(np.concatenate([array, array])), "pooling")}
    found = measured(sets, rows, manifest_of((2018, 2024)), max_iterations=2)
    told = [one for one in found.scores if one.probe == "linear"]
    told += [*found.curves, *found.shrunk, *found.transfers]
    assert len(told) == 4 + 1 + 6 + 4
    for one in told:
        (said,) = one.warnings
        assert said.startswith("ConvergenceWarning: lbfgs failed to converge")
    assert not any(one.warnings for one in found.scores if one.probe == "knn")
    enough = measured(sets, rows, manifest_of((2018, 2024)), max_iterations=1000)
    assert not any(one.warnings for one in (*enough.scores, *enough.curves, *enough.shrunk))
