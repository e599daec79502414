"""The main job on real patches: EuroSAT100, over a store of tiles that covers it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import World
from datasets import load_dataset

import hfaef
from hfaef.build.pipeline import Built, build
from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Catalog
from hfaef.core.grid import Grid
from hfaef.core.quantize import from_stored
from hfaef.errors import CatalogError
from hfaef.recipe.model import Recipe
from hfaef.recipe.read import read_recipe
from hfaef.release.check import check_folder
from servers.hub import Hub
from servers.hub.fixtures import OTHER, Client
from support.documents import blocks
from support.pushes import finish, is_whole

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def torchgeo_root(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder as TorchGeo lays it out, with its lists."""
    pytest.importorskip("torchgeo")
    root = tmp_path_factory.mktemp("torchgeo")
    (root / "ds").symlink_to(shared / "eurosat/ds")
    lists = shared / "splits"
    for split, name in (("train", "train.sorted"), ("val", "val.sorted"), ("test", "test")):
        shutil.copy(lists / f"eurosat-100-{name}.txt", root / f"eurosat-100-{split}.txt")
        shutil.copy(lists / f"eurosat-spatial-{split}.txt", root)
    return root


@pytest.fixture(scope="module")
def by_geotiffs(shared: Path, eurosat_images: Path, eurosat_world: World) -> Recipe:
    lists = shared / "splits"
    return Recipe.model_validate(
        {
            "name": "AlphaEarth-EuroSAT100",
            "years": [2018],
            "patches": {
                "kind": "geotiffs",
                "root": eurosat_images,
                "splits": {
                    "random": {
                        "train": lists / "eurosat-100-train.sorted.txt",
                        "val": lists / "eurosat-100-val.sorted.txt",
                        "test": lists / "eurosat-100-test.txt",
                    },
                    "spatial": {
                        split: lists / f"eurosat-spatial-{split}.txt"
                        for split in ("train", "val", "test")
                    },
                },
            },
            "source": {"kind": "cog", "root": str(eurosat_world.root)},
        }
    )


@pytest.fixture(scope="module")
def by_torchgeo(torchgeo_root: Path, eurosat_world: World) -> Recipe:
    return read_recipe(
        "eurosat100",
        [
            f"patches.root={torchgeo_root}",
            "patches.download=false",
            "patches.checksum=false",
            "source.kind=cog",
            f"source.root={eurosat_world.root}",
        ],
    )


@pytest.fixture(scope="module", params=["geotiffs", "torchgeo"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    recipe = request.getfixturevalue(f"by_{request.param}")
    return build(recipe, tmp_path_factory.mktemp(request.param) / "release")


def test_both_kinds_of_catalog_are_one(by_geotiffs: Recipe, by_torchgeo: Recipe) -> None:
    one, other = open_catalog(by_geotiffs), open_catalog(by_torchgeo)
    assert one == Catalog(other.patches, other.label_names, other.schemes, notes=other.notes)


def test_every_embedding_is_the_field_at_the_pixel_centres(
    built: Built, eurosat_grids: dict[str, Grid], eurosat_world: World
) -> None:
    seen = set()
    for part in hfaef.load(built.folder).values():
        for row in part:
            expected = eurosat_world.expected(eurosat_grids[row["id"]])
            assert np.array_equal(from_stored(row["embedding"]), expected), row["id"]
            assert row["valid_fraction"] == 1
            assert row["resampled"]
            seen.add(row["id"])
    assert seen == eurosat_grids.keys()


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        ("random", {"train": 60, "validation": 20, "test": 20}),
        ("spatial", {"train": 58, "validation": 17, "test": 25}),
        ("pooled", {"train": 60, "validation": 20, "test": 20}),
        ("pooled_spatial", {"train": 58, "validation": 17, "test": 25}),
    ],
)
def test_datasets_reads_both_schemes(
    built: Built, config: str, sizes: dict[str, int], streaming: bool, tmp_path: Path
) -> None:
    loaded = load_dataset(str(built.folder), config, streaming=streaming, cache_dir=str(tmp_path))
    assert {name: len(list(part)) for name, part in loaded.items()} == sizes


