"""What consumers import: its names, and that it is there however it is imported."""

from __future__ import annotations

import importlib
import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import hfaef
from hfaef.load import load

PUBLIC = {
    "hfaef": {"__version__", "dequantize", "load"},
    "hfaef.load": {"Dtype", "Layout", "load", "multi_hot"},
    "hfaef.torch": {"PatchStream", "Patches", "Sample", "to_tensors"},
    "hfaef.torchgeo": {"EmbeddingDataModule", "EmbeddingDataset", "Sample"},
}
"""A name that goes from here is a change that breaks consumers."""


def public(name: str) -> ModuleType:
    if name in ("hfaef.torch", "hfaef.torchgeo"):
        pytest.importorskip("torchgeo", reason="needs the extra torchgeo")
    return importlib.import_module(name)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_names_are_these_and_are_there(name: str) -> None:
    module = public(name)
    assert set(module.__all__) == PUBLIC[name]
    for member in PUBLIC[name]:
        assert getattr(module, member) is not None


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "hfaef"])
def test_what_a_module_defines_and_does_not_list_has_an_underscore(name: str) -> None:
    module = public(name)
    own = {key for key, value in vars(module).items() if getattr(value, "__module__", "") == name}
    assert not {key for key in own - PUBLIC[name] if not key.startswith("_")}


IMPORTS = {
    "the package": "import hfaef; function = hfaef.load",
    "the name of the package": "from hfaef import load as function",
    "the module's name": "from hfaef.load import load as function",
    "the module": "import hfaef.load as m; function = m.load; assert isinstance(m, ModuleType)",
    "the dotted module": "import hfaef.load; function = hfaef.load.load; hfaef.load.Dtype",
    "importlib": "m = importlib.import_module('hfaef.load'); function = m.load;"
    "assert isinstance(m, ModuleType)",
    "another module": "import hfaef.core.grid; function = hfaef.load",
    "a reload": "import hfaef.load as m; function = importlib.reload(m)",
}


@pytest.mark.parametrize("second", IMPORTS)
@pytest.mark.parametrize("first", IMPORTS)
def test_load_can_be_called_in_any_order_of_imports(first: str, second: str) -> None:
    call = (
        "error = None\n"
        "try:\n    function('nowhere', version='1', revision='2')\n"
        "except Exception as raised:\n    error = raised\n"
        "assert type(error).__name__ == 'InputError', error\n"
    )
    package = "import hfaef; function = hfaef.load\n"
    lines = [IMPORTS[first], call, IMPORTS[second], call, package, call]
    code = "import importlib\nfrom types import ModuleType\n" + "\n".join(lines)
    names = {name for name in sys.modules if name.partition(".")[0] == "hfaef"}
    kept = {name: sys.modules.pop(name) for name in names}
    try:
        exec(compile(code, "imports", "exec"), {})  # noqa: S102 - it is our own
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "hfaef"]:
            del sys.modules[name]
        sys.modules.update(kept)


def test_load_is_shown_and_sent_to_other_processes_as_a_function_is() -> None:
    assert callable(hfaef.load)
    assert inspect.signature(hfaef.load) == inspect.signature(load)
    assert pickle.loads(pickle.dumps(hfaef.load)) is hfaef.load  # noqa: S301 - our own
    assert pickle.loads(pickle.dumps(load)) is load  # noqa: S301


TYPED = """
import hfaef
import hfaef.load as module
from hfaef.load import load

hfaef.load("release", "train", dtype="float16")
load("release", "train", dtype="float16")
module.load("release", "train", dtype="float16")
hfaef.load()
hfaef.lod
"""
CODES = ["arg-type", "arg-type", "arg-type", "call-arg", "attr-defined"]


def test_type_checkers_of_consumers_see_the_functions(tmp_path: Path) -> None:
    script = tmp_path / "consumer.py"
    script.write_text(TYPED)
    root = Path(hfaef.__file__).parents[1]
    options = ["--config-file", root / "pyproject.toml", "--cache-dir", tmp_path / "cache"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, script],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    lines = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.rpartition("[")[2].rstrip("]") for line in lines] == CODES, done.stdout
