"""What an evaluation puts into a release's points: the very predictions whose scores the card shows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from hfaef.build.pipeline import build
from hfaef.evaluation.evaluate import Settings, evaluate
from hfaef.hub.open import open_release
from hfaef.release.atlas.metadata import KEY
from hfaef.release.atlas.points import points_bytes, read_points
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import read_manifest
from hfaef.release.format.scores import Evaluation, read_evaluation
from support.kinds import build_kind, recipe_of
from support.releases import contents, fresh_copy

pytest.importorskip("sklearn", reason="the extra `eval` is not installed")

POINTS = "atlas/points.parquet"

MEAN = Settings(poolings=("mean",), quick=True)
MAX = Settings(poolings=("max",), quick=True)


def points_of(folder: Path) -> list[dict[str, Any]]:
    return read_points(folder / POINTS)[0].to_pylist()


def schemes_of(folder: Path) -> dict[str, dict[str, Any]]:
    content = json.loads(pq.read_metadata(folder / POINTS).metadata[KEY])
    return {one["name"]: one for one in content["schemes"]}


def scores_of(folder: Path) -> Evaluation:
    found = read_evaluation(folder)
    assert found is not None
    return found


def measured(folder: Path, scheme: str = "split") -> list[tuple[str, str]]:
    """Vectors and probe of each score whose predictions are there."""
    return [(one["vectors"], one["probe"]) for one in schemes_of(folder)[scheme]["measured"]]


def without_points(folder: Path) -> None:
    """Make a release one of an earlier hfaef, which has no points."""
    shutil.rmtree(folder / "atlas")
    content = json.loads((folder / "release.json").read_bytes())
    content["files"] = [one for one in content["files"] if one["path"] != POINTS]
    (folder / "release.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def scored(kinds_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of one label a patch with scores of `mean`; not to be written to."""
    folder = build_kind("class", kinds_world, tmp_path_factory.mktemp("scored")).folder
    evaluate(str(folder), MEAN)
    return folder


@pytest.fixture
def own(scored: Path, tmp_path: Path) -> Path:
    return fresh_copy(scored, tmp_path / "own")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("class", ("patches.make_splits.random.seed=1",)),
        ("class", ("years=[2018, 2024]",)),
        ("class", ("pack.format=webdataset",)),
        ("years", ()),
    ],
)
def test_misclassified_points_are_those_that_the_accuracy_tells_of(
    kinds_world: Path, tmp_path: Path, kind: str, changes: tuple[str, ...]
) -> None:
    folder = build_kind(kind, kinds_world, tmp_path, *changes).folder
    found = evaluate(str(folder), MEAN).evaluation
    manifest = read_manifest(folder)
    schemes, points = schemes_of(folder), points_of(folder)
    assert [*schemes] == [*manifest.schemes]
    for name, scheme in schemes.items():
        assert [one["year"] for one in scheme["measured"]] == [*manifest.config_years]
        for one in scheme["measured"]:
            score = found.score("mean", name, one["year"], "linear")
            assert score is not None
            assert (one["vectors"], one["probe"]) == ("mean", "linear")
            assert (one["metric"], one["value"]) == ("accuracy", score.metrics["accuracy"].value)
            tested = [
                point
                for point in points
                if point[scheme["split"]] == "test" and one["year"] in (None, point["year"])
            ]
            assert len(tested) == one["test"] == score.test
            wrong = sum(point[scheme["predicted"]] != point["label"] for point in tested)
            assert wrong == one["misclassified"]
            assert wrong == round(score.test * (1 - score.metrics["accuracy"].value))
            matrix = np.zeros_like(score.confusion)
            for point in tested:
                matrix[point["label"], point[scheme["predicted"]]] += 1
            assert np.array_equal(matrix, score.confusion)
        others = [point for point in points if point[scheme["split"]] != "test"]
        assert {point[scheme["predicted"]] for point in others} <= {None}
    assert check_folder(folder) == []


