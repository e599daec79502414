"""How the process of a command ends."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def exit_at_once(code: int) -> NoReturn:
    """End the process without waiting for its threads.

    What a build holds is closed by then. A read that hangs in a library cannot be stopped, and
    Python might wait for it; taking libraries down takes a second.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
