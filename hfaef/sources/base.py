"""The contract of a source of embeddings: pixels on a patch's own grid."""

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
    """The embedding of one patch.

    Raises:
        ValueError: if the codes are not as described below.
    """

    codes: npt.NDArray[np.int8]
    """int8 (64, H, W), north-up, on the patch's own grid; -128 in all bands where there is no data."""
    origins: tuple[str, ...]
    """Asset or tiles that were read, with their versions where the source has them."""
    resampled: bool
    """Whether some pixels are the nearest of AEF's rather than on AEF's own lattice."""
    requests: int = 1
    """Requests that it took; chunks, of a source that reads files."""
    received: int = 0
    """Bytes that the source sent for it; 0 if its chunks came with another patch."""

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

    @property
    def years(self) -> tuple[int, ...]:
        """Years that it has embeddings of, in order."""

    def read(self, grid: Grid, year: int) -> Pixels:
        """The embedding on this grid.

        Raises:
            TooBig: if the grid exceeds a limit of the source; its halves may not.
            SourceError: of another kind that says what to do about it.
        """

    def close(self) -> None:
        """Close files and connections."""


@runtime_checkable
class Prefetching(Protocol):
    """A source that fetches less if it knows beforehand what will be read."""

    def prefetch(self, patches: Iterable[tuple[Grid, int]]) -> None:
        """Announce grids and years that will be read, in any order."""
