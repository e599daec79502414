"""The contract of a source of embeddings: pixels on a patch's own grid."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from hfaef.core.grid import Grid
from hfaef.core.quantize import BANDS, NODATA, squared_lengths
from hfaef.errors import SourceError

SHORTEST, LONGEST = 0.98, 1.02
"""Lengths of dequantized pixels; AEF's are unit vectors, and rounding made 0.993 to 1.008 of them."""

SHORTEST_MEAN = 0.05
"""Of means of AEF's pixels; those of unlike vectors are short."""


class NotUnitError(ValueError):
    """Pixels are no unit vectors, so not AEF's."""


@dataclass(frozen=True)
class Pixels:
    """The embedding of one patch.

    Raises:
        NotUnitError: if a pixel with data is no unit vector.
        ValueError: if the codes are not as described below in another way.
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
    means: bool = False
    """Whether pixels may be plain means of AEF's, and so shorter than unit vectors."""

    def __post_init__(self) -> None:
        if self.codes.dtype != np.int8 or self.codes.ndim != 3 or self.codes.shape[0] != BANDS:
            raise ValueError(f"not int8 (64, H, W): {self.codes.dtype} {self.codes.shape}")
        without = self.codes == NODATA
        if (without.any(axis=0) != without.all(axis=0)).any():
            raise ValueError("a pixel has nodata (-128) in some of its bands, but not in all")
        _require_units(self.codes, ~without[0], SHORTEST_MEAN if self.means else SHORTEST)

    def require(self, grid: Grid) -> None:
        """Raise ValueError unless the codes have the shape of this grid."""
        if self.codes.shape[1:] != (grid.height, grid.width):
            raise ValueError(f"{self.codes.shape} on a grid of {grid.height} x {grid.width}")


def _require_units(
    codes: npt.NDArray[np.int8], valid: npt.NDArray[np.bool_], shortest: float
) -> None:
    """Raise NotUnitError unless all valid pixels, boolean (H, W), are unit vectors."""
    squares = squared_lengths(codes)
    wrong = valid & ((squares < shortest**2) | (squares > LONGEST**2))
    if wrong.any():
        row, column = (int(each[0]) for each in np.nonzero(wrong))
        raise NotUnitError(
            f"{np.count_nonzero(wrong):,} of {np.count_nonzero(valid):,} pixels are no unit vectors; "
            f"that in row {row}, column {column} has the length {squares[row, column] ** 0.5:.3f}"
        )


class Source(Protocol):
    """Gives the embedding of a grid and a year; `read` is called from many threads at once."""

    max_requests: int
    """Reads that may be under way at once, in all processes together."""
    max_reads: int
    """Reads that may be under way at once in one process: more, if the source itself holds back the
    requests of some while it unpacks what others got."""

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
class Caching(Protocol):
    """A source that keeps some of what it reads, for other patches."""

    def drop_cache(self) -> None:
        """Forget what was read, so that all of it is asked for again."""


@runtime_checkable
class Prefetching(Protocol):
    """A source that fetches less if it knows beforehand what will be read."""

    def prefetch(self, patches: Iterable[tuple[Grid, int]]) -> None:
        """Announce grids and years that will be read, in any order."""


@dataclass(frozen=True)
class BatchKind:
    """What patches have in common that can be read with one request."""

    key: Hashable
    """Equal for those that can."""
    most: int
    """How many of them one request may hold, 2 or more."""
    way: str
    """How they are asked for; whether that is to be trusted is one question for all kinds."""


@runtime_checkable
class Batching(Protocol):
    """A source that can read several patches with one request."""

    def batch_kind(self, grid: Grid, year: int) -> BatchKind | None:
        """What this grid has in common with others; None if it is read alone."""

    def read_batch(self, grids: Sequence[Grid], year: int) -> list[Pixels | SourceError]:
        """The embedding on each of these grids, which are of one kind.

        Where the answer to one of them cannot be right, the error stands in its place. The first
        counts the request, the others none.

        Raises:
            TooBig: if they exceed a limit of the source; half of them may not.
            BatchRefused: if it cannot read batches at all.
            SourceError: of another kind that says what to do about all of them.
        """
