"""Scores of a release are those of numpy and scikit-learn run by hand, and stay true of it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hfaef
from hfaef.build.pipeline import build
from hfaef.errors import InputError, ReleaseError
from hfaef.evaluation.evaluate import Settings, evaluate, open_target, summary
from hfaef.evaluation.pooling import POOLINGS
from hfaef.evaluation.probe import neighbours
from hfaef.evaluation.probe.linear import predict, predict_by_folds
from hfaef.evaluation.probe.metrics import confusion, measure_confusion, rounded
from hfaef.evaluation.vectors import FileVectors, pool_release, read_rows
from hfaef.recipe.read import read_recipe
from hfaef.release.card.render import render_card, write_card
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import manifest_bytes, read_manifest
from hfaef.release.format.scores import evaluation_bytes, read_evaluation
from support.poolings import pool_stored

pytest.importorskip("sklearn", reason="the extra `eval` is not installed")

PUBLISHED = Settings(poolings=["mean", "stats", "gem"], protocol="published")

FROZEN = {
    ("mean", "knn"): 36,
    ("stats", "knn"): 38,
    ("covariance", "knn"): 17,
    ("mean", "C = 1"): 43,
    ("stats", "C = 1"): 57,
    ("covariance", "C = 1"): 34,
    ("mean", "chosen C"): 48,
    ("stats", "chosen C"): 58,
    ("covariance", "chosen C"): 35,
}
"""Right ones of 60 test patches, once worked out by `published` below."""


INTERVALS = {
    ("mean", "knn"): (
        (0.6, 0.482917, 0.716667),
        (0.6, 0.470767, 0.720992),
        (0.595633, 0.456845, 0.715165),
    ),
    ("mean", "C = 1"): (
        (0.716667, 0.6, 0.833333),
        (0.716667, 0.596316, 0.831605),
        (0.715194, 0.586266, 0.820711),
    ),
    ("mean", "chosen C"): (
        (0.8, 0.7, 0.9),
        (0.8, 0.691716, 0.89586),
        (0.799163, 0.684339, 0.897213),
    ),
    ("stats", "knn"): (
        (0.633333, 0.5, 0.75),
        (0.633333, 0.503532, 0.751651),
        (0.630737, 0.489849, 0.747245),
    ),
    ("stats", "C = 1"): ((0.95, 0.883333, 1.0), (0.95, 0.894367, 1.0), (0.949944, 0.890509, 1.0)),
    ("stats", "chosen C"): (
        (0.966667, 0.916667, 1.0),
        (0.966667, 0.918255, 1.0),
        (0.966667, 0.916555, 1.0),
    ),
    ("covariance", "knn"): (
        (0.283333, 0.166667, 0.4),
        (0.283333, 0.168082, 0.398759),
        (0.275604, 0.162784, 0.387029),
    ),
    ("covariance", "C = 1"): (
        (0.566667, 0.433333, 0.7),
        (0.566667, 0.456389, 0.68126),
        (0.555296, 0.42585, 0.672238),
    ),
    ("covariance", "chosen C"): (
        (0.583333, 0.45, 0.716667),
        (0.583333, 0.483547, 0.686367),
        (0.553704, 0.435129, 0.665448),
    ),
}
"""Accuracy, balanced accuracy and macro F1 of these: value, low and high, as hfaef 0.1 had them."""


def fixed_set():
    """180 stored patches (64, 6, 6) of 4 classes, alike enough to be confused."""
    rng = np.random.default_rng(20180)
    centres = rng.normal(127, 12, (4, 64, 1, 1))
    labels = np.arange(180) % 4
    places = centres[labels] + rng.normal(0, 35, (180, 64, 1, 1))
    pixels = places + rng.normal(0, 4, (180, 64, 6, 6)) * (1 + labels[:, None, None, None] / 4)
    return np.clip(np.rint(pixels), 0, 254).astype(np.uint8), labels.astype(np.int64)


def published(train, labels, test, probe_name):
    """The published protocol on float32 vectors, in scikit-learn's own words."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import StandardScaler

    if probe_name == "knn":
        model = KNeighborsClassifier(5, metric="cosine", algorithm="brute", weights="uniform")
        return model.fit(train, labels).predict(test)
    scaler = StandardScaler()
    train, test = scaler.fit_transform(train), scaler.transform(test)
    model = LogisticRegression(max_iter=1000, C=1.0, solver="lbfgs")
    if probe_name == "chosen C":
        model = GridSearchCV(model, {"C": [0.001, 0.01, 0.1, 1, 10, 100]}, cv=3)
    return model.fit(train, labels).predict(test)


