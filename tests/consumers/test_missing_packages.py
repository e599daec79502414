"""What is said where a package of an extra is not installed: one line, with the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from build.test_pipeline import demo_recipe

from hfaef.build.pipeline import build
from hfaef.errors import install_command

HIDE = """
import sys

class Finder:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        hidden = name.partition(".")[0] in {hidden!r}
        return None if hidden else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Finder, sys.meta_path)
sys.argv = {argv!r}
{code}
"""
"""Runs code for which packages are not installed: no finder of this process finds them."""

COMMAND = "from hfaef.__main__ import main; main()"
LOCAL_TILES = ["--set", "source.kind=cog", "--set", "source.root=aef"]
SMALL_DEMO = ["demo", "--set", "demo.patches=20"]
ALL_BUT_BASE = ["typer", "click", "pydantic", "pyproj", "rasterio", "rich", "ee", "shapely"]
ALL_BUT_BASE += ["threadpoolctl"]


def run(
    code: str, hidden: list[str], folder: Path, *words: object
) -> subprocess.CompletedProcess[str]:
    script = HIDE.format(hidden=hidden, argv=["hfaef", *map(str, words)], code=code)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=folder,
        env={**os.environ, "HF_HOME": str(folder / ".hf")},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.fixture(scope="module")
def release(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(demo_recipe(demo_root), tmp_path_factory.mktemp("release") / "out").folder


@pytest.mark.parametrize(
    ("words", "hidden", "extra"),
    [
        (["eval", "RELEASE"], "sklearn", "eval"),
        (["build", "demo", "--set", "demo.patches=20", "--scheduler", "local"], "dask", "dask"),
        (["plan", "eurosat100", *LOCAL_TILES], "torchgeo", "torchgeo"),
        (["plan", "eurosat100", *LOCAL_TILES], "torch", "torch"),
        (["check", "RELEASE"], "pyarrow", "build"),
        (["export", "RELEASE", "--to", "gis"], "rasterio", "build"),
        (["embed", "rcf", *SMALL_DEMO], "torch", "encoders"),
        (["embed", "rcf", *SMALL_DEMO], "torchgeo", "encoders"),
        (
            ["embed", "torchgeo:ResNet18_Weights.SENTINEL2_ALL_MOCO", *SMALL_DEMO],
            "torchgeo",
            "encoders",
        ),
        (["embed", "timm:resnet18", *SMALL_DEMO], "timm", "encoders"),
        (["embed", "stats", *SMALL_DEMO], "rasterio", "build"),
        (["plan", "demo"], "typer", "build"),
        (["plan", "demo"], "pydantic", "build"),
    ],
)
def test_a_command_names_the_package_and_the_extra_that_brings_it(
    release: Path, tmp_path: Path, words: list[str], hidden: str, extra: str
) -> None:
    typed = [str(release) if word == "RELEASE" else word for word in words]
    done = run(COMMAND, [hidden], tmp_path, *typed, "--json")
    assert done.returncode == 2, done.stderr
    said = json.loads(done.stdout)
    assert f"needs {hidden}, which is not installed" in said["error"]
    assert said["hint"] == install_command(extra)
    assert done.stderr.splitlines()[-1] == f"error: {said['error']}; {said['hint']}"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "hidden", "extra"),
    [
        ("hfaef.torch", "torch", "torch"),
        ("hfaef.torchgeo", "torchgeo", "torchgeo"),
        ("hfaef.torchgeo", "torch", "torchgeo"),
    ],
)
@pytest.mark.parametrize("kind", ["hfaef.errors.HfaefError", "ImportError"])
def test_a_module_that_cannot_be_imported_names_the_extra(
    tmp_path: Path, module: str, hidden: str, extra: str, kind: str
) -> None:
    code = f"import hfaef.errors\ntry:\n    import {module}\nexcept {kind} as e:\n    print(e)"
    done = run(code, [hidden], tmp_path)
    assert done.stderr == ""
    expected = f"{module} needs {hidden}, which is not installed; {install_command(extra)}\n"
    assert done.stdout == expected


def test_show_draws_what_it_can_without_matplotlib_and_names_the_rest(
    release: Path, tmp_path: Path
) -> None:
    done = run(COMMAND, ["matplotlib"], tmp_path, "show", release, "--out", tmp_path / "all.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "all.png").is_file()
    assert done.stderr == (
        "note: left out: the map and the balance of labels, which need matplotlib; "
        f"{install_command('eval')}\n"
    )


def test_a_release_is_loaded_with_the_base_packages_alone(release: Path, tmp_path: Path) -> None:
    for options in ("dtype='float32'", "decoded=True"):
        rows = f"hfaef.load({str(release)!r}, 'train', {options})"
        done = run(f"import hfaef; print(len({rows}[:3]['id']))", ALL_BUT_BASE, tmp_path)
        assert (done.stdout, done.returncode) == ("3\n", 0), done.stderr


def test_statistics_of_images_need_no_extra_but_build(tmp_path: Path) -> None:
    hidden = ["torch", "torchgeo", "timm", "onnxruntime", "sklearn", "matplotlib"]
    done = run(COMMAND, hidden, tmp_path, "embed", "stats", *SMALL_DEMO, "-q")
    assert (done.stdout, done.returncode) == ("AlphaEarth-Demo-stats.parquet\n", 0), done.stderr
    listed = run(COMMAND, hidden, tmp_path, "embed", "--list", "--json")
    assert listed.returncode == 0
    said = json.loads(listed.stdout)
    assert [one["name"] for one in said["models"]] == ["stats", "rcf", "rcf-empirical"]
    assert said["lacking"].endswith(install_command("encoders"))
