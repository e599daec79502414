"""Tables of pooled vectors are GeoParquet 1.1, read by what reads that."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely

import hfaef
from hfaef.release.format.manifest import read_manifest
from hfaef.release.format.rows import read_rows
from hfaef.release.format.schema import BOX
from support.kinds import build_kind, write_points


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("places")
    world = write_points(folder)
    made = {kind: build_kind(kind, world, folder / kind).folder for kind in ("class", "nearest")}
    tar = build_kind("class", world, folder / "tar", "pack.format=webdataset")
    return {**made, "webdataset": tar.folder}


ALL = ("class", "nearest", "webdataset")


@pytest.mark.parametrize("name", ALL)
def test_geometry_and_bbox_are_those_of_the_patch(built: dict[str, Path], name: str) -> None:
    folder = built[name]
    manifest = read_manifest(folder)
    data = {(row["year"], row["id"]): row for row in read_rows(folder, manifest, "data")}
    pooled = list(read_rows(folder, manifest, "pooled"))
    assert len(pooled) == len(data) > 0
    for row in pooled:
        patch = data[row["year"], row["id"]]
        assert row["geometry"] == bytes(patch["geometry"])
        assert tuple(row["bbox"].values()) == tuple(patch["bounds"])
        assert list(row["bbox"]) == ["xmin", "ymin", "xmax", "ymax"]


@pytest.mark.parametrize("name", ALL)
def test_geopandas_reads_a_part_of_the_world_by_the_covering(
    built: dict[str, Path], name: str
) -> None:
    folder = built[name]
    paths = sorted((folder / "pooled").rglob("*.parquet"))
    whole = pd.concat([geopandas.read_parquet(path) for path in paths])
    assert len(whole) == read_manifest(folder).rows
    one = whole.iloc[[0]]
    box = tuple(one.total_bounds)
    parts = [geopandas.read_parquet(path, bbox=box) for path in paths]
    found = pd.concat([part for part in parts if len(part)])
    assert one["id"].item() in set(found["id"])
    assert len(found) < len(whole)
    inside = whole[whole.geometry.intersects(shapely.box(*box))]
    assert set(inside["id"]) <= set(found["id"])


def test_duckdb_filters_by_the_covering(built: dict[str, Path]) -> None:
    table = duckdb.read_parquet(f"{built['class']}/pooled/*.parquet")
    rows = table.project("id, bbox.xmin AS west").order("west").fetchall()
    least = table.filter(f"bbox.xmin <= {rows[0][1]!r}").project("id").fetchall()
    assert [name for (name,) in least] == [rows[0][0]]


def test_the_metadata_name_the_covering(built: dict[str, Path]) -> None:
    for path in (built["class"] / "pooled").rglob("*.parquet"):
        geo = json.loads(pq.read_schema(path).metadata[b"geo"])
        column = geo["columns"][geo["primary_column"]]
        assert geo["version"] == "1.1.0"
        assert column["covering"]["bbox"] == {edge: ["bbox", edge] for edge in BOX}


@pytest.mark.parametrize("name", ALL)
def test_datasets_loads_the_tables_with_both(built: dict[str, Path], name: str) -> None:
    rows = hfaef.load(built[name], "train", config="pooled")
    assert set(rows[0]["bbox"]) == {*BOX}
    assert np.asarray(rows.with_format("numpy")[0]["mean"]).shape == (64,)
    assert shapely.from_wkb(rows[0]["geometry"]).is_valid
