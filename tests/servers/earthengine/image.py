"""Images and collections as the service computes them: nothing is drawn before a grid is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from hfaef.core.grid import Grid
from hfaef.core.quantize import BAND_NAMES
from servers.earthengine.errors import Refusal
from servers.earthengine.world import Tile, World

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Raster:
    """Bands on a grid."""

    values: Array
    """(bands, H, W), of one dtype."""
    mask: npt.NDArray[np.bool_]
    """(bands or 1, H, W), True where there is data."""


@dataclass
class Canvas:
    """A grid to draw on; an image that is used twice is drawn once."""

    grid: Grid
    _drawn: dict[int, tuple[Image, Raster]] = field(default_factory=dict)

    def draw(self, image: Image) -> Raster:
        if id(image) not in self._drawn:
            # The image is kept, so that its id stays its own.
            self._drawn[id(image)] = (image, image.draw(self))
        return self._drawn[id(image)][1]


@dataclass(frozen=True, eq=False)
class Image:
    """Named bands of one type, and how to draw them."""

    names: tuple[str, ...]
    dtype: np.dtype[Any]
    draw: Callable[[Canvas], Raster]
    properties: dict[str, Any] = field(default_factory=dict)
    id: str | None = None
    footprint: shapely.Geometry | None = None
    """In lon/lat; None reaches everywhere."""
    crs: str = "EPSG:4326"
    transform: tuple[float, ...] = (1, 0, 0, 0, 1, 0)

    def derived(
        self,
        change: Callable[[Raster], Raster],
        names: tuple[str, ...] | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> Image:
        """An image whose raster is made from this one's."""
        return replace(
            self,
            names=self.names if names is None else names,
            dtype=self.dtype if dtype is None else dtype,
            draw=lambda canvas: change(canvas.draw(self)),
        )

    def get(self, name: str) -> Any:
        """A property, or None."""
        if name == "system:id":
            return self.id
        return self.properties.get(name)

    def info(self) -> dict[str, Any]:
        """What `getInfo` shows."""
        if self.dtype.kind == "f":
            kind = {"type": "PixelType", "precision": "double"}
        else:
            low, high = np.iinfo(self.dtype).min, np.iinfo(self.dtype).max
            kind = {"type": "PixelType", "precision": "int", "min": int(low), "max": int(high)}
        band = {"data_type": kind, "crs": self.crs, "crs_transform": list(self.transform)}
        shown: dict[str, Any] = {"type": "Image", "bands": [{"id": n, **band} for n in self.names]}
        if self.id:
            shown["id"] = self.id
        if self.properties:
            shown["properties"] = self.properties
        return shown


@dataclass(frozen=True)
class Collection:
    """Images in an order."""

    images: tuple[Image, ...]
    properties: dict[str, Any] = field(default_factory=dict)


def load(world: World, id_: str) -> Collection:
    """The collection of a world, one image a tile and year."""
    if id_ != world.collection:
        raise Refusal(
            400,
            f"ImageCollection.load: ImageCollection asset '{id_}' not found (does not exist or "
            "caller does not have access).",
        )
    return Collection(
        tuple(_asset(world, tile, year) for tile in world.tiles for year in tile.years)
    )


def _asset(world: World, tile: Tile, year: int) -> Image:
    def draw(canvas: Canvas) -> Raster:
        values, mask = world.sample(tile, year, canvas.grid)
        return Raster(values, mask[None])

    index = f"{tile.index}_{year}"
    return Image(
        names=BAND_NAMES,
        dtype=np.dtype(np.float64),
        draw=draw,
        properties={
            "system:index": index,
            "system:time_start": _millis(year),
            "system:time_end": _millis(year + 1),
            "UTM_ZONE": tile.zone,
            "DATASET_VERSION": "1.1",
            "MODEL_VERSION": "2.1",
        },
        id=f"{world.collection}/{index}",
        footprint=world.footprint(tile),
        crs=tile.crs,
        transform=(10, 0, tile.west, 0, -10, tile.south + tile.size),
    )


def _millis(year: int) -> int:
    return int(np.datetime64(f"{year}-01-01", "ms").astype(np.int64))


def mosaic(images: tuple[Image, ...]) -> Image:
    """The last image on top; what it masks falls through. No image makes no band."""
    if not images:
        empty = Raster(np.zeros((0, 1, 1)), np.zeros((0, 1, 1), bool))
        return Image((), np.dtype(np.float64), lambda _: empty)
    first = images[0]
    dtype = np.result_type(*(image.dtype for image in images))

    def draw(canvas: Canvas) -> Raster:
        shape = (len(first.names), canvas.grid.height, canvas.grid.width)
        values, mask = np.zeros(shape, dtype), np.zeros(shape, bool)
        for image in reversed(images):
            if image.names != first.names:
                raise Refusal(400, "Not implemented here: a mosaic of images of other bands.")
            raster = canvas.draw(image)
            fresh = raster.mask & ~mask
            if fresh.all():
                return Raster(raster.values.astype(dtype, copy=False), fresh)
            np.copyto(values, raster.values, where=fresh)
            mask |= fresh
            if mask.all():
                break
        return Raster(values, mask)

    return Image(first.names, dtype, draw)
