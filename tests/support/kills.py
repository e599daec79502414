"""A process that is killed right before one of the calls with which it changes a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree", "open")

KILLED = 9


def run_killed(action: Callable[[], object], folder: Path, number: int) -> bool:
    """Run an action in a fork that ends before its change of this number; gives whether it ended.

    Args:
        action: changes the folder; what it holds in memory is lost.
        folder: whose changes count.
        number: from 1.
    """
    child = os.fork()
    if child == 0:
        try:
            sys.addaudithook(_Killer(folder, number))
            action()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a fork must not go on with the tests
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED


class _Killer:
    def __init__(self, folder: Path, number: int) -> None:
        self._folder = str(folder)
        self._left = number

    def __call__(self, event: str, words: tuple[Any, ...]) -> None:
        if event not in _CHANGES or not str(words[0]).startswith(self._folder):
            return
        if event == "open" and not words[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        self._left -= 1
        if not self._left:
            os._exit(KILLED)
