"""A forked process is what `subprocess` would have started, but for what is imported."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from support.forks import ForkServer


def test_it_has_its_own_environment_folder_arguments_and_output(
    forks: ForkServer, tmp_path: Path
) -> None:
    code = (
        "import os, sys\n"
        "print(sorted(os.environ), os.getcwd(), sys.argv, __name__, sys.path[0])\n"
        "print('wrong', file=sys.stderr)\n"
        "sys.exit(3)"
    )
    process = forks.start(["-c", code, "a b"], folder=tmp_path, environment={"ONE": "1"})
    said = f"['ONE'] {tmp_path} ['-c', 'a b'] __main__ \n"
    assert process.communicate(timeout=60) == (said, "wrong\n")
    assert process.returncode == 3


def test_a_module_is_run_as_with_m(forks: ForkServer) -> None:
    process = forks.start(["-m", "hfaef", "plan", "missing.toml"])
    output, errors = process.communicate(timeout=60)
    assert (output, process.returncode) == ("", 2)
    assert errors.startswith("error: ")


def test_what_reads_the_users_environment_is_not_imported_beforehand(forks: ForkServer) -> None:
    code = (
        "import sys\nprint({name.partition('.')[0] for name in sys.modules}"
        " & {'hfaef', 'huggingface_hub', 'datasets', 'ee', 'dask'})"
    )
    assert forks.start(["-c", code]).communicate(timeout=60) == ("set()\n", "")


def test_an_error_and_a_signal_end_it(forks: ForkServer) -> None:
    broken = forks.start(["-c", "raise ValueError('so')"])
    assert broken.communicate(timeout=60)[1].endswith("ValueError: so\n")
    assert broken.returncode == 1
    waiting = forks.start(["-c", "import time; time.sleep(600)"])
    assert waiting.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=0.01)
    waiting.kill()
    waiting.communicate(timeout=60)
    assert waiting.returncode == -signal.SIGKILL
    waiting.kill()  # it is gone


def test_several_end_in_any_order(forks: ForkServer) -> None:
    started = [forks.start(["-c", f"import sys; sys.exit({code})"]) for code in range(5)]
    for process in reversed(started):
        process.communicate(timeout=60)
    assert [process.returncode for process in started] == [0, 1, 2, 3, 4]
