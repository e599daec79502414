"""A measurement adds to the scores that are there, and names what it replaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfaef.errors import InputError
from hfaef.evaluation.evaluate import Settings, evaluate, protocol
from hfaef.evaluation.merge import merge, read_scores, require_mergeable
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import content_sha256, read_manifest
from hfaef.release.format.scores import (
    SCORES_FORMAT,
    Evaluation,
    FeatureSet,
    Interval,
    Origin,
    Score,
    Skipped,
    evaluation_bytes,
    read_evaluation,
)


def scored(
    *rows: tuple[str, str], rows_of: str = "a" * 64, value: float = 0.5, dimensions: int = 64
) -> Evaluation:
    """An evaluation of these vectors and probes."""
    interval = Interval(value=value, low=0.4, high=0.6)
    names = list(dict.fromkeys(name for name, _ in rows))
    return Evaluation(
        format=SCORES_FORMAT,
        measured_on=Origin(content_sha256=rows_of),
        packages={"hfaef": "1"},
        protocol=protocol(Settings(), "class"),
        label_names=("a", "b"),
        features=tuple(
            FeatureSet(name=name, kind="pooling", dimensions=dimensions) for name in names
        ),
        scores=tuple(
            Score(
                features=name,
                scheme="random",
                year=2018,
                probe=probe,
                neighbours=5 if probe == "knn" else None,
                chosen_by="cross-validation" if probe == "linear" else None,
                train=2,
                test=2,
                metrics=dict.fromkeys(("accuracy", "balanced_accuracy", "macro_f1"), interval),
                confusion=((1, 0), (0, 1)),
            )
            for name, probe in rows
        ),
    )


ALL = [(name, probe) for name in ("mean", "stats", "gem") for probe in ("knn", "linear")]


def test_one_score_leaves_all_others() -> None:
    before, new = scored(*ALL), scored(("stats", "knn"), value=0.9)
    merged, notes = merge(before, new)
    assert len(merged.scores) == len(ALL)
    changed = [one for one in merged.scores if one.metrics["accuracy"].value == 0.9]
    assert [(one.features, one.probe) for one in changed] == [("stats", "knn")]
    assert merged.features == before.features
    assert notes == ("measured again and replaced: stats, random, 2018, knn",)


def test_other_vectors_are_added_after_those_that_were_there() -> None:
    merged, notes = merge(scored(*ALL), scored(("mine", "knn")))
    assert [one.name for one in merged.features] == ["mean", "stats", "gem", "mine"]
    assert len(merged.scores) == len(ALL) + 1
    assert notes == ()


def test_all_measured_again_is_what_was_measured() -> None:
    new = scored(*reversed(ALL), value=0.9)
    merged, notes = merge(scored(*ALL), new)
    assert evaluation_bytes(merged) == evaluation_bytes(new)
    assert "and replaced: " in notes[0]


def test_scores_of_other_rows_are_replaced_as_a_whole_and_said() -> None:
    new = scored(("mean", "knn"))
    assert merge(scored(*ALL, rows_of="b" * 64), new) == (
        new,
        ("6 scores of other rows are replaced as a whole",),
    )


def test_vectors_of_another_length_are_other_vectors() -> None:
    merged, notes = merge(scored(*ALL), scored(("mean", "knn"), dimensions=10))
    assert ("mean", "linear") not in [(one.features, one.probe) for one in merged.scores]
    assert "mean, random, 2018, linear" in notes[0]


def test_a_probe_that_could_be_run_now_is_no_longer_skipped() -> None:
    skipped = Skipped(features="mean", scheme="random", year=2018, probe="knn", reason="few")
    before = scored(*ALL[1:]).model_copy(update={"skipped": (skipped,)})
    merged, _ = merge(before, scored(("mean", "knn")))
    assert merged.skipped == ()
    assert len(merged.scores) == len(ALL)


def test_other_packages_are_said() -> None:
    before = scored(*ALL).model_copy(update={"packages": {"hfaef": "0"}})
    _, notes = merge(before, scored(("mean", "knn")))
    assert "5 scores that stay were measured with another hfaef" in notes


def test_scores_by_another_protocol_are_refused_if_others_would_stay(tmp_path: Path) -> None:
    before, codes = scored(*ALL), protocol(Settings(on="codes"), "class")
    with pytest.raises(InputError, match="measured otherwise") as caught:
        require_mergeable(before, "a" * 64, codes, [("mean", "knn")], tmp_path / "x.json")
    assert "x.json" in caught.value.message
    assert "--out" in caught.value.hint
    require_mergeable(before, "a" * 64, codes, ALL, tmp_path)
    require_mergeable(before, "b" * 64, codes, [("mean", "knn")], tmp_path)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Settings(max_iterations=5000), "at most 1000 iterations, not .* at most 5000 iterations"),
        (Settings(on="codes"), "on values, not codes"),
        (Settings(protocol="published"), "by default, not published"),
    ],
)
def test_the_refusal_says_what_two_protocols_differ_in(other: Settings, words: str) -> None:
    before = scored(*ALL).model_copy(update={"protocol": protocol(Settings(), "class")})
    told = protocol(other, "class")
    with pytest.raises(InputError, match=words) as caught:
        require_mergeable(before, "a" * 64, told, [("mean", "knn")], Path("x.json"))
    assert "\n" not in str(caught.value)
    require_mergeable(before, "a" * 64, before.protocol, [("mean", "knn")], Path("x.json"))


def test_a_file_that_is_no_evaluation_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "thesis.json"
    path.write_text("{}")
    with pytest.raises(InputError, match="is no evaluation"):
        read_scores(path)
    assert read_scores(tmp_path / "none.json") is None


def test_a_second_measurement_adds_to_a_release(own_release: Path) -> None:
    pytest.importorskip("sklearn")
    first = evaluate(str(own_release), Settings(poolings=["mean"], probes=["knn"])).evaluation
    second = evaluate(str(own_release), Settings(poolings=["max"], probes=["knn"]))
    assert second.path == own_release / "evaluation.json"
    assert second.notes == ()
    found = read_evaluation(own_release)
    assert found == second.evaluation
    assert found.scores[: len(first.scores)] == first.scores
    assert len(found.scores) == 2 * len(first.scores)
    assert "| `max` |" in (own_release / "README.md").read_text()
    assert check_folder(own_release) == []


FORMAT_1 = Path(__file__).with_name("evaluation_format_1.json")
"""Scores of the mean of the demo's patches, as hfaef 0.1 wrote them."""


