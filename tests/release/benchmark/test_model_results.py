"""Scores in the forms that the Hub reads of a model's repository, by the Hub's own parsers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCardData, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from hfaef.errors import InputError
from hfaef.release.benchmark.model_results import (
    Dataset,
    Result,
    dataset_of,
    eval_results,
    model_index,
    results_of,
)
from hfaef.release.format.manifest import content_sha256, read_manifest
from hfaef.release.format.scores import (
    SCORES_FORMAT,
    Evaluation,
    FeatureSet,
    Interval,
    Origin,
    Protocol,
    Score,
)

COMMIT = "5503434ddd753f426f4b38109466949a1217c2bb"

DATASET = Dataset(
    repo="ada/patches",
    name="Some patches",
    task="image-classification",
    tag="v1.2.0",
    commit=COMMIT,
    tasks=frozenset({"spatial-linear", "spatial-knn"}),
)

RESULTS = [
    Result("spatial", "linear", "accuracy", 0.811234, 0.801, 0.8215),
    Result("spatial", "knn", "accuracy", 0.855, 0.84, 0.87),
]


def test_model_index_is_read_back_by_the_hubs_own_parser() -> None:
    content = yaml.safe_load(model_index("my-model", DATASET, RESULTS))
    assert list(content) == ["model-index"]
    name, found = model_index_to_eval_results(content["model-index"])
    assert name == "my-model"
    assert [one.metric_value for one in found] == [0.811234, 0.855]
    for one in found:
        assert (one.dataset_type, one.dataset_config, one.dataset_split, one.dataset_revision) == (
            "ada/patches",
            "spatial",
            "test",
            COMMIT,
        )
        assert (one.task_type, one.metric_type) == ("image-classification", "accuracy")
        assert one.source_url == "https://huggingface.co/datasets/ada/patches"
    assert [one.metric_name for one in found] == ["accuracy, linear probe", "accuracy, kNN"]
    card = ModelCardData(model_name=name, eval_results=found)
    assert card.to_dict()["model-index"] == content["model-index"]


def test_model_index_names_the_tag_where_the_commit_is_not_known() -> None:
    dataset = Dataset("ada/patches", "Some", "image-classification", "v1.2.0")
    (entry,) = yaml.safe_load(model_index("a", dataset, RESULTS[:1]))["model-index"]
    assert entry["results"][0]["dataset"]["revision"] == "v1.2.0"


def test_eval_results_are_read_back_by_the_hubs_own_parser() -> None:
    content = yaml.safe_load(eval_results(DATASET, RESULTS))
    first, second = parse_eval_result_entries(content)
    assert (first.dataset_id, first.task_id, first.value) == (
        "ada/patches",
        "spatial-linear",
        0.811234,
    )
    assert first.dataset_revision == COMMIT
    assert first.notes == "linear probe; interval 0.801 to 0.8215"
    assert (second.task_id, second.value) == ("spatial-knn", 0.855)
    assert {key for one in content for key in one} == {"dataset", "value", "source", "notes"}


def test_eval_results_are_refused_for_what_is_no_benchmark_or_no_task() -> None:
    plain = Dataset("ada/patches", "Some", "image-classification", "v1.0.0")
    with pytest.raises(InputError, match=r"has no eval\.yaml.*on benchmarks only") as caught:
        eval_results(plain, RESULTS)
    assert "--model-index" in str(caught.value.hint)
    other = [Result("random", "linear", "accuracy", 0.9, 0.8, 1.0)]
    with pytest.raises(InputError, match="has no task random-linear"):
        eval_results(DATASET, other)


@pytest.fixture
def evaluation(demo_release: Path) -> Evaluation:
    manifest = read_manifest(demo_release)
    metric = Interval(value=0.8, low=0.7, high=0.9)
    return Evaluation(
        format=SCORES_FORMAT,
        measured_on=Origin(content_sha256=content_sha256(manifest)),
        packages={"hfaef": "1"},
        protocol=Protocol(on="values", knn="", linear="", interval="", seed=0),
        label_names=manifest.label_names,
        features=(FeatureSet(name="mean", kind="pooling", dimensions=64),),
        scores=tuple(
            Score(
                features="mean",
                scheme=scheme,
                year=2018,
                probe="knn" if neighbours else "linear",
                neighbours=neighbours,
                cross_validated=neighbours is None,
                train=1,
                test=1,
                accuracy=metric,
                balanced_accuracy=metric,
                macro_f1=metric,
                confusion=((1,),),
            )
            for scheme, neighbours in (("random", None), ("spatial", None), ("spatial", 5))
        ),
    )


def test_scores_become_results_by_config(demo_release: Path, evaluation: Evaluation) -> None:
    found = results_of(evaluation, read_manifest(demo_release), "mean")
    assert [(one.config, one.probe, one.metric, one.value) for one in found] == [
        ("random", "linear", "accuracy", 0.8),
        ("spatial", "linear", "accuracy", 0.8),
        ("spatial", "knn", "accuracy", 0.8),
    ]
    with pytest.raises(InputError, match="no score of other"):
        results_of(evaluation, read_manifest(demo_release), "other")


def test_a_release_is_a_benchmark_by_its_eval_yaml(demo_release: Path) -> None:
    manifest = read_manifest(demo_release)
    dataset = dataset_of(manifest, "ada/demo", "v1.0.0")
    assert (dataset.name, dataset.task, dataset.tasks) == (
        "AlphaEarth demo",
        "image-classification",
        frozenset(),
    )
    numbers = manifest.model_copy(update={"label_names": ()})
    assert dataset_of(numbers, "ada/demo", "v1.0.0").task == "tabular-regression"