def test_all_patches_of_folds_are_predicted_each_by_a_probe_of_the_others(
    kinds_world: Path, tmp_path: Path
) -> None:
    folder = build_kind("class", kinds_world, tmp_path, 'patches.folds=["fold"]').folder
    found = evaluate(str(folder), MEAN).evaluation
    scheme = schemes_of(folder)["fold"]
    points = points_of(folder)
    inside = [point for point in points if point[scheme["split"]] != "unassigned"]
    assert len(inside) < len(points)
    for point in points:
        assert (point[scheme["predicted"]] is None) == (point[scheme["split"]] == "unassigned")
    (one,) = scheme["measured"]
    score = found.score("mean", "fold", 2018, "linear")
    assert score is not None
    assert scheme["folds"]
    assert (one["test"], one["value"]) == (len(inside), score.metrics["accuracy"].value)
    assert one["misclassified"] == sum(p[scheme["predicted"]] != p["label"] for p in inside)
    folds = {point[scheme["split"]] for point in inside}
    of_folds = [
        np.mean(
            [p[scheme["predicted"]] == p["label"] for p in inside if p[scheme["split"]] == fold]
        )
        for fold in folds
    ]
    assert np.mean(of_folds) == pytest.approx(one["value"], abs=1e-6)
    assert check_folder(folder) == []


def test_numbers_are_predicted_by_numbers_and_their_score_follows(
    kinds_world: Path, tmp_path: Path
) -> None:
    changes = ("patches.make_splits.random.seed=1",)
    folder = build_kind("number", kinds_world, tmp_path, *changes).folder
    found = evaluate(str(folder), MEAN).evaluation
    scheme = schemes_of(folder)["random"]
    (one,) = scheme["measured"]
    assert (one["metric"], one["misclassified"]) == ("r2", None)
    tested = [point for point in points_of(folder) if point[scheme["split"]] == "test"]
    truth = np.array([point["number"] for point in tested])
    guess = np.array([point[scheme["predicted"]] for point in tested])
    r2 = 1 - ((truth - guess) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    assert r2 == pytest.approx(one["value"], abs=1e-6)
    score = found.score("mean", "random", 2018, "linear")
    assert score is not None
    assert score.metrics["mae"].value == pytest.approx(np.abs(truth - guess).mean(), rel=1e-5)
    assert check_folder(folder) == []


def test_sets_of_labels_are_predicted_by_sets(kinds_world: Path, tmp_path: Path) -> None:
    folder = build_kind("classes", kinds_world, tmp_path).folder
    found = evaluate(str(folder), MEAN).evaluation
    scheme = schemes_of(folder)["split"]
    (one,) = scheme["measured"]
    assert one["metric"] == "micro_ap"
    tested = [point for point in points_of(folder) if point[scheme["split"]] == "test"]
    assert len(tested) == one["test"]
    pairs = [({*point["labels"]}, {*point[scheme["predicted"]]}) for point in tested]
    assert one["misclassified"] == sum(truth != guess for truth, guess in pairs)
    both = sum(len(truth & guess) for truth, guess in pairs)
    either = sum(len(truth) + len(guess) for truth, guess in pairs)
    score = found.score("mean", "split", 2018, "linear")
    assert score is not None
    assert score.metrics["micro_f1"].value == pytest.approx(2 * both / max(either, 1), abs=1e-6)
    assert check_folder(folder) == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(poolings=("max", "mean"), probes=("knn", "linear")), ("mean", "linear")),
        (Settings(poolings=("max", "std")), ("max", "linear")),
        (Settings(poolings=("max", "mean"), probes=("knn",)), ("mean", "knn")),
        (Settings(poolings=("mean",), protocol="published"), ("mean", "linear")),
    ],
)
def test_mean_and_the_linear_probe_come_first(
    kinds_world: Path, tmp_path: Path, settings: Settings, expected: tuple[str, str]
) -> None:
    folder = build_kind("class", kinds_world, tmp_path).folder
    evaluate(str(folder), settings)
    assert measured(folder) == [expected]
    assert check_folder(folder) == []


def test_predictions_stay_with_the_scores_that_stay(own: Path) -> None:
    before = points_of(own)
    notes = evaluate(str(own), MAX).notes
    assert measured(own) == [("mean", "linear")]
    assert points_of(own) == before
    assert not [note for note in notes if POINTS in note]
    assert check_folder(own) == []


