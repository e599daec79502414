"""Several patches in one request: images of one shape side by side, or small patches as points."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.core.grid import Grid
from hfaef.core.quantize import BAND_NAMES, BANDS
from hfaef.errors import BatchRefused, PermanentError, SourceError, TooBig
from hfaef.sources.earthengine.expression import NUMBER, batch_image, point_codes
from hfaef.sources.earthengine.limits import MAX_PAGE, pixel_grid

Codes = npt.NDArray[np.int8]

_UNKNOWN = re.compile(
    r"changeProj|reproject|regexpRename|Image\.cat|reduceRegions|forEach|computeFeatures"
    r"|answered 404",
    re.IGNORECASE,
)
"""In words of a server that does not know what batches are made of."""

_IN_HALVES = re.compile(r"computation timed out|too many bands|payload size exceeds", re.IGNORECASE)
"""https://developers.google.com/earth-engine/guides/debugging"""


def ask_images(collection: str, grids: Sequence[Grid], year: int) -> bytes:
    """NPY file of patches of one shape, a field a band of `batch_names`: for `codes_of`."""
    import ee

    body: bytes = ee.data.computePixels(
        {
            "expression": batch_image(collection, grids, year),
            "fileFormat": "NPY",
            "grid": pixel_grid(grids[0]),
        }
    )
    return body


def read_points(collection: str, grids: Sequence[Grid], year: int) -> tuple[list[Codes], int]:
    """Codes of small patches of one zone and shape, int8 (64, H, W) each, and the requests.

    One request, unless the server gives fewer points than a page may hold.

    Raises:
        ValueError: if a pixel is missing, comes twice, or has no whole code of 8 bits.
    """
    import ee

    expression = point_codes(collection, grids, year)
    shape = (len(grids), grids[0].height, grids[0].width)
    values = np.empty((int(np.prod(shape)), BANDS), np.int8)
    seen = np.zeros(len(values), bool)
    pages: list[dict[str, Any]] = []
    asked: dict[str, Any] = {"expression": expression, "pageSize": MAX_PAGE}
    while not pages or "pageToken" in asked:
        page = ee.data.computeFeatures(asked)
        if not isinstance(page, dict):
            raise ValueError("no page of points")  # noqa: TRY004 - as of a body that is none
        pages.append(page)
        token = page.get("nextPageToken")
        asked = {**asked, "pageToken": token} if token else {}
    for found in itertools.chain.from_iterable(page["features"] for page in pages):
        number, codes = _codes_of(found["properties"])
        if not 0 <= number < len(values) or seen[number]:
            raise ValueError(f"the point {number} was not asked for, or comes twice")
        values[number], seen[number] = codes, True
    if not seen.all():
        raise ValueError(f"{np.count_nonzero(~seen):,} of {len(seen):,} points are missing")
    bands_last = values.reshape(*shape, BANDS)
    return [np.ascontiguousarray(one.transpose(2, 0, 1)) for one in bands_last], len(pages)


def _codes_of(properties: dict[str, Any]) -> tuple[int, Codes]:
    """The number of a point and its codes, int8 (64,); JSON may hold whole numbers as floats."""
    values = np.array([properties[name] for name in BAND_NAMES], np.float64)
    codes = values.astype(np.int8)
    if (codes != values).any():
        raise ValueError("a point has a value that is no code of 8 bits")
    return int(properties[NUMBER]), codes


def classify_refusal(error: SourceError) -> SourceError:
    """An error of a request for several patches: half of them may pass, or no batch ever will."""
    if isinstance(error, PermanentError):
        if _IN_HALVES.search(error.message):
            return TooBig(error.message)
        if _UNKNOWN.search(error.message):
            return BatchRefused(error.message)
    return error
