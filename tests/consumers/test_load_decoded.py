"""`hfaef.load(..., decoded=True)`: the rows that are there without it, decoded once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from build.test_pipeline import demo_recipe
from datasets import Dataset, concatenate_datasets, load_from_disk
from rasterio.windows import Window

import hfaef
from hfaef.build.pipeline import build
from hfaef.errors import InputError, ReleaseError
from hfaef.load.decoded import decode_once
from support.kinds import build_kind, write_points
from support.releases import fresh_copy, make_release

FORMS = {"png": (), "raw": ("pack.codec=raw",), "webdataset": ("pack.format=webdataset",)}
VIEWS = {
    "stored": {},
    "bands last": {"layout": "bands_last", "mask": True},
    "floats": {"dtype": "float32"},
    "masked floats, bands last": {"dtype": "float32", "mask": True, "layout": "bands_last"},
    "some columns": {"columns": ["label", "embedding"], "mask": True},
    "embeddings alone": {"columns": ["embedding"]},
    "no embeddings": {"columns": ["id", "preview"]},
}


@pytest.fixture(scope="module", params=list(FORMS))
def release(
    request: pytest.FixtureRequest, demo_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Patches of 64 x 64, some without data at an edge."""
    folder = tmp_path_factory.mktemp(request.param) / "release"
    return build(demo_recipe(demo_root, *FORMS[request.param]), folder).folder


