"""What the operations on images do."""

# ruff: noqa: A002, N803 - arguments have the service's names

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from servers.earthengine.errors import Refusal, only
from servers.earthengine.graph import Function
from servers.earthengine.image import Image, Raster


def constant(value: Any) -> Image:
    """One band a number, named ``constant``, of the smallest type that holds it."""
    numbers = value if isinstance(value, list) else [value]
    whole = all(isinstance(number, int) for number in numbers)
    dtype = np.dtype(
        np.result_type(*(np.min_scalar_type(number) for number in numbers)) if whole else float
    )
    array = np.array(numbers, dtype).reshape(-1, 1, 1)
    names = ("constant",) if len(numbers) == 1 else _distinct(["constant"] * len(numbers))

    def draw(canvas: Any) -> Raster:
        shape = (len(numbers), canvas.grid.height, canvas.grid.width)
        return Raster(np.broadcast_to(array, shape), np.ones((1, *shape[1:]), bool))

    return Image(names, dtype, draw)


def _as_image(value: Any) -> Image:
    return value if isinstance(value, Image) else constant(value)


def each(change: Callable[[Any], Any], dtype: Any = None) -> Function:
    def operation(value: Image) -> Image:
        return _as_image(value).derived(
            lambda raster: Raster(change(raster.values), raster.mask),
            dtype=None if dtype is None else np.dtype(dtype),
        )

    return operation


def pair(combine: Callable[[Any, Any], Any], dtype: Any = None) -> Function:
    def operation(image1: Any, image2: Any) -> Image:
        left, right = _as_image(image1), _as_image(image2)
        if len(left.names) != len(right.names) and 1 not in (len(left.names), len(right.names)):
            raise Refusal(400, "Image: the bands of two images do not match.")
        longer = left if len(left.names) >= len(right.names) else right
        result = np.dtype(dtype or np.result_type(left.dtype, right.dtype))

        def draw(canvas: Any) -> Raster:
            one, two = canvas.draw(left), canvas.draw(right)
            values = combine(one.values, two.values).astype(result, copy=False)
            return Raster(values, one.mask & two.mask)

        return replace(left, names=longer.names, dtype=result, draw=draw)

    return operation


def clamp(input: Image, low: float, high: float) -> Image:
    return input.derived(lambda raster: Raster(raster.values.clip(low, high), raster.mask))


def unmask(input: Image, value: Any = 0, sameFootprint: bool = True) -> Image:
    filler = _as_image(value)
    dtype = np.result_type(input.dtype, filler.dtype)

    def draw(canvas: Any) -> Raster:
        raster, fill = canvas.draw(input), canvas.draw(filler)
        filled = raster.mask | fill.mask
        if sameFootprint and not raster.mask.all():
            # The footprint of a computed image is not known here.
            raise Refusal(400, "Not implemented here: Image.unmask with sameFootprint.")
        values = raster.values.astype(dtype, copy=False)
        if not raster.mask.all():
            values = np.where(raster.mask, values, fill.values.astype(dtype))
        return Raster(values, filled)

    return replace(input, dtype=dtype, draw=draw)


def select(input: Image, bandSelectors: list[Any], newNames: Any = None) -> Image:
    places = []
    for selector in bandSelectors:
        if isinstance(selector, str) and selector in input.names:
            places.append(input.names.index(selector))
        elif isinstance(selector, int) and 0 <= selector < len(input.names):
            places.append(selector)
        else:
            raise Refusal(
                400,
                f"Image.select: Band pattern '{selector}' did not match any bands. Available "
                f"bands: [{', '.join(input.names)}]",
            )
    names = tuple(newNames or (input.names[place] for place in places))

    def pick(raster: Raster) -> Raster:
        mask = raster.mask if len(raster.mask) == 1 else raster.mask[places]
        return Raster(raster.values[places], mask)

    return input.derived(pick, names=names)


def rename(input: Image, names: list[str]) -> Image:
    if len(names) != len(input.names):
        raise Refusal(400, "Image.rename: the number of names must match the number of bands.")
    return replace(input, names=tuple(names))


def regexp_rename(input: Image, regex: str, replacement: str, all: bool = True) -> Image:
    """Each band's name with what matches replaced, the first match or all."""
    names = [re.sub(regex, replacement, name, count=0 if all else 1) for name in input.names]
    return rename(input, names)


def band_names(image: Image) -> list[str]:
    return list(image.names)


def mask(image: Image, mask: Any = None) -> Image:
    if mask is None:
        raise Refusal(400, "Not implemented here: Image.mask of one image.")
    return update_mask(image, mask)


def update_mask(image: Image, mask: Any) -> Image:
    other = _as_image(mask)

    def draw(canvas: Any) -> Raster:
        raster, shown = canvas.draw(_as_image(image)), canvas.draw(other)
        return Raster(raster.values, raster.mask & shown.mask & (shown.values != 0))

    return replace(_as_image(image), draw=draw)


def add_bands(
    dstImg: Any, srcImg: Any, names: list[str] | None = None, overwrite: bool = False
) -> Image:
    only(overwrite, False)
    below, above = _as_image(dstImg), _as_image(srcImg)
    if names is not None:
        above = select(above, names)
    dtype = np.result_type(below.dtype, above.dtype)

    def draw(canvas: Any) -> Raster:
        one, two = canvas.draw(below), canvas.draw(above)
        masks = [np.broadcast_to(raster.mask, raster.values.shape) for raster in (one, two)]
        return Raster(np.concatenate([one.values, two.values]), np.concatenate(masks))

    return replace(below, names=_distinct([*below.names, *above.names]), dtype=dtype, draw=draw)


def cat(images: list[Any]) -> Image:
    """All bands of all images, with the properties of the first."""
    if not images:
        raise Refusal(400, "Image.cat: no image.")
    parts = [_as_image(image) for image in images]

    def draw(canvas: Any) -> Raster:
        drawn = [canvas.draw(part) for part in parts]
        values = [raster.values for raster in drawn]
        masks = [np.broadcast_to(raster.mask, raster.values.shape) for raster in drawn]
        return Raster(np.concatenate(values), np.concatenate(masks))

    names = _distinct([name for part in parts for name in part.names])
    return replace(
        parts[0], names=names, dtype=np.result_type(*(p.dtype for p in parts)), draw=draw
    )


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Names, those that occur again with a number behind them."""
    seen: dict[str, None] = {}
    for name in names:
        number, free = 0, name
        while free in seen:
            number += 1
            free = f"{name}_{number}"
        seen[free] = None
    return tuple(seen)


def element_set(object: Image, key: str, value: Any) -> Image:
    return replace(object, properties={**object.properties, key: value})
