"""The house's order: who may import whom, lazily or not, and how the rooms are arranged."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import hfaef

PACKAGE = Path(hfaef.__file__).parent

ROWS = [
    {"errors"},
    {"core"},
    {"recipe"},
    {"catalog", "sources"},
    {"release"},
    {"hub"},
    {"evaluation", "build", "encoders", "atlas"},
    {"load"},
    {"torch", "torchgeo"},
    {"cli"},
    {"__main__"},
]
"""From the ground up. A module imports from its own package or from rows below it."""

CONSUMERS = {"load", "torch", "torchgeo"}
"""What users import; it stands on what a row is, and on nothing that makes one."""

HEAVY = {
    "ee",
    "xee",
    "rasterio",
    "pyogrio",
    "rioxarray",
    "torchgeo",
    "torch",
    "dask",
    "distributed",
}
HEAVY |= {"matplotlib", "sklearn", "datasets", "huggingface_hub", "pandas", "openTSNE"}

MOST_LINES = 400
MOST_MODULES = 9
MOST_ROOMS = 17
"""Sixteen, and `atlas`, which shows a release as `evaluation` scores one: neither is part of it."""
LONGEST_CHAIN = 13


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted names without the package's own, and files."""
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


@cache
def module_imports() -> dict[str, frozenset[str]]:
    """Modules and those that they import, at the top or inside a function."""
    names = dict(modules())
    found = {}
    for name, path in names.items():
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hfaef"):
                module = (node.module or "").removeprefix("hfaef").removeprefix(".")
                for alias in node.names:
                    deeper = f"{module}.{alias.name}".removeprefix(".")
                    imported.add(deeper if deeper in names else module)
            if isinstance(node, ast.Import):
                imported |= {a.name[6:] for a in node.names if a.name.startswith("hfaef.")}
        found[name] = frozenset(imported - {name, "__init__", ""})
    return found


def room_of(module: str) -> str:
    return module.partition(".")[0]


def row_of(module: str) -> int:
    return next(number for number, row in enumerate(ROWS) if room_of(module) in row)


def test_no_module_imports_from_a_row_above_or_from_a_neighbour() -> None:
    upward = [
        f"{module} -> {other}"
        for module, others in module_imports().items()
        if module != "__init__"
        for other in others
        if room_of(other) != room_of(module) and row_of(other) >= row_of(module)
    ]
    assert not upward


def test_modules_import_each_other_in_no_circle_and_in_short_chains() -> None:
    chains: dict[str, tuple[str, ...]] = {}

    def longest(module: str, path: tuple[str, ...]) -> tuple[str, ...]:
        assert module not in path, " -> ".join((*path, module))
        if module not in chains:
            below = [longest(other, (*path, module)) for other in module_imports()[module]]
            chains[module] = (module, *max(below, key=len, default=()))
        return chains[module]

    chain = max((longest(module, ()) for module in module_imports()), key=len)
    rooms = {room_of(module) for module in module_imports()}
    print(f"circles: 0; rooms: {len(rooms)} of {MOST_ROOMS}")
    print(f"longest import chain: {len(chain)} of {LONGEST_CHAIN}: {' > '.join(chain)}")
    assert len(chain) <= LONGEST_CHAIN
    assert len(rooms) <= MOST_ROOMS


def test_no_file_is_long_and_no_folder_is_crowded() -> None:
    for name, path in modules():
        lines = len(path.read_text().splitlines())
        assert lines <= MOST_LINES, f"{name}: {lines} lines"
    for folder in {path.parent for _, path in modules()} - {PACKAGE}:
        held = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(held) <= MOST_MODULES, f"{folder.relative_to(PACKAGE)}: {sorted(held)}"


def test_consumers_stand_on_what_a_row_is_and_on_nothing_that_makes_one() -> None:
    imports = module_imports()
    for module in [name for name in imports if room_of(name) in CONSUMERS]:
        for other in imports[module]:
            fine = room_of(other) in {"errors", "core", *CONSUMERS}
            assert fine or other == "release.format.sample", f"{module} -> {other}"
    for opener in ("core", "release", "release.format"):
        assert not imports[opener], f"hfaef.{opener} would open its modules for a consumer"


def test_contracts_stand_apart_from_what_opens_their_adapters() -> None:
    """An `__init__` that held its package's contract would close a circle."""
    for package, contract in {"catalog": "catalog.patch", "sources": "sources.base"}.items():
        inside = [name for name in module_imports() if name.startswith(f"{package}.")]
        assert not [name for name in inside if package in module_imports()[name]]
        assert not [x for x in module_imports()[contract] if room_of(x) == package]


@pytest.mark.parametrize("module", ["hfaef", "hfaef.cli.main", "hfaef.load", "hfaef.recipe.read"])
def test_light_modules_leave_heavy_packages_alone(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in output.stdout.split()}
    assert not loaded & HEAVY


def test_help_needs_no_numpy() -> None:
    code = "import sys, hfaef.cli.main; print('numpy' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "False"


DISTRIBUTIONS = {
    "PIL": "pillow",
    "ee": "earthengine-api",
    "google": "google-auth",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Packages whose names are not those that are imported."""


def runtime_imports(tree: ast.AST) -> Iterator[str]:
    """Top-level names that a module imports when it runs, at the top or inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        else:
            yield from runtime_imports(node)


def test_every_package_that_is_imported_is_declared_and_the_other_way_round() -> None:
    imported = {
        name for _, path in modules() for name in runtime_imports(ast.parse(path.read_text()))
    }
    imported -= {*sys.stdlib_module_names, "hfaef"}
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    wanted = sum(project["optional-dependencies"].values(), project["dependencies"])
    declared = {re.split(r"[<>=!~;\[ ]", line)[0] for line in wanted}
    needed = {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in imported}
    assert needed - declared == set()
    # Xee is an engine of xarray, which finds it by itself; extras hold one another.
    assert declared - needed == {"xee", "hfaef"}