@pytest.fixture(scope="module")
def sheets(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(demo_recipe(demo_root), tmp_path_factory.mktemp("sheets") / "release").folder


@pytest.fixture
def own_sheets(sheets: Path, tmp_path: Path) -> Path:
    """The same release in a folder of a name that `datasets` does not know yet."""
    return fresh_copy(sheets, tmp_path / tmp_path.name)


@pytest.fixture(scope="module", params=list(FORMS))
def mixed(
    request: pytest.FixtureRequest, demo_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Patches of four shapes."""
    folder = tmp_path_factory.mktemp(f"mixed-{request.param}")
    shapes = itertools.cycle([(64, 64), (8, 40), (33, 7), (1, 1)])
    world = demo_root / "data/demo/patches"
    for path in sorted(world.rglob("*.tif")):
        height, width = next(shapes)
        target = folder / path.relative_to(world.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(path) as whole:
            left, top = 3 * (width < 60), 5 * (height < 50)
            place = whole.transform @ Affine.translation(left, top)
            about = {"driver": "GTiff", "crs": whole.crs, "transform": place, "count": whole.count}
            about |= {"dtype": whole.dtypes[0], "width": width, "height": height}
            with rasterio.open(target, "w", **about) as part:
                part.write(whole.read(window=Window(left, top, width, height)))
    changes = (f"patches.root={folder / 'patches'}", *FORMS[request.param])
    return build(demo_recipe(demo_root, *changes), folder / "release").folder


def same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and np.array_equal(
            one, two, equal_nan=one.dtype == np.float32
        )
    return bool(one == two)


def require_same_rows(found: Dataset, expected: Dataset) -> None:
    assert found.column_names == expected.column_names
    assert len(found) == len(expected) > 0
    assert found.split == expected.split
    for one, two in zip(found, expected, strict=True):
        assert list(one) == list(two)
        assert all(same(one[name], two[name]) for name in two)
    batch, other = found[::-1], expected[::-1]
    assert all(map(same, itertools.chain(*batch.values()), itertools.chain(*other.values())))


def cache_of(rows: Dataset) -> Path | None:
    """The file that holds the arrays of rows."""
    names = {Path(one["filename"]) for one in rows.cache_files}
    return next((path for path in names if path.name.startswith("decoded-")), None)


@pytest.mark.parametrize("view", VIEWS)
def test_rows_are_those_without_it(release: Path, view: str) -> None:
    expected = hfaef.load(release, None, "spatial", **VIEWS[view])
    found = hfaef.load(release, None, "spatial", **VIEWS[view], decoded=True)
    assert type(found) is type(expected)
    assert list(found) == list(expected)
    for split, rows in expected.items():
        require_same_rows(found[split], rows)


@pytest.mark.parametrize("view", ["stored", "masked floats, bands last", "some columns"])
def test_patches_of_several_shapes_are_decoded_as_they_are(mixed: Path, view: str) -> None:
    found = hfaef.load(mixed, "train", **VIEWS[view], decoded=True)
    require_same_rows(found, hfaef.load(mixed, "train", **VIEWS[view]))
    assert len({row["embedding"].shape for row in found}) == 4


def test_each_year_has_its_own(tmp_path: Path) -> None:
    world = write_points(tmp_path)
    folder = build_kind("class", world, tmp_path / "years", "years=[2018, 2024]").folder
    arrays = []
    for config in ("2018", "2024"):
        found = hfaef.load(folder, "train", config, decoded=True)
        require_same_rows(found, hfaef.load(folder, "train", config))
        arrays.append(found["embedding"][0])
    assert not np.array_equal(*arrays)


@pytest.mark.parametrize("split", ["train[:3]", "train[-20%:]", "train+test", "all", "val"])
def test_parts_of_splits_are_decoded_as_far_as_they_are_asked_for(
    own_sheets: Path, split: str
) -> None:
    found = hfaef.load(own_sheets, split, decoded=True)
    require_same_rows(found, hfaef.load(own_sheets, split))
    cache = cache_of(found)
    assert cache is not None
    assert len(Dataset.from_file(str(cache))) == len(found)


CHANGES: dict[str, Callable[[Dataset], Dataset]] = {
    "filter": lambda rows: rows.filter(lambda row: row["label"] > 1),
    "filter by a column": lambda rows: rows.filter(
        lambda label: label > 1, input_columns=["label"]
    ),
    "select": lambda rows: rows.select([4, 0, 2]),
    "shuffle": lambda rows: rows.shuffle(seed=3),
    "shuffled parts": lambda rows: rows.shuffle(seed=3).select(range(5)),
    "sort": lambda rows: rows.sort("label"),
    "split": lambda rows: rows.train_test_split(0.4, seed=1)["test"],
    "shard": lambda rows: rows.shard(3, 1),
    "map": lambda rows: rows.map(lambda row: {"mean": float(row["embedding"].mean())}),
    "columns": lambda rows: rows.select_columns(["id", "embedding"]),
    "less columns": lambda rows: rows.remove_columns(["geometry"]),
}


@pytest.mark.filterwarnings("ignore:Specifying null_placement:FutureWarning")  # of datasets
@pytest.mark.parametrize("change", CHANGES)
def test_what_datasets_does_with_rows_works_as_without_it(sheets: Path, change: str) -> None:
    require_same_rows(
        CHANGES[change](hfaef.load(sheets, "train", decoded=True)),
        CHANGES[change](hfaef.load(sheets, "train")),
    )


def test_what_is_saved_or_joined_holds_the_bytes_themselves(sheets: Path, tmp_path: Path) -> None:
    rows = hfaef.load(sheets, "test", decoded=True)
    arrays = rows["embedding"][:]
    rows.with_format(None).save_to_disk(str(tmp_path / "saved"))
    joined = concatenate_datasets([rows, hfaef.load(sheets, "train", decoded=True)])
    for other in (load_from_disk(str(tmp_path / "saved")), joined.with_format(None)):
        for array, cell in zip(arrays, other["embedding"], strict=False):
            assert np.frombuffer(cell["bytes"], np.uint8).reshape(cell["shape"]).tolist() == (
                array.tolist()
            )


def test_it_lies_beside_the_rows_and_is_read_by_the_next_one(own_sheets: Path) -> None:
    plain = hfaef.load(own_sheets, "train")
    first = cache_of(hfaef.load(own_sheets, "train", decoded=True))
    assert first is not None
    before = first.stat()
    assert first.parent == Path(plain.cache_files[0]["filename"]).parent
    for view in ({}, {"dtype": "float32", "mask": True}, {"columns": ["embedding"]}):
        again = cache_of(hfaef.load(own_sheets, "train", decoded=True, **view))
        assert again == first
        assert first.stat() == before
    last = cache_of(hfaef.load(own_sheets, "train", decoded=True, layout="bands_last"))
    assert last != first
    plain.cleanup_cache_files()
    assert first.is_file()


def test_rows_that_are_bytes_already_are_not_copied(demo_root: Path, tmp_path: Path) -> None:
    folder = build(demo_recipe(demo_root, *FORMS["raw"]), tmp_path / "release").folder
    rows = hfaef.load(folder, "train", decoded=True)
    assert cache_of(rows) is None
    assert not list(Path(rows.cache_files[0]["filename"]).parent.glob("decoded*"))


@pytest.mark.parametrize("config", ["pooled", "pooled_spatial"])
def test_rows_without_embeddings_come_as_they_are(release: Path, config: str) -> None:
    found = hfaef.load(release, "train", config, decoded=True)
    assert cache_of(found) is None
    assert found[:] == hfaef.load(release, "train", config)[:]


def test_a_stream_is_refused_and_an_unknown_column_costs_nothing(own_sheets: Path) -> None:
    with pytest.raises(InputError, match="decoded reads all rows first, streaming as they come"):
        hfaef.load(own_sheets, "train", streaming=True, decoded=True)
    with pytest.raises(InputError, match="no column 'colour'"):
        hfaef.load(own_sheets, "train", columns=["embedding", "colour"], decoded=True)
    rows = hfaef.load(own_sheets, "train")
    assert not list(Path(rows.cache_files[0]["filename"]).parent.glob("decoded*"))


def test_arrays_may_be_written_to_and_the_cache_stays(own_sheets: Path) -> None:
    rows = hfaef.load(own_sheets, "test", decoded=True)
    before = rows[0]["embedding"].copy()
    rows[0]["embedding"][:] = 0
    rows[[0, 1]]["embedding"][0][:] = 0
    assert np.array_equal(rows[0]["embedding"], before)


def test_another_content_in_the_same_folder_is_decoded_anew(
    demo_root: Path, tmp_path: Path
) -> None:
    folder = make_release(demo_root, tmp_path / "one")
    first = hfaef.load(folder, "train", decoded=True)
    before = [row["embedding"] for row in first]
    other = make_release(demo_root, tmp_path / "two", drop=(first[0]["id"],))
    folder.rename(tmp_path / "before")
    other.rename(folder)
    second = hfaef.load(folder, "train", decoded=True)
    require_same_rows(second, hfaef.load(folder, "train"))
    assert cache_of(second) != cache_of(first)
    assert second["id"][:] == first["id"][1:]
    assert all(map(same, first["embedding"], before))


def test_what_the_manifest_says_beside_the_files_is_no_other_content(own_sheets: Path) -> None:
    first = cache_of(hfaef.load(own_sheets, "test", decoded=True))
    path = own_sheets / "release.json"
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps({**manifest, "version": "1.0.0"}))
    assert cache_of(hfaef.load(own_sheets, "test", decoded=True)) == first
    manifest["files"] = [{**file, "sha256": "0" * 64} for file in manifest["files"]]
    path.write_text(json.dumps(manifest))
    assert cache_of(hfaef.load(own_sheets, "test", decoded=True)) != first


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"no Arrow at all"],
    ids=["half", "nothing", "something else"],
)
def test_a_file_that_is_not_whole_is_made_anew(
    own_sheets: Path, damage: Callable[[bytes], bytes]
) -> None:
    cache = cache_of(hfaef.load(own_sheets, "test", decoded=True))
    assert cache is not None
    content = cache.read_bytes()
    cache.unlink()  # it is mapped
    cache.write_bytes(damage(content))
    require_same_rows(hfaef.load(own_sheets, "test", decoded=True), hfaef.load(own_sheets, "test"))
    assert cache.read_bytes() == content


@pytest.mark.parametrize("kept", [40, 10], ids=["a sheet that is cut off", "no sheet"])
def test_a_row_that_cannot_be_decoded_is_named_and_nothing_is_left(
    own_sheets: Path, tmp_path: Path, kept: int
) -> None:
    rows = hfaef.load(own_sheets, "test").with_format(None).select_columns("embedding")
    cells = rows["embedding"][:]
    cells[2]["bytes"] = cells[2]["bytes"][:kept]
    rows = Dataset.from_dict({"embedding": cells}, rows.features, split="test")
    with pytest.raises(ReleaseError, match="row 2 of test cannot be decoded: not a sheet"):
        decode_once({"test": rows}, tmp_path, "content", "bands_first")
    assert not [*tmp_path.glob("decoded-*")]
