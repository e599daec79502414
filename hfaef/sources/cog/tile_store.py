"""What a store of tiles must be able to do, and which of a tile's pixels a patch's pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hfaef.core.grid import Affine, Float64, Grid
from hfaef.errors import PermanentError
from hfaef.sources.cog.index import Entry, TileIndex

PatchKey = tuple[Grid, int]
"""A patch as a source knows it: its grid and the year."""

Codes = npt.NDArray[np.int8]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Traffic:
    """What was fetched for a patch, and for others along with it."""

    chunks: int = 0
    received: int = 0
    """Bytes."""

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.chunks + other.chunks, self.received + other.received)


class Tile(Protocol):
    """An open tile: its full image, or one of its overviews."""

    @property
    def crs(self) -> str:
        """In any form."""

    @property
    def transform(self) -> Affine:
        """From (column, row) to crs units; pixels are upright, in the order of the file's rows."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def version(self) -> str:
        """Of the file; empty if it has none."""

    def sample(self, patch: PatchKey, rows: Indices, columns: Indices, wanted: Mask) -> Codes:
        """Values of the wanted pixels of a patch, int8 (64, pixels), row by row.

        Args:
            patch: whose pixels they are.
            rows: for each pixel of its grid the row in the tile; (H, W) or what broadcasts to it.
            columns: and the column, likewise.
            wanted: which pixels to sample, (H, W); all of them lie in the tile.
        """


class TileStore(Protocol):
    """Tiles in one place; used from many threads."""

    max_requests: int
    """Patches that may be read at once."""

    def prefetch(self, patch: PatchKey, entries: Sequence[Entry]) -> None:
        """Announce a patch, so that what several patches share is fetched once.

        Args:
            patch: will be read.
            entries: tiles that may hold it.
        """

    def open(self, entry: Entry, overview: int) -> AbstractContextManager[Tile]:
        """A tile, or its overview with pixels of 10 m doubled so often.

        Raises:
            SourceError: if it is not there, or is not AEF's.
        """

    def finish(self, patch: PatchKey) -> Traffic:
        """Forget a patch that was read, and say what was fetched for it."""

    def drop_cache(self) -> None:
        """Forget what was read for patches that are not announced, and headers."""

    def close(self) -> None:
        """Close files and connections."""


def candidates(index: TileIndex, grid: Grid, year: int) -> list[Entry]:
    """Tiles that may hold pixels of a grid, in the order in which they are read.

    Raises:
        PermanentError: if the grid has no bounds in degrees.
    """
    try:
        bounds = grid.bounds()
    except ValueError as error:
        raise PermanentError(str(error)) from error
    near = sorted(index.near(year, bounds), reverse=True)
    return sorted(near, key=lambda entry: entry.crs != grid.crs)


def locate(tile: Tile, x: Float64, y: Float64) -> tuple[Indices, Indices, Mask]:
    """Rows and columns of the tile's pixels that hold places, and which places it holds.

    Rows have the shape of y, columns that of x; they mean nothing where a place is not held.
    """
    a, _, left, _, e, f = tile.transform
    with np.errstate(invalid="ignore"):
        across = np.floor((x - left) / a)
        # Counted from the south in both orientations, so a place on an edge has one answer.
        south = min(f, f + e * tile.height)
        up = np.floor((y - south) / abs(e))
        between = (across >= 0) & (across < tile.width)
        below = (up >= 0) & (up < tile.height)
    columns = np.where(between, across, 0).astype(np.intp)
    from_south = np.where(below, up, 0).astype(np.intp)
    rows = from_south if e > 0 else tile.height - 1 - from_south
    return rows, columns, between & below
