"""Geometries of a table's rows, and the grids that lie on them.

The grids lie on AEF's own lattice, or that of its overviews: in the UTM zone of the place, edges
on multiples of a pixel from easting 500,000 and the equator. A point is in the middle of its
grid; the vertices of anything else are projected, and the grid covers them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from hfaef.core.grid import (
    EASTING,
    WGS84,
    Float64,
    Grid,
    horizontal_crs,
    misplaced,
    project,
    utm_crs,
)
from hfaef.core.quantize import MAX_SIDE

LIMITS = (-180.0, -80.0, 180.0, 84.0)
"""Degrees that UTM covers."""

ROUNDING = 0.1
"""Metres by which a polygon's vertices may miss the lattice that they were made on: coordinates
in degrees are written with six decimals, https://www.rfc-editor.org/rfc/rfc7946#section-11.2"""

_COLLECTION = shapely.GeometryType.GEOMETRYCOLLECTION
_LINES = {"LineString", "LinearRing", "MultiLineString"}

_MOST_NESTED = 1000
_MULTIPLE = re.compile(
    rb"\x01([\x04-\x0c]\x00|[\xec-\xf4]\x03|[\xd4-\xdc]\x07|[\xbc-\xc4]\x0b)\x00[\x00\x20-\xe0]"
    rb"|\x00[\x00\x20-\xe0]\x00(\x00[\x04-\x0c]|\x03[\xec-\xf4]|\x07[\xd4-\xdc]|\x0b[\xbc-\xc4])",
    re.DOTALL,
)
"""Headers of geometries that hold others in WKB, in either order of bytes, ISO's and EWKB's."""


@dataclass(frozen=True)
class Shapes:
    """A geometry a row."""

    values: npt.NDArray[np.object_]
    """Shapely geometries; None where there is none, or none that can be read."""
    crs: str
    """Of their coordinates, x before y: ``EPSG:n`` or WKT."""
    wrong: dict[int, str] = field(default_factory=dict)
    """By row, why there is none."""

    @property
    def heights(self) -> bool:
        """Whether there are heights, which no grid needs."""
        return bool(shapely.has_z(self.values).any())


@dataclass(frozen=True)
class Places:
    """Vertices of each row's place, row after row."""

    count: int
    """Rows."""
    x: Float64
    y: Float64
    row: npt.NDArray[np.int64]
    """To which row a vertex belongs, ascending."""
    crs: str
    wrong: dict[int, str]
    """By row, why its place cannot be used."""
    rounding: float = 0.0
    """Metres that a grid need not cover."""


def crs_of(value: str | dict[str, Any]) -> str:
    """``EPSG:n`` or WKT of a CRS in any form pyproj reads; plain WGS 84 in one form only.

    Raises:
        ValueError: if it is not a CRS, or one without a relation to lon/lat.
    """
    crs = horizontal_crs(value)
    code = crs.to_epsg()
    known = WGS84 if crs.equals(horizontal_crs(WGS84), ignore_axis_order=True) else None
    return known or (f"EPSG:{code}" if code else str(crs.to_wkt()))


def read_shapes(given: Sequence[Any], crs: str) -> Shapes:
    """Geometries of WKB, WKT, GeoJSON's objects or None."""
    wrong = {}
    values = np.full(len(given), None, object)
    for row, value in enumerate(given):
        if value is None or value in ("", b""):
            wrong[row] = "has no geometry"
            continue
        values[row] = _shape(value)
        if values[row] is None:
            wrong[row] = "has a geometry that cannot be read"
    for row in np.flatnonzero(shapely.get_type_id(values) == _COLLECTION).tolist():
        if not shapely.is_empty(values[row]) and not _has_area_or_point(values[row]):
            wrong[row] = "has a collection of geometries with neither an area nor a point"
    for row in np.flatnonzero(shapely.is_empty(values)).tolist():
        wrong[row] = "has an empty geometry"
    return Shapes(values, crs, wrong)


def _shape(value: Any) -> Any:
    if _is_deep(value):  # the parsers call themselves, without a limit
        return None
    try:
        if isinstance(value, bytes):
            return shapely.from_wkb(value)
        if isinstance(value, str):
            return shapely.from_wkt(value)
        return shapely.geometry.shape(value)
    except (
        *(shapely.errors.ShapelyError, ValueError, TypeError, LookupError, AttributeError),
        *(ArithmeticError, RuntimeError),  # numbers of 400 digits, curves, endless nesting
    ):
        return None