def published_vector(stored, pooling):
    """Of stored codes as they are: the definitions of the published study."""
    flat = stored.reshape(64, -1).T.astype(np.float32)
    if pooling == "mean":
        return flat.mean(0)
    if pooling == "stats":
        return np.concatenate([flat.min(0), flat.max(0), flat.mean(0), flat.std(0)])
    return np.cov(flat, rowvar=False)[np.triu_indices(64)].astype(np.float32)


@pytest.mark.parametrize(("pooling", "probe_name"), FROZEN)
def test_published_protocol_line_by_line(pooling, probe_name):
    patches, truth = fixed_set()
    theirs = np.stack([published_vector(patch, pooling) for patch in patches])
    ours = np.stack([pool_stored(patch, [pooling], "codes")[pooling] for patch in patches])
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-3)
    train, test = slice(0, 120), slice(120, 180)
    wanted = published(theirs[train], truth[train], theirs[test], probe_name)
    if probe_name == "knn":
        near = neighbours.nearest(ours[train], ours[test], 9)
        found = neighbours.by_neighbours(truth[train], near, 4)[5].values
    else:
        about = ours[train], truth[train], [ours[test]]
        (one,) = predict(*about, 1.0, 4) if probe_name == "C = 1" else predict_by_folds(*about, 4)
        found = one.values
    assert (found != wanted).sum() == 0
    assert (found == truth[test]).sum() == FROZEN[pooling, probe_name]
    counts = confusion(truth[test], found, 4)
    measured = [rounded(one, name) for name, one in measure_confusion(counts).items()]
    assert INTERVALS[pooling, probe_name] == tuple((m.value, m.low, m.high) for m in measured)


@pytest.fixture(scope="module")
def evaluated(demo_release, tmp_path_factory):
    """A release with scores of three poolings; do not write there."""
    folder = tmp_path_factory.mktemp("evaluated") / demo_release.name
    shutil.copytree(demo_release, folder)
    evaluate(str(folder), PUBLISHED)
    return folder


def by_hand(folder, scheme, pooling):
    """Training vectors and labels, test vectors and labels, through `hfaef.load`."""
    parts = []
    for split in ("train", "test"):
        rows = sorted(hfaef.load(folder, split, scheme), key=lambda row: row["id"])
        vectors = [pool_stored(row["embedding"], [pooling])[pooling] for row in rows]
        parts += [np.stack(vectors), np.array([row["label"] for row in rows])]
    return parts


@pytest.mark.parametrize("scheme", ["random", "spatial"])
@pytest.mark.parametrize("pooling", ["mean", "gem"])
def test_scores_are_those_of_scikit_learn_by_hand(evaluated, scheme, pooling):
    from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

    train, labels, test, truth = by_hand(evaluated, scheme, pooling)
    evaluation = read_evaluation(evaluated)
    for name, one, count in (("knn", "knn", 5), ("chosen C", "linear", None)):
        predicted = published(train, labels, test, name)
        score = evaluation.score(pooling, scheme, 2018, one, neighbours=count)
        assert (score.train, score.test) == (len(train), len(test))
        wanted = confusion_matrix(truth, predicted, labels=range(6))
        np.testing.assert_array_equal(score.confusion, wanted)
        assert score.metrics["accuracy"].value == pytest.approx(
            (predicted == truth).mean(), abs=1e-6
        )
        balanced = balanced_accuracy_score(truth, predicted)
        assert score.metrics["balanced_accuracy"].value == pytest.approx(balanced, abs=1e-6)
        macro = f1_score(truth, predicted, average="macro")
        assert score.metrics["macro_f1"].value == pytest.approx(macro, abs=1e-6)


def test_an_evaluated_release_is_fit_to_publish(evaluated):
    assert check_folder(evaluated) == []
    listed = {file.path for file in read_manifest(evaluated).files}
    assert {"evaluation.json", "figures/labels.png"} <= listed


