"""What is kept on disk between builds: indexes, headers of tiles. All of it can be fetched anew."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder of hfaef's cache: ``HFAEF_CACHE``, else in the user's own; it may not be there."""
    if named := os.environ.get("HFAEF_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hfaef"


def cache_key(address: str) -> str:
    """A file name for what an address holds."""
    return hashlib.sha256(address.encode()).hexdigest()[:32]
