"""The spine, end to end, on the demo world."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

import hfaef
from hfaef.build.pipeline import Built, build
from hfaef.catalog import open_catalog
from hfaef.core.quantize import from_stored
from hfaef.errors import IncompleteError
from hfaef.recipe.model import Recipe
from hfaef.recipe.read import read_recipe
from hfaef.release.check import check_folder
from hfaef.sources import open_source


def demo_recipe(root: Path, *changes: str) -> Recipe:
    """The built-in recipe over a demo world that is there already."""
    world = root / "data/demo"
    places = [f"demo.root={world}", "demo.patches=40", f"patches.root={world / 'patches'}"]
    places += [f"source.root={world / 'aef'}"]
    for scheme in ("random", "spatial"):
        places += [
            f"patches.splits.{scheme}.{split}={world / 'lists' / f'{scheme}-{split}.txt'}"
            for split in ("train", "val", "test")
        ]
    return read_recipe("demo", [*places, *changes])


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of all files of a release."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".staging" not in path.parts
    }


@pytest.fixture(scope="module")
def built(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(demo_recipe(demo_root), tmp_path_factory.mktemp("built") / "release")


def test_a_build_makes_a_release_without_findings(built: Built) -> None:
    assert check_folder(built.folder) == []
    assert built.manifest.rows == 40
    assert [config.name for config in built.manifest.configs] == [
        "random",
        "spatial",
        "pooled",
        "pooled_spatial",
    ]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("config", ["random", "spatial", "pooled", "pooled_spatial"])
def test_plain_datasets_reads_every_config(
    built: Built, config: str, streaming: bool, tmp_path: Path
) -> None:
    loaded = load_dataset(
        str(built.folder), config, streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    part = next(found for found in built.manifest.configs if found.name == config)
    assert list(loaded) == [split.name for split in part.splits]
    for split in part.splits:
        rows = list(loaded[split.name])
        assert len(rows) == split.rows
        assert {row[part.scheme] for row in rows} == {split.name}


def test_the_first_config_is_the_default(built: Built, tmp_path: Path) -> None:
    plain = load_dataset(str(built.folder), cache_dir=str(tmp_path))
    named = load_dataset(str(built.folder), "random", cache_dir=str(tmp_path))
    assert [row["id"] for row in plain["train"]] == [row["id"] for row in named["train"]]


def test_people_see_the_picture_first(built: Built, tmp_path: Path) -> None:
    columns = load_dataset(str(built.folder), split="train", cache_dir=str(tmp_path)).column_names
    assert columns[:3] == ["preview", "id", "label"]
    assert columns[-1] == "embedding"


@pytest.mark.parametrize("streaming", [False, True])
def test_embeddings_are_what_the_source_gave(
    built: Built, demo_root: Path, streaming: bool
) -> None:
    recipe = demo_recipe(demo_root)
    source = open_source(recipe.source)
    patches = {patch.id: patch for patch in open_catalog(recipe).patches}
    for row in hfaef.load(built.folder, split="test", streaming=streaming):
        patch = patches[row["id"]]
        assert row["embedding"].dtype == np.uint8
        expected = source.read(patch.grid, 2018)
        assert np.array_equal(from_stored(row["embedding"]), expected.codes)
        assert tuple(row["transform"]) == patch.grid.transform
        assert row["crs"] == patch.grid.crs
        assert tuple(row["bounds"]) == pytest.approx(patch.grid.bounds())
        assert row["source"] == list(expected.origins)
        assert built.manifest.label_names[row["label"]] == patch.label
        floats = hfaef.dequantize(row["embedding"])
        assert np.isnan(floats).mean() == pytest.approx(1 - row["valid_fraction"], abs=1e-6)


def test_load_gives_all_splits_or_one(built: Built) -> None:
    everything = hfaef.load(built.folder)
    assert list(everything) == ["train", "validation", "test"]
    assert everything["train"][0]["embedding"].shape == (64, 64, 64)
    assert everything["train"]["id"][:2] == [
        row["id"] for row in everything["train"].select([0, 1])
    ]
    pooled = hfaef.load(built.folder, split="train", config="pooled")
    assert len(pooled[0]["mean"]) == 64


def test_pooled_vectors_are_means_of_the_sheets(built: Built) -> None:
    sheets = {row["id"]: row["embedding"] for row in hfaef.load(built.folder, split="test")}
    for row in hfaef.load(built.folder, split="test", config="pooled"):
        flat = hfaef.dequantize(sheets[row["id"]]).astype(np.float64).reshape(64, -1)
        np.testing.assert_allclose(row["mean"], np.nanmean(flat, axis=1), atol=1e-6)
        np.testing.assert_allclose(row["std"], np.nanstd(flat, axis=1), atol=1e-6)
        np.testing.assert_array_equal(row["min"], np.nanmin(flat, axis=1).astype(np.float32))
        np.testing.assert_array_equal(row["max"], np.nanmax(flat, axis=1).astype(np.float32))


def test_labels_of_the_demo_world_can_be_told_apart(built: Built) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    train, test = (
        hfaef.load(built.folder, split=name, config="pooled") for name in ("train", "test")
    )
    model = neighbors.KNeighborsClassifier(1).fit(np.array(train["mean"]), train["label"])
    assert model.score(np.array(test["mean"]), test["label"]) > 0.5


def test_the_same_input_gives_the_same_bytes_for_any_number_of_threads(
    built: Built, demo_root: Path, tmp_path: Path
) -> None:
    for threads in (1, 7):
        again = build(demo_recipe(demo_root), tmp_path / str(threads), threads=threads)
        assert digests(again.folder) == digests(built.folder)


def test_a_second_build_fetches_nothing(
    built: Built, demo_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(built.folder)
    build(demo_recipe(demo_root), built.folder)
    assert "fetch" not in capsys.readouterr().err
    assert digests(built.folder) == before


def test_shards_hold_one_row_a_page_and_the_embedding_first(built: Built) -> None:
    for path in sorted(built.folder.glob("data/**/*.parquet")):
        shard = pq.ParquetFile(path)
        group = shard.metadata.row_group(0)
        assert group.column(0).path_in_schema == "embedding.bytes"
        assert group.column(0).compression == "UNCOMPRESSED"
        assert not group.column(0).is_stats_set
        assert group.column(0).has_offset_index
        assert shard.metadata.num_row_groups == 1
        plain = {
            group.column(number).path_in_schema: group.column(number) for number in range(4, 8)
        }
        assert {column.compression for column in plain.values()} == {"ZSTD"}
        assert {b"huggingface", b"geo"} <= shard.schema_arrow.metadata.keys()


def test_shards_are_cut_at_their_size(demo_root: Path, tmp_path: Path) -> None:
    recipe = demo_recipe(demo_root, "pack.shard_bytes=1MB")
    section = recipe.patches.model_copy(update={"splits": {}})
    released = build(recipe.model_copy(update={"patches": section}), tmp_path / "out")
    shards = [file for file in released.manifest.files if file.path.startswith("data/")]
    assert [file.path for file in shards] == [
        f"data/train-{number:05d}-of-{len(shards):05d}.parquet" for number in range(len(shards))
    ]
    assert all(1_000_000 <= file.bytes < 1_200_000 for file in shards[:-1])
    assert check_folder(released.folder) == []
    assert len(hfaef.load(released.folder, split="train")) == 40


def test_pyarrow_reads_the_folders_of_several_schemes(built: Built) -> None:
    table = pq.read_table(built.folder / "pooled")
    assert table.num_rows == 40
    assert {"random", "spatial"} <= set(table.column_names)


def test_geopandas_reads_the_outlines(built: Built) -> None:
    geopandas = pytest.importorskip("geopandas")
    frame = geopandas.read_parquet(built.folder / "data")
    assert len(frame) == 40
    assert frame.crs.to_epsg() is None or frame.crs.to_epsg() == 4326
    assert frame.geometry.is_valid.all()
    for _, row in frame.iterrows():
        assert row.geometry.bounds == pytest.approx(tuple(row.bounds), abs=2e-5)


def test_the_manifest_and_the_card_know_no_path_of_this_machine(built: Built) -> None:
    for name in ("release.json", "README.md"):
        text = (built.folder / name).read_text()
        assert str(built.folder.parent) not in text
        assert "/tmp" not in text  # noqa: S108
        assert str(Path.home()) + "/" not in text


def test_several_years_are_several_configs_over_their_own_files(
    demo_root: Path, tmp_path: Path
) -> None:
    from hfaef.sources.demo.field import Field
    from hfaef.sources.demo.tiles import write_store

    recipe = demo_recipe(demo_root, "years=[2018, 2024]", f"source.root={tmp_path / 'aef'}")
    grids = [patch.grid for patch in open_catalog(recipe).patches if patch.year == 2018]
    write_store(tmp_path / "aef", Field(0, 6), {2018: grids[:6], 2024: grids[:6]})
    released = build(recipe, tmp_path / "out", limit=40, allow_missing=True)
    names = [config.name for config in released.manifest.configs if config.kind == "data"]
    assert names == ["random_2018", "spatial_2018", "random_2024", "spatial_2024"]
    assert check_folder(released.folder) == []
    for year in (2018, 2024):
        loaded = load_dataset(str(released.folder), f"spatial_{year}", streaming=True)
        assert {row["year"] for split in loaded.values() for row in split} == {year}


def test_without_schemes_all_patches_are_for_training(demo_root: Path, tmp_path: Path) -> None:
    recipe = demo_recipe(demo_root).model_copy(update={"demo": None})
    section = recipe.patches.model_copy(update={"splits": {}})
    released = build(recipe.model_copy(update={"patches": section}), tmp_path / "out", limit=5)
    assert list(load_dataset(str(released.folder), streaming=True)) == ["train"]
    assert check_folder(released.folder) == []


class TestMissing:
    """Patches that the source does not have."""

    @pytest.fixture
    def recipe(self, demo_root: Path, tmp_path: Path) -> Recipe:
        """The demo with one tile gone."""
        shutil.copytree(demo_root / "data/demo/aef", tmp_path / "aef")
        min((tmp_path / "aef/2018/33N").glob("*.tiff")).unlink()
        return demo_recipe(demo_root, f"source.root={tmp_path / 'aef'}")

    def test_no_release_is_written_without_leave(self, recipe: Recipe, tmp_path: Path) -> None:
        with pytest.raises(IncompleteError, match=r"missing; the first: .*is not there") as caught:
            build(recipe, tmp_path / "out")
        assert caught.value.exit_code == 3
        assert not (tmp_path / "out/release.json").exists()

    def test_with_leave_the_release_says_what_is_missing(
        self, recipe: Recipe, tmp_path: Path
    ) -> None:
        released = build(recipe, tmp_path / "out", allow_missing=True)
        missing = released.manifest.missing
        assert 0 < len(missing) < 40
        assert released.manifest.rows == 40 - len(missing)
        assert all("is not there" in patch.reason for patch in missing)
        card = (tmp_path / "out/README.md").read_text()
        assert f"{len(missing)} of 40 patches are not in this release" in card
        table = pq.read_table(tmp_path / "out/missing.parquet")
        assert table.column_names == ["id", "label", "reason", "year"]
        assert table["id"].to_pylist() == [patch.id for patch in missing]
        assert check_folder(tmp_path / "out") == []
        (tmp_path / "out/missing.parquet").unlink()
        assert [finding.path for finding in check_folder(tmp_path / "out")] == [
            "missing.parquet"
        ] * 2

    def test_when_the_tile_is_back_only_the_missing_are_fetched(
        self, recipe: Recipe, demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        released = build(recipe, tmp_path / "out", allow_missing=True)
        shutil.copytree(demo_root / "data/demo/aef", tmp_path / "aef", dirs_exist_ok=True)
        capsys.readouterr()
        healed = build(recipe, tmp_path / "out")
        count = len(released.manifest.missing)
        assert f"fetch: {count} of {count}" in capsys.readouterr().err
        assert healed.manifest.missing == ()
        assert not (tmp_path / "out/missing.parquet").exists()

    def test_nothing_at_all_is_no_release_even_with_leave(
        self, recipe: Recipe, tmp_path: Path
    ) -> None:
        shutil.rmtree(tmp_path / "aef/2018")
        with pytest.raises(IncompleteError, match="no patch could be had"):
            build(recipe, tmp_path / "out", allow_missing=True)


def test_a_changed_label_needs_no_new_pixels(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(demo_root / "data/demo/patches", tmp_path / "patches")
    recipe = demo_recipe(demo_root, f"patches.root={tmp_path / 'patches'}")
    build(recipe, tmp_path / "out")
    patch = min((tmp_path / "patches/Town").glob("*.tif"))
    patch.rename(tmp_path / "patches/Forest" / patch.name)
    capsys.readouterr()
    again = build(recipe, tmp_path / "out")
    assert "fetch" not in capsys.readouterr().err
    table = pq.read_table(tmp_path / "out/pooled", columns=["id", "label"]).to_pylist()
    label = next(row["label"] for row in table if row["id"] == patch.stem)
    assert again.manifest.label_names[label] == "Forest"


def test_an_older_release_is_replaced_whole(demo_root: Path, tmp_path: Path) -> None:
    first = build(demo_recipe(demo_root), tmp_path / "out", limit=5)
    assert "a trial: 5 of 40 patches (--limit)" in first.notes
    (tmp_path / "out/data/random=train").joinpath("old.parquet").write_text("left behind")
    second = build(demo_recipe(demo_root), tmp_path / "out")
    assert first.manifest.rows == 5
    assert second.manifest.rows == 40
    assert check_folder(tmp_path / "out") == []


def test_the_manifest_lists_every_file(built: Built) -> None:
    found = digests(built.folder)
    listed = {file.path: file.sha256 for file in built.manifest.files}
    assert found.keys() - listed.keys() == {"README.md", "release.json"}
    assert all(found[path] == sha for path, sha in listed.items())
    assert json.loads((built.folder / "release.json").read_text())["rows"] == 40


def test_pixels_staged_elsewhere_make_the_same_release(
    built: Built, demo_root: Path, tmp_path: Path
) -> None:
    recipe = demo_recipe(demo_root)
    first = build(recipe, tmp_path / "out", limit=10, staging="memory://elsewhere")
    assert first.manifest.rows == 10
    # The place is remembered, and so is what lies there.
    again = build(recipe, tmp_path / "out")
    assert not list(tmp_path.rglob("*.npy"))
    assert digests(again.folder) == digests(built.folder)
