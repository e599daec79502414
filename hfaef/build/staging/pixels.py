"""Staged pixels: one ``.npy`` file a patch and year."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hfaef.build.staging.filesystem import LocalStaging, StagingStore, open_staging
from hfaef.catalog.patch import Patch
from hfaef.core.files import folder_errors
from hfaef.core.quantize import BANDS
from hfaef.errors import FolderError, ReleaseError
from hfaef.sources.base import Pixels

RECORD = "place.json"
"""In a staging folder: the path or URL where its pixels lie, if that is elsewhere."""


@dataclass(frozen=True)
class StagedPixels:
    """The pixels that a build has staged; a value that other processes can use."""

    files: StagingStore

    def keys(self) -> set[tuple[int, str]]:
        """Year and id of every patch whose pixels are there.

        Raises:
            FolderError: if the store does not answer.
        """
        try:
            names = self.files.names()
        except OSError as error:
            raise FolderError(
                f"cannot list the staged pixels in {self.files}: {error}",
                "see that it can be reached, then run the same command again",
            ) from error
        parts = (name.removesuffix(".npy").split("/") for name in names)
        return {(int(year), patch) for year, patch in parts}

    def write(self, patch: Patch, pixels: Pixels) -> None:
        """Write a patch's pixels, whole or not at all.

        Raises:
            FolderError: if the disk is full, or the folder is gone.
            Transient: if that may pass.
        """
        name = _file_name(patch)
        codes = np.ascontiguousarray(pixels.codes)
        # `numpy.save` copies twice; to a file, through a buffer of its own, it misses a full disk.
        content = b"".join((_npy_head(codes.shape), codes.data))
        with folder_errors(self.files.where(name)):
            try:
                self.files.put(name, content)
            except FileNotFoundError as error:
                raise FolderError(
                    f"{self.files} was removed while the build was running",
                    "run the same command again; it fetches what is gone",
                ) from error

    def remove(self, key: tuple[int, str]) -> None:
        """Remove the pixels of a year and id, if they are there.

        Raises:
            FolderError: if they cannot be removed.
        """
        name = "{}/{}.npy".format(*key)
        with folder_errors(self.files.where(name)):
            self.files.remove(name)

    def read(self, patch: Patch) -> npt.NDArray[np.int8]:
        """The codes of a patch, int8 (64, H, W).

        Raises:
            ReleaseError: if the file is gone or is not what was staged.
        """
        name = _file_name(patch)
        try:
            content = self.files.get(name)
            return _decode(content, (BANDS, patch.grid.height, patch.grid.width))
        except OSError as error:
            raise ReleaseError(
                f"the staged pixels {self.files.where(name)} cannot be read: {error}",
                "run the same command again; it fetches what is gone",
            ) from error
        except ValueError as error:
            raise ReleaseError(
                f"the staged pixels {self.files.where(name)} are damaged: {error}",
                "remove the file and run the same command again",
            ) from error


def _file_name(patch: Patch) -> str:
    return f"{patch.year}/{patch.id}.npy"


def _decode(content: bytes, shape: tuple[int, int, int]) -> npt.NDArray[np.int8]:
    """The array of a ``.npy`` file that should have this shape; `numpy.load` takes twice as long."""
    head = _npy_head(shape)
    if not content.startswith(head):
        raise ValueError(f"no .npy file of {' x '.join(map(str, shape))} int8")
    if len(content) - len(head) != math.prod(shape):
        raise ValueError(f"{len(content):,} bytes, not {len(head) + math.prod(shape):,}")
    return np.frombuffer(content, np.int8, offset=len(head)).reshape(shape)


@lru_cache
def _npy_head(shape: tuple[int, ...]) -> bytes:
    """Header of a ``.npy`` file that holds an int8 array of this shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|i1", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def recorded_staging(staging: Path) -> StagingStore:
    """Where the pixels of a staging folder lie.

    Raises:
        FolderError: if the record of it is damaged.
    """
    recorded = staging / RECORD
    if not recorded.is_file():
        return LocalStaging(staging.absolute() / "pixels")
    try:
        return open_staging(str(json.loads(recorded.read_text())["pixels"]))
    except (ValueError, LookupError, TypeError) as error:
        raise FolderError(
            f"{recorded} is damaged", f"remove {staging} to fetch all again"
        ) from error
