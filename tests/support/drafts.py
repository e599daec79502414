"""Tables to make drafts of recipes of, and what such a draft says."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Catalog
from hfaef.recipe.read import read_recipe
from hfaef.recipe.write import Draft, write_draft

PLACES = [(11.30 + 0.4 * (row % 5), 48.0 + 0.3 * (row // 5)) for row in range(25)]
"""Degrees, in blocks of 20 km of their own."""

WORDS = ["train", "Train", "dev", "TEST", "val"] * 5
"""For splits."""


def write_table(name: str, **columns: list[object]) -> Path:
    """A table of 25 points with these columns beside id, label and place."""
    table: dict[str, list[object]] = {
        "id": [f"p{row}" for row in range(25)],
        "label": [("Forest", "Water")[row % 2] for row in range(25)],
        "lon": [lon for lon, _ in PLACES],
        "lat": [lat for _, lat in PLACES],
        **columns,
    }
    path = Path(name)
    if path.suffix == ".parquet":
        pq.write_table(pa.table(table), path)
        return path
    lines = [
        ";".join(table),
        *(";".join(map(str, row)) for row in zip(*table.values(), strict=True)),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def keys(draft: Draft) -> dict[str, object]:
    return {line.key: line.value for line in draft.patches if line.is_set}


def proposed(draft: Draft) -> dict[str, object]:
    return {line.key: line.value for line in draft.patches if not line.is_set}


def unclear(draft: Draft) -> set[str]:
    return {line.key for line in (draft.years, *draft.patches) if line and line.unclear}


def opened(draft: Draft) -> Catalog:
    """The catalog of the recipe that a draft becomes."""
    return open_catalog(read_recipe(str(write_draft("mine", draft))))
