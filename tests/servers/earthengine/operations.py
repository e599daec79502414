"""What each operation of an expression does; one that is not here is refused by name.

Arguments are those of the algorithms' list, by their names there.
"""

# ruff: noqa: A002, N803 - arguments have the service's names

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import shapely

from servers.earthengine.errors import Refusal
from servers.earthengine.graph import Function
from servers.earthengine.image import Collection, Image, Raster, load, mosaic
from servers.earthengine.world import World

Predicate = Callable[[Image], bool]

_ABSENT = object()


@dataclass(frozen=True)
class ListReducer:
    """Gathers each of some columns into a list, leaving out what is missing."""

    count: int


def operations(world: World) -> dict[str, Function]:
    """All operations over a world, by name."""
    found = {
        "ImageCollection.load": lambda id: load(world, id),
        "Image.constant": image_constant,
        "Image.abs": _each(np.abs),
        "Image.sqrt": _each(np.sqrt, np.float64),
        "Image.signum": _each(np.sign),
        "Image.round": _each(np.round),
        "Image.toInt8": _each(lambda values: values.astype(np.int8), np.int8),
        "Image.toUint8": _each(lambda values: values.astype(np.uint8), np.uint8),
        "Image.toInt16": _each(lambda values: values.astype(np.int16), np.int16),
        "Image.toFloat": _each(lambda values: values.astype(np.float32), np.float32),
        "Image.multiply": _pair(np.multiply),
        "Image.add": _pair(np.add),
        "Image.pow": _pair(np.power),
        "Image.gt": _pair(np.greater, np.uint8),
        "Image.lt": _pair(np.less, np.uint8),
        "Image.gte": _pair(np.greater_equal, np.uint8),
    }
    named = (
        image_clamp, image_unmask, image_select, image_rename, image_band_names, image_mask,
        image_update_mask, image_add_bands, element_set, collection_filter, collection_limit,
        collection_merge, collection_mosaic, collection_from_images, collection_size,
        collection_first, collection_to_list, collection_iterate, collection_map,
        collection_reduce_columns, to_dictionary, array_of, reducer_to_list, reducer_repeat,
        filter_equals, filter_in_list, filter_not, filter_and, filter_date, filter_intersects,
        date, date_range, polygon, rectangle, feature, list_get, list_slice, list_map, list_size,
        dictionary_get, dictionary_from_lists,
    )  # fmt: skip
    for function in named:
        for name in NAMES[function.__name__].split():
            found[name] = function
    return found


NAMES = {
    "image_clamp": "Image.clamp",
    "image_unmask": "Image.unmask",
    "image_select": "Image.select",
    "image_rename": "Image.rename",
    "image_band_names": "Image.bandNames",
    "image_mask": "Image.mask",
    "image_update_mask": "Image.updateMask",
    "image_add_bands": "Image.addBands",
    "element_set": "Element.set",
    "collection_filter": "Collection.filter",
    "collection_limit": "Collection.limit",
    "collection_merge": "ImageCollection.merge Collection.merge",
    "collection_mosaic": "ImageCollection.mosaic",
    "collection_from_images": "ImageCollection.fromImages",
    "collection_size": "Collection.size",
    "collection_first": "Collection.first",
    "collection_to_list": "Collection.toList",
    "collection_iterate": "Collection.iterate",
    "collection_map": "Collection.map",
    "collection_reduce_columns": "Collection.reduceColumns",
    "to_dictionary": "Element.toDictionary",
    "array_of": "AggregateFeatureCollection.array",
    "reducer_to_list": "Reducer.toList",
    "reducer_repeat": "Reducer.repeat",
    "filter_equals": "Filter.equals Filter.eq",
    "filter_in_list": "Filter.listContains",
    "filter_not": "Filter.not",
    "filter_and": "Filter.and",
    "filter_date": "Filter.dateRangeContains",
    "filter_intersects": "Filter.intersects",
    "date": "Date",
    "date_range": "DateRange",
    "polygon": "GeometryConstructors.Polygon",
    "rectangle": "GeometryConstructors.Rectangle",
    "feature": "Feature",
    "list_get": "List.get",
    "list_slice": "List.slice",
    "list_map": "List.map",
    "list_size": "List.size List.length",
    "dictionary_get": "Dictionary.get",
    "dictionary_from_lists": "Dictionary.fromLists",
}


