"""The pixel grid of a patch (CRS, affine, shape), its extent in degrees, and UTM zones."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
from pyproj.exceptions import CRSError, ProjError

Affine = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f of ``x = a column + b row + c``, ``y = d column + e row + f``."""

Float64 = npt.NDArray[np.float64]

WGS84 = "EPSG:4326"

EASTING = 500_000.0
"""Metres: of the middle of a UTM zone."""

_SOUTHERN_NORTHING = 10_000_000.0
"""Metres: of the equator in a UTM zone of the south."""

_UTM = re.compile(r"EPSG:32([67])(0[1-9]|[1-5][0-9]|60)")

_ALONG = np.linspace(0, 1, 9)
_COLUMNS = np.concatenate([_ALONG, _ALONG, np.zeros(9), np.ones(9)])
_ROWS = np.concatenate([np.zeros(9), np.ones(9), _ALONG, _ALONG])
"""Points on the edges of a patch for its bounds, in its widths and heights; straight edges are
curved in lon/lat."""

_CORNERS = [0, 9, 17, 8, 0]
"""Of them, counter-clockwise for a north-up grid."""

_OUTLINES = 256
"""Grids that are projected at a time."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixels of a patch.

    Raises:
        ValueError: if the affine is singular or not finite, or the shape is empty.
    """

    crs: str
    """``EPSG:32632`` where there is such a code, else WKT 1."""
    transform: Affine
    """From (column, row) of a pixel's upper left corner to crs units."""
    height: int
    width: int

    def __post_init__(self) -> None:
        a, b, _, d, e, _ = self.transform
        if not all(math.isfinite(value) for value in self.transform):
            raise ValueError(f"the affine {self.transform} is not finite")
        if a * e - b * d == 0:
            raise ValueError(f"the affine {self.transform} is singular")
        if self.height < 1 or self.width < 1:
            raise ValueError(f"a grid of {self.height} x {self.width} pixels is empty")

    def north_up(self) -> Grid:
        """The same pixels with the northernmost row first; rotated grids stay as they are."""
        a, b, c, d, e, f = self.transform
        if b or d or e < 0:
            return self
        return Grid(self.crs, (a, b, c, d, -e, f + e * self.height), self.height, self.width)

    def at(self, columns: npt.ArrayLike, rows: npt.ArrayLike) -> tuple[Float64, Float64]:
        """x and y in crs units of points in pixel units; (0, 0) is the first pixel's corner."""
        a, b, c, d, e, f = self.transform
        columns, rows = np.asarray(columns, np.float64), np.asarray(rows, np.float64)
        return a * columns + b * rows + c, d * columns + e * rows + f

    def centres(self) -> tuple[Float64, Float64]:
        """x and y of the pixel centres in crs units, each float64 (H, W)."""
        rows, columns = np.mgrid[0 : self.height, 0 : self.width] + 0.5
        return self.at(columns, rows)

    def mesh(self) -> tuple[Float64, Float64]:
        """As `centres`, but of an upright grid only the x of columns, (1, W), and y of rows, (H, 1).

        What is computed from them alone takes a fraction of the time.
        """
        a, b, c, d, e, f = self.transform
        if b or d:
            return self.centres()
        columns = np.arange(self.width, dtype=np.float64) + 0.5
        rows = np.arange(self.height, dtype=np.float64) + 0.5
        return (a * columns + c)[None, :], (e * rows + f)[:, None]

    def halves(self) -> tuple[Grid, Grid, int]:
        """The halves along the longer side, and the axis of codes (64, H, W) to join them on.

        Raises:
            ValueError: if it is a single pixel.
        """
        a, b, c, d, e, f = self.transform
        if self.height >= self.width:
            cut, axis = self.height // 2, 1
            first = Grid(self.crs, self.transform, cut, self.width)
            moved = (a, b, c + b * cut, d, e, f + e * cut)
            return first, Grid(self.crs, moved, self.height - cut, self.width), axis
        cut, axis = self.width // 2, 2
        first = Grid(self.crs, self.transform, self.height, cut)
        moved = (a, b, c + a * cut, d, e, f + d * cut)
        return first, Grid(self.crs, moved, self.height, self.width - cut), axis

    def ring(self) -> list[tuple[float, float]]:
        """`Outline.ring`; raises as `outlines`."""
        return next(outlines([self])).ring

    def bounds(self) -> tuple[float, float, float, float]:
        """`Outline.bounds`; raises as `outlines`."""
        return next(_boxes([self], *_edges([self])))


