"""Every form of a release, pushed: its scores and its card's code are those of the folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from build.test_pipeline import demo_recipe
from release.card.test_render import blocks

from hfaef.build.pipeline import build
from hfaef.evaluation.evaluate import Evaluation, Settings, evaluate
from hfaef.release.format.manifest import content_sha256, read_manifest
from hfaef.release.format.scores import read_evaluation
from servers.hub import Hub
from servers.hub.fixtures import OTHER, Client
from support.pushes import NAME, finish, is_whole, publish, push
from support.releases import fresh_copy

FORMS = {"png": (), "raw": ("pack.codec=raw",), "webdataset": ("pack.format=webdataset",)}
POOLINGS = ("mean", "covariance")


@pytest.fixture(scope="module")
def built(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same patches in every form, evaluated; not to be written to."""
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    folders = {}
    for form, changes in FORMS.items():
        folders[form] = tmp_path_factory.mktemp(form) / "AlphaEarth-Demo"
        build(demo_recipe(demo_root, *changes), folders[form])
        evaluate(str(folders[form]), Settings(poolings=POOLINGS))
    return folders


def scores(folder: Path) -> Evaluation:
    found = read_evaluation(folder)
    assert found is not None
    return found


def test_every_form_has_the_same_scores(built: dict[str, Path]) -> None:
    expected = scores(built["png"])
    assert {score.features for score in expected.scores} == set(POOLINGS)
    assert not expected.skipped
    for folder in built.values():
        found = scores(folder)
        assert found.of(read_manifest(folder))
        assert (found.scores, found.features) == (expected.scores, expected.features)


@pytest.fixture(params=FORMS)
def published(
    request: pytest.FixtureRequest, built: dict[str, Path], hub: Hub, tmp_path: Path
) -> Path:
    """A release that is published as 1.0.0."""
    folder = fresh_copy(built[request.param], tmp_path / "release")
    publish(hub, folder)
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_pushed(
    built: dict[str, Path], hub: Hub, client: Client, tmp_path: Path, form: str
) -> None:
    folder = fresh_copy(built[form], tmp_path / "release")
    result = push(client, folder)
    assert (result["exit"], result["version"]) == (0, "1.0.0"), result
    is_whole(hub, folder, "1.0.0")


def test_a_published_version_has_the_scores_of_its_folder(
    published: Path, hub: Hub, client: Client, tmp_path: Path
) -> None:
    # What comes after the version is none of its business.
    hub.put(NAME, {"README.md": b"# changed on the branch\n"})
    pooled = [word for name in POOLINGS for word in ("--pooling", name)]
    # Both at once: most of their time goes into imports.
    running = {}
    for number, target in enumerate((f"{NAME}@v1.0.0", NAME)):
        (tmp_path / str(number)).mkdir()
        out = tmp_path / str(number) / "evaluation.json"
        running[out] = client.hfaef("eval", target, "--json", "--out", out, *pooled, token=OTHER)
    for out, process in running.items():
        result = finish(process)
        assert result["exit"] == 0, result["errors"]
        found = scores(out.parent)
        assert found.scores == scores(published).scores
        assert found.measured_on.model_dump() == result["measured_on"]
        assert result["measured_on"] == {
            "content_sha256": content_sha256(read_manifest(published)),
            "repo": NAME,
            "revision": "v1.0.0",
            "commit": hub.repo(NAME).resolve("v1.0.0").oid,
        }


@pytest.mark.parametrize("published", ["png"], indirect=True)
@pytest.mark.usefixtures("published")
def test_what_is_not_there_is_one_line(client: Client) -> None:
    expected = {
        f"{NAME}@v1.2.0": (1, f"{NAME} has no such version; name one"),
        f"{NAME}@newest": (2, "'newest' is no version; give three numbers"),
        "ada/nothing": (
            1,
            "ada/nothing is not there, or your token may not see it; hf auth login",
        ),
        "ada/nothing@v1.0.0": (1, "ada/nothing is not there"),
        "gone/for/good": (2, "is neither a folder nor OWNER/NAME[@VERSION]; name one"),
    }
    running = {target: client.hfaef("eval", target) for target in expected}
    for target, process in running.items():
        output, errors = process.communicate(timeout=120)
        (line,) = errors.splitlines()
        code, problem = expected[target]
        assert (process.returncode, output) == (code, "")
        assert problem in line


RUN = """
import os
os.environ["USE_TORCH"] = "1"
for block in arguments[0]:
    try:
        exec(compile(block, "card", "exec"), {})
    except Exception as error:
        raise SystemExit(f"{block}\\n{type(error).__name__}: {error}") from error
answer = len(arguments[0])
"""
"""Runs each block of `arguments` by itself, as if it were a script."""


def test_code_of_a_published_card_runs_as_it_stands(published: Path, client: Client) -> None:
    pytest.importorskip("torch", reason="the extra `torchgeo` brings torch")
    card = (published / "README.md").read_text(encoding="utf-8")
    found = blocks(card, "python")
    assert len(found) >= 6
    assert all(f'"{NAME}"' in block for block in found if "load" in block and "duckdb" not in block)
    # DuckDB asks huggingface.co whatever HF_ENDPOINT says, so it alone reads the folder.
    remote = f"hf://datasets/{NAME}@v1.0.0/"
    assert remote in card or "webdataset" in card
    here = [block.replace(remote, f"{published}/") for block in found]
    answer: Any = client.run(RUN, here, token=OTHER)
    assert answer == len(found)


@pytest.mark.parametrize("form", ["raw", "webdataset"])
def test_code_of_a_folders_card_runs_as_it_stands(
    built: dict[str, Path], client: Client, form: str
) -> None:
    pytest.importorskip("torch", reason="the extra `torchgeo` brings torch")
    found = blocks((built[form] / "README.md").read_text(encoding="utf-8"), "python")
    from_its_folder = f"import os; os.chdir({str(built[form].parent)!r})\n"
    answer: Any = client.run(from_its_folder + RUN, found)
    assert answer == len(found) >= 6
