"""``eval.yaml``: the file by which the Hub knows a data set as a benchmark.

Its form, which the Hub checks when it is pushed: https://huggingface.co/docs/hub/eval-results. A
task has one leaderboard, which ranks models by one number, so each probe on each config is a task.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, StringConstraints, ValidationError, field_validator

from hfaef.errors import HfaefError, InputError
from hfaef.recipe.columns import Target
from hfaef.release.format.manifest import Config, Manifest, Part
from hfaef.release.format.scores import Probe

EVAL_YAML = "eval.yaml"

FRAMEWORK = "hfaef"
"""What measures. The Hub shows a benchmark once it has this on its list:
https://github.com/huggingface/huggingface.js/blob/main/packages/tasks/src/eval.ts"""

REGISTERING = "https://huggingface.co/docs/hub/eval-results#registering-a-benchmark"

PROBES: tuple[Probe, ...] = ("linear", "knn")

METRICS: Mapping[Target, str] = {
    "class": "overall accuracy",
    "classes": "micro average precision",
    "number": "R2",
}
"""What the leaderboards rank by, by what `label` holds."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Task(Part):
    """A leaderboard: what is measured on one split of one config."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")
    config: str = Field(min_length=1)
    split: str = Field(min_length=1)


class Benchmark(Part):
    """The file."""

    name: Text
    description: Text
    evaluation_framework: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    tasks: tuple[Task, ...] = Field(min_length=1)

    @field_validator("tasks")
    @classmethod
    def _distinct(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        names = [task.id for task in tasks]
        if len(set(names)) < len(names):
            raise ValueError("two tasks have one id")
        return tasks


def task_id(config: str, probe: Probe) -> str:
    """Of a probe on a config."""
    return f"{config}-{probe}"


def is_benchmark(manifest: Manifest) -> bool:
    """Whether its recipe asks for the file."""
    return bool(manifest.recipe.get("card", {}).get("benchmark"))


def require_test_split(splits: Mapping[str, Collection[str]]) -> None:
    """Refuse what the form cannot express: patches without a split to measure on.

    Args:
        splits: names of the splits that hold patches, by scheme.

    Raises:
        InputError: if no scheme has patches both for training and for test.
    """
    if not any({"train", "test"} <= set(held) for held in splits.values()):
        raise InputError(
            "card.benchmark: no split scheme has patches both for train and for test, and a "
            "benchmark on the Hub is measured on a split, not on folds",
            "give the recipe such splits (`patches.splits`), or leave card.benchmark out",
        )


def make_benchmark(manifest: Manifest) -> Benchmark:
    """The file's content for a release.

    Raises:
        InputError: if the Hub's form cannot express it.
    """
    configs = [config for config in manifest.configs if config.kind == "data" and config.scheme]
    require_test_split({one.name: _held(one) for one in configs})
    card = manifest.recipe.get("card", {})
    about = card.get("description") or "Labelled patches as AlphaEarth Foundations embeddings."
    try:
        return Benchmark(
            name=card.get("pretty_name") or manifest.name,
            description=(
                f"{about} Vectors of the patches are ranked by {METRICS[manifest.labelling]} on "
                "test, between 0 and 1, of a linear probe and of nearest neighbours fit to train."
            ),
            evaluation_framework=FRAMEWORK,
            tasks=tuple(
                Task(id=task_id(config.name, probe), config=config.name, split="test")
                for config in configs
                if {"train", "test"} <= _held(config)
                for probe in PROBES
            ),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"card.benchmark: the Hub's form has no room for this release: {where}: {first['msg']}",
            "change the recipe's card, or leave card.benchmark out",
        ) from error


def _held(config: Config) -> set[str]:
    return {split.name for split in config.splits}


def benchmark_bytes(manifest: Manifest) -> bytes:
    """``eval.yaml`` of a release, the same for the same manifest.

    Raises:
        InputError: if the Hub's form cannot express it.
    """
    content = make_benchmark(manifest).model_dump(mode="json")
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return text.encode()


def registering_note(repo_id: str = "the data set") -> str:
    """What has to happen before the Hub shows a benchmark."""
    return (
        f"{EVAL_YAML}: the Hub shows a leaderboard once the framework {FRAMEWORK} is on its list "
        f"and {repo_id} on its allow-list, which people ask for: {REGISTERING}"
    )


def benchmark_problems(folder: Path, manifest: Manifest) -> Iterator[str]:
    """How the file is not what the recipe and the configs of a release say, in words."""
    listed = EVAL_YAML in {file.path for file in manifest.files}
    if listed != is_benchmark(manifest):
        what = "is there, but the recipe does not ask" if listed else "is missing; the recipe asks"
        yield f"{what} for a benchmark (`card.benchmark`)"
        return
    if not listed:
        return
    try:
        same = (folder / EVAL_YAML).read_bytes() == benchmark_bytes(manifest)
    except HfaefError as error:
        yield error.message
    except OSError as error:
        yield f"cannot be read: {error}"
    else:
        if not same:
            yield "is not what the manifest says; build the release again"
