"""What a page of the atlas must show of a release, worked out from its files by other means."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.atlas.policy import content_policy
from hfaef.evaluation.probe.neighbours import nearest, unit
from hfaef.release.format.rows import vectors_of
from servers.files import Fault

POINTS = "atlas/points.parquet"
KEY = b"hfaef.atlas"
SHOWN = 12
"""Neighbours of a patch."""

POLICY = Fault(headers={"Content-Security-Policy": content_policy()})
"""An answer as it is, with the strict policy."""

MakeSite = Callable[[Path], Path]
"""Writes the site of a release, with its data."""


@dataclass(frozen=True)
class Points:
    """The table that the page draws, and the vectors that it compares."""

    table: pa.Table
    about: dict[str, Any]
    vectors: npt.NDArray[np.float32]
    """Shape (rows, 64)."""

    def ids(self) -> list[str]:
        return list(self.table["id"].to_pylist())

    def near(self, row: int) -> list[tuple[str, int, float]]:
        """Id, year and cosine of the nearest rows, as the evaluation's kNN finds and orders them."""
        others = np.delete(np.arange(len(self.table)), row)
        (found,) = nearest(self.vectors[others], self.vectors[row : row + 1], SHOWN)
        cosines = unit(self.vectors[others][found]) @ unit(self.vectors[row : row + 1])[0]
        years = self.table["year"].to_pylist()
        ids = self.ids()
        return [
            (ids[one], years[one], float(cosine))
            for one, cosine in zip(others[found].tolist(), cosines, strict=True)
        ]

    def near_by_numpy(self, row: int) -> list[str]:
        """Ids of the nearest by a plain product."""
        scaled = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        order = np.argsort(-(scaled @ scaled[row]), kind="stable")
        ids = self.ids()
        return [ids[one] for one in order.tolist() if one != row][:SHOWN]


def read_points(folder: Path) -> Points:
    """The points of a release, and its vectors in their order."""
    table = pq.read_table(folder / POINTS)
    about = json.loads(table.schema.metadata[KEY])
    column = about["vectors"]["column"]
    parts = [
        vectors_of(pq.read_table(folder / file["path"], partitioning=None)[column])
        for file in about["vectors"]["files"]
    ]
    return Points(table, about, np.concatenate(parts))


def change_points(
    folder: Path,
    about: Callable[[dict[str, Any]], None] = lambda _: None,
    **columns: Any,
) -> None:
    """Write other columns, or other words about them, into a release's points."""
    table = pq.read_table(folder / POINTS)
    told = json.loads(table.schema.metadata[KEY])
    about(told)
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
    metadata = {**table.schema.metadata, KEY: json.dumps(told).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), folder / POINTS, compression="zstd")
