"""The toolkit is not about one data set: a target to predict, and several years."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

import hfaef
from hfaef.build.pipeline import build
from hfaef.catalog import open_catalog, table
from hfaef.errors import CatalogError, RecipeError
from hfaef.recipe.model import Recipe
from hfaef.recipe.patches import Table
from hfaef.recipe.read import read_recipe
from hfaef.release.card.render import parse_front_matter
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import read_manifest
from hfaef.sources import open_source

FORMS = {"png": (), "raw": ("pack.codec=raw",), "webdataset": ("pack.format=webdataset",)}


def target_recipe(root: Path, *changes: str) -> Recipe:
    world = root / "data/demo"
    places = [f"demo.root={world}", "demo.patches=40", f"patches.path={world / 'points.csv'}"]
    return read_recipe("demo-target", [*places, f"source.root={world / 'aef'}", *changes])


@pytest.fixture(scope="module", params=list(FORMS))
def target(request, demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "release"
    return build(target_recipe(demo_root, *FORMS[request.param]), folder).folder


def test_a_target_is_a_float_label(target: Path, demo_root: Path, tmp_path: Path) -> None:
    assert check_folder(target) == []
    manifest = read_manifest(target)
    assert (manifest.label_names, manifest.rows_by_label) == ((), {})
    assert (
        "tabular-regression"
        in parse_front_matter((target / "README.md").read_text())["task_categories"]
    )
    points = pyarrow.csv.read_csv(demo_root / "data/demo/points.csv").to_pylist()
    # Labels are float32, of which Python shows more digits.
    wanted = {row["id"]: float(np.float32(row["label"])) for row in points}
    loaded = load_dataset(str(target), cache_dir=str(tmp_path))
    rows = [row for part in loaded.values() for row in part]
    labels = {(row.get("json") or row)["id"]: (row.get("json") or row)["label"] for row in rows}
    assert labels == wanted
    for streaming in (False, True):
        row = next(iter(hfaef.load(target, "train", streaming=streaming)))
        assert row["label"] == wanted[row["id"]]
        assert row["embedding"].shape == (64, 32, 32)


def test_a_target_becomes_a_float_tensor(target: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra torchgeo")
    from hfaef.torch import Patches

    rows = hfaef.load(target, "train", columns=["embedding", "label"])
    assert Patches(rows)[0]["label"].dtype == torch.float32


def test_a_target_is_exported(target: Path, tmp_path: Path) -> None:
    from hfaef.release.gis.export import export

    export(target, tmp_path / "out")
    table = pq.read_table(tmp_path / "out/pooled.parquet")
    assert 0 < table["label"].to_pylist()[0] <= 1
    assert len(list((tmp_path / "out/patches").glob("*.tif"))) == 40


@pytest.mark.parametrize(
    ("labels", "word"),
    [(["x", "y"], "which is no number"), ([float("nan"), 1.0], "no finite number")],
)
def test_a_target_that_is_no_number_is_named(tmp_path: Path, labels, word: str) -> None:
    columns = {"id": ["a", "b"], "label": labels, "lon": [11.5, 12.5], "lat": [48.1, 48.2]}
    pq.write_table(pyarrow.table(columns), tmp_path / "points.parquet")
    section = {"kind": "table", "path": tmp_path / "points.parquet", "target": "number"}
    with pytest.raises(CatalogError, match=f"patch a .*{word}"):
        table.read(Table.model_validate(section), 2018)


def test_a_target_has_no_label_names(demo_root: Path) -> None:
    with pytest.raises(RecipeError, match="has no names"):
        target_recipe(demo_root, 'patches.labels=["x"]')


def years_recipe(root: Path, *changes: str) -> Recipe:
    places = [f"demo.root={root}", "demo.patches=20", f"patches.root={root / 'patches'}"]
    places += [f"source.root={root / 'aef'}"]
    places += [
        f"patches.splits.random.{split}={root / 'lists' / f'random-{split}.txt'}"
        for split in ("train", "val", "test")
    ]
    return read_recipe("demo-years", [*places, *changes])


@pytest.fixture(scope="module")
def years_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hfaef.sources.demo import write_world

    root = tmp_path_factory.mktemp("years") / "world"
    recipe = years_recipe(root)
    assert recipe.demo is not None
    write_world(recipe.demo)
    return root


@pytest.mark.parametrize("form", ["png", "webdataset"])
def test_each_year_is_a_config_over_one_list_of_labels(
    years_world: Path, form: str, tmp_path: Path
) -> None:
    recipe = years_recipe(years_world, *FORMS[form])
    folder = build(recipe, tmp_path / "release").folder
    assert check_folder(folder) == []
    names = [config.name for config in read_manifest(folder).configs]
    assert names == ["2018", "2024", "pooled", "pooled_2024"]
    source = open_source(recipe.source, recipe.years)
    patches = {(patch.year, patch.id): patch for patch in open_catalog(recipe).patches}
    rows = {}
    for year in (2018, 2024):
        for row in hfaef.load(folder, "train", str(year)):
            patch = patches[year, row["id"]]
            assert row["year"] == year
            assert np.array_equal(
                row["embedding"], source.read(patch.grid, year).codes.view(np.uint8) + np.uint8(127)
            )
            rows[year, row["id"]] = row
    for (year, name), row in rows.items():
        other = rows[2018 + 2024 - year, name]
        assert row["label"] == other["label"]
        assert row["transform"] == other["transform"]
        assert not np.array_equal(row["embedding"], other["embedding"]), "years differ"
    source.close()


def test_years_share_their_patches_in_the_catalog(years_world: Path) -> None:
    catalog = open_catalog(years_recipe(years_world))
    by_year = {
        year: [patch for patch in catalog.patches if patch.year == year] for year in (2018, 2024)
    }
    for one, two in zip(*by_year.values(), strict=True):
        assert one.grid is two.grid
        assert one.label is two.label
        assert one.splits is two.splits


def run_code(folder: Path) -> str:
    """Run the Python blocks of a release's card as they stand; gives what they print."""
    pytest.importorskip("torch", reason="the extra `torchgeo` brings torch")
    from release.card.test_render import blocks

    code = blocks((folder / "README.md").read_text(), "python")
    assert len(code) >= 6
    # In one process, as each import of torch takes seconds.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "\n".join(code)],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", list(FORMS))
