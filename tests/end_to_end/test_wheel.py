"""The built wheel is what users get, so it is the wheel that must work."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from build.test_pipeline import demo_recipe

from hfaef.build.pipeline import build
from hfaef.errors import requirement

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [uv, "build", "--wheel", "--out-dir", folder, ROOT], check=True, capture_output=True
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_cards_template_and_the_recipes(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "hfaef/dataset_card/card.md.jinja" in names
    assert {
        f"hfaef/recipe/builtin/{name}.toml" for name in ("demo", "eurosat", "eurosat100")
    } <= names
    assert {"hfaef/recipe/builtin/commented.txt", "hfaef/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


def test_from_the_wheel_alone_a_card_can_be_written(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import hfaef; from hfaef.release.card.references import card_folder;"
        "from hfaef.recipe.read import read_recipe;"
        "print(hfaef.__file__); print((card_folder() / 'card.md.jinja').is_file(), card_folder());"
        "print(read_recipe('demo').name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith(str(tmp_path / "site"))
    assert lines[1].startswith("True " + str(tmp_path / "site"))
    assert lines[2] == "AlphaEarth-Demo"


@pytest.fixture(scope="module")
def release(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(demo_recipe(demo_root), tmp_path_factory.mktemp("release") / "out").folder


def test_the_wheel_alone_loads_releases_and_says_what_all_else_needs(
    wheel: Path, release: Path, tmp_path: Path
) -> None:
    place = tmp_path / "venv"
    python = place / "bin/python"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, place], check=True)
    installed = subprocess.run(
        # From the cache alone: tests need no network. Constraints are read in the project's folder.
        ["uv", "pip", "install", "--quiet", "--offline", "--python", python, wheel],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"the base packages are not in uv's cache: {installed.stderr.strip()}")
    code = f"import hfaef; print(hfaef.load({str(release)!r}, 'train')[0]['embedding'].dtype)"
    loaded = subprocess.run(
        [python, "-W", "ignore", "-c", code],
        env={"HF_HOME": str(tmp_path / "hf")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (loaded.stdout, loaded.returncode) == ("uint8\n", 0), loaded.stderr
    for command in ([place / "bin/hfaef", "build", "demo"], [python, "-m", "hfaef"]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: the command `hfaef` needs ")
        assert done.stderr.endswith(f"; pip install '{requirement('build')}'\n")
        assert len(done.stderr.splitlines()) == 1
