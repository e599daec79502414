"""What the command line sets for its whole process; the library leaves its caller's as it is."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

from hfaef.core.progress import shown
from hfaef.errors import InputError

ENVIRONMENT = {
    # Its warnings show signed links.
    "HF_HUB_VERBOSITY": "error",
    # What is wrong is said in one line; Dask would say it in fifty. Its workers inherit this.
    "DASK_LOGGING__DISTRIBUTED": "critical",
}
"""Variables that libraries read when they are imported, unless the user has set them."""

HUB_SILENCE = 300.0
"""Seconds without a byte after which a connection to the Hub counts as dead; huggingface_hub
itself sets no limit."""

LOG_VARIABLE = "HFAEF_LOG"
LOG_LEVELS = {"info": logging.INFO, "debug": logging.DEBUG}
"""What is tried again and why; each request, too."""


class _StandardError(logging.Handler):
    """Writes to standard error as it is then: a progress bar stands in for it meanwhile."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.format(record)}\n")


def show_log(verbosity: int = 0) -> None:
    """Show what the library logs on standard error.

    Args:
        verbosity: 1 for what is tried again and why, 2 for each request, too; 0 for what
            ``HFAEF_LOG`` says, nothing by default.

    Raises:
        InputError: if ``HFAEF_LOG`` is neither ``info`` nor ``debug``.
    """
    named = os.environ.get(LOG_VARIABLE, "").lower()
    if named and named not in LOG_LEVELS:
        raise InputError(f"{LOG_VARIABLE}={named} is neither info nor debug", "set one of them")
    levels = [LOG_LEVELS[named]] if named else []
    if verbosity:
        levels.append(logging.DEBUG if verbosity > 1 else logging.INFO)
    if levels:
        handler = _StandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
        logger = logging.getLogger("hfaef")
        logger.addHandler(handler)
        logger.setLevel(min(levels))


def set_environment() -> None:
    """Set the variables of libraries; before any of them is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def hide_progress() -> None:
    """Show no progress, ours or that of libraries; before any of them is imported."""
    shown.set(False)
    for library in ("HF_HUB", "HF_DATASETS"):
        os.environ[f"{library}_DISABLE_PROGRESS_BARS"] = "1"


def set_up_hub(*, bars: bool = True) -> None:
    """Let no dead connection to the Hub hold a command up for ever.

    Args:
        bars: whether huggingface_hub shows its own progress, a bar a file.

    Raises:
        InputError: if the environment names a proxy that its client cannot use.
    """
    from hfaef.core.net.proxies import require_usable_proxies

    require_usable_proxies()
    from huggingface_hub import get_session
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    get_session().timeout = HUB_SILENCE
    if not bars:
        disable_progress_bars()


def exit_at_once(code: int) -> NoReturn:
    """End the process without waiting for its threads.

    What a build holds is closed by then. A read that hangs in a library cannot be stopped, and
    Python might wait for it; taking libraries down takes a second.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
