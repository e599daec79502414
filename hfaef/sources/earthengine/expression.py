"""The expression that Earth Engine computes: a year's images, mosaicked, quantized, unmasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfaef.core.grid import Grid, utm_zone
from hfaef.core.quantize import BAND_NAMES, NODATA, SCALE

if TYPE_CHECKING:
    import ee

MARGIN = 0.02
"""Degrees round a patch within which images are looked for: their footprints have straight
edges in their own projection, and great circles on the server, some metres off."""

VARIABLE = "code"
"""Name of the only band of each of the images for Xee."""

DIMENSION = "band"
"""Property of those images that tells which band each was."""


def codes_image(collection: str, grid: Grid, year: int) -> ee.Image:
    """AEF codes as an image of 64 int8 bands, `NODATA` where no image of the year has data."""
    mosaic = year_mosaic(collection, grid, year)
    root = mosaic.abs().sqrt().multiply(mosaic.signum())
    codes = root.multiply(SCALE).round().clamp(-127, 127).toInt8()
    return codes.unmask(NODATA, False)


def year_mosaic(collection: str, grid: Grid, year: int) -> ee.Image:
    """Floats of the year: the grid's own zone on top, then the higher ``system:index``.

    Where zones overlap, the zone of the grid's CRS has the pixels that need least resampling;
    the index makes the choice the same every time.
    """
    import ee

    images = of_year(collection, year).filterBounds(_box(grid))
    # A place without any image would have no bands, which is an error: below all lies one masked.
    nothing = ee.Image(ee.ImageCollection(collection).first()).updateMask(0)
    layers = ee.ImageCollection([nothing])
    zone = utm_zone(grid.crs)
    if zone is None:
        return layers.merge(images.sort("system:index")).mosaic()
    own = ee.Filter.inList("UTM_ZONE", sorted({zone, zone.zfill(3)}))
    others = images.filter(own.Not()).sort("system:index")
    return layers.merge(others).merge(images.filter(own).sort("system:index")).mosaic()


def of_year(collection: str, year: int) -> ee.ImageCollection:
    """The images of a calendar year."""
    import ee

    return ee.ImageCollection(collection).filterDate(f"{year}-01-01", f"{year + 1}-01-01")


def band_images(codes: ee.Image) -> ee.ImageCollection:
    """One image a band, so that Xee reads all bands with one request."""
    import ee

    def single(name: ee.String) -> ee.Image:
        return codes.select([name]).rename([VARIABLE]).set(DIMENSION, name)

    return ee.ImageCollection.fromImages(ee.List(list(BAND_NAMES)).map(single))


def years_of(collection: str, years: range) -> ee.Dictionary:
    """For each year of a range: how many images were seen (0 or 1), their zone and versions."""
    import ee

    found = {}
    for year in years:
        first = of_year(collection, year).limit(1)
        names = ("UTM_ZONE", "DATASET_VERSION", "MODEL_VERSION")
        found[str(year)] = [first.size(), *(first.aggregate_array(name) for name in names)]
    return ee.Dictionary(found)


def _box(grid: Grid) -> ee.Geometry:
    import ee

    west, south, east, north = grid.bounds()
    box = [west - MARGIN, south - MARGIN, east + MARGIN, north + MARGIN]
    return ee.Geometry.Rectangle(box, None, False)