@dataclass(frozen=True, slots=True)
class Outline:
    """The extent of a patch in degrees (WGS 84)."""

    bounds: tuple[float, float, float, float]
    """West, south, east and north."""
    ring: list[tuple[float, float]]
    """The corners in lon/lat, counter-clockwise for a north-up grid, closed."""
    polygon: bytes
    """The same as WKB."""


def outlines(grids: Iterable[Grid]) -> Iterator[Outline]:
    """The outline of each grid; of many at once they take a fraction of the time.

    Raises:
        ValueError: at the first grid that crosses the antimeridian or has no place on Earth.
    """
    import shapely

    waiting = iter(grids)
    while batch := list(islice(waiting, _OUTLINES)):
        lon, lat = _edges(batch)
        rings = np.stack([lon[:, _CORNERS], lat[:, _CORNERS]], axis=2)
        polygons = shapely.to_wkb(shapely.polygons(rings), byte_order=1)
        boxes = _boxes(batch, lon, lat)
        for bounds, ring, polygon in zip(boxes, rings.tolist(), polygons, strict=True):
            yield Outline(bounds, [(x, y) for x, y in ring], polygon)


def box_words(bounds: Sequence[float]) -> str:
    """A lon/lat box (west, south, east, north) in words, to about ten metres."""
    west, south, east, north = bounds
    return f"lon {west:.4f} to {east:.4f}, lat {south:.4f} to {north:.4f}"


def misplaced(grids: Sequence[Grid]) -> dict[int, str]:
    """Why grids, by their numbers, have no bounds; those that have some are left out."""
    found = {}
    # By CRS, as those of one CRS are projected at once.
    order = iter(sorted(range(len(grids)), key=lambda number: grids[number].crs))
    while numbers := list(islice(order, _OUTLINES)):
        batch = [grids[number] for number in numbers]
        for number, grid, (box, there) in zip(
            numbers, batch, _extents(*_edges(batch)), strict=True
        ):
            if reason := _out_of_place(grid, box, there=there):
                found[number] = reason
    return dict(sorted(found.items()))


def _boxes(
    grids: Sequence[Grid], lon: Float64, lat: Float64
) -> Iterator[tuple[float, float, float, float]]:
    """`Outline.bounds` of grids with these `_edges`; raises as `outlines`."""
    for grid, (box, there) in zip(grids, _extents(lon, lat), strict=True):
        if reason := _out_of_place(grid, box, there=there):
            raise ValueError(reason)
        yield box


def _extents(
    lon: Float64, lat: Float64
) -> Iterator[tuple[tuple[float, float, float, float], bool]]:
    """West, south, east and north of grids with these `_edges`, and whether all are on Earth."""
    there = np.all(np.isfinite(lon) & (np.abs(lat) <= 90), axis=1)
    edges = np.stack([lon.min(axis=1), lat.min(axis=1), lon.max(axis=1), lat.max(axis=1)], axis=1)
    yield from zip(edges.tolist(), there.tolist(), strict=True)


def _out_of_place(grid: Grid, box: tuple[float, float, float, float], *, there: bool) -> str | None:
    if not there:
        return f"its corners have no place on Earth in {grid.crs[:40]}"
    if box[2] - box[0] > 180:
        return "it crosses the antimeridian, which is not supported"
    return None


def _edges(grids: Sequence[Grid]) -> tuple[Float64, Float64]:
    """Longitudes and latitudes (grids, 36) of points on the edges."""
    x, y = points_on(grids, _COLUMNS, _ROWS)
    systems = np.array([grid.crs for grid in grids])
    for crs in dict.fromkeys(systems.tolist()):
        own = systems == crs
        x[own], y[own] = project(x[own], y[own], crs, WGS84)
    return x, y


def points_on(
    grids: Sequence[Grid], across: npt.ArrayLike, down: npt.ArrayLike
) -> tuple[Float64, Float64]:
    """x and y in crs units, (grids, points), of points in widths and heights of each grid."""
    a, b, c, d, e, f = np.array([grid.transform for grid in grids]).T[:, :, None]
    columns = np.array([[grid.width] for grid in grids]) * np.asarray(across)
    rows = np.array([[grid.height] for grid in grids]) * np.asarray(down)
    with np.errstate(over="ignore", invalid="ignore"):  # such a grid is found to be misplaced
        return a * columns + b * rows + c, d * columns + e * rows + f


