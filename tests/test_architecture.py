"""The house's order: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hfaef

PACKAGE = Path(hfaef.__file__).parent

LAYERS = [
    {"errors", "quantize", "sheet", "grid", "workers", "progress"},
    {"limit", "adaptive", "retry", "marks"},
    {"outage", "pace", "place"},
    {"recipe", "preview", "pooling", "probe", "leakage", "codec", "samples"},
    {"catalog", "sources"},
    {"store"},
    {"read", "crew", "cluster", "cluster_crew", "effort", "fetch"},
    {"demo"},
    {"release"},
    {"columns", "webdataset", "layout", "shard"},
    {"pack", "plan", "status", "version", "rows", "scores", "figures", "references", "vectors"},
    {"comparison"},
    {"card", "diff", "hub"},
    {"additions"},
    {"check", "export"},
    {"publication"},
    {"proposal"},
    {"push", "published"},
    {"previous", "evaluate"},
    {"build", "sample"},
    {"load"},
    {"torch", "torchgeo"},
    {"doctor"},
    {"commands"},
    {"cli"},
]
"""From the ground up. A module imports from its own layer or from those below it."""

HEAVY = {"ee", "xee", "rasterio", "rioxarray", "torchgeo", "torch", "dask", "distributed"}
HEAVY |= {"matplotlib", "sklearn", "datasets", "huggingface_hub", "pandas"}


def module_imports() -> dict[str, set[str]]:
    """Modules of the package (dotted, without its name) and those that they import."""
    found: dict[str, set[str]] = {}
    names = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for path in PACKAGE.rglob("*.py")
    }
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hfaef"):
                module = (node.module or "").removeprefix("hfaef").removeprefix(".")
                for alias in node.names:
                    deeper = f"{module}.{alias.name}".removeprefix(".")
                    imported.add(deeper if deeper in names else module)
        found[name] = imported - {name, "__init__", ""}
    return found


def layer_of(module: str) -> int:
    noun = module.partition(".")[0]
    return next(number for number, layer in enumerate(LAYERS) if noun in layer)


def test_no_module_imports_from_a_layer_above_it() -> None:
    upward = [
        f"{module} -> {other}"
        for module, others in module_imports().items()
        if module != "__init__"
        for other in others
        if layer_of(other) > layer_of(module)
    ]
    assert not upward


def test_modules_import_each_other_in_no_circle() -> None:
    """Adapters import their package's contract, which opens them only when it is asked to."""
    imports = module_imports()
    top = {
        module: {
            other
            for other in others
            if not other.startswith(f"{module}.")  # a package opening its own adapters
        }
        for module, others in imports.items()
        if module != "__init__"
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in top.get(module, set()):
                visit(other, (*path, module))
            done.add(module)

    for module in top:
        visit(module, ())


def test_consumers_import_only_codes_and_sheets() -> None:
    assert module_imports()["load"] <= {"codec", "errors", "quantize", "samples"}
    assert module_imports()["codec"] | module_imports()["samples"] <= {"quantize", "sheet"}


def test_nothing_imports_the_command_line() -> None:
    assert not [module for module, others in module_imports().items() if "cli" in others]


@pytest.mark.parametrize("module", ["hfaef", "hfaef.cli", "hfaef.load", "hfaef.recipe"])
def test_light_modules_leave_heavy_packages_alone(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in output.stdout.split()}
    assert not loaded & HEAVY


def test_help_needs_no_numpy() -> None:
    code = "import sys, hfaef.cli; print('numpy' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "False"
