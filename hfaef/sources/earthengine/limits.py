"""The limits of one request of Earth Engine, and a grid in its terms."""

from __future__ import annotations

from typing import Any, Literal

from hfaef.core.aef import on_lattice
from hfaef.core.grid import Grid, utm_zone
from hfaef.core.quantize import BANDS
from hfaef.recipe.model import EarthEngine
from hfaef.sources.base import BatchKind

MAX_BYTES = 50_331_648
"""48 MiB of pixels: https://developers.google.com/earth-engine/reference/rest/v1/projects.image/computePixels"""

MAX_SIDE = 32_768
"""Pixels a side: https://developers.google.com/earth-engine/guides/usage"""

MAX_BANDS = 1_024
"""Bands of one request: https://developers.google.com/earth-engine/reference/rest/v1/projects.image/computePixels"""

MAX_PAGE = 5_000
"""Features of one answer: https://developers.google.com/earth-engine/guides/usage"""

SMALL = 64
"""Pixels of a patch, 8 x 8, up to which it is read as points: one page holds 78 of them or more,
where `MAX_BANDS` allow 16 images."""

MOST_SMALL = 1_000
"""Patches that are asked for as points in one request; a page of them has 0.7 to 3.5 MB of JSON."""

MASK_BYTES = 1
"""What Earth Engine counts beside the values, a band and pixel: https://github.com/google/Xee/issues/209"""

POINTS, IMAGES = "points", "images"
"""Ways to ask for several patches."""

Reader = Literal["pixels", "xee"]

BYTES_A_CODE: dict[Reader, int] = {
    "pixels": 1,
    # Xee unmasks with a 32-bit number, so the codes travel as 32-bit ones.
    "xee": 4,
}

REQUESTS_A_READ: dict[Reader, int] = {
    "pixels": 1,
    # Xee asks what the images are before it asks for pixels.
    "xee": 2,
}


def max_pixels(reader: Reader) -> int:
    """Pixels of 64 codes that one request may hold."""
    return MAX_BYTES // (BANDS * (BYTES_A_CODE[reader] + MASK_BYTES))


def fits(grid: Grid, reader: Reader) -> bool:
    """Whether one request may hold a grid."""
    small = grid.height * grid.width <= max_pixels(reader)
    return small and max(grid.height, grid.width) <= MAX_SIDE


def pixel_grid(grid: Grid) -> dict[str, Any]:
    """The PixelGrid of a request.

    https://developers.google.com/earth-engine/reference/rest/v1/PixelGrid
    """
    a, b, c, d, e, f = grid.transform
    return {
        "dimensions": {"width": grid.width, "height": grid.height},
        "affineTransform": {
            "scaleX": a,
            "shearX": b,
            "translateX": c,
            "shearY": d,
            "scaleY": e,
            "translateY": f,
        },
        ("crsCode" if grid.crs.startswith("EPSG:") else "crsWkt"): grid.crs,
    }


def batch_kind(grid: Grid, year: int, section: EarthEngine) -> BatchKind | None:
    """What a patch has in common with those that can be asked for in the same request.

    Small patches on AEF's lattice are points of their zone. Others are images of one shape.
    """
    if section.reader != "pixels" or section.batch == 1 or not fits(grid, section.reader):
        return None
    size = grid.height * grid.width
    shape: tuple[int | str, ...] = (year, grid.height, grid.width)
    if size <= SMALL and utm_zone(grid.crs) and on_lattice(grid):
        most, way = min(MOST_SMALL, MAX_PAGE // size), POINTS
        shape = (grid.crs, *shape)
    else:
        most, way = min(MAX_BANDS // BANDS, max_pixels("pixels") // size), IMAGES
    if section.batch != "auto":
        most = min(most, section.batch)
    return BatchKind((way, *shape), most, way) if most > 1 else None