def test_scores_tell_how_they_were_made(evaluated):
    content = json.loads((evaluated / "evaluation.json").read_text())
    manifest = read_manifest(evaluated)
    assert read_evaluation(evaluated).of(manifest)
    assert set(content["packages"]) == {"hfaef", "numpy", "scikit-learn", "scipy"}
    assert content["protocol"]["on"] == "values"
    assert content["protocol"]["seed"] == 0
    assert {score["neighbours"] for score in content["scores"]} == {1, 3, 5, 7, 9, None}
    assert str(Path.home()) not in json.dumps(content)


def test_scores_are_the_same_bytes_each_time(evaluated, own_release):
    first = (evaluated / "evaluation.json").read_bytes()
    evaluate(str(own_release), PUBLISHED)
    assert (own_release / "evaluation.json").read_bytes() == first
    assert evaluation_bytes(read_evaluation(own_release)) == first
    assert (own_release / "README.md").read_bytes() == (evaluated / "README.md").read_bytes()


def test_card_shows_scores_and_writes_the_same_bytes_again(evaluated):
    text = (evaluated / "README.md").read_text()
    assert "| vectors | length | kNN, random | kNN, spatial | kNN, gap |" in text
    assert "Not evaluated yet" not in text
    mean = read_evaluation(evaluated).score("mean", "spatial", 2018, "knn", neighbours=5)
    first_screen = text.partition("## Load")[0]
    assert f"| {100 * mean.metrics['accuracy'].value:.1f}<br>" in first_screen
    assert text.encode() == write_card(evaluated).read_bytes()


def test_card_tells_what_the_solver_said_once_for_all_vectors(evaluated):
    evaluation = read_evaluation(evaluated)
    scores = [
        score.model_copy(update={"warnings": ("Warning: did not converge",)})
        if score.chosen_by and score.scheme == "spatial"
        else score
        for score in evaluation.scores
    ]
    said = evaluation.model_copy(update={"scores": tuple(scores)})
    text = render_card(read_manifest(evaluated), said)
    assert text.count("did not converge") == 1
    assert "Warning: did not converge (`mean`, `stats`, `gem`)\n" in text


def test_another_build_of_the_same_rows_keeps_the_scores(evaluated, demo_root, tmp_path):
    world = demo_root / "data/demo"
    lists = [
        f"patches.splits.{scheme}.{split}={world / 'lists' / f'{scheme}-{split}.txt'}"
        for scheme in ("random", "spatial")
        for split in ("train", "val", "test")
    ]
    changes = [f"demo.root={world}", "demo.patches=40", f"patches.root={world / 'patches'}"]
    recipe = read_recipe("demo", [*changes, f"source.root={world / 'aef'}", *lists])
    folder = tmp_path / "release"
    build(recipe, folder)
    for name in ("evaluation.json", "release.json", "README.md"):
        shutil.copy(evaluated / name, folder / name)
    shutil.copytree(evaluated / "figures", folder / "figures", dirs_exist_ok=True)
    build(recipe, folder)
    assert (folder / "evaluation.json").read_bytes() == (evaluated / "evaluation.json").read_bytes()
    assert check_folder(folder) == []
    # Other rows have other scores: those of before must go.
    build(recipe, folder, limit=30)
    assert not (folder / "evaluation.json").exists()
    assert check_folder(folder) == []


def test_scores_of_other_rows_are_found_out(own_release, evaluated):
    content = json.loads((evaluated / "evaluation.json").read_text())
    content["measured_on"]["content_sha256"] = "0" * 64
    (own_release / "evaluation.json").write_text(json.dumps(content))
    manifest = read_manifest(own_release)
    assert "Not evaluated yet" in render_card(manifest, read_evaluation(own_release))
    from hfaef.release.card.additions import entry, with_files

    listed = entry("evaluation.json", (own_release / "evaluation.json").read_bytes())
    (own_release / "release.json").write_bytes(manifest_bytes(with_files(manifest, [listed])))
    (finding,) = check_folder(own_release)
    assert "was measured on other rows" in finding.problem


