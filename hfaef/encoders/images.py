"""The images of a recipe's patches: what their files hold, as somebody says, and one of them read.

The recipe, or TorchGeo, says which bands they hold, in which unit; every file that is read is
compared with that. A file with pixels that have no number is left out, and none is filled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.catalog.patch import Catalog
from hfaef.catalog.rasters import open_raster, valid_pixels
from hfaef.core.names import printable
from hfaef.encoders.base import Images, named_bands
from hfaef.errors import InputError, missing_package
from hfaef.recipe.bands import canonical_band
from hfaef.recipe.patches import Geotiffs, Table, TorchGeo


@dataclass(frozen=True)
class ImageFile:
    """The image of a patch."""

    id: str
    path: Path
    height: int
    """Pixels."""
    width: int


def image_files(catalog: Catalog) -> tuple[ImageFile, ...]:
    """The images of a catalog's patches sorted by id, one for all years of a patch.

    Raises:
        InputError: if its patches are no images.
    """
    if not catalog.files:
        raise InputError(
            "the patches are rows of a table, which has no images to run a model over",
            'give a recipe whose patches are GeoTIFFs: `patches.kind = "geotiffs"` or "torchgeo"',
        )
    sizes = {patch.id: (patch.grid.height, patch.grid.width) for patch in catalog.patches}
    return tuple(ImageFile(id_, catalog.files[id_], *sizes[id_]) for id_ in sorted(sizes))


def training_files(catalog: Catalog, files: Sequence[ImageFile]) -> tuple[ImageFile, ...]:
    """Those of the files that a model may learn from: for training in every split scheme.

    All of them, of a catalog without split schemes.
    """
    train = {
        patch.id
        for patch in catalog.patches
        if all(patch.splits[scheme] == "train" for scheme in catalog.schemes)
    }
    return tuple(file for file in files if file.id in train)


def describe_images(section: Geotiffs | TorchGeo | Table, files: Sequence[ImageFile]) -> Images:
    """What the files of a recipe hold, compared with the first of them.

    Args:
        section: the recipe's patches.
        files: their images.

    Raises:
        InputError: if nobody says it, it contradicts itself, or the first file contradicts it.
    """
    first = files[0]
    match section:
        case TorchGeo():
            images = _of_torchgeo(section)
        case Geotiffs(bands=[_, *_] as bands, unit=unit) if unit is not None:
            if section.level == "L2A" and "B10" in bands:
                raise InputError(
                    '`patches.level` is "L2A" and `patches.bands` has B10, which is in L1C only',
                    "mend the one or the other",
                )
            images = Images(tuple(bands), unit, section.level)
        case _:
            raise _unsaid(section, first)
    read_image(first, images)
    return images


def order_notes(
    section: Geotiffs | TorchGeo | Table, files: Sequence[ImageFile]
) -> tuple[str, ...]:
    """A note where nothing but the recipe says in which order the bands are, by the first file."""
    if not isinstance(section, Geotiffs):
        return ()
    with open_raster(files[0].path, str(files[0].path)) as dataset:
        named = [_band(text) for text in dataset.descriptions]
    if all(named):
        return ()
    what = "not all bands" if any(named) else "no bands"
    return (f"files name {what}: their order is believed as `patches.bands` says it",)


def _of_torchgeo(section: TorchGeo) -> Images:
    """EuroSAT: the data set's class lists the bands of its files in their order.

    They are digital numbers of level 1C: https://arxiv.org/abs/1709.00029
    """
    try:
        from torchgeo import datasets
    except ImportError as error:
        raise missing_package('patches.kind = "torchgeo"', error) from error
    return Images(named_bands(getattr(datasets, section.dataset).all_band_names), "DN", "L1C")


def _unsaid(section: Geotiffs | TorchGeo | Table, first: ImageFile) -> InputError:
    """What to raise where the recipe says no bands or no unit."""
    with open_raster(first.path, str(first.path)) as dataset:
        named = [_band(text) for text in dataset.descriptions]
        count, dtype = dataset.count, dataset.dtypes[0]
    lacking = [key for key in ("bands", "unit") if not getattr(section, key, None)]
    bands = named if all(named) else ["B04", "B03", "B02"]
    examples = {
        "bands": f"--set patches.bands='{json.dumps(bands, separators=(',', ':'))}'",
        "unit": f"--set patches.unit={'uint8' if dtype == 'uint8' else 'DN'}",
    }
    return InputError(
        f"nobody says what the images hold ({count} bands of {dtype}): the recipe has no "
        + " and no ".join(f"`patches.{key}`" for key in lacking),
        f"say it, as in `{' '.join(examples[key] for key in lacking)}`",
    )


def read_image(file: ImageFile, images: Images) -> npt.NDArray[Any] | None:
    """The numbers of an image (bands, height, width), north up; None if some pixels have none.

    They are as the file holds them, but reflectance that its tags say to scale.

    Raises:
        InputError: naming the file, if it cannot be read, or does not hold what is said of it.
    """
    with open_raster(file.path, str(file.path)) as dataset:
        scaled = _require_said(dataset, file, images)
        values: npt.NDArray[Any] = dataset.read()
        if not valid_pixels(dataset, values).all():
            return None
        if scaled:
            factors, offsets = (
                np.array(numbers)[:, None, None] for numbers in (dataset.scales, dataset.offsets)
            )
            values = values * factors + offsets
        place = dataset.transform
        upside_down = place.e > 0 and not (place.b or place.d)
        return values[:, ::-1] if upside_down else values


def _require_said(dataset: Any, file: ImageFile, images: Images) -> bool:
    """Compare a file with what is said of it; gives whether its tags scale its numbers."""
    named = [_band(text) for text in dataset.descriptions]
    said = " ".join(images.bands)
    path = printable(str(file.path))
    if dataset.count != len(images.bands):
        raise InputError(
            f"{path} has {dataset.count} bands, and is said to hold {len(images.bands)}: {said}",
            "name each band of the files in `patches.bands`, in their order",
        )
    if any(name not in (None, band) for name, band in zip(named, images.bands, strict=True)):
        own = " ".join(name or "?" for name in named)
        raise InputError(
            f"{path} calls its bands {own}, and is said to hold {said}",
            "name them in `patches.bands`, in the order of the files",
        )
    scaled = {*dataset.scales} != {1.0} or {*dataset.offsets} != {0.0}
    kinds = {np.dtype(kind) for kind in dataset.dtypes}
    fits = {
        "uint8": kinds == {np.dtype(np.uint8)} and not scaled,
        "DN": np.dtype(np.uint8) not in kinds and not scaled,
        "reflectance": scaled or all(kind.kind == "f" for kind in kinds),
    }
    if not fits[images.unit]:
        dtypes = ", ".join(sorted(map(str, kinds)))
        tags = ", which its tags scale," if scaled else ""
        raise InputError(
            f"{path} holds {dtypes}{tags} and the images are said to be {images.unit}",
            "mend `patches.unit`; what tags scale is `reflectance`",
        )
    return scaled


def _band(text: str | None) -> str | None:
    """The band that a file's description names; None if it names none."""
    try:
        return canonical_band(text or "")
    except ValueError:
        return None
