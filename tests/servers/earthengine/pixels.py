"""What is computed: a NumPy file of a grid and an expression, a page of features, or a value."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from hfaef.core.grid import Grid, canonical_crs
from servers.earthengine.errors import Refusal
from servers.earthengine.features import MAX_PAGE, page_of
from servers.earthengine.graph import Function, Graph
from servers.earthengine.image import Canvas, Collection, Image

# https://developers.google.com/earth-engine/reference/rest/v1/projects.image/computePixels
MAX_BYTES = 50_331_648
MAX_SIDE = 32_768
MAX_BANDS = 1_024

_AFFINE = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")


def compute_pixels(
    operations: Mapping[str, Function],
    request: dict[str, Any],
    max_bytes: int = MAX_BYTES,
    most_bands: int = MAX_BANDS,
) -> bytes:
    """An NPY file of shape (H, W), one field a band.

    Args:
        operations: by name.
        request: its body.
        max_bytes: of pixels, with a mask byte a band and pixel.
        most_bands: that there is memory for.
    """
    _known(request, {"expression", "fileFormat", "grid", "workloadTag"})
    if request.get("fileFormat") != "NPY":
        raise Refusal(400, f"Not implemented here: the format {request.get('fileFormat')}.")
    image = Graph(request["expression"], operations).value()
    if not isinstance(image, Image):
        raise Refusal(400, "Expression does not evaluate to an image.")
    if not image.names:
        raise Refusal(400, "Image.computePixels: the image has no bands.")
    grid = _grid(request.get("grid", {}))
    _within_limits(image, grid, max_bytes)
    if len(image.names) > most_bands:
        raise Refusal(400, "User memory limit exceeded.")
    raster = Canvas(grid).draw(image)
    kind = raster.values.dtype
    values = np.where(raster.mask, raster.values, kind.type(0))
    table = np.ascontiguousarray(values.transpose(1, 2, 0))
    record = np.dtype([(name, kind.newbyteorder("<")) for name in image.names])
    buffer = io.BytesIO()
    np.save(buffer, table.view(record)[..., 0])
    return buffer.getvalue()


def patches_in(answer: bytes) -> int:
    """Patches of 64 bands in an NPY file."""
    return max(1, answer[:40_000].count(b"|i1") // 64)


def compute_features(
    operations: Mapping[str, Function], request: dict[str, Any], most: int = MAX_PAGE
) -> bytes:
    """A page of features; `most` of them at most, whatever is asked for."""
    _known(request, {"expression", "pageSize", "pageToken", "workloadTag"})
    return page_of(Graph(request["expression"], operations).value(), request, most)


def compute_value(operations: Mapping[str, Function], request: dict[str, Any]) -> dict[str, Any]:
    """The JSON of an expression's value."""
    _known(request, {"expression", "workloadTag"})
    return {"result": _shown(Graph(request["expression"], operations).value())}


def _shown(value: Any) -> Any:
    match value:
        case Image():
            return value.info()
        case Collection():
            return {"type": "ImageCollection", "features": [i.info() for i in value.images]}
        case list():
            return [_shown(part) for part in value]
        case dict():
            return {key: _shown(part) for key, part in value.items()}
        case None | bool() | int() | float() | str():
            return value
    raise Refusal(400, f"Not implemented here: showing a {type(value).__name__}.")


def _known(table: dict[str, Any], keys: set[str]) -> None:
    unknown = sorted(set(table) - keys)
    if unknown:
        raise Refusal(400, f"Not implemented here: the request's {', '.join(unknown)}.")


def _grid(given: dict[str, Any]) -> Grid:
    _known(given, {"dimensions", "affineTransform", "crsCode", "crsWkt"})
    if ("crsCode" in given) == ("crsWkt" in given):
        raise Refusal(400, "A grid has either a crsCode or a crsWkt.")
    code, text = given.get("crsCode"), given.get("crsWkt", "")
    # Neither other authorities nor WKT 2, which begins with PROJCRS or GEOGCRS.
    known = code.startswith("EPSG:") if code else text.startswith(("PROJCS[", "GEOGCS["))
    if not known:
        raise Refusal(
            400, f"The CRS of a map projection could not be parsed: {(code or text)[:40]}."
        )
    affine, size = given["affineTransform"], given["dimensions"]
    _known(affine, set(_AFFINE))
    _known(size, {"width", "height"})
    a, b, c, d, e, f = (float(affine.get(name, 0)) for name in _AFFINE)
    width, height = size["width"], size["height"]
    if max(width, height) > MAX_SIDE:
        raise Refusal(
            400,
            f"Pixel grid dimensions ({width}x{height}) must be less than or equal to {MAX_SIDE}.",
        )
    crs = code or canonical_crs(text)
    return Grid(crs, (a, b, c, d, e, f), height, width)


def _within_limits(image: Image, grid: Grid, max_bytes: int) -> None:
    if len(image.names) > MAX_BANDS:
        raise Refusal(400, f"Too many bands ({len(image.names)}), more than {MAX_BANDS}.")
    # One mask byte a band and pixel is counted beside the values.
    size = len(image.names) * (image.dtype.itemsize + 1) * grid.height * grid.width
    if size > max_bytes:
        raise Refusal(
            400,
            f"Total request size ({size} bytes) must be less than or equal to {max_bytes} bytes.",
        )
