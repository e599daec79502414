"""Projections, and the operations that fix an image to one or move it to another.

A projection is a CRS and an affine from the coordinates that it gives places (pixels, of a raster)
to those of the CRS: https://developers.google.com/earth-engine/apidocs/ee-projection
"""

# ruff: noqa: A002, N803 - arguments have the service's names

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj

from hfaef.core.grid import Grid, canonical_crs, project
from servers.earthengine.errors import Refusal, only
from servers.earthengine.image import Canvas, Image, Raster

MOST_PIXELS = 4_096 * 4_096
"""Of a lattice that one request may have computed."""

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Projection:
    """A CRS and what leads to it."""

    crs: str
    matrix: tuple[float, ...] = (1, 0, 0, 0, 1, 0)
    """From the projection's coordinates to those of the CRS, row by row."""

    def to_crs(self) -> Matrix:
        """As a 3 x 3 matrix."""
        return np.array([*self.matrix, 0, 0, 1], float).reshape(3, 3)


def projection(crs: Any, transform: Any = None, transformWkt: Any = None) -> Projection:
    """``Projection``: of a code, a WKT or a projection."""
    only(transformWkt, None)
    if isinstance(crs, Projection):
        known = crs
    else:
        if not crs.startswith(("EPSG:", "PROJCS[", "GEOGCS[")):
            raise Refusal(400, f"The CRS of a map projection could not be parsed: {str(crs)[:40]}.")
        try:
            known = Projection(crs if crs.startswith("EPSG:") else canonical_crs(crs))
            pyproj.CRS.from_user_input(known.crs)
        except (ValueError, pyproj.exceptions.CRSError) as error:
            raise Refusal(400, f"Projection: {error}") from error
    return known if transform is None else replace(known, matrix=_affine(transform))


def _affine(values: Any) -> tuple[float, ...]:
    if len(values) != 6:
        raise Refusal(400, f"Projection: a transform has 6 values, not {len(values)}.")
    return tuple(float(value) for value in values)


def reproject(image: Image, crs: Any, crsTransform: Any = None, scale: Any = None) -> Image:
    """``Image.reproject``: computed on a lattice, whatever is asked for; its pixels are looked up."""
    only(scale, None)
    fixed = projection(crs, crsTransform)
    from_crs = np.linalg.inv(fixed.to_crs())

    def draw(canvas: Canvas) -> Raster:
        grid = canvas.grid
        x, y = project(*grid.centres(), grid.crs, fixed.crs)
        columns, rows = (
            np.floor(from_crs[at, 0] * x + from_crs[at, 1] * y + from_crs[at, 2]).astype(int)
            for at in (0, 1)
        )
        left, top = int(columns.min()), int(rows.min())
        width, height = int(columns.max()) - left + 1, int(rows.max()) - top + 1
        if width * height > MOST_PIXELS:
            raise Refusal(400, "User memory limit exceeded.")
        a, b, c, d, e, f = fixed.matrix
        corner = (a, b, c + a * left + b * top, d, e, f + d * left + e * top)
        lattice = Canvas(Grid(fixed.crs, corner, height, width)).draw(image)
        at = (slice(None), rows - top, columns - left)
        return Raster(lattice.values[at], lattice.mask[at])

    return replace(image, draw=draw, crs=fixed.crs, transform=fixed.matrix)


def change_proj(
    half_a_pixel_off: Callable[[], bool],
) -> Callable[[Image, Projection, Projection], Image]:
    """``Image.changeProj``; it can be told to be wrong.

    Args:
        half_a_pixel_off: whether it moves pixels to coordinates that are half a pixel away.
    """

    def operation(input: Image, srcProj: Any, dstProj: Any) -> Image:
        source, target = projection(srcProj), projection(dstProj)

        def draw(canvas: Canvas) -> Raster:
            grid = canvas.grid
            if grid.crs != target.crs:
                raise Refusal(400, "Not implemented here: Image.changeProj in a third CRS.")
            asked = np.array([*grid.transform, 0, 0, 1], float).reshape(3, 3)
            # Coordinates in the new projection of the pixels asked for: the same in the old one.
            same = np.linalg.inv(target.to_crs()) @ asked
            if half_a_pixel_off():
                same[:2, 2] += 0.5
            moved = source.to_crs() @ same
            there = Grid(source.crs, tuple(moved[:2].ravel().tolist()), grid.height, grid.width)
            return Canvas(there).draw(input)

        return replace(input, draw=draw, crs=target.crs, transform=target.matrix)

    return operation
