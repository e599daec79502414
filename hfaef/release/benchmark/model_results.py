"""Scores in the two forms that a model's repository on the Hub can hold.

``model-index``, in the YAML of its card, is read for results on any data set:
https://huggingface.co/docs/hub/model-cards#evaluation-results. ``.eval_results/NAME.yaml`` is newer
and feeds leaderboards, but only of data sets that are benchmarks, by the tasks of their
``eval.yaml``: https://huggingface.co/docs/hub/eval-results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from hfaef.errors import InputError
from hfaef.recipe.columns import Target
from hfaef.release.benchmark.eval_yaml import EVAL_YAML, make_benchmark, task_id
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.scores import PROBES, Evaluation, Probe

METRIC_IDS: dict[Target, str] = {
    "class": "accuracy",
    "classes": "average_precision",
    "number": "r_squared",
}
"""How model cards name what is measured: https://huggingface.co/metrics"""

_PROBES: dict[Probe, str] = {"linear": "linear probe", "knn": "kNN"}

SOURCE = "hfaef eval"


@dataclass(frozen=True)
class Dataset:
    """The data set that was measured, as the Hub knows it."""

    repo: str
    """``owner/name``."""
    name: str
    """For people."""
    task: str
    """The Hub's task, as ``image-classification``."""
    tag: str
    """Of its version."""
    commit: str | None = None
    """That the tag is on, if known."""
    tasks: frozenset[str] = frozenset()
    """Ids in its ``eval.yaml``; none if it is no benchmark."""

    @property
    def url(self) -> str:
        """Of its page."""
        return f"https://huggingface.co/datasets/{self.repo}"


@dataclass(frozen=True)
class Result:
    """One number that a model reaches."""

    config: str
    """As `load_dataset` calls it."""
    probe: Probe
    metric: str
    """As model cards name it."""
    value: float
    """Between 0 and 1, but for R2, which may be below."""
    low: float
    high: float
    """Ends of its interval."""
    split: str = "test"


def dataset_of(manifest: Manifest, repo: str, tag: str, commit: str | None = None) -> Dataset:
    """The data set that a release is on the Hub.

    Args:
        manifest: of the release.
        repo: ``owner/name``.
        tag: of its version.
        commit: that the tag is on, if known.
    """
    tasks = frozenset[str]()
    if EVAL_YAML in {file.path for file in manifest.files}:
        tasks = frozenset(task.id for task in make_benchmark(manifest).tasks)
    return Dataset(
        repo=repo,
        name=manifest.recipe.get("card", {}).get("pretty_name") or manifest.name,
        task="image-classification" if manifest.label_names else "tabular-regression",
        tag=tag,
        commit=commit,
        tasks=tasks,
    )


def results_of(evaluation: Evaluation, manifest: Manifest, vectors: str) -> list[Result]:
    """What some vectors reach: the linear probe and the kNN in every config.

    Args:
        evaluation: of the release.
        manifest: of the release.
        vectors: their name in the evaluation.

    Raises:
        InputError: if it has no score of them.
    """
    found = []
    for config in manifest.configs:
        if config.kind != "data" or config.scheme is None:
            continue
        for _, probe in reversed(PROBES):
            score = evaluation.score(vectors, config.scheme, config.year, probe)
            if score:
                measured = score.metrics[evaluation.primary]
                found.append(
                    Result(
                        config=config.name,
                        probe=score.probe,
                        metric=METRIC_IDS[manifest.labelling],
                        value=measured.value,
                        low=measured.low,
                        high=measured.high,
                    )
                )
    if not found:
        raise InputError(
            f"there is no score of {vectors} to write for a model's repository",
            "look at what was left out, and why, in the table above",
        )
    return found


def model_index(model: str, dataset: Dataset, results: Sequence[Result]) -> bytes:
    """YAML for the head of a model's card.

    Args:
        model: its name, for people.
        dataset: that was measured.
        results: of the model.
    """
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    entries = [
        EvalResult(
            task_type=dataset.task,
            dataset_type=dataset.repo,
            dataset_name=f"{dataset.name}, {result.config}",
            dataset_config=result.config,
            dataset_split=result.split,
            dataset_revision=dataset.commit or dataset.tag,
            metric_type=result.metric,
            metric_name=f"{result.metric}, {_PROBES[result.probe]}",
            metric_value=result.value,
            source_name=SOURCE,
            source_url=dataset.url,
        )
        for result in results
    ]
    return _yaml({"model-index": eval_results_to_model_index(model, entries)})


def require_tasks(dataset: Dataset) -> None:
    """Raise InputError if a data set is no benchmark."""
    if not dataset.tasks:
        raise InputError(
            f"{dataset.repo} has no {EVAL_YAML}, and the Hub takes such results on benchmarks only",
            "write --model-index NAME=FILE, or publish it with `card.benchmark = true`",
        )


def eval_results(dataset: Dataset, results: Sequence[Result]) -> bytes:
    """A file of the folder ``.eval_results`` of a model's repository.

    Args:
        dataset: that was measured, a benchmark.
        results: of the model.

    Raises:
        InputError: if the data set is no benchmark, or has no such task.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    require_tasks(dataset)
    entries = []
    for result in results:
        task = task_id(result.config, result.probe)
        if task not in dataset.tasks:
            raise InputError(
                f"{dataset.repo} has no task {task} in its {EVAL_YAML}",
                f"its tasks: {', '.join(sorted(dataset.tasks))}",
            )
        entries.append(
            EvalResultEntry(
                dataset_id=dataset.repo,
                task_id=task,
                value=result.value,
                dataset_revision=dataset.commit,  # a tag is not taken here
                source_url=dataset.url,
                source_name=SOURCE,
                notes=f"{_PROBES[result.probe]}; interval {result.low:g} to {result.high:g}",
            )
        )
    return _yaml(eval_result_entries_to_yaml(entries))


def _yaml(content: Any) -> bytes:
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return text.encode()
