"""Features: points with properties, what an image is there, and ``table:computeFeatures``."""

# ruff: noqa: N803 - arguments have the service's names

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from hfaef.core.grid import WGS84, project
from servers.earthengine.errors import Refusal, only
from servers.earthengine.image import Canvas, Image
from servers.earthengine.projections import Projection, projection

# https://developers.google.com/earth-engine/reference/rest/v1/projects.table/computeFeatures
MAX_PAGE = 5_000
USUAL_PAGE = 1_000


@dataclass(frozen=True)
class Point:
    """A place in a CRS."""

    x: float
    y: float
    crs: str


@dataclass(frozen=True)
class Feature:
    """A geometry in lon/lat, or a point in any CRS, with properties."""

    geometry: shapely.Geometry | Point | None
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FeatureCollection:
    """Features in an order."""

    features: tuple[Feature, ...]


@dataclass(frozen=True)
class First:
    """The first of the inputs, once for each output."""

    outputs: tuple[str, ...] = ("first",)


@dataclass(frozen=True, eq=False)
class Scattered:
    """Pixels that lie here and there, in place of a grid: one row of them."""

    crs: str
    x: npt.NDArray[np.float64]
    """Of their centres; (1, N), as `y`."""
    y: npt.NDArray[np.float64]
    height: int
    width: int

    def centres(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return self.x, self.y


def point(coordinates: Any, crs: Any = None, geodesic: Any = None, evenOdd: Any = True) -> Point:
    only(geodesic, None, False, True)
    only(evenOdd, True)
    known = projection("EPSG:4326" if crs is None else crs)
    if known.matrix != Projection("").matrix:
        raise Refusal(400, "Not implemented here: a point in a projection with a transform.")
    x, y = (float(value) for value in coordinates)
    return Point(x, y, known.crs)


def feature(geometry: Any = None, metadata: Any = None) -> Feature:
    return Feature(geometry, dict(metadata or {}))


def collection(features: Sequence[Feature]) -> FeatureCollection:
    return FeatureCollection(tuple(features))


def first() -> First:
    return First()


def for_each(reducer: First, outputNames: Sequence[str]) -> First:
    return replace(reducer, outputs=tuple(outputNames))


def reduce_regions(
    image: Image,
    collection: FeatureCollection,
    reducer: First,
    crs: Any = None,
    crsTransform: Any = None,
) -> FeatureCollection:
    """``Image.reduceRegions`` of points: each is in one pixel of the projection."""
    if crs is None:
        raise Refusal(400, "Not implemented here: Image.reduceRegions in the image's projection.")
    if len(reducer.outputs) != len(image.names):
        raise Refusal(400, "Image.reduceRegions: as many inputs as the image has bands.")
    lattice = projection(crs, crsTransform)
    points = [one.geometry for one in collection.features]
    if not all(isinstance(one, Point) for one in points):
        raise Refusal(400, "Not implemented here: Image.reduceRegions of anything but points.")
    if not points:
        return collection
    x, y = np.empty((1, len(points))), np.empty((1, len(points)))
    for number, one in enumerate(points):
        placed = project(np.array(one.x), np.array(one.y), one.crs, lattice.crs)
        x[0, number], y[0, number] = (float(value) for value in placed)
    to_crs = lattice.to_crs()
    place = np.linalg.inv(to_crs) @ np.stack([x[0], y[0], np.ones(len(points))])
    centre = to_crs @ np.stack([*(np.floor(place[:2]) + 0.5), np.ones(len(points))])
    where = Scattered(lattice.crs, centre[:1], centre[1:2], 1, len(points))
    raster = Canvas(where).draw(image)  # type: ignore[arg-type]
    mask = np.broadcast_to(raster.mask, raster.values.shape)
    found = []
    for number, one in enumerate(collection.features):
        values = raster.values[:, 0, number].tolist()
        there = mask[:, 0, number].tolist()
        reduced = {
            name: value
            for name, value, known in zip(reducer.outputs, values, there, strict=True)
            if known
        }
        found.append(Feature(one.geometry, {**one.properties, **reduced}))
    return FeatureCollection(tuple(found))


def page_of(found: Any, request: dict[str, Any], most: int) -> bytes:
    """One page of features as GeoJSON in lon/lat, and a token for the next.

    Args:
        found: what the expression stands for.
        request: ``pageSize`` and ``pageToken`` are its.
        most: features that one page holds, whatever is asked for.
    """
    if not isinstance(found, FeatureCollection):
        raise Refusal(400, "Expression does not evaluate to a table.")
    size = int(request.get("pageSize", USUAL_PAGE))
    if not 0 < size <= MAX_PAGE:
        raise Refusal(400, f"Page size ({size}) must be between 1 and {MAX_PAGE}.")
    start = int(request.get("pageToken") or 0)
    end = start + min(size, most)
    shown = [
        {"type": "Feature", "id": str(number), "geometry": _shown(one.geometry)}
        | {"properties": one.properties}
        for number, one in enumerate(found.features[start:end], start)
    ]
    page: dict[str, Any] = {"type": "FeatureCollection", "features": shown}
    if end < len(found.features):
        page["nextPageToken"] = str(end)
    return json.dumps(page).encode()


def _shown(geometry: Any) -> Any:
    if not isinstance(geometry, Point):
        raise Refusal(400, "Not implemented here: showing a geometry that is no point.")
    place = project(np.array(geometry.x), np.array(geometry.y), geometry.crs, WGS84)
    return {"type": "Point", "coordinates": [float(value) for value in place]}