def test_scores_that_are_measured_again_bring_their_own_predictions(own: Path) -> None:
    evaluate(str(own), Settings(poolings=("mean",), on="codes", quick=True))
    score = scores_of(own).score("mean", "split", 2018, "linear")
    assert score is not None
    (one,) = schemes_of(own)["split"]["measured"]
    assert one["value"] == score.metrics["accuracy"].value
    assert check_folder(own) == []


def test_scores_without_predictions_are_named_and_others_shown(own: Path) -> None:
    without_points(own)
    notes = evaluate(str(own), MAX).notes
    assert measured(own) == [("max", "linear")]
    (note,) = [note for note in notes if POINTS in note]
    assert "no predictions of mean, linear" in note
    assert check_folder(own) == []
    evaluate(str(own), MEAN)
    assert measured(own) == [("mean", "linear")]
    assert check_folder(own) == []


def test_predictions_of_another_score_never_stay(own: Path) -> None:
    content = json.loads((own / "evaluation.json").read_text())
    for score in content["scores"]:
        score["metrics"]["accuracy"]["value"] = 0.123
    (own / "evaluation.json").write_text(json.dumps(content))
    evaluate(str(own), MAX)
    assert measured(own) == [("max", "linear")]


def test_damaged_points_are_made_anew(own: Path) -> None:
    (own / POINTS).write_bytes(b"PAR1")
    evaluate(str(own), MEAN)
    assert measured(own) == [("mean", "linear")]
    assert check_folder(own) == []


def test_an_evaluation_of_the_same_scores_writes_the_same_bytes(own: Path, scored: Path) -> None:
    evaluate(str(own), MEAN)
    assert (own / POINTS).read_bytes() == (scored / POINTS).read_bytes()


def test_an_evaluation_that_is_written_elsewhere_leaves_the_points_alone(
    own: Path, tmp_path: Path
) -> None:
    before = contents(own)
    evaluate(str(own), MAX, out=tmp_path / "scores.json")
    assert contents(own) == before


def test_predictions_are_no_part_of_the_scores_file(scored: Path) -> None:
    assert "predictions" not in json.loads((scored / "evaluation.json").read_text())


def test_a_rebuild_of_the_same_rows_keeps_predictions(kinds_world: Path, tmp_path: Path) -> None:
    folder = build_kind("class", kinds_world, tmp_path).folder
    evaluate(str(folder), MEAN)
    before = (folder / POINTS).read_bytes()
    built = build(recipe_of("class", kinds_world, tmp_path / "points.parquet"), folder, threads=1)
    assert (folder / POINTS).read_bytes() == before
    assert not [note for note in built.notes if POINTS in note]
    assert check_folder(folder) == []
    (folder / POINTS).unlink()
    built = build(recipe_of("class", kinds_world, tmp_path / "points.parquet"), folder, threads=1)
    assert (folder / POINTS).read_bytes() == points_bytes(folder, read_manifest(folder))
    (note,) = [note for note in built.notes if POINTS in note]
    assert f"hfaef eval {folder}" in note
    assert check_folder(folder) == []


def test_a_release_built_from_another_takes_its_predictions_over_where_rows_are_the_same(
    scored: Path, kinds_world: Path, tmp_path: Path
) -> None:
    recipe = recipe_of("class", kinds_world, tmp_path / "points.parquet")
    before = open_release(str(scored))
    same = build(recipe, tmp_path / "same", threads=1, previous=before).folder
    assert (same / POINTS).read_bytes() == (scored / POINTS).read_bytes()
    assert check_folder(same) == []
    fewer = build(recipe, tmp_path / "fewer", threads=1, previous=before, limit=12).folder
    assert schemes_of(fewer)["split"]["predicted"] is None
    assert len(points_of(fewer)) == 12
    assert check_folder(fewer) == []


def test_an_older_release_gets_points_with_its_scores(kinds_world: Path, tmp_path: Path) -> None:
    folder = build_kind("class", kinds_world, tmp_path).folder
    without_points(folder)
    assert check_folder(folder, card=False) == []
    evaluate(str(folder), MEAN)
    assert POINTS in {file.path for file in read_manifest(folder).files}
    assert check_folder(folder) == []
