"""What stands on the pages can be typed: each block of a page runs, one after the other.

A block that needs an account or the network says so in a comment above it; its commands and
options, and a recipe's keys, are checked all the same.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from hfaef.recipe.builtin import built_in
from hfaef.recipe.model import Recipe
from support.documents import PAGES, ROOT, Block, blocks_of, typed_commands, wrong_in

READ = [*PAGES, ROOT / "README.md"]
ALL = [block for page in READ for block in blocks_of(page)]
NOTEBOOK = ROOT / "docs/quickstart.ipynb"

NEEDS = {
    "README": ["sklearn"],
    "index": ["sklearn"],
    "models": ["sklearn"],
    "torch": ["torchgeo"],
}
"""Packages of extras that a page's blocks import, and that may not be installed."""

RUN = [page for page in READ if any(block.runs for block in blocks_of(page))]


@pytest.fixture
def folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """A working folder for these commands: with the demo's world if they name it, with a small
    release under the demo's name if they only read one.
    """

    def make(text: str) -> Path:
        if re.search("data/demo|build demo", text):
            made = Path(shutil.copytree(request.getfixturevalue("demo"), tmp_path / "typed"))
        else:
            made = tmp_path / "typed"
            release = request.getfixturevalue("demo_release")
            shutil.copytree(release, made / "build" / release.name)
        monkeypatch.chdir(made)
        return made

    return make


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``hfaef build demo`` has run."""
    folder = tmp_path_factory.mktemp("demo")
    run_shell("hfaef build demo", folder)
    return folder


def run_shell(text: str, folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-euc", text],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def run_block(block: Block, folder: Path) -> None:
    if block.language == "sh":
        run_shell(block.text, folder)
    elif block.language == "python":
        exec(compile(block.text, str(block), "exec"), {})  # noqa: S102 - it is our own
    else:
        name = block.text.partition("\n")[0].removeprefix("# ")
        (folder / name).write_text(block.text, encoding="utf-8")
        run_shell(f"hfaef plan {name}", folder)


# The library `webdataset` leaves the shards that it has read to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file.*tar:ResourceWarning")
@pytest.mark.filterwarnings("ignore:.*tar' mode='rb':pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_run_one_after_the_other(
    page: Path, folder: Callable[[str], Path]
) -> None:
    for package in NEEDS.get(page.stem, ()):
        pytest.importorskip(package, reason="an extra that the page names is not installed")
    blocks = [block for block in blocks_of(page) if block.runs]
    typed = folder("\n".join(block.text for block in blocks))
    for block in blocks:
        run_block(block, typed)
    gc.collect()  # within the filters of this test


@pytest.mark.slow
def test_the_notebook_runs(
    folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient = pytest.importorskip("nbclient", reason="the group `docs` is not installed")
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    import nbformat

    typed = folder(NOTEBOOK.read_text())
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(typed)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=where).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", ()) for output in outputs)
    said = "".join(output.get("text", "") for output in outputs)
    assert re.search(r"linear.*spatial|spatial.*linear", said)
    (right,) = re.findall(r"([\d.]+)% of the test patches", said)
    assert float(right) > 50
    assert (typed / "build/AlphaEarth-Demo/evaluation.json").is_file()


def test_the_notebook_is_kept_without_outputs() -> None:
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("block", ALL, ids=str)
def test_a_block_says_what_is_so(block: Block) -> None:
    """Without running it: commands, options, keys and syntax."""
    match block.language:
        case "sh":
            assert [wrong_in(line) for line in typed_commands(block.text) if wrong_in(line)] == []
        case "python":
            ast.parse(block.text)
        case "toml":
            demo = tomllib.loads(built_in()["demo"])
            Recipe.model_validate({**demo, **tomllib.loads(block.text)}, strict=False)
        case other:
            assert other == "text", f"{block}: no test knows the language {other!r}"


def test_what_no_command_takes_is_found() -> None:
    assert wrong_in("hfaef build demo --set a=b") == ""
    assert "no option --sets" in wrong_in("hfaef build demo --sets a=b")
    assert "no command" in wrong_in("hfaef biuld demo")
    assert typed_commands("uv run hfaef recipe schema > a.json\nls\nhfaef show x  # why") == [
        "hfaef recipe schema",
        "hfaef show x",
    ]


def test_pages_run_and_only_what_needs_more_does_not() -> None:
    assert {
        "README",
        "index",
        "geotiffs",
        "table",
        "python",
        "torch",
        "tables",
        "gis",
        "webdataset",
        "models",
        "catalogues",
    } <= {page.stem for page in RUN}
    reasons = {block.not_run for block in ALL if block.not_run}
    assert all(reason.startswith(("needs ", "a test of its own")) for reason in reasons)
