"""Where hfaef keeps files between builds; all of them can be fetched anew."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``HFAEF_CACHE``, else a folder in the user's own cache; it need not exist."""
    if named := os.environ.get("HFAEF_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hfaef"
