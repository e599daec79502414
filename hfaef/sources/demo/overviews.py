"""Overviews of a tile of which only some pixels are there.

An overview's pixel is the mean of the tile's pixels below it, made a unit vector again:
https://developers.google.com/earth-engine/guides/aef_on_gcs_readme
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hfaef.core.aef import MOST_HALVINGS
from hfaef.core.quantize import BANDS, NODATA, dequantize, quantize
from hfaef.sources.demo.bigtiff import CELL, Cells

_Sums = defaultdict[tuple[int, int], npt.NDArray[np.float32]]
"""By cell: sums of the vectors below its pixels, and how many they are, float32 (65, cell, cell)."""


def overviews(cells: Cells) -> Iterator[Cells]:
    """The overviews of a tile's full image, each of half the size."""
    sums = _nothing()
    for place, codes in cells.items():
        there = codes[0] != NODATA
        sums[place][:BANDS] = np.where(there, dequantize(codes), 0)
        sums[place][BANDS] = there
    for _ in range(MOST_HALVINGS):
        sums = _halved(sums)
        yield {place: mean_codes(cell[:BANDS], cell[BANDS]) for place, cell in sums.items()}


def mean_codes(
    vectors: npt.NDArray[np.float32], counts: npt.NDArray[np.float32]
) -> npt.NDArray[np.int8]:
    """Codes, int8 (64, ...), of sums of so many vectors, made unit vectors."""
    lengths = np.sqrt((vectors**2).sum(axis=0))
    there = (counts > 0) & (lengths > 0)
    codes = quantize(vectors / np.where(there, lengths, 1))
    return np.where(there, codes, NODATA).astype(np.int8)


def _nothing() -> _Sums:
    return defaultdict(lambda: np.zeros((BANDS + 1, CELL, CELL), np.float32))


def _halved(sums: _Sums) -> _Sums:
    half = CELL // 2
    larger = _nothing()
    for (row, column), cell in sums.items():
        down, right = (slice(half * (n % 2), half * (n % 2 + 1)) for n in (row, column))
        pooled = cell.reshape(BANDS + 1, half, 2, half, 2).sum(axis=(2, 4))
        larger[row // 2, column // 2][:, down, right] = pooled
    return larger