def test_scores_of_format_1_are_read_as_they_were() -> None:
    found = read_scores(FORMAT_1)
    assert found is not None
    assert (found.format, found.target, found.protocol.name) == (1, "class", "published")
    assert found.protocol == protocol(Settings(protocol="published"), "class")
    old = json.loads(FORMAT_1.read_bytes())["scores"]
    assert len(found.scores) == len(old) == 14
    for one, line in zip(found.scores, old, strict=True):
        assert {name: one.metrics[name].model_dump() for name in one.metrics} == {
            name: line[name] for name in ("accuracy", "balanced_accuracy", "macro_f1")
        }
        assert (one.chosen_by is not None) == line["cross_validated"]
        assert one.shown == (line["cross_validated"] or line["neighbours"] == 5)
    assert read_scores(FORMAT_1) == Evaluation.model_validate_json(evaluation_bytes(found))


def test_scores_of_format_1_stay_beside_new_ones_and_are_those_of_the_published_protocol(
    own_release: Path,
) -> None:
    pytest.importorskip("sklearn")
    content = json.loads(FORMAT_1.read_bytes())
    content["measured_on"]["content_sha256"] = content_sha256(read_manifest(own_release))
    (own_release / "evaluation.json").write_text(json.dumps(content))
    old = read_evaluation(own_release)
    assert old is not None
    with pytest.raises(InputError, match="measured otherwise"):
        evaluate(str(own_release), Settings(poolings=["std"], probes=["knn"]))
    settings = Settings(poolings=["std"], probes=["knn"], protocol="published")
    merged = evaluate(str(own_release), settings).evaluation
    assert merged.format == SCORES_FORMAT
    assert [one.name for one in merged.features] == ["mean", "std"]
    assert [one for one in merged.scores if one.features == "mean"] == list(old.scores)
    assert check_folder(own_release) == []
    again = evaluate(str(own_release), Settings(poolings=["mean"], protocol="published"))
    new = [one for one in again.evaluation.scores if one.features == "mean"]
    assert len(new) == len(old.scores)
    for one, before in zip(new, old.scores, strict=True):
        kept = {name: one.metrics[name] for name in before.metrics}
        assert one.model_copy(update={"metrics": kept}) == before


def test_differences_and_curves_stay_unless_they_are_measured_again(own_release: Path) -> None:
    pytest.importorskip("sklearn")
    whole = evaluate(str(own_release), Settings(poolings=["mean", "std"])).evaluation
    assert whole.differences
    assert whole.curves
    assert whole.shrunk
    some = Settings(poolings=["mean", "max"], quick=True)
    merged = evaluate(str(own_release), some).evaluation
    assert (merged.curves, merged.shrunk) == (whole.curves, whole.shrunk)
    pairs = {(one.a, one.b) for one in merged.differences}
    assert pairs == {("mean", "std"), ("mean", "max")}
    assert set(whole.differences) < set(merged.differences)