def _is_deep(value: Any) -> bool:
    """Whether WKB or WKT may hold geometries in one another without end."""
    if isinstance(value, bytes):
        return sum(1 for _ in _MULTIPLE.finditer(value)) > _MOST_NESTED
    depth = deepest = 0
    for found in re.finditer("[()]", value) if isinstance(value, str) else ():
        depth += 1 if found[0] == "(" else -1
        deepest = max(depth, deepest)
    return deepest > _MOST_NESTED


def _has_area_or_point(shape: Any) -> bool:
    waiting = [shape]
    while waiting:
        part = waiting.pop()
        if part.geom_type == "GeometryCollection":
            waiting.extend(part.geoms)
        elif part.geom_type not in _LINES:
            return True
    return False


def describe_mixture(shapes: Shapes, square: str) -> str:
    """How many geometries of each kind there are, and the patches that they become.

    Empty, if all are points or all are polygons, which need no words.

    Args:
        shapes: of a table.
        square: how many pixels the patches round points have, in words.
    """
    kinds = Counter(
        str(shape.geom_type)
        for row, shape in enumerate(shapes.values)
        if shape is not None and row not in shapes.wrong
    )
    if kinds.keys() <= {"Point"} or kinds.keys() <= {"Polygon", "MultiPolygon"}:
        return ""
    patches = {"Point": f"{square} pixels round each"}
    return ", ".join(
        f"{kind} {n:,} ({patches.get(kind, 'the box around each')})"
        for kind, n in sorted(kinds.items(), key=lambda one: (one[0] != "Point", one[0]))
    )


def native_geometry(kind: str, value: Any) -> dict[str, Any] | None:
    """A value of one of GeoArrow's own encodings as a GeoJSON object.

    Args:
        kind: ``point``, ``multipolygon`` and so on.
        value: nested lists, at the bottom of which a position is a list, or a dict of x and y.
    """
    names = {name.lower(): name for name in ("Point", "LineString", "Polygon")}
    names |= {f"multi{key}": f"Multi{name}" for key, name in names.items()}
    return None if value is None else {"type": names[kind], "coordinates": _positions(value)}


def _positions(value: Any) -> Any:
    if isinstance(value, dict):
        return [value.get("x"), value.get("y")]
    return [_positions(part) for part in value] if isinstance(value, list) else value


def places_of_boxes(
    west: Float64, south: Float64, east: Float64, north: Float64, *, wrong: dict[int, str]
) -> Places:
    """Places of boxes in degrees, by their corners; a point is a box without extent."""
    wrong = dict(wrong)
    for row in np.flatnonzero((west > east) | (south > north)).tolist():
        sides = zip(("west", "south", "east", "north"), (west, south, east, north), strict=True)
        box = ", ".join(f"{name} {float(side[row]):g}" for name, side in sides)
        wrong.setdefault(row, f"lies at {box}: west must not be over east, nor south over north")
    x = np.stack([west, west, east, east], axis=1)
    y = np.stack([south, north, south, north], axis=1)
    return Places(len(west), x.ravel(), y.ravel(), np.repeat(np.arange(len(x)), 4), WGS84, wrong)


def places_of_shapes(shapes: Shapes) -> Places:
    """Places of geometries, by their vertices."""
    xy, row = shapely.get_coordinates(shapes.values, return_index=True)
    count = len(shapes.values)
    return Places(count, xy[:, 0], xy[:, 1], row, shapes.crs, shapes.wrong, ROUNDING)


