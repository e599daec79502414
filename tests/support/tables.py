"""Tables of patches, written by every program that people use, and read by ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from hfaef.catalog import table
from hfaef.catalog.patch import Catalog
from hfaef.core.grid import WGS84, Grid, project
from hfaef.recipe.patches import Table

HEAD = "id,label,lon,lat\n"
POINT = shapely.Point(11.5, 48.1)

WAYS_OUT = "`patches.keep` keeps them, `patches.ignore` leaves them out"


def read(path: Path, **changes: object) -> Catalog:
    return table.read(Table.model_validate({"kind": "table", "path": path, **changes}), 2018)


def read_csv(folder: Path, content: str | bytes, **changes: object) -> Catalog:
    path = folder / "points.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(path, **changes)


def read_parquet(folder: Path, **columns: object) -> Catalog:
    path = folder / "points.parquet"
    rows = len(columns.get("label", columns.get("id", [])))  # type: ignore[arg-type]
    whole = {
        "id": [f"p{number}" for number in range(rows)],
        "label": ["x"] * rows,
        "lon": [11.5] * rows,
        "lat": [48.1] * rows,
        **columns,
    }
    pq.write_table(pa.table(whole), path)
    return read(path)


def feature(geometry: object = None, **properties: object) -> dict[str, object]:
    point = {"type": "Point", "coordinates": [11.5, 48.1]}
    place = point if geometry is None else geometry
    return {"type": "Feature", "geometry": place, "properties": properties}


def read_geojson(folder: Path, *features: object, **more: object) -> Catalog:
    path = folder / "points.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    return read(path)


def labels(catalog: Catalog) -> list[str | float]:
    return [patch.label for patch in catalog.patches]


def read_shape(folder: Path, *shapes: object, crs: object = ..., **changes: object) -> Catalog:
    """A GeoJSON of these geometries: shapely's, or objects as they are."""
    features = [
        {
            "type": "Feature",
            "properties": {"id": f"p{number}", "label": "x"},
            "geometry": shape
            if isinstance(shape, dict | None)
            else shapely.geometry.mapping(shape),
        }
        for number, shape in enumerate(shapes)
    ]
    content = {"type": "FeatureCollection", "features": features}
    if crs is not ...:
        content["crs"] = crs
    (folder / "shapes.geojson").write_text(json.dumps(content))
    return read(folder / "shapes.geojson", **changes)


def grid_of(catalog: Catalog) -> Grid:
    return catalog.patches[0].grid


def square(crs: str, left: int, bottom: int, side: int = 640) -> shapely.Polygon:
    """A square in metres, in degrees with six decimals."""
    box = shapely.box(left, bottom, left + side, bottom + side)
    lon, lat = project(*shapely.get_coordinates(box).T, crs, WGS84)
    return shapely.Polygon(np.round(np.stack([lon, lat], axis=1), 6))
