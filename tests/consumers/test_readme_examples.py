"""Blocks of the pages in docs/, as they stand, and what they must give."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import duckdb
import geopandas
import polars as pl
import pytest
from build.test_pipeline import demo_recipe

import hfaef
from hfaef.build.pipeline import build
from hfaef.recipe.builtin import commented
from hfaef.recipe.patches import TorchGeo
from hfaef.recipe.read import read_recipe
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import read_manifest
from support.documents import blocks
from support.releases import make_release


@pytest.fixture(scope="module")
def place(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    build(demo_recipe(demo_root), folder / "build/AlphaEarth-Demo")
    (folder / "data").symlink_to(demo_root / "data")
    return folder


def test_there_is_an_example_for_each_engine() -> None:
    """`tests/docs/test_blocks.py` runs them."""
    used = "\n".join(block.text for block in blocks("python", below="use/"))
    for engine in ("datasets", "torch", "torchgeo", "duckdb", "polars", "geopandas", "webdataset"):
        assert re.search(rf"^(import|from) (hfaef\.)?{engine}\b", used, re.MULTILINE), engine


KINDS = [
    block.text
    for block in blocks("toml", below="publish/")
    if block.text.startswith("[patches]") and "torchgeo" not in block.text
]
COMMENTED = [
    re.sub(r"^# ?", "", block, flags=re.MULTILINE)
    for block in re.findall(r"^# \[patches\]\n(?:# .*\n)+", commented("mine"), re.MULTILINE)
]
"""The blocks of the commented recipe that stand in the place of its own ``[patches]``."""


@pytest.mark.parametrize(
    "block", [*KINDS, *(block for block in COMMENTED if "torchgeo" not in block)]
)
def test_a_block_of_patches_builds_as_it_stands(
    block: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").symlink_to(place / "data")
    years = "" if re.search("^year =", block, re.MULTILINE) else "years = [2018]"
    source = '[source]\nkind = "cog"\nroot = "data/demo/aef"'
    Path("mine.toml").write_text(f'name = "mine"\n{years}\n{block}\n{source}\n')
    recipe = read_recipe("mine.toml")
    release = build(recipe, Path("mine"), limit=3)
    assert release.summary()["rows"] == 3
    assert check_folder(release.folder) == []
    said = recipe.patches.model_dump(exclude_unset=True, exclude={"kind", "root", "path", "table"})
    manifest = read_manifest(release.folder)
    assert manifest.labelling == said.pop("target", "class")
    assert [column.name for column in manifest.kept] == said.pop("keep", [])
    assert list(manifest.folds) == said.pop("folds", [])
    assert manifest.own_years == ("year" in said)
    assert set(manifest.schemes) >= said.get("make_splits", {}).keys()


def test_there_is_a_block_for_each_kind() -> None:
    for texts in (KINDS, COMMENTED):
        keys = {line.split(" ")[0] for block in texts for line in block.splitlines()}
        assert keys >= {"table", "target", "separator", "year", "nearest_year", "folds", "keep"}
        assert keys >= {"unassigned", "ignore", "make_splits"}
        targets = set(re.findall('^target = "(.*?)"', "\n".join(texts), re.MULTILINE))
        assert targets == {"classes", "number"}
    (torchgeo,) = [block for block in COMMENTED if "torchgeo" in block]
    TorchGeo.model_validate(tomllib.loads(torchgeo)["patches"])


SCORING = next(
    block.text for block in blocks("sh", below="evaluate") if "my-dataset" in block.text
).splitlines()


def test_scoring_runs_as_it_stands(demo_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs the extra eval")
    folder = make_release(demo_root, tmp_path / "build").rename(tmp_path / "build/my-dataset")
    rows = [row for part in hfaef.load(folder, config="pooled").values() for row in part]
    pl.DataFrame(
        {"id": [row["id"] for row in rows], "vector": [row["std"] for row in rows]}
    ).write_parquet(tmp_path / "vectors.parquet")
    for line in SCORING:
        command = [sys.executable, "-m", *shlex.split(line, comments=True)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    card = (folder / "README.md").read_text()
    first_screen = card.partition("\n# ")[2].partition("![")[0]
    assert "`mean+tessera`" in first_screen
    assert "is better than" in first_screen or "no difference can be shown" in first_screen
    assert check_folder(folder) == []
    assert (tmp_path / "published.json").is_file()


@pytest.mark.parametrize("kind", ["data", "pooled"])
def test_engines_see_the_rows_splits_and_places(place: Path, kind: str) -> None:
    folder = place / "build/AlphaEarth-Demo"
    rows = {row["id"]: row for part in hfaef.load(folder).values() for row in part}
    splits = {name: (row["random"], row["spatial"], row["label"]) for name, row in rows.items()}
    files = f"{folder / kind}/**/*.parquet"
    query = f"SELECT id, random, spatial, label FROM '{files}'"  # noqa: S608 - a path of ours
    by_duckdb = {row[0]: row[1:] for row in duckdb.sql(query).fetchall()}
    table = pl.scan_parquet(files).select("id", "random", "spatial", "label").collect()
    by_polars = {row[0]: row[1:] for row in table.iter_rows()}
    assert by_duckdb == by_polars == splits
    one = pl.scan_parquet(files).filter(pl.col("spatial") == "test").collect()
    assert set(one["id"]) == {name for name, row in rows.items() if row["spatial"] == "test"}


def test_geopandas_reads_outlines_and_splits(place: Path) -> None:
    folder = place / "build/AlphaEarth-Demo"
    columns = ["id", "spatial", "geometry"]
    table = geopandas.read_parquet(folder / "data", columns=columns)
    rows = {row["id"]: row for part in hfaef.load(folder).values() for row in part}
    assert table.crs == "OGC:CRS84"
    assert set(table["id"]) == set(rows)
    for entry in table.to_dict("records"):
        assert entry["geometry"].bounds == pytest.approx(rows[entry["id"]]["bounds"], abs=1e-4)
        assert entry["spatial"] == rows[entry["id"]]["spatial"]
