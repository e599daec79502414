"""Small releases of every kind of label, year, split and kept column, of one made-up world."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from hfaef.build.pipeline import Built, build
from hfaef.hub.open import open_release
from hfaef.recipe.model import Demo, Recipe
from hfaef.recipe.read import read_recipe
from hfaef.sources.demo import write_world

NAMES = ("Dry", "Green", "Wet")
"""Labels of the kinds that have names."""

YEARS = (2018, 2024)
"""That the world has."""

POINTS = 18

KEPT: dict[str, tuple[pa.DataType, Any]] = {
    "country": (pa.string(), "DE"),
    "day": (pa.date32(), date(2018, 7, 1)),
    "moment": (pa.timestamp("us", "UTC"), datetime(2018, 7, 1, 12, 30, tzinfo=UTC)),
    "weight": (pa.float64(), 0.25),
    "parcel": (pa.int32(), 7),
    "sure": (pa.bool_(), True),
    "crops": (pa.list_(pa.string()), ["rye", "oats"]),
    "visits": (pa.list_(pa.date32()), [date(2018, 5, 1)]),
}
"""Kept columns: their types, and what all rows hold but the first, which holds nothing."""

DTYPES = {
    "country": "string",
    "day": "date32",
    "moment": "timestamp[us, tz=UTC]",
    "weight": "float64",
    "parcel": "int32",
    "sure": "bool",
    "crops": "string",
    "visits": "date32",
}
"""The types as `datasets` writes them; the last two are of lists."""

_KEEP = f"patches.keep={list(KEPT)}"
KINDS: dict[str, tuple[str, ...]] = {
    "class": ("years=[2018]", _KEEP),
    "classes": ("years=[2018]", "patches.target=classes", "patches.unassigned=keep", _KEEP),
    "number": ("years=[2018]", "patches.target=number", 'patches.folds=["fold"]'),
    "years": ("patches.year=own", "patches.keep=['country']"),
    "nearest": ("patches.year=own", "patches.nearest_year=true", "patches.keep=['weight']"),
}
"""What the recipe says of each kind."""


def write_points(folder: Path, patches: int = 20) -> Path:
    """Write the world below a folder; gives the world's."""
    world = folder / "world"
    write_world(Demo(root=world, patches=patches, years=list(YEARS)))
    return world


def labels_of(kind: str, row: int) -> Any:
    """The label of a row's table: in `classes` as many as there may be, none among them."""
    if kind == "number":
        return 0.1 * row
    if kind == "classes":
        return [name for number, name in enumerate(NAMES) if (row >> number) & 1][::-1]
    return NAMES[row % len(NAMES)]


def year_of(row: int) -> int:
    """The own year of a row's patch; the world has none of 2017 and 2021."""
    return (2018, 2024, 2018, 2024, 2017, 2021)[row % 6]


def _split_of(kind: str, row: int) -> str | None:
    if kind == "classes" and row % 9 == 8:
        return None
    return ("train", "train", "val", "test")[row % 4]


def recipe_of(
    kind: str,
    world: Path,
    table: Path,
    *changes: str,
    cells: Mapping[tuple[str, str], Any] | None = None,
) -> Recipe:
    """The recipe of a kind, whose table is written here.

    Args:
        kind: of `KINDS`.
        world: as `write_points` gives it.
        table: a Parquet file to write.
        changes: more of the recipe.
        cells: other values by column and id.
    """
    places = pyarrow.csv.read_csv(world / "points.csv").slice(0, POINTS)
    rows = range(places.num_rows)
    columns: dict[str, list[Any]] = {
        "id": [f"p{row:02d}" for row in rows],
        "label": [labels_of(kind, row) for row in rows],
        "split": [_split_of(kind, row) for row in rows],
        "fold": [None if row == 0 else str(1 + row % 3) for row in rows],
        "own": [year_of(row) for row in rows],
        **{name: [value if row else None for row in rows] for name, (_, value) in KEPT.items()},
    }
    for (name, identity), value in (cells or {}).items():
        columns[name][columns["id"].index(identity)] = value
    arrays = {
        name: pa.array(values, KEPT[name][0] if name in KEPT else None)
        for name, values in columns.items()
    }
    if kind == "number":
        del arrays["split"]
    pq.write_table(pa.table({**arrays, "lon": places["lon"], "lat": places["lat"]}), table)
    settings = ["name=Kind", "patches.kind=table", f"patches.path={table}", "patches.size=8"]
    settings += ["source.kind=cog", f"source.root={world / 'aef'}", *KINDS[kind], *changes]
    path = table.with_suffix(".toml")
    path.write_text("")
    return read_recipe(str(path), settings)


def build_kind(
    kind: str,
    world: Path,
    folder: Path,
    *changes: str,
    cells: Mapping[tuple[str, str], Any] | None = None,
    previous: Path | None = None,
) -> Built:
    """A release of a kind in ``release`` of a new folder; the arguments are those of `recipe_of`."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = recipe_of(kind, world, folder / "points.parquet", *changes, cells=cells)
    before = open_release(str(previous)) if previous else None
    return build(recipe, folder / "release", threads=1, previous=before, allow_missing=True)
