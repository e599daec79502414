"""What the command line sets for its whole process; the library leaves its caller's as it is."""

from __future__ import annotations

import os

from hfaef.core.progress import shown

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
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    get_session().timeout = HUB_SILENCE
    if not bars:
        disable_progress_bars()
