"""What on_images.each operation of an expression does; one that is not here is refused by name.

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

from servers.earthengine import features as on_features
from servers.earthengine import image_operations as on_images
from servers.earthengine.errors import Refusal, only
from servers.earthengine.graph import Function
from servers.earthengine.image import Collection, Image, load, mosaic
from servers.earthengine.projections import change_proj, projection, reproject
from servers.earthengine.world import World

Predicate = Callable[[Image], bool]

_ABSENT = object()


@dataclass(frozen=True)
class ListReducer:
    """Gathers each of some columns into a list, leaving out what is missing."""

    count: int


def operations(
    world: World, half_a_pixel_off: Callable[[], bool] = lambda: False
) -> dict[str, Function]:
    """All operations over a world, by name.

    Args:
        world: what images show.
        half_a_pixel_off: whether ``Image.changeProj`` is wrong.
    """
    return {
        "ImageCollection.load": lambda id: load(world, id),  # noqa: A006 - its name there
        "Image.constant": on_images.constant,
        "Image.abs": on_images.each(np.abs),
        "Image.sqrt": on_images.each(np.sqrt, np.float64),
        "Image.signum": on_images.each(np.sign),
        "Image.round": on_images.each(np.round),
        "Image.toInt8": on_images.each(lambda values: values.astype(np.int8), np.int8),
        "Image.toUint8": on_images.each(lambda values: values.astype(np.uint8), np.uint8),
        "Image.toInt16": on_images.each(lambda values: values.astype(np.int16), np.int16),
        "Image.toFloat": on_images.each(lambda values: values.astype(np.float32), np.float32),
        "Image.multiply": on_images.pair(np.multiply),
        "Image.add": on_images.pair(np.add),
        "Image.pow": on_images.pair(np.power),
        "Image.gt": on_images.pair(np.greater, np.uint8),
        "Image.lt": on_images.pair(np.less, np.uint8),
        "Image.gte": on_images.pair(np.greater_equal, np.uint8),
        "Image.clamp": on_images.clamp,
        "Image.unmask": on_images.unmask,
        "Image.select": on_images.select,
        "Image.rename": on_images.rename,
        "Image.regexpRename": on_images.regexp_rename,
        "Image.bandNames": on_images.band_names,
        "Image.mask": on_images.mask,
        "Image.updateMask": on_images.update_mask,
        "Image.addBands": on_images.add_bands,
        "Image.cat": on_images.cat,
        "Image.reproject": reproject,
        "Image.changeProj": change_proj(half_a_pixel_off),
        "Image.reduceRegions": on_features.reduce_regions,
        "Projection": projection,
        "Element.set": on_images.element_set,
        "Collection.filter": collection_filter,
        "Collection.limit": collection_limit,
        "ImageCollection.merge": collection_merge,
        "Collection.merge": collection_merge,
        "ImageCollection.mosaic": collection_mosaic,
        "ImageCollection.fromImages": collection_from_images,
        "Collection.size": collection_size,
        "Collection.first": collection_first,
        "Collection.toList": collection_to_list,
        "Collection.iterate": collection_iterate,
        "Collection.map": collection_map,
        "Collection.reduceColumns": collection_reduce_columns,
        "Element.toDictionary": to_dictionary,
        "AggregateFeatureCollection.array": array_of,
        "Reducer.first": on_features.first,
        "Reducer.forEach": on_features.for_each,
        "Reducer.toList": reducer_to_list,
        "Reducer.repeat": reducer_repeat,
        "Filter.equals": filter_equals,
        "Filter.eq": filter_equals,
        "Filter.listContains": filter_in_list,
        "Filter.not": filter_not,
        "Filter.and": filter_and,
        "Filter.dateRangeContains": filter_date,
        "Filter.intersects": filter_intersects,
        "Date": date,
        "DateRange": date_range,
        "GeometryConstructors.Polygon": polygon,
        "GeometryConstructors.Rectangle": rectangle,
        "GeometryConstructors.Point": on_features.point,
        "Feature": on_features.feature,
        "Collection": on_features.collection,
        "List.get": list_get,
        "List.slice": list_slice,
        "List.map": list_map,
        "List.size": list_size,
        "List.length": list_size,
        "Dictionary.get": dictionary_get,
        "Dictionary.fromLists": dictionary_from_lists,
    }


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
        on_images.element_set(image, "system:index", f"{side}_{image.get('system:index')}")
        for side, image in pairs
    )
    return Collection(tuple(images))


def collection_mosaic(collection: Collection) -> Image:
    return mosaic(collection.images)


def collection_from_images(images: list[Image]) -> Collection:
    return Collection(
        tuple(
            on_images.element_set(image, "system:index", str(place))
            for place, image in enumerate(images)
        )
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
    only(dropNulls, False)
    return replace(collection, images=tuple(baseAlgorithm(image) for image in collection.images))


def collection_reduce_columns(
    collection: Collection, reducer: ListReducer, selectors: list[str]
) -> dict[str, Any]:
    if len(selectors) != reducer.count:
        raise Refusal(400, "Collection.reduceColumns: as many selectors as the reducer has inputs.")
    columns = [[image.get(name) for image in collection.images] for name in selectors]
    return {"list": [[value for value in column if value is not None] for column in columns]}


def to_dictionary(element: Any, properties: list[str] | None = None) -> dict[str, Any]:
    only(properties, None)
    return dict(element.properties)


def array_of(collection: Collection, property: str) -> list[Any]:
    found = (image.get(property) for image in collection.images)
    return [value for value in found if value is not None]


def reducer_to_list(tupleSize: int | None = None, numOptional: int | None = None) -> ListReducer:
    only(tupleSize, None)
    only(numOptional, None, 0)
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


def filter_intersects(leftField: str, rightValue: Any) -> Predicate:
    only(leftField, ".all", ".geo")
    given = rightValue.geometry if isinstance(rightValue, on_features.Feature) else rightValue
    return lambda image: image.footprint is None or image.footprint.intersects(given)


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
    only(geodesic, None, False, True)
    only(evenOdd, True)
    return shapely.Polygon(coordinates[0], coordinates[1:])


def rectangle(
    coordinates: list[Any], geodesic: bool | None = None, evenOdd: bool = True
) -> shapely.Polygon:
    only(geodesic, None, False, True)
    only(evenOdd, True)
    flat = np.array(coordinates, float).ravel()
    return shapely.box(*flat)


def list_get(list: list[Any], index: int) -> Any:
    return list[index]


def list_slice(list: list[Any], start: int, end: int | None = None, step: int = 1) -> list[Any]:
    return list[start:end:step]


def list_map(list: list[Any], baseAlgorithm: Function, dropNulls: bool = False) -> list[Any]:
    only(dropNulls, False)
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
