"""The page that is committed is the one that its sources build, and small."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "hfaef/atlas/web"
PAGE = ROOT / "hfaef/atlas/page"
NAMES = {"LICENSES.txt", "atlas.css", "atlas.js", "icon.svg", "index.html", "land.json"}
LARGEST = 600_000
"""Bytes of the whole page without data, each file packed with gzip; the land is among them."""


def _sources() -> list[Path]:
    return [
        path
        for path in sorted(WEB.rglob("*"))
        if path.is_file() and "node_modules" not in path.relative_to(WEB).parts
    ]


def test_the_page_is_what_its_sources_build(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        if os.environ.get("CI"):
            pytest.fail("npm, which builds the page, is not installed")
        pytest.skip("npm, which builds the page, is not installed")
    for path in _sources():
        copy = tmp_path / "web" / path.relative_to(WEB)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    installed = subprocess.run(
        [npm, "ci", "--no-fund", "--no-audit", "--prefer-offline"],
        cwd=tmp_path / "web",
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode and not os.environ.get("CI"):
        pytest.skip(f"the packages of the page cannot be had: {installed.stderr.strip()[-200:]}")
    assert installed.returncode == 0, installed.stderr
    built = subprocess.run(
        [npm, "run", "build"], cwd=tmp_path / "web", capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    page = {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()}
    assert set(page) == NAMES
    for name, content in page.items():
        assert content == (PAGE / name).read_bytes(), f"{name}: run `npm run build` in {WEB}"


def test_the_page_holds_its_files_and_no_others() -> None:
    assert {path.name for path in PAGE.iterdir()} == NAMES


def test_the_page_is_small() -> None:
    packed = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in PAGE.iterdir()}
    assert sum(packed.values()) < LARGEST, packed


def test_no_file_of_the_page_names_a_registry() -> None:
    host = re.compile(rb"registry\.[a-z]|npmjs\.|resolved\"")
    found = [path for path in [*_sources(), *PAGE.iterdir()] if host.search(path.read_bytes())]
    assert not found


def test_the_versions_of_the_packages_are_exact_and_locked() -> None:
    for version in _packages().values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_the_licence_of_each_package_on_the_page_is_there_word_for_word() -> None:
    text = (PAGE / "LICENSES.txt").read_text(encoding="utf-8")
    titles = re.findall(r"^={80}\n(\S+) (\S+) \(([^\n]+)\)\n={80}$", text, flags=re.MULTILINE)
    listed = {name: version for name, version, _ in titles}
    shipped = {"maplibre-gl", "hyparquet", "fzstd", "world-atlas"}
    assert {name: listed[name] for name in shipped} == {name: _packages()[name] for name in shipped}
    assert "@maplibre/maplibre-gl-style-spec" in listed
    assert text.count("Copyright") + text.count("copyright") > 2 * len(listed)


def test_the_page_allows_no_script_of_others() -> None:
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>", page) == ['<script defer src="atlas.js">']
    assert "style=" not in page
    assert "<style" not in page
    assert not re.search(r"\son[a-z]+=", page)
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy


def test_modules_of_the_page_say_what_they_own_and_are_short() -> None:
    modules = [path for path in _sources() if path.suffix == ".js"]
    for path in modules:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("// "), f"{path} does not open with what it owns"
        assert len(lines) <= 400, path
    for folder in {path.parent for path in modules}:
        assert len([path for path in modules if path.parent == folder]) <= 9, folder


def test_nothing_is_inserted_as_markup() -> None:
    markup = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\("
    )
    found = [path for path in (WEB / "src").rglob("*.js") if markup.search(path.read_text("utf-8"))]
    assert not found


def test_the_wheel_leaves_the_sources_of_the_page_out() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "hfaef/atlas/web" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["exclude"]


def _packages() -> dict[str, str]:
    package = (WEB / "package.json").read_text(encoding="utf-8")
    return dict(re.findall(r'"([^"]+)": "(\d[^"]*)"', package))