def test_splits_are_those_of_the_lists(shared: Path, built: Built) -> None:
    import csv

    with (shared / "eurosat/eurosat100_bounds.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    names = {"train": "train", "val": "validation", "test": "test"}
    for part in hfaef.load(built.folder, config="pooled").values():
        for row in part:
            assert row["random"] == names[rows[row["id"]]["split_eurosat100"]]
            assert row["spatial"] == names[rows[row["id"]]["split_spatial"]]
            assert built.manifest.label_names[row["label"]] == rows[row["id"]]["class"]


def test_patches_across_tiles_name_all_they_were_read_from(built: Built) -> None:
    across = {
        row["id"]
        for part in hfaef.load(built.folder).values()
        for row in part
        if len(row["source"]) > 1
    }
    assert across == {"Highway_34", "River_1862", "Industrial_771"}


def test_the_release_has_no_finding(built: Built) -> None:
    assert check_folder(built.folder) == []


LOAD = """
import datasets
import hfaef
datasets.disable_progress_bars()
name, configs = arguments
answer = {}
for config in configs:
    for streaming in (False, True):
        loaded = datasets.load_dataset(name, config, revision="v1.0.0", streaming=streaming)
        rows = {split: [row["id"] for row in part] for split, part in loaded.items()}
        answer[f"{config} {streaming}"] = rows
plain = datasets.load_dataset(name, revision="v1.0.0")
answer["default"] = {split: list(part["id"]) for split, part in plain.items()}
shapes = {row["embedding"].shape for row in hfaef.load(name, split="test", revision="v1.0.0")}
answer["shapes"] = [list(shape) for shape in shapes]
"""


def test_consumers_load_every_config_of_the_published_version(
    hub: Hub, client: Client, by_geotiffs: Recipe, tmp_path: Path
) -> None:
    released = build(by_geotiffs, tmp_path / "release")
    token = "token-of-owner"  # noqa: S105 - it opens nothing
    hub.account("owner", token)
    name = "owner/AlphaEarth-EuroSAT100"
    said = finish(client.hfaef("push", released.folder, name, "--json", token=token))
    assert (said["exit"], said["outcome"], said["version"]) == (0, "published", "1.0.0")
    is_whole(hub, released.folder, "1.0.0", name)
    hub.put(name, {"README.md": b"# later, on the branch where nobody pins\n"})
    configs = released.manifest.configs
    assert [config.name for config in configs] == ["random", "spatial", "pooled", "pooled_spatial"]
    loaded = client.run(LOAD, name, [config.name for config in configs], token=OTHER)
    for config in configs:
        rows = loaded[f"{config.name} False"]
        assert rows == loaded[f"{config.name} True"]
        assert {split: len(ids) for split, ids in rows.items()} == {
            split.name: split.rows for split in config.splits
        }
        assert len({name for ids in rows.values() for name in ids}) == 100
    assert loaded["default"] == loaded["random False"]
    assert loaded["shapes"] == [[64, 64, 64]]


@pytest.fixture(scope="module")
def by_page(
    by_geotiffs: Recipe, eurosat_images: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder in which the page's block of other vectors has run, with ``--quick``."""
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    place = tmp_path_factory.mktemp("by-page")
    build(by_geotiffs, place / "build/AlphaEarth-EuroSAT100")
    images = place / "data/eurosat100/ds/images/remote_sensing/otherDatasets/sentinel_2"
    images.mkdir(parents=True)
    (images / "tif").symlink_to(eurosat_images)
    typed = "\n".join(block.text for block in blocks("sh", below="evaluate"))
    (line,) = re.findall("^hfaef eval .*eurosat100.*$", typed, re.MULTILINE)
    command = [str(Path(sys.executable).with_name("hfaef")), *line.split()[1:]]
    done = subprocess.run(
        [*command, "--quick", "--json"], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (place / "said.json").write_text(done.stdout)
    return place


def test_the_images_own_bands_are_scored_beside_the_embeddings(
    by_page: Path, shared: Path, eurosat_images: Path
) -> None:
    import rasterio
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    said = json.loads((by_page / "said.json").read_text())
    bands = next(one for one in said["features"] if one["name"] == "bands")
    assert bands["made_of"] == "the mean_std of 13 bands over valid pixels"
    assert bands["dimensions"] == 26
    assert any(
        note == "bands: the names of its folders are the release's labels of all 100 patches"
        for note in said["notes"]
    )
    vectors = {}
    for path in sorted(eurosat_images.glob("*/*.tif")):
        with rasterio.open(path) as dataset:
            pixels = dataset.read().reshape(13, -1).astype(np.float64)
        vectors[path.stem] = np.float32([*pixels.mean(axis=1), *pixels.std(axis=1)])
    lists = {
        split: sorted(
            {Path(name).stem for name in (shared / f"splits/{file}").read_text().split()}
            & vectors.keys()
        )
        for split, file in (
            ("train", "eurosat-spatial-train.txt"),
            ("test", "eurosat-spatial-test.txt"),
        )
    }
    train, test = (np.stack([vectors[name] for name in lists[split]]) for split in lists)
    labels, truth = ([name.split("_")[0] for name in lists[split]] for split in lists)
    score = next(
        one
        for one in said["scores"]
        if (one["features"], one["scheme"], one["probe"]) == ("bands", "spatial", "linear")
        and one["fit"] == "train"
    )
    scaler = StandardScaler().fit(train)
    model = LogisticRegression(C=score["penalty"], max_iter=1000)
    model.fit(scaler.transform(train), labels)
    expected = np.mean(model.predict(scaler.transform(test)) == np.array(truth))
    assert score["metrics"]["accuracy"]["value"] == pytest.approx(expected)


def test_embeddings_and_bands_are_compared_by_pairs(by_page: Path) -> None:
    said = json.loads((by_page / "said.json").read_text())
    pairs = {(one["scheme"], one["probe"]): one for one in said["differences"]}
    assert pairs.keys() == {
        (scheme, probe) for scheme in ("random", "spatial") for probe in ("knn", "linear")
    }
    assert all({one["a"], one["b"]} == {"mean", "bands"} for one in pairs.values())
    assert check_folder(by_page / "build/AlphaEarth-EuroSAT100") == []


def test_names_of_the_other_patches_are_counted_in_a_note(built: Built) -> None:
    assert any("26,900 patches" in note for note in built.notes)


def test_lists_that_are_not_torchgeos_are_refused(by_torchgeo: Recipe) -> None:
    strict = by_torchgeo.patches.model_copy(update={"checksum": True})
    with pytest.raises(CatalogError, match=r"eurosat-100-train.txt is not TorchGeo's"):
        open_catalog(by_torchgeo.model_copy(update={"patches": strict}))


def test_without_download_a_missing_data_set_says_what_to_type(
    by_torchgeo: Recipe, tmp_path: Path
) -> None:
    elsewhere = by_torchgeo.patches.model_copy(update={"root": tmp_path})
    with pytest.raises(CatalogError, match=r"patches.download=true"):
        open_catalog(by_torchgeo.model_copy(update={"patches": elsewhere}))


def test_points_inside_a_real_tile_give_back_its_codes(shared: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import rasterio

    original = shared / "aef/wisconsin_2024_utm16n_64band.tif"
    with rasterio.open(original) as dataset:
        codes, affine = dataset.read(), dataset.transform
    path = tmp_path / "aef/2024/16N/xwisconsin-0000000000-0000000000.tiff"
    path.parent.mkdir(parents=True)
    shutil.copy(original, path)
    tile = Grid("EPSG:32616", tuple(affine)[:6], *codes.shape[1:])  # type: ignore[arg-type]
    sides = ("wgs84_west", "wgs84_south", "wgs84_east", "wgs84_north")
    row = dict(zip(sides, tile.bounds(), strict=True))
    row |= {"year": 2024, "crs": "EPSG:32616", "path": f"s3://x/2024/16N/{path.name}"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "aef/aef_index.parquet")
    corners = [(10, 10), (40, 57), (86, 70)]
    points = [tile.at(column, line) for line, column in corners]
    from hfaef.core.grid import WGS84, project

    lonlat = [project(x, y, tile.crs, WGS84) for x, y in points]
    table = pa.table(
        {
            "id": [f"p{number}" for number in range(3)],
            "label": ["field", "field", "wood"],
            "lon": [float(lon) for lon, _ in lonlat],
            "lat": [float(lat) for _, lat in lonlat],
        }
    )
    pq.write_table(table, tmp_path / "points.parquet")
    recipe = Recipe.model_validate(
        {
            "name": "wisconsin",
            "years": [2024],
            "patches": {"kind": "table", "path": tmp_path / "points.parquet", "size": 16},
            "source": {"kind": "cog", "root": str(tmp_path / "aef")},
        }
    )
    released = build(recipe, tmp_path / "release")
    assert check_folder(released.folder) == []
    rows = {row["id"]: row for row in hfaef.load(released.folder, split="train")}
    for number, (line, column) in enumerate(corners):
        found = rows[f"p{number}"]
        expected = codes[:, line - 8 : line + 8, column - 8 : column + 8]
        assert np.array_equal(from_stored(found["embedding"]), expected)
        assert not found["resampled"]


@pytest.mark.parametrize(
    "lists", ["class and split", "class and side, or none"], ids=["two", "none among them"]
)
def test_patches_with_lists_of_labels_from_a_table(
    lists: str, by_geotiffs: Recipe, eurosat_images: Path, tmp_path: Path
) -> None:
    """The real patches, labelled by made-up lists, as `datasets` and hfaef give them back."""
    labels: dict[str, list[str]] = {}
    for number, path in enumerate(sorted(eurosat_images.rglob("*.tif"))):
        second = "even" if number % 2 else "odd"
        labels[path.stem] = (
            [] if "none" in lists and number % 10 == 0 else [path.parent.name, second]
        )
    table = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"id": list(labels), "label": list(labels.values())}), table)
    patches = {**by_geotiffs.patches.model_dump(exclude_defaults=True), "target": "classes"}
    recipe = Recipe.model_validate(
        {
            "name": "Lists",
            "years": [2018],
            "patches": {**patches, "table": table},
            "source": by_geotiffs.source.model_dump(),
        }
    )
    made = build(recipe, tmp_path / "release")
    assert check_folder(made.folder) == []
    names = made.manifest.label_names
    found = {}
    for rows in load_dataset(str(made.folder), "spatial").values():
        found |= {row["id"]: [names[number] for number in row["label"]] for row in rows}
    assert {key: sorted(value) for key, value in found.items()} == {
        key: sorted(value) for key, value in labels.items()
    }
    empty = sum(not value for value in labels.values())
    assert (f"patches without any label: {empty}" in made.notes) == bool(empty)
    assert sum(len(rows) for rows in hfaef.load(made.folder).values()) == len(labels)