def write_table(path, ids, vectors):
    lists = pa.array(list(vectors), pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": ids, "vector": lists}), path)
    return path


def test_other_embeddings_join_by_id(own_release, tmp_path):
    rows = read_rows(own_release, read_manifest(own_release))
    noise = np.random.default_rng(0).normal(size=(len(rows.ids) + 1, 8)).astype(np.float32)
    # In another order than the release's, and with a patch that it does not have.
    order = np.random.default_rng(1).permutation(len(rows.ids))
    ids = [rows.ids[number] for number in order] + ["stranger"]
    vectors = np.concatenate([np.eye(6, 8, dtype=np.float32)[rows.labels[order]], noise[-1:]])
    path = write_table(tmp_path / "other.parquet", ids, vectors)
    found = evaluate(
        str(own_release), Settings(poolings=["mean"], features=[f"other={path}"])
    ).evaluation
    assert [(one.name, one.kind, one.dimensions) for one in found.features] == [
        ("mean", "pooling", 64),
        ("other", "table", 8),
    ]
    # Vectors that say the label are classified without a mistake.
    assert found.score("other", "spatial", 2018, "knn").metrics["accuracy"].value == 1
    text = (own_release / "README.md").read_text()
    assert "| `other` | 8 |" in text
    assert "`other` are vectors of the same patches from elsewhere" in text
    assert check_folder(own_release) == []


@pytest.mark.parametrize(
    "wrong",
    [{"poolings": ["average"]}, {"probes": ["svm"]}, {"on": "pixels"}, {"protocol": "secret"}],
)
def test_unknown_names_are_refused(own_release, wrong):
    with pytest.raises(InputError, match="is not known; one of"):
        evaluate(str(own_release), Settings(**wrong))


def test_codes_and_values_are_pooled_differently(own_release):
    both = [
        evaluate(str(own_release), Settings(poolings=["stats"], probes=["knn"], on=on)).evaluation
        for on in ("values", "codes")
    ]
    assert [one.protocol.on for one in both] == ["values", "codes"]
    assert "stored codes as they are" in (own_release / "README.md").read_text()


def test_scores_may_be_written_elsewhere(own_release, tmp_path):
    before = (own_release / "README.md").read_bytes()
    out = tmp_path / "scores.json"
    found = evaluate(
        str(own_release), Settings(poolings=["mean"], probes=["knn"]), out=out
    ).evaluation
    assert out.read_bytes() == evaluation_bytes(found)
    assert not (own_release / "evaluation.json").exists()
    assert (own_release / "README.md").read_bytes() == before


def test_a_split_without_patches_is_told(own_release):
    found = evaluate(str(own_release), Settings(poolings=["mean"], probes=["linear"])).evaluation
    assert all("mean: linear" in line for line in list(summary(found))[:1])


def test_a_broken_sheet_is_named(own_release, tmp_path):
    shard = next((own_release / "data").rglob("*.parquet"))
    table = pq.read_table(shard, partitioning=None)
    rows = table.to_pylist()
    rows[0]["embedding"]["bytes"] = b"no picture"
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), shard)
    with pytest.raises(ReleaseError, match=f"patch {rows[0]['id']}: not a sheet"):
        pool_release(own_release, read_manifest(own_release), ["mean"], "values", tmp_path, print)


def test_a_target_is_a_folder_or_a_repo(tmp_path):
    with pytest.raises(InputError, match="is neither a folder nor OWNER/NAME"):
        open_target(str(tmp_path / "gone" / "deeper"))
    with pytest.raises(ReleaseError, match="holds no finished release"):
        open_target(str(tmp_path))


def test_vectors_of_a_file_are_taken_in_any_order(tmp_path, monkeypatch):
    monkeypatch.setattr("hfaef.evaluation.vectors._BLOCK", 7)
    array = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    (tmp_path / "v").write_bytes(array.tobytes())
    rows = np.array([49, 0, 13, 13, 7, 6])
    found = FileVectors(tmp_path / "v", 3).take(rows)
    np.testing.assert_array_equal(found, array[rows])


def test_pooled_files_hold_what_pooling_gives(demo_release, tmp_path):
    manifest = read_manifest(demo_release)
    rows = read_rows(demo_release, manifest)
    done = []
    found = pool_release(
        demo_release, manifest, tuple(POOLINGS), "values", tmp_path, done.append, threads=3
    )
    assert len(done) == len(rows.ids)
    wanted = {row["id"]: pool_stored(row["embedding"]) for row in hfaef.load(demo_release, "test")}
    numbers = rows.of_split("random", 2018, "test")
    for name, vectors in found.items():
        stack = np.stack([wanted[rows.ids[number]][name] for number in numbers])
        np.testing.assert_array_equal(vectors.take(numbers), stack)
