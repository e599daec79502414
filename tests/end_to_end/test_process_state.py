"""The library leaves its caller's process as it found it; the command line sets up its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from servers.hub import Hub
from servers.hub.fixtures import Client
from support.pushes import NAME, push
from support.releases import fresh_copy

pytestmark = pytest.mark.slow

STATE = """
import importlib.util, json, locale, logging, os, signal, socket, sys, threading, warnings

def state():
    import datasets, huggingface_hub, matplotlib, numpy
    from huggingface_hub.utils import are_progress_bars_disabled
    loggers = [logging.getLogger(name) for name in (None, *LOGGERS)]
    return {
        "warning filters": [repr(entry) for entry in warnings.filters],
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "logging": [(log.name, log.level, log.propagate, len(log.handlers)) for log in loggers],
        "logging off": logging.root.manager.disable,
        "bars of datasets": datasets.are_progress_bars_disabled(),
        "bars of huggingface_hub": are_progress_bars_disabled(),
        "caching of datasets": datasets.is_caching_enabled(),
        "client of huggingface_hub": repr(huggingface_hub.get_session().timeout),
        "default timeout": socket.getdefaulttimeout(),
        "signals": {number: repr(signal.getsignal(number)) for number in SIGNALS},
        "hooks": repr((sys.excepthook, threading.excepthook, sys.displayhook)),
        "standard files": repr((sys.stdout, sys.stderr)),
        "locale": locale.setlocale(locale.LC_ALL),
        "matplotlib": {key: repr(value) for key, value in matplotlib.rcParams.items()},
        "numpy": numpy.geterr(),
    }

LOGGERS = ("hfaef", "datasets", "huggingface_hub", "ee", "distributed", "rasterio", "py.warnings")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)
LIBRARIES = "datasets, ee, distributed, fsspec, huggingface_hub, jinja2, matplotlib.figure, PIL.Image, "
LIBRARIES += "pyarrow.parquet, rasterio, rioxarray, shapely, sklearn.linear_model, xarray, xee"
# What importing a library changes is not our doing.
if __name__ == "__main__":
    for library in LIBRARIES.split(", "):
        importlib.import_module(library)
    for library in ("bokeh.util.warnings", "torch"):  # Dask's dashboard and datasets take them along
        if importlib.util.find_spec(library.partition(".")[0]):
            importlib.import_module(library)

def changes(action):
    before = state()
    action()
    after = state()
    return {key: differ(before[key], after[key]) for key in before if before[key] != after[key]}

def differ(before, after):
    if isinstance(before, dict):
        before, after = before.items(), after.items()
    if isinstance(before, str) or not hasattr(before, "__iter__"):
        return [before, after]
    return [[e for e in before if e not in after], [e for e in after if e not in before]]
"""

ACTIONS = {
    "load": "import hfaef; hfaef.load(release, 'test', dtype='float32')[0]",
    "stream": "import hfaef; next(iter(hfaef.load(release, 'test', streaming=True)))",
    "check": "from hfaef.release.check import check_folder; assert not check_folder(Path(release))",
    "card": "from hfaef.release.card.render import write_card; write_card(Path(release))",
    "show": "from hfaef.release.card.additions import write_figures; write_figures(Path(release))",
    "evaluate": "from hfaef.evaluation.evaluate import Settings, evaluate; evaluate(release, Settings(poolings=['mean']))",
    "build": "from hfaef.build.pipeline import build; from hfaef.recipe.read import read_recipe;"
    "build(read_recipe('demo', ['demo.patches=20']), Path('built'))",
    "build on a cluster": "from hfaef.build.pipeline import build;"
    "from hfaef.recipe.read import read_recipe;"
    "build(read_recipe('demo', ['demo.patches=20']), Path('spread'), scheduler='local')",
}


@pytest.fixture(scope="module")
def changed(demo_release: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each action changed, one after the other in one process."""
    for extra in ("distributed", "sklearn", "matplotlib"):
        pytest.importorskip(extra, reason="needs the extras dask and eval")
    folder = tmp_path_factory.mktemp("act")
    actions = "".join(f"\ndef act_{n}():\n    {ACTIONS[name]}\n" for n, name in enumerate(ACTIONS))
    code = (
        f"{STATE}\nfrom pathlib import Path\nrelease = sys.argv[1]\n{actions}\n"
        "if __name__ == '__main__':\n"
        f"    actions = [globals()[f'act_{{n}}'] for n in range({len(ACTIONS)})]\n"
        "    print('\\n' + json.dumps([changes(act) for act in actions]), flush=True)\n"
        # pyarrow may abort a process that ends: https://github.com/apache/arrow/issues/45214
        "    os._exit(0)\n"
    )
    script = folder / "act.py"  # a file, as the workers of a cluster import it, too
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script, fresh_copy(demo_release, folder / "release")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(ACTIONS, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("action", ACTIONS)
def test_the_library_leaves_the_process_as_it_was(action: str, changed: dict[str, Any]) -> None:
    assert changed[action] == {}


HUB_ACTIONS = """
from pathlib import Path

def publish():
    from hfaef.hub.push import push
    push(Path(arguments[0]), arguments[1])

def open_published():
    from hfaef.hub.open import open_release
    open_release(arguments[1])

def check():
    from hfaef.hub.published import check_published
    from hfaef.hub.target import parse_target
    assert not check_published(parse_target(arguments[1]))

def load():
    import hfaef
    hfaef.load(arguments[1], "test", version="1.0.0")[0]

answer = {action.__name__: changes(action) for action in (publish, open_published, check, load)}
"""


def test_the_hub_is_used_with_the_callers_own_client(
    hub: Hub, client: Client, demo_release: Path, tmp_path: Path
) -> None:
    for extra in ("distributed", "sklearn", "matplotlib"):
        pytest.importorskip(extra, reason="needs the extras dask and eval")
    found: dict[str, Any] = client.run(
        STATE + HUB_ACTIONS, fresh_copy(demo_release, tmp_path / "release"), NAME
    )
    assert found == {"publish": {}, "open_published": {}, "check": {}, "load": {}}
    assert hub.repo(NAME).tags.keys() == {"v1.0.0"}


def test_the_command_line_waits_for_no_dead_connection_and_shows_no_warning_of_the_hub(
    client: Client,
) -> None:
    found = client.run(
        "from hfaef.cli.terminal import process\n"
        "from huggingface_hub import get_session\n"
        "before = get_session().timeout.read\n"
        "process.set_up_hub()\n"
        "answer = [before, get_session().timeout.read, process.ENVIRONMENT['HF_HUB_VERBOSITY']]"
    )
    assert found == [None, 300.0, "error"]


def test_a_push_shows_one_bar_only(
    hub: Hub, client: Client, demo_release: Path, tmp_path: Path
) -> None:
    said = push(client, fresh_copy(demo_release, tmp_path / "release"))
    assert said["exit"] == 0
    assert hub.repo(NAME).tags.keys() == {"v1.0.0"}
    assert [line.partition(":")[0] for line in said["errors"].splitlines()] == ["push"]
