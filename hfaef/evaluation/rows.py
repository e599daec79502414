"""What an evaluation knows of a release's rows and predicts of them, and their vectors in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from hfaef.release.format.scores import Probe

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


@dataclass(frozen=True)
class Fused:
    """Several sets side by side, each standardized: by the rows that a probe is fit to."""

    parts: Mapping[str, Vectors]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sets."""
        return tuple(self.parts)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return sum(part.dimensions for part in self.parts.values())

    def take(self, rows: Int64, fit: int) -> Float32:
        """The vectors of some rows, of which the first `fit` give means and deviations."""
        scaled = []
        for part in self.parts.values():
            array = part.take(rows).astype(np.float64)
            mean, std = array[:fit].mean(axis=0), array[:fit].std(axis=0)
            scaled.append((array - mean) / np.where(std > 0, std, 1))
        return np.concatenate(scaled, axis=1).astype(np.float32)


@dataclass(frozen=True)
class VectorSet:
    """One vector a patch, under a name."""

    vectors: Vectors | Fused
    kind: Literal["pooling", "table", "fused"]
    lacking: frozenset[int] = frozenset()
    """Numbers of the rows that have none."""

    def of(self, rows: Int64) -> Int64:
        """Those of some rows that have a vector."""
        if not self.lacking:
            return rows
        return rows[[number not in self.lacking for number in rows.tolist()]]


@dataclass(frozen=True)
class ProbePredictions:
    """What the probe that a score stands for predicts of the patches that it is tested on."""

    features: str
    scheme: str
    year: int | None
    probe: Probe
    rows: Int64
    """Numbers of the patches among the release's rows."""
    values: npt.NDArray[Any]
    """In the form of `Rows.labels`."""
