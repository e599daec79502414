"""Small GeoTIFFs of labelled patches, and the recipe that names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from hfaef.recipe.model import Recipe


def write_image(
    path: Path,
    values: npt.NDArray[Any],
    *,
    nodata: float | None = None,
    names: tuple[str, ...] = (),
    scaled: tuple[float, float] = (1.0, 0.0),
    south_up: bool = False,
    place: int = 0,
) -> Path:
    """A GeoTIFF of (bands, height, width) at a place of its own."""
    bands, height, width = values.shape
    east = 600_000.5 + 2_000 * place
    affine = rasterio.Affine(10, 0, east, 0, -10, 5_000_000.5)
    if south_up:
        affine = rasterio.Affine(10, 0, east, 0, 10, 5_000_000.5 - 10 * height)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=bands,
        height=height,
        width=width,
        dtype=values.dtype,
        crs="EPSG:32632",
        transform=affine,
        nodata=nodata,
    ) as dataset:
        dataset.write(values)
        if names:
            dataset.descriptions = names
        if scaled != (1.0, 0.0):
            dataset.scales, dataset.offsets = (scaled[0],) * bands, (scaled[1],) * bands
    return path


def noise(seed: int, bands: int = 3, size: int = 8, kind: str = "uint16") -> npt.NDArray[Any]:
    """Numbers from 1 to 249 (bands, size, size)."""
    return np.random.default_rng(seed).integers(1, 250, (bands, size, size)).astype(kind)


def write_images(root: Path, count: int = 6, **settings: Any) -> Path:
    """A folder of patches P0, P1 and so on, in two labels."""
    for number in range(count):
        label = ("Forest", "River")[number % 2]
        write_image(root / label / f"P{number}.tif", noise(number, **settings), place=number)
    return root


def images_recipe(root: Path, **patches: Any) -> Recipe:
    """A recipe over a folder of such patches: three bands of digital numbers."""
    said = {"bands": ["B04", "B03", "B02"], "unit": "DN", **patches}
    section = {"kind": "geotiffs", "root": root, **said}
    source = {"kind": "cog", "root": str(root / "aef")}
    content = {"name": "trial", "years": [2018], "patches": section, "source": source}
    return Recipe.model_validate(content)
