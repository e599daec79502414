"""Headers of tiles, kept on disk between builds: a tile's header is fetched once.

A kept header carries the version of the file that it is from, which every read of the file asks
for; so a header that is out of date is noticed without asking for it.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from hfaef.core.files import atomic_file
from hfaef.errors import FolderError
from hfaef.sources.cog.http import ObjectMeta
from hfaef.sources.cog.remote.tiff import Header, Level


def keep_header(path: Path, header: Header, found: ObjectMeta) -> None:
    """Keep a header for other builds.

    Raises:
        FolderError: if the cache cannot be written.
    """
    content = {
        "crs": header.crs,
        "transform": header.transform,
        "compression": header.compression,
        "size": header.size,
        "version": found.version,
        "levels": [
            (level.width, level.height, level.block_width, level.block_height)
            for level in header.levels
        ],
    }
    arrays: dict[str, Any] = {"content": np.frombuffer(json.dumps(content).encode(), np.uint8)}
    for number, level in enumerate(header.levels):
        arrays |= {f"starts{number}": level.starts, f"counts{number}": level.counts}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise FolderError(
            f"cannot write {path.parent}: {error.strerror}",
            "make room there, or name another folder in HFAEF_CACHE",
        ) from error


def kept_header(path: Path) -> tuple[Header, ObjectMeta] | None:
    """A header that was kept, if it is whole."""
    try:
        # Opened here, as numpy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            content = json.loads(arrays["content"].tobytes())
            levels = tuple(
                Level(
                    width,
                    height,
                    block_width,
                    block_height,
                    arrays[f"starts{number}"],
                    arrays[f"counts{number}"],
                )
                for number, (width, height, block_width, block_height) in enumerate(
                    content["levels"]
                )
            )
        header = Header(
            content["crs"],
            tuple(content["transform"]),
            content["compression"],
            levels,
            content["size"],
        )
        return header, ObjectMeta(content["version"], content["size"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
