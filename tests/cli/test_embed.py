"""`hfaef embed`, and `hfaef eval --embed`: from a recipe or a release to vectors and scores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hfaef.cli.embed import short_name, table_of
from hfaef.evaluation.features.argument import parse_argument
from support.images import write_images

COMMAND = "from hfaef.cli.main import main; main()"


def hfaef(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMMAND, *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture
def folder(tmp_path: Path, demo_root: Path) -> Path:
    """A working folder with the demo world, of forty patches."""
    shutil.copytree(demo_root / "data", tmp_path / "data")
    return tmp_path


SMALL = ("--set", "demo.patches=40")


@pytest.mark.parametrize("recipe", ["demo", "demo-classes"])
def test_the_built_in_recipes_say_what_their_images_hold(folder: Path, recipe: str) -> None:
    found = told(hfaef(folder, "embed", "stats", recipe, *SMALL, "--json"))
    assert (found["vectors"], found["dimensions"]) == (40, 12)
    assert found["provenance"]["bands"] == ["B04", "B03", "B02"]
    assert len(pq.read_table(next(folder.glob("AlphaEarth-*-stats.parquet")))) == 40


def test_people_are_told_what_was_made_and_what_to_type_next(folder: Path) -> None:
    done = hfaef(folder, "embed", "stats", "demo", *SMALL, "--limit", 8)
    table = "AlphaEarth-Demo-stats-8.parquet"
    made, speed, build, after = done.stdout.splitlines()
    assert made == f"8 vectors of 12 dimensions in {table}"
    assert "images/s" in speed
    assert build == "build it:   hfaef build demo --set demo.patches=40"
    assert after == f"compare it: hfaef eval build/AlphaEarth-Demo --features image-stats={table}"
    again = hfaef(folder, "embed", "stats", "demo", *SMALL, "--limit", 8)
    assert f"{table} is there already" in again.stderr
    assert again.stdout.splitlines() == [made, build, after]
    quiet = hfaef(folder, "embed", "stats", "demo", *SMALL, "--limit", 8, "-q")
    assert quiet.stdout == f"{table}\n"


def test_a_recipe_of_ones_own_that_says_too_little_is_told_what_to_say(tmp_path: Path) -> None:
    write_images(tmp_path / "patches")
    (tmp_path / "hfaef.toml").write_text(
        'name = "mine"\nyears = [2018]\n[patches]\nkind = "geotiffs"\nroot = "patches"\n'
        '[source]\nkind = "cog"\nroot = "aef"\n'
    )
    done = hfaef(tmp_path, "embed", "stats")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "the recipe has no `patches.bands` and no `patches.unit`; say it" in done.stderr
    said = ["--set", 'patches.bands=["B04","B03","B02"]', "--set", "patches.unit=DN"]
    assert told(hfaef(tmp_path, "embed", "stats", *said, "--json"))["vectors"] == 6


def test_a_release_is_embedded_by_the_recipe_that_made_it(folder: Path, demo_release: Path) -> None:
    missing = hfaef(folder, "embed", "stats", demo_release)
    assert missing.returncode == 2
    assert "no recipe here is the one that made" in missing.stderr
    found = told(hfaef(folder, "embed", "stats", demo_release, *SMALL, "--json"))
    assert found["vectors"] == 40
    recipe = subprocess.run(
        [sys.executable, "-c", "from hfaef.recipe.builtin import *; print(built_in()['demo'])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("patches = 240", "patches = 40")
    (folder / "other.toml").write_text("name = 1")
    (folder / "mine.toml").write_text(recipe)
    done = hfaef(folder, "embed", "stats", demo_release)
    assert done.returncode == 0
    table = "AlphaEarth-Demo-stats.parquet"
    assert f"hfaef eval {demo_release} --features image-stats={table}" in done.stdout
    assert "build it" not in done.stdout


@pytest.mark.slow
def test_evaluations_embed_what_is_not_there_and_tell_the_provenance(
    folder: Path, own_release: Path
) -> None:
    recipe = folder / "hfaef.toml"
    words = "from hfaef.recipe.builtin import *; print(built_in()['demo'])"
    text = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True
    ).stdout
    recipe.write_text(text.replace("patches = 240", "patches = 40"))
    words = ["eval", own_release, "--quick", "--embed", "stats", "--json"]
    found = told(hfaef(folder, *words))
    (features,) = [one for one in found["features"] if one["name"] == "image-stats"]
    assert features["provenance"]["model"] == "stats"
    assert features["provenance"]["bands"] == ["B04", "B03", "B02"]
    scores = json.loads((own_release / "evaluation.json").read_text())
    assert any(one["features"] == "image-stats" for one in scores["scores"])
    assert any("provenance" in one for one in scores["features"])
    again = told(hfaef(folder, *words))
    assert any("is there already" in note for note in again["notes"])


def test_a_release_on_the_hub_has_no_images_here(tmp_path: Path) -> None:
    done = hfaef(tmp_path, "eval", "somebody/something", "--embed", "stats")
    assert done.returncode == 2
    assert "the images of somebody/something are not on the Hub" in done.stderr


def test_what_is_asked_for_wrongly_is_said_in_one_line(folder: Path) -> None:
    (folder / "mine.parquet").write_text("mine")
    for words, message in (
        (["embed"], "no model is named"),
        (["embed", "stat", "demo", *SMALL], "there is no model 'stat'"),
        (["embed", "stats", "nowhere.toml"], "cannot read the recipe nowhere.toml"),
        (["embed", "stats", "demo-target", *SMALL], "rows of a table, which has no images"),
        (["embed", "stats", "demo", *SMALL, "--out", "mine.parquet"], "it stays as it is"),
        (["embed", "stats", "demo", *SMALL, "--out", "v.csv"], "let its name end in .parquet"),
    ):
        done = hfaef(folder, *words)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert message in done.stderr


@pytest.mark.slow
def test_models_are_listed_with_what_does_not_fit(folder: Path) -> None:
    pytest.importorskip("torchgeo")
    found = told(hfaef(folder, "embed", "--list", "demo", *SMALL, "--json"))["models"]
    faults = {one["name"]: one["fault"] for one in found}
    assert faults["stats"] == ""
    needs_13 = faults["torchgeo:ResNet18_Weights.SENTINEL2_ALL_MOCO"]
    assert needs_13.startswith("wants bands B01 ")
    assert "B04 B03 B02" in needs_13
    listed = told(hfaef(folder, "embed", "--list", "--json"))["models"]
    assert len(listed) == len(found)
    assert all(set(one) == {"name", "bands", "size", "license", "fault"} for one in listed)


@pytest.mark.slow
def test_a_licence_that_nobody_states_is_shown_as_that(tmp_path: Path) -> None:
    pytest.importorskip("torchgeo")
    found = told(hfaef(tmp_path, "embed", "--list", "--json"))["models"]
    silent = sum(not one["license"] for one in found if one["name"].startswith("torchgeo:"))
    listed = hfaef(tmp_path, "embed", "--list")
    assert listed.stdout.count("not stated") == silent > 0
    assert listed.stdout.count("no weights") == 3


def test_what_is_replaced_is_said_once_and_before(folder: Path) -> None:
    words = ("embed", "stats", "demo", *SMALL)
    assert hfaef(folder, *words).returncode == 0
    done = hfaef(folder, *words, "--batch", 32)
    assert done.stderr.startswith("note: AlphaEarth-Demo-stats.parquet holds other vectors")
    assert done.stderr.count("is replaced") == 1
    assert done.stderr.count("files name no bands") == 1
    notes = told(hfaef(folder, *words, "--batch", 32, "--json"))["notes"]
    assert any("is there already" in note for note in notes)
    notes = told(hfaef(folder, *words, "--batch", 16, "--json"))["notes"]
    assert sum("is replaced" in note for note in notes) == 1


def test_a_trial_over_a_whole_table_is_refused_in_one_line(folder: Path) -> None:
    words = ("embed", "stats", "demo", *SMALL, "--out", "lim.parquet")
    assert hfaef(folder, *words).returncode == 0
    done = hfaef(folder, *words, "--limit", 3)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "lim.parquet holds 40 vectors of stats and the recipe AlphaEarth-Demo" in done.stderr
    assert "give another --out, or remove lim.parquet" in done.stderr


@pytest.mark.parametrize(
    ("model", "short", "table"),
    [
        ("stats", "image-stats", "stats.parquet"),
        ("rcf-empirical", "rcf-empirical", "rcf-empirical.parquet"),
        (
            "torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOCO",
            "ResNet50.SENTINEL2_ALL_MOCO",
            "torchgeo_ResNet50_Weights.SENTINEL2_ALL_MOCO.parquet",
        ),
        ("timm:resnet18.a1_in1k", "resnet18.a1_in1k", "timm_resnet18.a1_in1k.parquet"),
        ("timm:hf-hub:a/b c", "hf-hub_a_b_c", "timm_hf-hub_a_b_c.parquet"),
        ("onnx:mean.onnx", "image-mean", "onnx_mean.onnx.parquet"),
        ("onnx:models/my,net.onnx", "my_net", "onnx_models_my_net.onnx.parquet"),
    ],
)
def test_names_of_models_make_names_of_vectors_and_files(
    model: str, short: str, table: str
) -> None:
    assert short_name(model) == short
    assert table_of("mine", model) == Path(f"mine-{table}")
    assert table_of("mine", model, 9) == Path(f"mine-{table.replace('.parquet', '-9.parquet')}")
    assert parse_argument(f"{short}={table}").name == short


@pytest.mark.slow
def test_an_evaluation_that_will_be_refused_embeds_nothing_first(
    folder: Path, demo_release: Path
) -> None:
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    release = Path(shutil.copytree(demo_release, folder / "release"))
    first = hfaef(folder, "eval", release, "--quick", "--pooling", "mean", "--pooling", "max")
    assert first.returncode == 0, first.stderr
    again = ("--quick", "--pooling", "mean", "--max-iterations", "5000", "--embed", "stats")
    refused = hfaef(folder, "eval", release, *again)
    assert refused.returncode == 2
    assert "would stay, such as max, linear" in refused.stderr
    assert "embed:" not in refused.stderr
    assert not list(folder.glob("*stats*"))
