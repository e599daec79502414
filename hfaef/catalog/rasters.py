"""Pixels of GeoTIFFs: read by GDAL's driver of GeoTIFFs alone, of a size that a patch may have.

A file is refused before a pixel is decoded if it says that it is larger than that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.core.names import printable
from hfaef.errors import InputError

WITHOUT_LISTING = {"GDAL_DISABLE_READDIR_ON_OPEN": True}
"""GDAL would list the folder of each file that it opens, up to 1,000 names, which takes longer than
the header; it asks for masks, world files and the like by their names instead:
https://gdal.org/en/stable/user/configoptions.html"""

_PIXELS = {**WITHOUT_LISTING, "GTIFF_SRS_SOURCE": "GEOKEYS"}
"""Nor is the CRS compared with EPSG's, as nobody looks at it: a quarter of a millisecond a file."""

_MOST_VALUES = 1 << 26
"""Bands times pixels of a patch: 1,024 bands of 256 by 256 pixels, 512 MiB in memory."""


@contextmanager
def open_raster(content: Path | bytes, name: str) -> Iterator[Any]:
    """rasterio's dataset of a GeoTIFF, a file's or in memory, that fits into memory.

    Args:
        content: a file's path, or its bytes.
        name: of it, for messages.

    Raises:
        InputError: naming it, if it is too large or holds no real numbers; also for what fails
            inside the block (a RasterioError, OSError or ValueError).
    """
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    try:
        if isinstance(content, Path) and not content.is_file():
            raise OSError("it is no file")  # noqa: TRY301 - a pipe would be waited for
        if not content:
            raise OSError("it is empty")  # noqa: TRY301 - of which rasterio would make a new file
        with _opened(content) as dataset:
            _require_small(dataset)
            yield dataset
    except (RasterioError, CPLE_BaseError, OSError, ValueError) as error:
        reason = printable(" ".join(str(error.__cause__ or error).split()))[:200]
        raise InputError(
            f"cannot read {printable(name)}: {reason}", "mend it, or take it out"
        ) from error


@contextmanager
def _opened(content: Path | bytes) -> Iterator[Any]:
    """A GeoTIFF, from a file or from memory; nothing but a GeoTIFF."""
    import rasterio
    from rasterio.io import MemoryFile

    if isinstance(content, Path):
        with rasterio.Env(**_PIXELS), rasterio.open(content, driver="GTiff") as dataset:
            yield dataset
    else:
        with MemoryFile(content) as file, file.open(driver="GTiff") as dataset:
            yield dataset


def _require_small(dataset: Any) -> None:
    """Raise ValueError for what would not fit into memory, or holds no real numbers."""
    sides = [(dataset.height, dataset.width), *dataset.block_shapes]
    height, width = (max(side[axis] for side in sides) for axis in (0, 1))
    if dataset.count * height * width > _MOST_VALUES:
        raise ValueError(
            f"it says that it has {dataset.count:,} bands of {dataset.height:,} x "
            f"{dataset.width:,} pixels in blocks up to {height:,} x {width:,}, over "
            f"{_MOST_VALUES:,} numbers"
        )
    if other := sorted({kind for kind in dataset.dtypes if np.dtype(kind).kind not in "iuf"}):
        raise ValueError(f"its bands are of the type {other[0]}")


def valid_pixels(
    dataset: Any, values: npt.NDArray[Any], nodata: float | None = None
) -> npt.NDArray[np.bool_]:
    """Where all bands have a number: (height, width).

    Args:
        dataset: that the values are of.
        values: of all bands (bands, height, width), as the file holds them.
        nodata: of pixels without a number; None for what the file's own tags say.
    """
    valid = np.ones(values.shape[1:], bool)
    all_missing = dataset.nodatavals if nodata is None else [nodata] * len(values)
    for band, missing in zip(values, all_missing, strict=True):
        if missing is not None or band.dtype.kind == "f":  # any other number is one
            valid &= _is_valid(band, missing)
    if _has_mask(dataset):
        valid &= dataset.dataset_mask() != 0
    return valid


def _is_valid(band: npt.NDArray[Any], nodata: float | None) -> npt.NDArray[np.bool_]:
    valid = np.isfinite(band)
    if nodata is not None and math.isfinite(nodata):
        # Tags hold decimal digits; the pixel is their nearest number of the band's type.
        with np.errstate(over="ignore"):
            missing = band.dtype.type(nodata) if band.dtype.kind == "f" else nodata
        valid &= band != missing
    return np.asarray(valid)


def _has_mask(dataset: Any) -> bool:
    """Whether a mask stands beside the bands; a band called alpha is a number like others."""
    from rasterio.enums import MaskFlags

    flags = {flag for band in dataset.mask_flag_enums for flag in band}
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
