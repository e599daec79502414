"""The command of a build that has not finished, so that `hfaef status` can say how it goes on.

.staging/command.json    there from the moment on that a build may change the staging, until
                         its release is in its place
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hfaef.core.files import atomic_write, folder_errors
from hfaef.errors import command_line

_COMMAND = "command.json"


def write_command(staging: Path, words: Sequence[str]) -> None:
    """Note down what was typed after ``hfaef build``, and where; no words, if that is not known."""
    content = {"words": list(words), "folder": str(Path.cwd())}
    with folder_errors(staging / _COMMAND):
        atomic_write(staging / _COMMAND, json.dumps(content).encode())


def forget_command(staging: Path) -> None:
    """The build has finished."""
    with folder_errors(staging / _COMMAND):
        (staging / _COMMAND).unlink(missing_ok=True)


def is_unfinished(staging: Path) -> bool:
    """Whether the last build there has not finished; it may be at work."""
    return (staging / _COMMAND).is_file()


def read_command(staging: Path) -> str | None:
    """What to type to go on with an unfinished build; None if that is not known."""
    try:
        found = json.loads((staging / _COMMAND).read_bytes())
        words, folder = [str(word) for word in found["words"]], str(found["folder"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    # Whoever gave us the folder may have written it.
    if not words or not all(map(str.isprintable, (*words, folder))):
        return None
    typed = command_line("hfaef", "build", *words)
    return typed if folder == str(Path.cwd()) else f"{command_line('cd', folder)} && {typed}"
