"""`eval.yaml` has the Hub's form, or the build says why it cannot have it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from hfaef.build.pipeline import build
from hfaef.build.plan import plan
from hfaef.errors import InputError
from hfaef.recipe.read import read_recipe
from hfaef.release.benchmark.eval_yaml import (
    EVAL_YAML,
    Benchmark,
    benchmark_bytes,
    make_benchmark,
    require_test_split,
)
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import Manifest, manifest_bytes, read_manifest
from hfaef.release.format.paths import MANIFEST
from support.releases import fresh_copy, inside, make_release


@pytest.fixture(scope="module")
def built(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(demo_root, tmp_path_factory.mktemp("benchmark"), benchmark=True)


@pytest.fixture
def release(built: Path, tmp_path: Path) -> Path:
    return fresh_copy(built, tmp_path / "release")


def with_card(manifest: Manifest, **card: object) -> Manifest:
    settings = {**manifest.recipe["card"], **card}
    return manifest.model_copy(update={"recipe": {**manifest.recipe, "card": settings}})


def test_a_build_writes_the_keys_that_the_hub_asks_for(built: Path) -> None:
    content = yaml.safe_load((built / EVAL_YAML).read_text())
    assert list(content) == ["name", "description", "evaluation_framework", "tasks"]
    assert content["name"] == "Patches"
    assert content["description"].startswith("A few patches. Vectors of the patches are ranked by")
    assert content["evaluation_framework"] == "hfaef"
    assert content["tasks"] == [
        {"id": "random-linear", "config": "random", "split": "test"},
        {"id": "random-knn", "config": "random", "split": "test"},
    ]
    (entry,) = (file for file in read_manifest(built).files if file.path == EVAL_YAML)
    assert (entry.bytes, entry.rows) == ((built / EVAL_YAML).stat().st_size, 0)
    assert check_folder(built) == []


def test_every_task_names_a_config_and_a_split_that_load_dataset_knows(
    demo_release: Path,
) -> None:
    manifest = with_card(read_manifest(demo_release), benchmark=True)
    held = {config.name: {split.name for split in config.splits} for config in manifest.configs}
    tasks = make_benchmark(manifest).tasks
    assert [task.id for task in tasks] == [
        "random-linear",
        "random-knn",
        "spatial-linear",
        "spatial-knn",
    ]
    assert all(task.split in held[task.config] for task in tasks)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("class", "overall accuracy"),
        ("classes", "micro average precision"),
        ("number", "ranked by R2"),
    ],
)
def test_it_says_what_models_are_ranked_by(built: Path, target: str, words: str) -> None:
    manifest = read_manifest(built).model_copy(update={"target": target})
    assert words in make_benchmark(manifest).description


def test_a_release_whose_recipe_does_not_ask_has_none(demo_release: Path) -> None:
    assert not (demo_release / EVAL_YAML).exists()
    assert "benchmark" not in read_manifest(demo_release).recipe["card"]


def test_a_build_tells_what_is_left_to_people_and_takes_the_file_away_when_not_asked(
    demo_root: Path, tmp_path: Path
) -> None:
    folder = make_release(demo_root, tmp_path, benchmark=True)
    with inside(tmp_path):
        again = build(read_recipe(None), Path("release"), threads=1)
        without = build(read_recipe(None, ["card.benchmark=false"]), Path("release"), threads=1)
    (note,) = (note for note in again.notes if EVAL_YAML in note)
    assert "once the framework hfaef is on its list" in note
    assert "https://huggingface.co/docs/hub/eval-results" in note
    assert not [note for note in without.notes if EVAL_YAML in note]
    assert not (folder / EVAL_YAML).exists()
    assert EVAL_YAML not in {file.path for file in without.manifest.files}
    assert check_folder(folder) == []


def test_patches_without_a_test_split_are_refused_before_any_is_fetched(
    demo_root: Path, tmp_path: Path
) -> None:
    make_release(demo_root, tmp_path / "made", benchmark=True)
    (tmp_path / "made/train.txt").write_text(
        "".join((tmp_path / f"made/{one}.txt").read_text() + "\n" for one in ("train", "test"))
    )
    (tmp_path / "made/test.txt").write_text("")
    problem = r"card\.benchmark: no split scheme has patches both for train and for test"
    with inside(tmp_path / "made"):
        with pytest.raises(InputError, match=problem):
            build(read_recipe(None), tmp_path / "again", threads=1)
        with pytest.raises(InputError, match=problem):
            plan(read_recipe(None))
    assert not (tmp_path / "again/release.json").exists()
    assert not (tmp_path / "again/.staging").exists()


@pytest.mark.parametrize(
    "splits", [{}, {"random": {"train"}}, {"a": {"train"}, "b": {"test"}}, {"a": {"validation"}}]
)
def test_what_cannot_be_measured_is_refused(splits: dict[str, set[str]]) -> None:
    with pytest.raises(InputError, match="measured on a split, not on folds"):
        require_test_split(splits)


def test_a_scheme_with_a_test_split_is_enough() -> None:
    require_test_split({"a": {"train"}, "b": {"train", "validation", "test"}})


def test_a_name_of_blanks_is_refused(built: Path) -> None:
    manifest = with_card(read_manifest(built), pretty_name=" ")
    with pytest.raises(InputError, match=r"card\.benchmark: the Hub's form has no room .*: name"):
        make_benchmark(manifest)


TASK = {"id": "a", "config": "a", "split": "test"}
FORM = {"name": "a", "description": "b", "evaluation_framework": "hfaef", "tasks": [TASK]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"description": " "},
        {"evaluation_framework": "Hf Aef"},
        {"tasks": []},
        {"tasks": [TASK, TASK]},
        {"tasks": [{**TASK, "id": ""}]},
        {"tasks": [{**TASK, "metric": "accuracy"}]},
        {"metrics": ["accuracy"]},
    ],
)
def test_the_form_refuses_what_the_hub_would(wrong: dict[str, object]) -> None:
    Benchmark.model_validate(FORM)
    with pytest.raises(ValidationError):
        Benchmark.model_validate({**FORM, **wrong})


def test_the_same_bytes_each_time(built: Path) -> None:
    manifest = read_manifest(built)
    assert (
        benchmark_bytes(manifest) == benchmark_bytes(manifest) == (built / EVAL_YAML).read_bytes()
    )


def test_a_check_finds_a_file_that_is_not_what_the_manifest_says(release: Path) -> None:
    manifest = read_manifest(release)
    other = with_card(manifest, pretty_name="Another name")
    (release / MANIFEST).write_bytes(manifest_bytes(other))
    found = {finding.path: finding.problem for finding in check_folder(release)}
    assert found[EVAL_YAML] == "is not what the manifest says; build the release again"


def test_a_check_finds_a_file_that_is_missing_or_not_asked_for(release: Path) -> None:
    manifest = read_manifest(release)
    files = tuple(file for file in manifest.files if file.path != EVAL_YAML)
    (release / MANIFEST).write_bytes(manifest_bytes(manifest.model_copy(update={"files": files})))
    problems = [one.problem for one in check_folder(release) if one.path == EVAL_YAML]
    assert "is missing; the recipe asks for a benchmark (`card.benchmark`)" in problems
    plain = with_card(manifest, benchmark=False)
    (release / MANIFEST).write_bytes(manifest_bytes(plain))
    problems = [one.problem for one in check_folder(release) if one.path == EVAL_YAML]
    assert problems == ["is there, but the recipe does not ask for a benchmark (`card.benchmark`)"]
