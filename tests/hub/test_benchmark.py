"""A benchmark on the Hub: its `eval.yaml` is pushed, and models' results name it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from hfaef.release.benchmark.eval_yaml import EVAL_YAML
from hfaef.release.format.scores import read_evaluation
from servers.hub import Hub
from servers.hub.fixtures import OTHER, Client
from support.pushes import NAME, finish, is_whole, push
from support.releases import fresh_copy, make_release

pytestmark = pytest.mark.slow


def test_a_benchmark_is_pushed_and_models_results_name_it(
    hub: Hub, client: Client, demo_root: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    release = fresh_copy(
        make_release(demo_root, tmp_path / "made", benchmark=True, patches=40), tmp_path / "release"
    )
    planned = push(client, release, "--dry-run")
    result = push(client, release)
    for said in (planned, result):
        assert said["exit"] == 0, said["errors"]
        (note,) = (note for note in said["notes"] if EVAL_YAML in note)
        assert f"and {NAME} on its allow-list" in note
    is_whole(hub, release, "1.0.0")
    tasks = yaml.safe_load(hub.file(NAME, EVAL_YAML, "v1.0.0"))["tasks"]
    again = push(client, release)
    assert again["outcome"] == "already published"
    assert not [note for note in again["notes"] if EVAL_YAML in note]

    index, entries = tmp_path / "index.yaml", tmp_path / "entries.yaml"
    words = ["--pooling", "mean", "--out", tmp_path / "evaluation.json", "--json"]
    words += ["--model-index", f"mean={index}", "--eval-results", f"mean={entries}"]
    done = finish(client.hfaef("eval", f"{NAME}@v1.0.0", *words, token=OTHER))
    assert done["exit"] == 0, done["errors"]
    evaluation = read_evaluation(tmp_path)
    assert evaluation is not None
    linear = evaluation.score("mean", "random", 2018, "linear")
    knn = evaluation.score("mean", "random", 2018, "knn")
    assert linear
    assert knn
    expected = [one.metrics["accuracy"].value for one in (linear, knn)]
    commit = hub.repo(NAME).resolve("v1.0.0").oid
    name, found = model_index_to_eval_results(yaml.safe_load(index.read_text())["model-index"])
    assert (name, [one.metric_value for one in found]) == ("mean", expected)
    assert {(one.dataset_type, one.dataset_revision) for one in found} == {(NAME, commit)}
    listed = parse_eval_result_entries(yaml.safe_load(entries.read_text()))
    assert [one.value for one in listed] == expected
    assert [one.task_id for one in listed] == [task["id"] for task in tasks]
    assert {(one.dataset_id, one.dataset_revision) for one in listed} == {(NAME, commit)}


def test_a_benchmark_file_that_somebody_put_there_is_not_overwritten(
    hub: Hub, client: Client, demo_root: Path, tmp_path: Path
) -> None:
    plain = fresh_copy(make_release(demo_root, tmp_path / "plain"), tmp_path / "first")
    assert push(client, plain)["exit"] == 0
    hub.put(NAME, {EVAL_YAML: b"name: by somebody\n"})
    release = fresh_copy(
        make_release(demo_root, tmp_path / "made", benchmark=True), tmp_path / "second"
    )
    refused = push(client, release)
    assert refused["exit"] == 1
    assert f"{NAME} has a file {EVAL_YAML} that no release of hfaef brought" in refused["error"]
    assert hub.file(NAME, EVAL_YAML, "main") == b"name: by somebody\n"