def test_code_of_the_card_runs_in_every_form(demo_root: Path, tmp_path: Path, form: str) -> None:
    recipe = target_recipe(demo_root, *FORMS[form])
    folder = build(recipe, tmp_path / recipe.name).folder
    text = (folder / "README.md").read_text()
    assert "a number to predict" in text
    run_code(folder)


def classes_recipe(root: Path, *changes: str) -> Recipe:
    world = root / "data/demo"
    places = [f"demo.root={world}", "demo.patches=40", f"patches.root={world / 'patches'}"]
    places += [f"patches.table={world / 'several.csv'}", f"source.root={world / 'aef'}"]
    places += [
        f"patches.splits.{scheme}.{split}={world / 'lists' / f'{scheme}-{split}.txt'}"
        for scheme in ("random", "spatial")
        for split in ("train", "val", "test")
    ]
    return read_recipe("demo-classes", [*places, *changes])


def points_recipe(root: Path, *changes: str) -> Recipe:
    places = [f"demo.root={root}", "demo.patches=20", f"source.root={root / 'aef'}"]
    return read_recipe(
        "demo-points", [*places, f"patches.path={root / 'surveys.geojson'}", *changes]
    )


@pytest.fixture(scope="module")
def classes(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = classes_recipe(demo_root)
    return build(recipe, tmp_path_factory.mktemp("classes") / recipe.name).folder


@pytest.fixture(scope="module")
def points(years_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = points_recipe(years_world)
    return build(recipe, tmp_path_factory.mktemp("points") / recipe.name).folder


def test_demo_classes_has_the_labels_of_its_table(classes: Path, demo_root: Path) -> None:
    assert check_folder(classes) == []
    with (demo_root / "data/demo/several.csv").open() as file:
        wanted = {row["id"]: set(row["label"].split(";")) for row in csv.DictReader(file)}
    assert any(len(names) > 1 for names in wanted.values())
    names = read_manifest(classes).label_names
    rows = [row for part in hfaef.load(classes).values() for row in part]
    assert {row["id"]: {names[number] for number in row["label"]} for row in rows} == wanted
    for row in rows:
        assert row["id"].partition("_")[0] in wanted[row["id"]], "the label of its middle"


def test_demo_points_has_a_year_of_its_own_for_each_pixel(points: Path, years_world: Path) -> None:
    assert check_folder(points) == []
    features = json.loads((years_world / "surveys.geojson").read_text())["features"]
    wanted = {feature["properties"]["id"]: feature["properties"] for feature in features}
    manifest = read_manifest(points)
    assert [config.name for config in manifest.configs] == ["spatial", "pooled"]
    assert manifest.folds == ("fold",)
    rows = [row for part in hfaef.load(points).values() for row in part]
    assert len(rows) == 300
    for row in rows:
        said = wanted[row["id"]]
        assert row["embedding"].shape == (64, 1, 1)
        assert manifest.label_names[row["label"]] == said["label"]
        assert (row["year"], str(row["fold"])) == (said["year"], str(said["fold"]))
        assert row["observed_year"] == (2018 if row["year"] <= 2021 else 2024)
        assert (row["region"], row["confidence"]) == (said["region"], said["confidence"])
    assert {row["year"] for row in rows} == set(range(2018, 2025))


def test_the_card_tells_of_several_labels_and_its_code_runs(classes: Path) -> None:
    text = (classes / "README.md").read_text()
    assert "6 labels, any number a patch" in text
    assert "| `label` | list of ClassLabel |" in text
    assert "`hfaef eval` does it" in text
    counts = read_manifest(classes).rows_by_label
    assert sum(counts.values()) > 40
    for label, count in counts.items():
        assert f"| {label} | {count} |" in text
    printed = run_code(classes)
    assert "torch.Size([24, 64]) torch.Size([24, 6])" in printed, "a vector and labels a patch"


def test_the_card_tells_of_own_years_folds_and_kept_columns_and_its_code_runs(
    points: Path,
) -> None:
    text = (points / "README.md").read_text()
    assert "**300 patches**, 6 labels, years 2018 to 2024, each patch its own" in text
    assert "**Folds** for cross-validation in the column `fold`" in text
    assert "| `confidence` | float64 | kept from the table of patches |" in text
    assert "| `observed_year` | int32 |" in text
    assert "torch.Size([64, 1, 1])" in run_code(points)


def test_a_world_that_lacks_a_table_gets_the_one_that_it_was_written_with(
    years_world: Path, tmp_path: Path
) -> None:
    from hfaef.sources.demo import write_world

    root = tmp_path / "world"
    shutil.copytree(years_world, root)
    for name in ("several.csv", "surveys.geojson"):
        (root / name).unlink()
    demo = points_recipe(root).demo
    assert demo is not None
    write_world(demo)
    for name in ("points.csv", "several.csv", "surveys.geojson"):
        assert (root / name).read_bytes() == (years_world / name).read_bytes()


def test_a_target_is_scored(target: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs the extra eval")
    from hfaef.evaluation.evaluate import Settings, evaluate

    settings = Settings(poolings=("mean",), quick=True)
    found = evaluate(str(target), settings, out=tmp_path / "scores.json").evaluation
    assert (found.target, found.primary) == ("number", "r2")
    assert found.scores