def _only(value: Any, *known: Any) -> None:
    """Refuse an argument whose value would be ignored."""
    if not any(value == accepted for accepted in known):
        raise Refusal(400, f"Not implemented here: an argument of {value!r}.")


# Images


def image_constant(value: Any) -> Image:
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
    return value if isinstance(value, Image) else image_constant(value)


def _each(change: Callable[[Any], Any], dtype: Any = None) -> Function:
    def operation(value: Image) -> Image:
        return _as_image(value).derived(
            lambda raster: Raster(change(raster.values), raster.mask),
            dtype=None if dtype is None else np.dtype(dtype),
        )

    return operation


def _pair(combine: Callable[[Any, Any], Any], dtype: Any = None) -> Function:
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


def image_clamp(input: Image, low: float, high: float) -> Image:
    return input.derived(lambda raster: Raster(raster.values.clip(low, high), raster.mask))


def image_unmask(input: Image, value: Any = 0, sameFootprint: bool = True) -> Image:
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


def image_select(input: Image, bandSelectors: list[Any], newNames: Any = None) -> Image:
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


def image_rename(input: Image, names: list[str]) -> Image:
    if len(names) != len(input.names):
        raise Refusal(400, "Image.rename: the number of names must match the number of bands.")
    return replace(input, names=tuple(names))


def image_band_names(image: Image) -> list[str]:
    return list(image.names)


def image_mask(image: Image, mask: Any = None) -> Image:
    if mask is None:
        raise Refusal(400, "Not implemented here: Image.mask of one image.")
    return image_update_mask(image, mask)


def image_update_mask(image: Image, mask: Any) -> Image:
    other = _as_image(mask)

    def draw(canvas: Any) -> Raster:
        raster, shown = canvas.draw(_as_image(image)), canvas.draw(other)
        return Raster(raster.values, raster.mask & shown.mask & (shown.values != 0))

    return replace(_as_image(image), draw=draw)


def image_add_bands(
    dstImg: Any, srcImg: Any, names: list[str] | None = None, overwrite: bool = False
) -> Image:
    _only(overwrite, False)
    below, above = _as_image(dstImg), _as_image(srcImg)
    if names is not None:
        above = image_select(above, names)
    dtype = np.result_type(below.dtype, above.dtype)

    def draw(canvas: Any) -> Raster:
        one, two = canvas.draw(below), canvas.draw(above)
        masks = [np.broadcast_to(raster.mask, raster.values.shape) for raster in (one, two)]
        return Raster(np.concatenate([one.values, two.values]), np.concatenate(masks))

    return replace(below, names=_distinct([*below.names, *above.names]), dtype=dtype, draw=draw)


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


# Collections


def collection_filter(collection: Collection, filter: Predicate) -> Collection:
    return replace(collection, images=tuple(image for image in collection.images if filter(image)))


def collection_limit(
    collection: Collection, limit: int | None = None, key: str | None = None, ascending: bool = True
) -> Collection:
    images = list(collection.images)
    if key is not None:
        images.sort(key=lambda image: image.get(key), reverse=not ascending)
    return replace(collection, images=tuple(images[:limit]))


def collection_merge(collection1: Collection, collection2: Collection) -> Collection:
    pairs = [(1, image) for image in collection1.images]
    pairs += [(2, image) for image in collection2.images]
    images = (
        element_set(image, "system:index", f"{side}_{image.get('system:index')}")
        for side, image in pairs
    )
    return Collection(tuple(images))


def collection_mosaic(collection: Collection) -> Image:
    return mosaic(collection.images)


def collection_from_images(images: list[Image]) -> Collection:
    return Collection(
        tuple(element_set(image, "system:index", str(place)) for place, image in enumerate(images))
    )


def collection_size(collection: Collection) -> int:
    return len(collection.images)


def collection_first(collection: Collection) -> Image | None:
    return collection.images[0] if collection.images else None


def collection_to_list(collection: Collection, count: int, offset: int = 0) -> list[Image]:
    return list(collection.images[offset : offset + count])


