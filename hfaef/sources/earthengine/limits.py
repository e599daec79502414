"""The limits of one request of Earth Engine, and a grid in its terms."""

from __future__ import annotations

from typing import Any, Literal

from hfaef.core.grid import Grid
from hfaef.core.quantize import BANDS

MAX_BYTES = 50_331_648
"""48 MiB of pixels: https://developers.google.com/earth-engine/reference/rest/v1/projects.image/computePixels"""

MAX_SIDE = 32_768
"""Pixels a side: https://developers.google.com/earth-engine/guides/usage"""

MASK_BYTES = 1
"""What Earth Engine counts beside the values, a band and pixel: https://github.com/google/Xee/issues/209"""

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
