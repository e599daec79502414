"""The site: made of hfaef itself where it can be, whole, and free of hosts that it need not name."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from typer.main import get_command

from hfaef.cli.main import app
from hfaef.recipe.model import Recipe
from support.documents import PAGES, ROOT


@pytest.fixture(scope="module")
def reference_pages() -> ModuleType:
    path = ROOT / "scripts/reference_pages.py"
    spec = importlib.util.spec_from_file_location("reference_pages", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_every_key_of_a_recipe(reference_pages: ModuleType) -> None:
    schema = Recipe.model_json_schema()
    page = reference_pages.recipe_reference()
    for shape in (schema, *schema["$defs"].values()):
        for key in shape["properties"].keys() - {"kind"}:
            (row, *_) = re.findall(rf"^\| `{key}` \|.*$", page, re.MULTILINE)
            assert row.count(" | ") >= 3
            assert not row.endswith("|  |"), f"{key} means nothing"


def test_a_section_that_the_reference_does_not_know_is_an_error(
    reference_pages: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_pages, "SECTIONS", reference_pages.SECTIONS[:-1])
    with pytest.raises(LookupError, match="Demo"):
        reference_pages.recipe_reference()


def test_the_reference_has_every_command_with_its_options(reference_pages: ModuleType) -> None:
    page = reference_pages.command_reference()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        for one in getattr(command, "commands", {"": command}):
            assert f"\n## `{f'hfaef {name} {one}'.strip()}`\n" in f"\n{page}"
        for parameter in command.params:
            assert parameter.opts[0] in page or parameter.param_type_name == "argument"
    assert page.count("| `--json` |") == 1


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in PAGES)


def test_no_page_names_the_host_of_a_registry() -> None:
    for page in [*PAGES, ROOT / "README.md", ROOT / "mkdocs.yml"]:
        assert not re.search(r"pypi\.|pythonhosted|conda\.|npmjs", page.read_text()), page


def test_fonts_and_plugins_need_no_network() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert config["theme"]["font"] is False
    names = {
        name for one in config["plugins"] for name in (one if isinstance(one, dict) else [one])
    }
    assert names == {"search", "mkdocstrings"}


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the group `docs` is not installed")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-q",
        "-d",
        str(tmp_path / "site"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    recipe = (tmp_path / "site/reference/recipe/index.html").read_text()
    assert "shard_bytes" in recipe
    assert "made of the recipe" not in recipe
    first = (tmp_path / "site/index.html").read_text()
    assert 'src="demo.png"' in first
    assert (tmp_path / "site/demo.png").read_bytes() == (
        ROOT / "dataset_card/demo.png"
    ).read_bytes()