def collection_iterate(collection: Collection, function: Function, first: Any = None) -> Any:
    result = first
    for image in collection.images:
        result = function(image, result)
    return result


def collection_map(
    collection: Collection, baseAlgorithm: Function, dropNulls: bool = False
) -> Collection:
    _only(dropNulls, False)
    return replace(collection, images=tuple(baseAlgorithm(image) for image in collection.images))


def collection_reduce_columns(
    collection: Collection, reducer: ListReducer, selectors: list[str]
) -> dict[str, Any]:
    if len(selectors) != reducer.count:
        raise Refusal(400, "Collection.reduceColumns: as many selectors as the reducer has inputs.")
    columns = [[image.get(name) for image in collection.images] for name in selectors]
    return {"list": [[value for value in column if value is not None] for column in columns]}


def to_dictionary(element: Any, properties: list[str] | None = None) -> dict[str, Any]:
    _only(properties, None)
    return dict(element.properties)


def array_of(collection: Collection, property: str) -> list[Any]:
    found = (image.get(property) for image in collection.images)
    return [value for value in found if value is not None]


def reducer_to_list(tupleSize: int | None = None, numOptional: int | None = None) -> ListReducer:
    _only(tupleSize, None)
    _only(numOptional, None, 0)
    return ListReducer(1)


def reducer_repeat(reducer: ListReducer, count: int) -> ListReducer:
    return ListReducer(reducer.count * count)


# Filters


def filter_equals(leftField: str, rightValue: Any) -> Predicate:
    return lambda image: image.get(leftField) == rightValue


def filter_in_list(rightField: str, leftValue: list[Any]) -> Predicate:
    return lambda image: image.get(rightField) in leftValue


def filter_not(filter: Predicate) -> Predicate:
    return lambda image: not filter(image)


def filter_and(filters: list[Predicate]) -> Predicate:
    return lambda image: all(part(image) for part in filters)


def filter_date(rightField: str, leftValue: tuple[float, float]) -> Predicate:
    start, end = leftValue
    return lambda image: start <= image.get(rightField) < end


def filter_intersects(leftField: str, rightValue: shapely.Geometry) -> Predicate:
    _only(leftField, ".all", ".geo")
    return lambda image: image.footprint is None or image.footprint.intersects(rightValue)


def date(value: Any) -> float:
    """Milliseconds since 1970."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp() * 1000
    return float(value)


def date_range(start: Any, end: Any = None) -> tuple[float, float]:
    first = date(start)
    return first, first + 1 if end is None else date(end)


# Geometries, lists, dictionaries


def polygon(
    coordinates: list[Any], geodesic: bool | None = None, evenOdd: bool = True
) -> shapely.Polygon:
    # Straight in lon/lat, or along great circles; the difference is less than any margin here.
    _only(geodesic, None, False, True)
    _only(evenOdd, True)
    return shapely.Polygon(coordinates[0], coordinates[1:])


def rectangle(
    coordinates: list[Any], geodesic: bool | None = None, evenOdd: bool = True
) -> shapely.Polygon:
    _only(geodesic, None, False, True)
    _only(evenOdd, True)
    flat = np.array(coordinates, float).ravel()
    return shapely.box(*flat)


def feature(geometry: shapely.Geometry, metadata: Any = None) -> shapely.Geometry:
    _only(metadata, None, {})
    return geometry


def list_get(list: list[Any], index: int) -> Any:
    return list[index]


def list_slice(list: list[Any], start: int, end: int | None = None, step: int = 1) -> list[Any]:
    return list[start:end:step]


def list_map(list: list[Any], baseAlgorithm: Function, dropNulls: bool = False) -> list[Any]:
    _only(dropNulls, False)
    return [baseAlgorithm(part) for part in list]


def list_size(list: list[Any]) -> int:
    return len(list)


def dictionary_get(dictionary: dict[str, Any], key: str, defaultValue: Any = _ABSENT) -> Any:
    if key in dictionary:
        return dictionary[key]
    if defaultValue is _ABSENT:
        raise Refusal(400, f"Dictionary.get: Dictionary does not contain key: '{key}'.")
    return defaultValue


def dictionary_from_lists(keys: list[str], values: list[Any]) -> dict[str, Any]:
    return dict(zip(keys, values, strict=True))
