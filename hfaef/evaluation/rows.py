"""What an evaluation knows of a release's rows, and vectors of them in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Ids, labels, years and splits of a release's rows, in the order of its files."""

    ids: tuple[str, ...]
    labels: npt.NDArray[Any]
    """int64 (rows,), the number of a class; bool (rows, classes), for several labels a patch; or
    float64 (rows,), numbers to predict."""
    years: Int64
    splits: dict[str, tuple[str, ...]]
    """By scheme and by scheme of folds."""
    label_names: tuple[str, ...] = ()
    """By number; none of numbers to predict."""

    def of_split(self, scheme: str, year: int | None, split: str) -> Int64:
        """Numbers of the rows of a split, sorted by id; of all years for None."""
        wanted = np.array([name == split for name in self.splits[scheme]])
        if year is not None:
            wanted &= self.years == year
        return np.array(sorted(np.flatnonzero(wanted), key=self.ids.__getitem__), np.int64)


class Vectors(Protocol):
    """Vectors of all rows of a release."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""

    def take(self, rows: Int64) -> Float32:
        """The vectors (len(rows), dimensions) of some rows, in their order."""


@dataclass(frozen=True)
class ArrayVectors:
    """Vectors in memory."""

    array: Float32
    """Shape (rows, dimensions)."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.array.shape[1])

    def take(self, rows: Int64) -> Float32:
        """The vectors of some rows."""
        return self.array[rows]
