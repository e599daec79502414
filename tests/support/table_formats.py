"""Tables of patches in every format, and their catalogs."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Catalog
from hfaef.recipe.model import Recipe

FORMATS = ("csv", "parquet", "geojson", "gpkg", "fgb", "shp")

Columns = Mapping[str, Any]
"""Values of each column: a list, or an array with a type of its own."""


def points(**columns: Any) -> dict[str, Any]:
    """Columns of a table of points some 1 km apart, all of the label x unless said otherwise."""
    count = len(next(iter(columns.values())))
    whole: dict[str, Any] = {
        "id": [f"p{number}" for number in range(count)],
        "label": ["x"] * count,
        "lon": [11.5 + number / 100 for number in range(count)],
        "lat": [48.1] * count,
    }
    return {**whole, **columns}


def write_table(path: Path, columns: Columns) -> Path:
    """Write a table of points in the format of its extension, places as that has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values())]  # noqa: B905
    match path.suffix:
        case ".csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(columns))
                writer.writeheader()
                writer.writerows(rows)
        case ".parquet":
            pq.write_table(pa.table(dict(columns)), path)
        case ".geojson":
            features = [
                {
                    "type": "Feature",
                    "geometry": {"type": "Point", "coordinates": [row.pop("lon"), row.pop("lat")]},
                    "properties": row,
                }
                for row in rows
            ]
            path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        case _:
            import geopandas

            places = geopandas.points_from_xy(columns["lon"], columns["lat"])
            rest = {name: list(columns[name]) for name in columns if name not in ("lon", "lat")}
            geopandas.GeoDataFrame(rest, geometry=places, crs=4326).to_file(path)
    return path


def open_table(
    path: Path,
    *,
    years: Sequence[int] = (2018,),
    available: Collection[int] | None = None,
    pack: Mapping[str, object] | None = None,
    **patches: object,
) -> Catalog:
    """The catalog that a recipe with these keys of ``[patches]`` gives of a table."""
    section = {"kind": "table", "path": path, "size": 8, **patches}
    return open_recipe(section, years=years, available=available, pack=pack)


def open_recipe(
    patches: Mapping[str, object],
    *,
    years: Sequence[int] = (2018,),
    available: Collection[int] | None = None,
    pack: Mapping[str, object] | None = None,
) -> Catalog:
    """The catalog of a recipe with these patches; without `years` if they name a column of them."""
    content = {
        "name": "trial",
        "years": [] if "year" in patches else list(years),
        "patches": dict(patches),
        "source": {"kind": "cog", "root": "aef"},
        "pack": dict(pack or {}),
    }
    return open_catalog(Recipe.model_validate(content), available)


def by_id(catalog: Catalog, field: str) -> dict[str, Any]:
    """A field of each patch."""
    return {patch.id: getattr(patch, field) for patch in catalog.patches}


def splits_of(catalog: Catalog, scheme: str) -> dict[str, str]:
    """The split, or fold, of each patch."""
    return {patch.id: patch.splits[scheme] for patch in catalog.patches}