def project(x: Float64, y: Float64, source: str, target: str) -> tuple[Float64, Float64]:
    """x and y (or lon and lat) in another CRS; infinite where it does not reach.

    Shapes may be any that broadcast; they stay as they are where nothing is to be done.
    """
    if source == target:
        return x, y
    x, y = np.broadcast_arrays(x, y)
    moved_x, moved_y = _transformer(source, target).transform(x, y)
    return np.asarray(moved_x, np.float64), np.asarray(moved_y, np.float64)


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


@lru_cache(maxsize=1024)
def canonical_crs(text: str) -> str:
    """``EPSG:n`` of a CRS in any form pyproj reads, or WKT 1 as GDAL writes it without such a code.

    Those two are what Earth Engine reads, too. Heights are left off; x comes before y whatever
    the order of the axes.

    Raises:
        ValueError: if it is not a CRS, one without a relation to lon/lat, or one that WKT 1
            has no words for.
    """
    crs = horizontal_crs(text)
    # At this confidence a CRS is equivalent to that of the code, whatever its name.
    code = crs.to_epsg(min_confidence=70)
    if code is not None and pyproj.CRS.from_epsg(code).equals(crs, ignore_axis_order=True):
        return f"EPSG:{code}"
    if crs.equals(pyproj.CRS(WGS84), ignore_axis_order=True):
        return WGS84
    with suppress(CRSError, ProjError):
        written = str(crs.to_wkt("WKT1_GDAL"))
        if _same_ground(crs, pyproj.CRS.from_wkt(written)):
            return written
    raise ValueError(f"the CRS {crs.name[:60]!r} has no EPSG code, and WKT 1 cannot say what it is")


@lru_cache(maxsize=256)
def is_geographic(crs: str) -> bool:
    """Whether a CRS counts in degrees."""
    return bool(pyproj.CRS.from_user_input(crs).is_geographic)


def horizontal_crs(value: str | dict[str, Any]) -> pyproj.CRS:
    """A CRS in any form pyproj reads (a dict is PROJJSON), without heights.

    Raises:
        ValueError: if it is not a CRS, or one without a relation to lon/lat.
    """
    try:
        crs = pyproj.CRS.from_user_input(value)
        if crs.is_compound:
            crs = crs.sub_crs_list[0]
        if crs.is_geographic or crs.is_projected:
            pyproj.Transformer.from_crs(crs, WGS84)
            return crs.to_2d() if len(crs.axis_info) > 2 else crs
    except (CRSError, ProjError) as error:
        raise ValueError(f"not a usable CRS: {str(value)[:60]}") from error
    raise ValueError(f"not a CRS of places on the ground: {str(value)[:60]}")


def _same_ground(one: pyproj.CRS, other: pyproj.CRS) -> bool:
    """Whether two CRSs give the same x and y to places all over the Earth."""
    if one.equals(other, ignore_axis_order=True):
        return True
    lon, lat = np.meshgrid(np.linspace(-170.0, 170.0, 69), np.linspace(-85.0, 85.0, 35))
    placed = [
        np.array(pyproj.Transformer.from_crs(WGS84, crs, always_xy=True).transform(lon, lat))
        for crs in (one, other)
    ]
    known = np.isfinite(placed).all(axis=(0, 1))
    return bool(known.any()) and np.allclose(
        placed[0][:, known], placed[1][:, known], rtol=1e-10, atol=1e-9
    )


def utm_number(longitude: float) -> int:
    """The UTM zone, 1 to 60, that a longitude lies in, of the plain six-degree zones."""
    return min(int((longitude + 180) // 6) + 1, 60)


def utm_epsg(number: int, *, north: bool) -> str:
    """The CRS of a UTM zone (WGS 84), 1 to 60."""
    return f"EPSG:{(32600 if north else 32700) + number}"


def utm_crs(longitude: float, latitude: float) -> str:
    """The CRS of the UTM zone that a point lies in."""
    return utm_epsg(utm_number(longitude), north=latitude >= 0)


def utm_zone(crs: str) -> str | None:
    """``32N`` of ``EPSG:32632``; None if it is not a UTM zone of WGS 84."""
    found = _UTM.fullmatch(crs)
    return f"{int(found[2])}{'N' if found[1] == '6' else 'S'}" if found else None


def utm_meridian(zone: str) -> int:
    """Longitude of the middle of a zone such as ``32N``."""
    return int(zone[:-1]) * 6 - 183


def utm_origin(crs: str) -> tuple[float, float]:
    """Easting of a UTM zone's middle, and northing of the equator."""
    return EASTING, _SOUTHERN_NORTHING if crs.startswith("EPSG:327") else 0.0
