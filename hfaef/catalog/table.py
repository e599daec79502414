"""Patches that are rows of a table: points, boxes or geometries in lon/lat (WGS 84).

Their grids lie on AEF's own lattice, or that of its overviews: in the UTM zone of the place, edges
on multiples of a pixel from easting 500,000 and the equator.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pyproj
import shapely

from hfaef.catalog.patch import Catalog, Patch, label_names
from hfaef.core.grid import EASTING, WGS84, Grid, project, utm_crs
from hfaef.errors import CatalogError
from hfaef.recipe.model import SPLITS, Table

_BOX = ("west", "south", "east", "north")
_LIMITS = (-180.0, -80.0, 180.0, 84.0)
"""Degrees that UTM covers."""

_MAX_SIDE = 4096


def read(section: Table, year: int) -> Catalog:
    """The catalog of a table.

    Raises:
        CatalogError: naming the file, and the column or row that cannot be used.
    """
    path = section.path
    columns = _columns(path)
    for needed in ("id", "label"):
        if needed not in columns:
            raise CatalogError(f"{path} has no column {needed!r}", "add it")
    schemes = section.schemes
    if schemes is None:
        schemes = ["split"] if "split" in columns else []
    for scheme in schemes:
        if scheme not in columns:
            raise CatalogError(f"{path} has no column {scheme!r}", "mend `patches.schemes`")
    labels = columns["label"]
    numbers = section.target == "number"
    if not numbers and any(isinstance(label, float) for label in labels):
        raise CatalogError(
            f"{path}: labels must be texts or whole numbers",
            'mend `label`, or set `patches.target = "number"` to predict it',
        )
    patches = []
    for number, box in enumerate(_boxes(path, columns)):
        identity, label = columns["id"][number], labels[number]
        if identity is None or label is None:
            raise CatalogError(f"{path}: row {number + 1} has no id or no label", "fill it in")
        patch = Patch(
            id=str(identity),
            grid=_grid(path, str(identity), box, section.size, section.resolution),
            label=_number(path, str(identity), label) if numbers else str(label),
            splits={s: _split(path, str(identity), s, columns[s][number]) for s in schemes},
            year=year,
        )
        patches.append(patch)
    names = [] if numbers else [str(label) for label in sorted(set(labels))]
    return Catalog(
        patches=tuple(patches),
        label_names=label_names(names, section.labels) if section.labels else tuple(names),
        schemes=tuple(schemes),
    )


def _number(path: Path, identity: str, label: object) -> float:
    try:
        return float(label)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise CatalogError(
            f"{path}: patch {identity} has the label {label!r}, which is no number", "mend it"
        ) from error


def _split(path: Path, identity: str, scheme: str, value: object) -> str:
    split = "validation" if value == "val" else value
    if split not in SPLITS:
        raise CatalogError(
            f"{path}: patch {identity} has the split {value!r} in {scheme!r}",
            f"use one of {', '.join(SPLITS)}",
        )
    return str(split)


def _columns(path: Path) -> dict[str, list[Any]]:
    """The table's columns as lists; a geometry column holds shapely geometries."""
    if not path.is_file():
        raise CatalogError(f"there is no table {path}", "mend `patches.path`")
    try:
        match path.suffix.lower():
            case ".parquet" | ".geoparquet":
                return _parquet_columns(path)
            case ".csv":
                columns = pa.csv.read_csv(path).to_pydict()
                if "geometry" in columns:
                    columns["geometry"] = list(shapely.from_wkt(columns["geometry"]))
                return dict(columns)
            case ".geojson" | ".json":
                return _geojson_columns(path)
    except (
        pa.ArrowException,
        shapely.errors.ShapelyError,
        ValueError,
        KeyError,
        TypeError,
    ) as error:
        raise CatalogError(f"cannot read the table {path}: {error}", "mend it") from error
    raise CatalogError(f"{path} is no .parquet, .csv or .geojson", "mend `patches.path`")


def _parquet_columns(path: Path) -> dict[str, list[Any]]:
    table = pq.read_table(path)
    columns = dict(table.to_pydict())
    if "geometry" in columns:
        geo = json.loads((table.schema.metadata or {}).get(b"geo", b"{}"))
        crs = geo.get("columns", {}).get("geometry", {}).get("crs")
        if crs is not None and not _is_lonlat(crs):
            raise ValueError("its geometry is not in lon/lat (WGS 84)")
        columns["geometry"] = list(shapely.from_wkb(columns["geometry"]))
    return columns


def _is_lonlat(crs: dict[str, Any]) -> bool:
    found = pyproj.CRS.from_json_dict(crs)
    return any(found.equals(known, ignore_axis_order=True) for known in (WGS84, "OGC:CRS84"))


def _geojson_columns(path: Path) -> dict[str, list[Any]]:
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    rows = [
        {
            "id": feature.get("id"),
            **feature["properties"],
            "geometry": shapely.geometry.shape(feature["geometry"]),
        }
        for feature in features
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _boxes(path: Path, columns: dict[str, list[Any]]) -> Iterable[Sequence[Any]]:
    """West, south, east and north of each row, in degrees; a point has no extent."""
    if "geometry" in columns:
        return [() if shape is None else shape.bounds for shape in columns["geometry"]]
    if {"lon", "lat"} <= columns.keys():
        return list(
            zip(columns["lon"], columns["lat"], columns["lon"], columns["lat"], strict=True)
        )
    if set(_BOX) <= columns.keys():
        return list(zip(*(columns[side] for side in _BOX), strict=True))
    raise CatalogError(
        f"{path} has no place columns",
        "add lon and lat, or west, south, east and north, or geometry",
    )


def _grid(path: Path, identity: str, box: Sequence[Any], size: int, side: int) -> Grid:
    """The grid with pixels of this side on AEF's lattice round a point, or that covers a box."""
    where = f"{path}: patch {identity}"
    usable = len(box) == 4 and all(isinstance(v, (int, float)) and math.isfinite(v) for v in box)
    if not usable:
        raise CatalogError(f"{where} has no place", "fill it in")
    west, south, east, north = box
    within = _LIMITS[0] <= west <= east <= _LIMITS[2] and _LIMITS[1] <= south <= north <= _LIMITS[3]
    if not within:
        raise CatalogError(
            f"{where} lies at {tuple(box)}, which is not in order or not within UTM's {_LIMITS}",
            "give degrees of longitude and latitude",
        )
    crs = utm_crs((west + east) / 2, (south + north) / 2)
    lon, lat = np.array([west, west, east, east]), np.array([south, north, south, north])
    x, y = project(lon, lat, WGS84, crs)
    x = (x - EASTING) / side
    y = y / side
    if (west, south) == (east, north):
        left, top = round(float(x[0]) - size / 2), round(float(y[0]) + size / 2)
        height = width = size
    else:
        left, top = math.floor(x.min()), math.ceil(y.max())
        height = max(top - math.floor(y.min()), 1)
        width = max(math.ceil(x.max()) - left, 1)
    if max(height, width) > _MAX_SIDE:
        raise CatalogError(f"{where} is {height} x {width} pixels", f"keep to {_MAX_SIDE} a side")
    metres = float(side)
    corner = EASTING + left * metres, top * metres
    return Grid(crs, (metres, 0.0, corner[0], 0.0, -metres, corner[1]), height, width)
