"""The name of a class beside its number, for those who read the files without `datasets`."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import geopandas
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from build.test_pipeline import demo_recipe
from pyarrow import dataset

import hfaef
from hfaef.build.pipeline import build
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import read_manifest

LIMIT = 24


@pytest.fixture(scope="module")
def sheets(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sheets") / "out"
    return build(demo_recipe(demo_root), folder, limit=LIMIT).folder


@pytest.fixture(scope="module")
def bare(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release without the column, as hfaef 0.1 made them."""
    folder = tmp_path_factory.mktemp("bare") / "out"
    return build(demo_recipe(demo_root, "pack.label_name=false"), folder, limit=LIMIT).folder


def names_by_id(folder: Path) -> dict[str, str]:
    names = read_manifest(folder).label_names
    rows = [row for part in hfaef.load(folder).values() for row in part]
    assert all(row["label_name"] == names[row["label"]] for row in rows)
    return {row["id"]: row["label_name"] for row in rows}


@pytest.mark.parametrize("kind", ["data", "pooled"])
def test_engines_read_the_names_of_classes(sheets: Path, kind: str) -> None:
    expected = names_by_id(sheets)
    assert len(expected) == LIMIT
    files = f"{sheets / kind}/**/*.parquet"
    query = f"SELECT id, label_name FROM '{files}'"  # noqa: S608 - a path of ours
    assert dict(duckdb.sql(query).fetchall()) == expected
    assert dict(pl.scan_parquet(files).select("id", "label_name").collect().iter_rows()) == expected
    table = pd.read_parquet(sheets / kind, columns=["id", "label_name"])
    assert dict(zip(table["id"], table["label_name"], strict=True)) == expected


# Dask's own call of pandas.
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")
@pytest.mark.parametrize("kind", ["data", "pooled"])
def test_pyarrow_and_dask_read_splits_and_names_off_the_columns(sheets: Path, kind: str) -> None:
    rows = [row for part in hfaef.load(sheets).values() for row in part]
    expected = {row["id"]: (row["label_name"], row["random"], row["spatial"]) for row in rows}
    columns = ["id", "label_name", "random", "spatial"]
    table = dataset.dataset(sheets / kind).to_table(columns=columns).to_pylist()
    assert {row.pop("id"): tuple(row.values()) for row in table} == expected
    dask = pytest.importorskip("dask.dataframe", reason="needs the extra dask")
    lazy = dask.read_parquet(str(sheets / kind), columns=columns, dataset={"partitioning": None})
    table = lazy.compute(scheduler="sync").to_dict("records")
    assert {row.pop("id"): tuple(row.values()) for row in table} == expected


def test_geopandas_reads_them_beside_outlines(sheets: Path) -> None:
    table = geopandas.read_parquet(sheets / "data", columns=["id", "label_name", "geometry"])
    assert dict(zip(table["id"], table["label_name"], strict=True)) == names_by_id(sheets)


@pytest.mark.parametrize("setting", ["pack.codec=raw", "pack.format=webdataset"])
def test_every_format_holds_them(
    demo_root: Path, tmp_path: Path, sheets: Path, setting: str
) -> None:
    folder = build(demo_recipe(demo_root, setting), tmp_path / "out", limit=LIMIT).folder
    assert names_by_id(folder) == names_by_id(sheets)
    assert check_folder(folder) == []


def test_releases_with_and_without_the_column_are_fit_to_publish(sheets: Path, bare: Path) -> None:
    assert check_folder(sheets) == check_folder(bare) == []
    assert "label_name" not in hfaef.load(bare, "train").column_names


def test_a_release_of_an_older_hfaef_names_no_such_key_and_is_fit_to_publish(bare: Path) -> None:
    manifest = json.loads((bare / "release.json").read_text())
    del manifest["recipe"]["pack"]["label_name"]
    (bare / "release.json").write_text(json.dumps(manifest))
    assert not read_manifest(bare).storage.label_name
    assert "label_name" not in hfaef.load(bare, "train").column_names
    assert not [one for one in check_folder(bare) if one.path.startswith(("data", "pooled"))]


def test_a_name_that_is_not_that_of_the_number_is_found(sheets: Path, tmp_path: Path) -> None:
    import shutil

    from hfaef.release.format.manifest import file_entry

    folder = shutil.copytree(sheets, tmp_path / "out", ignore=shutil.ignore_patterns(".staging"))
    path = next((folder / "pooled").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    place = table.schema.get_field_index("label_name")
    column = pa.array(["Sea"] * len(table)).cast(table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), column), path)
    manifest = json.loads((folder / "release.json").read_text())
    entry = file_entry(folder, path, len(table)).model_dump(mode="json")
    manifest["files"] = [entry if f["path"] == entry["path"] else f for f in manifest["files"]]
    (folder / "release.json").write_text(json.dumps(manifest))
    found = [one.problem for one in check_folder(folder) if one.path == entry["path"]]
    assert any("a `label_name` that is not the name of its label" in one for one in found)


def test_the_names_cost_a_few_bytes_a_row(sheets: Path, bare: Path) -> None:
    sizes = [
        sum(path.stat().st_size for path in (folder / "data").rglob("*.parquet"))
        for folder in (sheets, bare)
    ]
    shards = len(list((sheets / "data").rglob("*.parquet")))
    assert 0 < sizes[0] - sizes[1] < 1000 * shards


def test_a_number_to_predict_has_no_name(demo_root: Path, tmp_path: Path) -> None:
    points = f"patches.path={demo_root / 'data/demo/points.csv'}"
    number = ["patches.kind=table", points, "patches.target=number", "patches.size=32"]
    folder = build(demo_recipe(demo_root, *number), tmp_path / "out", limit=6).folder
    assert "label_name" not in next(iter(hfaef.load(folder).values())).column_names
