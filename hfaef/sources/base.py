"""What a source of embeddings gives, and how it is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from hfaef.core.grid import Grid
from hfaef.core.quantize import BANDS, NODATA


@dataclass(frozen=True)
class Pixels:
    """The embedding of one patch, as every source gives it.

    Raises:
        ValueError: if the codes are not what is said below.
    """

    codes: npt.NDArray[np.int8]
    """int8 (64, H, W), north-up, on the patch's own grid; -128 in all bands where no data is."""
    origins: tuple[str, ...]
    """What was read, with its version where the source has one: an asset, or tiles."""
    resampled: bool
    """False if every pixel is one of AEF's own; True if some are the nearest of theirs."""
    requests: int = 1
    """Requests that it took; chunks, for a source that reads files."""
    received: int = 0
    """Bytes that the source sent for it; 0 if others' chunks served it."""

    def __post_init__(self) -> None:
        if self.codes.dtype != np.int8 or self.codes.ndim != 3 or self.codes.shape[0] != BANDS:
            raise ValueError(f"not int8 (64, H, W): {self.codes.dtype} {self.codes.shape}")
        without = self.codes == NODATA
        if (without.any(axis=0) != without.all(axis=0)).any():
            raise ValueError("a pixel has nodata (-128) in some of its bands, but not in all")

    def require(self, grid: Grid) -> None:
        """Raise ValueError unless the codes have the shape of this grid."""
        if self.codes.shape[1:] != (grid.height, grid.width):
            raise ValueError(f"{self.codes.shape} on a grid of {grid.height} x {grid.width}")


class Source(Protocol):
    """Gives the embedding of a grid and a year; `read` is called from many threads at once."""

    max_requests: int
    """Reads that may be under way at once."""

    def read(self, grid: Grid, year: int) -> Pixels:
        """The embedding on this grid.

        Raises:
            SourceError: of the kind that says what to do about it.
        """

    def close(self) -> None:
        """Let go of files and connections."""


@runtime_checkable
class Prefetching(Protocol):
    """A source that spends less if it is told beforehand what will be read."""

    def expect(self, places: Iterable[tuple[Grid, int]]) -> None:
        """Be told the grids and years, in any order."""