def make_grids(places: Places, size: int, side: int) -> list[Grid | str]:
    """For each row the grid on its place, or why there is none.

    Args:
        places: of all rows.
        size: pixels a side round a point.
        side: metres a pixel.
    """
    found: list[Grid | str] = [places.wrong.get(row, "has no place") for row in range(places.count)]
    rows, first, vertices = np.unique(places.row, return_index=True, return_counts=True)
    if not len(rows):
        return found
    degrees = _extents(*project(places.x, places.y, places.crs, WGS84), first)
    zones = np.full(len(rows), "", "U10")
    for number, (row, box) in enumerate(zip(rows.tolist(), degrees.tolist(), strict=True)):
        if row in places.wrong:
            continue
        if reason := _fault_of(box, places.crs):
            found[row] = reason
        else:
            zones[number] = utm_crs((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    x, y = np.zeros_like(places.x), np.zeros_like(places.y)
    known, zone_of_row = np.unique(zones, return_inverse=True)
    zone_of_vertex = np.repeat(zone_of_row, vertices)
    for number, zone in enumerate(known.tolist()):
        if zone:
            own = zone_of_vertex == number
            x[own], y[own] = project(places.x[own], places.y[own], places.crs, zone)
    extents = _extents((x - EASTING) / side, y / side, first)
    margin = places.rounding / side
    for number in np.flatnonzero(zones != "").tolist():
        west, south, east, north = degrees[number]
        box = extents[number].tolist()
        if not all(map(math.isfinite, box)):
            found[rows[number]] = (
                f"reaches from its UTM zone to where that has no place: {zones[number]}"
            )
            continue
        point = (west, south) == (east, north)
        found[rows[number]] = _grid(
            str(zones[number]), _round(box, size) if point else _cover(box, margin), side
        )
    made = {row: grid for row, grid in enumerate(found) if isinstance(grid, Grid)}
    for number, reason in misplaced(list(made.values())).items():
        found[list(made)[number]] = f"has a grid that cannot be used: {reason}"
    return found


def _extents(x: Float64, y: Float64, first: npt.NDArray[np.int64]) -> Float64:
    """Least x and y, greatest x and y of each row, (rows, 4), from where its vertices begin."""
    least = [np.minimum.reduceat(values, first) for values in (x, y)]
    return np.stack([*least, *(np.maximum.reduceat(values, first) for values in (x, y))], axis=1)


def _fault_of(box: Sequence[float], crs: str) -> str | None:
    """Why west, south, east and north are no place for a grid."""
    if not all(map(math.isfinite, box)):
        return "has no place" if crs == WGS84 else f"has no place on Earth in {crs[:40]}"
    west, south, east, north = box
    if not _within(west, south, east, north):
        hint = ""
        if 180 < east <= 360:
            hint = "; longitudes go from -180 to 180"
        elif _within(south, west, north, east):
            hint = "; are longitude and latitude exchanged?"
        lon, lat = (
            f"{low:g}" if low == high else f"{low:g} to {high:g}"
            for low, high in ((west, east), (south, north))
        )
        return (
            f"lies at lon {lon}, lat {lat}, and embeddings are there from lat {LIMITS[1]:g} to "
            f"{LIMITS[3]:g} and lon {LIMITS[0]:g} to {LIMITS[2]:g}{hint}"
        )
    if east - west > 180:
        return "crosses the antimeridian, which is not supported"
    return None


def _within(west: float, south: float, east: float, north: float) -> bool:
    """Whether UTM zones reach there."""
    return (
        LIMITS[0] <= west <= LIMITS[2]
        and LIMITS[1] <= south <= LIMITS[3]
        and LIMITS[0] <= east <= LIMITS[2]
        and LIMITS[1] <= north <= LIMITS[3]
    )


def _round(box: Sequence[float], size: int) -> tuple[int, int, int, int]:
    """Left, bottom, right and top of a square of so many pixels with a point in its middle."""
    left, top = round(box[0] - size / 2), round(box[1] + size / 2)
    return left, top - size, left + size, top


def _cover(box: Sequence[float], margin: float) -> tuple[int, int, int, int]:
    """Left, bottom, right and top of the pixels that a box covers, but for a margin."""
    left, bottom = (math.floor(value + margin) for value in box[:2])
    right, top = (math.ceil(value - margin) for value in box[2:])
    return left, min(bottom, top - 1), max(right, left + 1), top


def _grid(crs: str, pixels: tuple[int, int, int, int], side: int) -> Grid | str:
    left, bottom, right, top = pixels
    height, width = top - bottom, right - left
    if max(height, width) > MAX_SIDE:
        return f"is {height} x {width} pixels, over {MAX_SIDE:,} a side"
    metres = float(side)
    return Grid(
        crs, (metres, 0.0, EASTING + left * metres, 0.0, -metres, top * metres), height, width
    )
