"""The expressions that Earth Engine computes: a year's images, mosaicked, quantized, unmasked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from hfaef.core.aef import LATTICE
from hfaef.core.grid import Grid, outlines, utm_zone
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


NUMBER = "number"
"""Property of a point: its place among those that are asked for."""


_PREFIX = "p{:02d}_"


@lru_cache(maxsize=32)
def batch_names(count: int) -> tuple[str, ...]:
    """Bands of so many patches in one image: ``p00_A00`` and so on."""
    prefixes = (_PREFIX.format(number) for number in range(count))
    return tuple(prefix + name for prefix in prefixes for name in BAND_NAMES)


def batch_image(collection: str, grids: Sequence[Grid], year: int) -> ee.Image:
    """Patches of one shape as one image, on the first one's grid, with the bands `batch_names`.

    Each is computed on its own grid, and its pixels are moved to the same rows and columns of the
    first one's: coordinates in a projection with a transform are those.
    https://developers.google.com/earth-engine/apidocs/ee-image-changeproj
    """
    import ee

    by_crs: dict[str, list[Grid]] = {}
    for grid in grids:
        by_crs.setdefault(grid.crs, []).append(grid)
    codes = {crs: codes_image(collection, some, year) for crs, some in by_crs.items()}
    # The client's own methods look into the signature at each call, which takes longer than all else.
    call = ee.ComputedObject
    places = [
        call("Projection", {"crs": grid.crs, "transform": list(grid.transform)}) for grid in grids
    ]
    images = []
    for number, (grid, place) in enumerate(zip(grids, places, strict=True)):
        fixed = call("Image.reproject", {"image": codes[grid.crs], "crs": place})
        moved = call("Image.changeProj", {"input": fixed, "srcProj": place, "dstProj": places[0]})
        names = {"input": moved, "regex": "^A", "replacement": _PREFIX.format(number) + "A"}
        images.append(call("Image.regexpRename", names))
    return ee.Image(call("Image.cat", {"images": images}))


def point_codes(collection: str, grids: Sequence[Grid], year: int) -> ee.FeatureCollection:
    """AEF codes of all pixels of grids as points, a property a band, numbered from 0.

    Args:
        collection: of AEF.
        grids: on AEF's lattice in one zone; their pixels are numbered row by row, grid by grid.
        year: of all of them.
    """
    import ee

    crs = grids[0].crs
    places = []
    for grid in grids:
        x, y = (values.ravel().tolist() for values in grid.centres())
        places += [list(place) for place in zip(x, y, strict=True)]
    numbered = ee.List([[number, *place] for number, place in enumerate(places)])

    def feature(entry: ee.ComputedObject) -> ee.Feature:
        place = ee.List(entry)
        point = ee.Geometry.Point(place.slice(1), crs)
        return ee.Feature(point, {NUMBER: place.get(0)})

    # In a point there is one pixel:
    # https://developers.google.com/earth-engine/guides/reducers_reduce_region
    return codes_image(collection, grids, year).reduceRegions(
        collection=ee.FeatureCollection(numbered.map(feature)),
        reducer=ee.Reducer.first().forEach(list(BAND_NAMES)),
        crs=crs,
        crsTransform=[LATTICE, 0, 0, 0, -LATTICE, 0],
    )


def codes_image(collection: str, grids: Sequence[Grid], year: int) -> ee.Image:
    """AEF codes as an image of 64 int8 bands, `NODATA` where no image of the year has data.

    Args:
        collection: of AEF.
        grids: of one CRS, where it will be looked at.
        year: of its images.
    """
    mosaic = year_mosaic(collection, grids, year)
    root = mosaic.abs().sqrt().multiply(mosaic.signum())
    codes = root.multiply(SCALE).round().clamp(-127, 127).toInt8()
    return codes.unmask(NODATA, False)


def year_mosaic(collection: str, grids: Sequence[Grid], year: int) -> ee.Image:
    """Floats of the year: the grids' own zone on top, then the higher ``system:index``.

    Where zones overlap, the zone of the grids' CRS has the pixels that need least resampling;
    the index makes the choice the same every time.
    """
    import ee

    images = of_year(collection, year).filterBounds(_box(grids))
    # A place without any image would have no bands, which is an error: below all lies one masked.
    nothing = ee.Image(ee.ImageCollection(collection).first()).updateMask(0)
    layers = ee.ImageCollection([nothing])
    zone = utm_zone(grids[0].crs)
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


def _box(grids: Sequence[Grid]) -> ee.Geometry:
    import ee

    sides = zip(*(outline.bounds for outline in outlines(grids)), strict=True)
    west, south, east, north = (
        pick(side) for pick, side in zip((min, min, max, max), sides, strict=True)
    )
    box = [west - MARGIN, south - MARGIN, east + MARGIN, north + MARGIN]
    return ee.Geometry.Rectangle(box, None, False)
