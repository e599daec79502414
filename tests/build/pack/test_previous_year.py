"""Pooled rows of releases with several years say how alike a patch is to itself a year before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hfaef
from hfaef.build.pack.parquet import PooledShard
from hfaef.build.pipeline import build
from hfaef.errors import ReleaseError
from hfaef.recipe.patches import Geotiffs
from hfaef.release.bump import classify_changes
from hfaef.release.card.render import render_card, write_card
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import (
    file_entry,
    manifest_bytes,
    parse_manifest,
    read_manifest,
)
from hfaef.release.format.paths import ROW_GROUPS
from hfaef.release.format.rows import previous_year_cosines, read_rows
from support.kinds import build_kind, recipe_of, write_points
from support.releases import contents

COLUMN = "cosine_previous_year"
BOTH = "years=[2018, 2024]"
TWICE = {("split", "p01"): "test", ("id", "p01"): "p00"}
"""Of a table with own years: the patch p00 of 2018 is there in 2024, too, in another split."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_points(tmp_path_factory.mktemp("kinds"))


@pytest.fixture(scope="module")
def two_years(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of two years; not to be written to."""
    return build_kind("class", world, tmp_path_factory.mktemp("two"), BOTH).folder


def pooled(folder: Path) -> dict[tuple[int, str], dict[str, Any]]:
    """Pooled rows by year and id."""
    rows = read_rows(folder, read_manifest(folder), "pooled")
    return {(row["year"], row["id"]): row for row in rows}


def cosine(one: dict[str, Any], two: dict[str, Any]) -> float:
    a, b = (np.array(row["mean"], np.float64) for row in (one, two))
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_each_row_has_the_cosine_of_its_mean_with_that_of_the_year_before(two_years: Path) -> None:
    rows = pooled(two_years)
    assert {year for year, _ in rows} == {2018, 2024}
    for (year, identity), row in rows.items():
        if year == 2018:
            assert row[COLUMN] is None
        else:
            assert row[COLUMN] == np.float32(cosine(rows[2018, identity], row))
            assert -1 <= row[COLUMN] < 0.99999
    assert check_folder(two_years) == []
    assert json.loads((two_years / "release.json").read_bytes())["previous_year"] is True


@pytest.mark.parametrize("form", ["parquet", "webdataset"])
def test_two_builds_are_the_same_bytes_in_every_format(
    world: Path, two_years: Path, tmp_path: Path, form: str
) -> None:
    one, two = (
        build_kind("class", world, tmp_path / name, BOTH, f"pack.format={form}").folder
        for name in "ab"
    )
    assert contents(one) == contents(two)
    assert check_folder(one) == []
    assert {key: row[COLUMN] for key, row in pooled(one).items()} == {
        key: row[COLUMN] for key, row in pooled(two_years).items()
    }


def test_a_release_of_one_year_is_what_it_was(world: Path, tmp_path: Path) -> None:
    folder = build_kind("class", world, tmp_path).folder
    for path in (folder / "pooled").rglob("*.parquet"):
        assert COLUMN not in pq.read_schema(path).names
    assert "previous_year" not in json.loads((folder / "release.json").read_bytes())
    assert COLUMN not in (folder / "README.md").read_text()
    # Own years, but each patch in one.
    own = build_kind("years", world, tmp_path / "own").folder
    assert len(read_manifest(own).years) == 2
    assert not read_manifest(own).previous_year


def test_patches_with_own_years_are_compared_wherever_their_rows_lie(
    world: Path, tmp_path: Path
) -> None:
    # Files of test are written before those of training.
    folder = build_kind("years", world, tmp_path, cells=TWICE).folder
    rows = pooled(folder)
    told = {key: row[COLUMN] for key, row in rows.items() if row[COLUMN] is not None}
    assert told == {(2024, "p00"): np.float32(cosine(rows[2018, "p00"], rows[2024, "p00"]))}
    assert len(rows) == 12
    assert check_folder(folder) == []


def test_years_may_be_left_out_and_come_in_any_order() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 64)).astype(np.float32)
    vectors[5] = 0
    infinite = np.where(np.arange(64) % 2, np.inf, -np.inf).astype(np.float32)
    for wrong in (infinite, np.full(64, np.nan, np.float32)):
        pair = np.stack([vectors[0], wrong])
        assert np.isnan(previous_year_cosines([(2018, "a"), (2019, "a")], pair)).all()
    keys = [(2020, "a"), (2017, "a"), (2018, "b"), (2018, "a"), (2019, "b"), (2021, "b")]
    found = previous_year_cosines(keys, vectors)
    a = {year: {"mean": vectors[row]} for row, (year, name) in enumerate(keys) if name == "a"}
    assert found[0] == np.float32(cosine(a[2018], a[2020]))
    assert found[3] == np.float32(cosine(a[2017], a[2018]))
    assert found[4] == np.float32(cosine({"mean": vectors[2]}, {"mean": vectors[4]}))
    assert np.isnan(found[[1, 2, 5]]).all()  # first years, and a vector of zeros
    order = np.random.default_rng(1).permutation(6)
    again = previous_year_cosines([keys[row] for row in order], vectors[order])
    np.testing.assert_array_equal(again, found[order])


def test_row_groups_and_what_they_tell_of_data_stay(world: Path, tmp_path: Path) -> None:
    recipe = recipe_of("class", world, tmp_path / "points.parquet", BOTH)
    few = build(recipe, tmp_path / "few", limit=9, threads=1).folder
    # New rows come after those that were there, in shards of their own.
    folder = build_kind("class", world, tmp_path / "all", BOTH, previous=few).folder
    files = {file.path: file.rows for file in read_manifest(folder).files}
    for path in sorted((folder / "pooled").rglob("*.parquet")):
        with pq.ParquetFile(path) as table:
            groups = json.loads(table.metadata.metadata[ROW_GROUPS.encode()])
            sizes = [
                table.metadata.row_group(number).num_rows for number in range(table.num_row_groups)
            ]
        below = path.relative_to(folder / "pooled").parent.as_posix()
        data = sorted(one for one in files if one.startswith(f"data/{below}/"))
        assert sizes == [sum(group) for group in groups] == [files[one] for one in data]
    assert max(len(list(one.glob("*.parquet"))) for one in (folder / "data").rglob("*")) > 1


def test_a_second_release_keeps_it_and_a_year_that_comes_brings_it(
    world: Path, two_years: Path, tmp_path: Path
) -> None:
    same = build_kind("class", world, tmp_path / "same", BOTH, previous=two_years).folder
    assert contents(same / "pooled") == contents(two_years / "pooled")
    one = build_kind("class", world, tmp_path / "one").folder
    more = build_kind("class", world, tmp_path / "more", BOTH, previous=one).folder
    assert {key: row[COLUMN] for key, row in pooled(more).items()} == {
        key: row[COLUMN] for key, row in pooled(two_years).items()
    }
    assert check_folder(more) == []
    before, after = read_manifest(one), read_manifest(more)
    added = classify_changes(before, after)
    assert added.level == "minor"
    assert f"the column {COLUMN} of pooled vectors is new" in added.reasons
    gone = classify_changes(after, before)
    assert gone.level == "major"
    assert f"the column {COLUMN} of pooled vectors is gone" in gone.reasons


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("year", "change"),
    [
        (2024, lambda row: row[COLUMN] + 1e-4),
        (2024, lambda row: None),  # noqa: ARG005
        (2018, lambda row: 0.5),  # noqa: ARG005
    ],
    ids=["another value", "none", "one of the first year"],
)
def test_a_check_finds_what_the_vectors_do_not_say(
    two_years: Path, tmp_path: Path, year: int, change: Change
) -> None:
    ignored = shutil.ignore_patterns(".staging")
    folder = Path(shutil.copytree(two_years, tmp_path / "release", ignore=ignored))
    path = min((folder / f"pooled/{year}").rglob("*.parquet"))
    with pq.ParquetFile(path) as table:
        rows, schema = table.read().to_pylist(), table.schema_arrow
    rows[0][COLUMN] = change(rows[0])
    with PooledShard(path.parent, schema) as shard:
        shard.copy_shard(pa.Table.from_pylist(rows, schema=schema), [len(rows)])
    shard.path.replace(path)
    manifest = read_manifest(folder)
    files = tuple(file_entry(folder, folder / file.path, file.rows) for file in manifest.files)
    manifest = manifest.model_copy(update={"files": files})
    (folder / "release.json").write_bytes(manifest_bytes(manifest))
    write_card(folder, replace=True)
    (found,) = check_folder(folder)
    assert found.path == path.relative_to(folder).as_posix()
    assert found.problem == (
        f"patch {rows[0]['id']} of {year} has another {COLUMN} than its vectors"
    )


def test_it_loads_with_datasets_hfaef_and_torch(two_years: Path) -> None:
    later = hfaef.load(two_years, "train", "pooled_2024")
    first = hfaef.load(two_years, "train", "pooled")
    assert later.features[COLUMN].dtype == "float32"
    assert all(isinstance(value, float) for value in later[COLUMN])
    assert set(first[COLUMN]) == {None}
    assert f"`{COLUMN}`" in render_card(read_manifest(two_years))


def test_tensors_of_it_stack_in_a_loader(two_years: Path) -> None:
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    from torch.utils.data import DataLoader

    from hfaef.torch import Patches

    for config, lacks in (("pooled", True), ("pooled_2024", False)):
        rows = hfaef.load(two_years, "train", config, columns=["mean", "label", COLUMN])
        batch = next(iter(DataLoader(Patches(rows), batch_size=4)))
        assert batch[COLUMN].dtype is batch["mean"].dtype
        assert batch[COLUMN].isnan().all().item() is lacks


def test_nobody_else_may_bear_its_name(two_years: Path) -> None:
    with pytest.raises(ValueError, match=COLUMN):
        Geotiffs.model_validate(
            {"kind": "geotiffs", "root": "x", "splits": {COLUMN: {"train": "a", "test": "b"}}}
        )
    content = json.loads((two_years / "release.json").read_bytes())
    with pytest.raises(ReleaseError, match="previous_year: there is one year"):
        parse_manifest(json.dumps({**content, "years": [2018]}).encode(), "release.json")
