"""The index of AEF's tiles: which files may hold a place in a year."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.errors import InputError

NAME = "aef_index.parquet"

_PATH = re.compile(r"(?:^|/)(\d{4}/\d{1,2}[NS]/[A-Za-z0-9_-]+\.tiff?)$")
_COLUMNS = (
    "path",
    "year",
    "crs",
    "wgs84_west",
    "wgs84_south",
    "wgs84_east",
    "wgs84_north",
)
_PAD = 0.001
"""Degrees; a tile's lon/lat box in the index is rounded."""


@dataclass(frozen=True, order=True)
class Entry:
    """A tile in the index."""

    name: str
    """Tells tiles of one place apart, the same for every mirror and for Earth Engine."""
    path: str
    """From the year folder on."""
    crs: str


@dataclass(frozen=True)
class TileIndex:
    """The tiles of the years that a build asks for."""

    entries: dict[int, list[Entry]]
    boxes: dict[int, npt.NDArray[np.float64]]
    """For each year west, south, east, north of its entries: float64 (entries, 4), degrees."""

    def near(self, year: int, bounds: tuple[float, float, float, float]) -> list[Entry]:
        """Tiles whose box meets these bounds in degrees; a box is larger than its tile."""
        if year not in self.entries:
            return []
        west, south, east, north = bounds
        boxes = self.boxes[year]
        meets = (
            (boxes[:, 0] <= east + _PAD)
            & (boxes[:, 2] >= west - _PAD)
            & (boxes[:, 1] <= north + _PAD)
            & (boxes[:, 3] >= south - _PAD)
        )
        return [self.entries[year][number] for number in np.flatnonzero(meets)]


def read_index(path: Path) -> TileIndex:
    """The index in a Parquet file.

    Raises:
        InputError: if it cannot be read, lacks a column, or names a file outside the store.
    """
    try:
        table = pq.read_table(path, columns=list(_COLUMNS), memory_map=True)
    except FileNotFoundError as error:
        raise InputError(
            f"there is no index {path}",
            f"`source.root` must hold {NAME}, or name it in `source.index`",
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read the index {path}: {error}", "get it anew") from error
    missing = [column for column in _COLUMNS if column not in table.column_names]
    if missing:
        raise InputError(f"the index {path} has no column {missing[0]}", "get it anew")
    entries: dict[int, list[Entry]] = {}
    numbers: dict[int, list[int]] = {}
    years = table["year"].to_pylist()
    crs = table["crs"].to_pylist()
    for number, place in enumerate(table["path"].to_pylist()):
        found = _PATH.search(place or "")
        if not found:
            raise InputError(
                f"the index {path} names {str(place)[:120]!r}, which is no YEAR/ZONE/NAME.tiff",
                "get it anew",
            )
        name = found[1].rsplit("/", 1)[1]
        entries.setdefault(int(years[number]), []).append(Entry(name, found[1], str(crs[number])))
        numbers.setdefault(int(years[number]), []).append(number)
    columns = [table[column].to_numpy() for column in _COLUMNS[3:]]
    boxes = np.stack([column.astype(np.float64) for column in columns], axis=1)
    return TileIndex(entries, {year: boxes[rows] for year, rows in numbers.items()})
