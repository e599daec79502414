"""A release as a WebDataset: every reader gets what Parquet gives."""

from __future__ import annotations

import gc
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from build.test_pipeline import demo_recipe, digests
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import hfaef
from hfaef.build.pipeline import build
from hfaef.core import sheet
from hfaef.errors import RecipeError
from hfaef.release.card.render import write_card
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import file_entry, make_configs, manifest_bytes, read_manifest
from hfaef.release.format.sample import KEY, identity_of, key_of
from hfaef.release.format.webdataset import read_rows

TAR = "pack.format=webdataset"


@pytest.fixture(scope="module")
def parquet(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(demo_recipe(demo_root), tmp_path_factory.mktemp("parquet") / "release").folder


@pytest.fixture(scope="module")
def tar(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(demo_recipe(demo_root, TAR), tmp_path_factory.mktemp("tar") / "release").folder


@pytest.fixture
def release(tar: Path, tmp_path: Path) -> Path:
    shutil.copytree(tar, tmp_path / "release", ignore=shutil.ignore_patterns(".staging"))
    return tmp_path / "release"


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("data/**/*.tar"))


def members(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as file:
        return [(item.name, file.extractfile(item).read()) for item in file]  # type: ignore[union-attr]


def rewrite(folder: Path, change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]):
    """Change the members of a shard, and make the manifest and the card agree with it."""
    path = shards(folder)[0]
    changed = change(members(path))
    with tarfile.open(path, "w") as file:
        for name, content in changed:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            file.addfile(header, io.BytesIO(content))
    vouch(folder)


def vouch(folder: Path) -> None:
    manifest = read_manifest(folder)
    files = tuple(file_entry(folder, folder / file.path, file.rows) for file in manifest.files)
    configs = make_configs(files, manifest.years, manifest.schemes)
    changed = manifest.model_copy(update={"files": files, "configs": configs})
    (folder / "release.json").write_bytes(manifest_bytes(changed))
    write_card(folder)


def problems(folder: Path) -> str:
    return "\n".join(str(finding) for finding in check_folder(folder))


@given(st.text("abcXYZ019_-", min_size=1, max_size=12))
def test_a_key_has_neither_dots_nor_upper_case_and_gives_the_id_back(identity: str) -> None:
    assert KEY.fullmatch(key_of(identity))
    assert identity_of(key_of(identity)) == identity


def test_a_webdataset_without_findings(tar: Path) -> None:
    assert problems(tar) == ""
    assert {path.suffix for path in tar.glob("pooled/**/*") if path.is_file()} == {".parquet"}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("config", ["random", "spatial"])
def test_plain_datasets_gives_the_sheets_of_parquet(
    tar: Path, parquet: Path, config: str, streaming: bool, tmp_path: Path
) -> None:
    cache = str(tmp_path)
    ours = load_dataset(str(tar), config, streaming=streaming, cache_dir=cache)
    theirs = load_dataset(str(parquet), config, streaming=streaming, cache_dir=cache)
    assert list(ours) == list(theirs)
    for split in ours:
        rows = {row["id"]: row for row in theirs[split]}
        samples = list(ours[split])
        assert sorted(row["json"]["id"] for row in samples) == sorted(rows)
        for sample in samples:
            row = rows[sample["json"]["id"]]
            assert np.array_equal(np.asarray(sample["png"]), np.asarray(row["embedding"]))
            assert sample["cls"] == row["label"]
            assert sample["json"]["bounds"] == row["bounds"]
            assert bytes.fromhex(sample["json"]["geometry"]) == row["geometry"]


def test_labels_keep_their_names(tar: Path, tmp_path: Path) -> None:
    loaded = load_dataset(str(tar), split="train", cache_dir=str(tmp_path))
    assert loaded.features["cls"].names == list(read_manifest(tar).label_names)


def test_a_release_made_anew_is_not_read_from_the_cache_of_the_one_before(
    release: Path, tmp_path: Path
) -> None:
    """Even if all its sizes are those of before."""

    def labels() -> list[int]:
        loaded = load_dataset(str(release), cache_dir=str(tmp_path))
        return [label for split in loaded.values() for label in split["cls"]]

    def relabel(found: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return [(name, b"5" if name.endswith(".cls") else content) for name, content in found]

    before, size = labels(), shards(release)[0].stat().st_size
    rewrite(release, relabel)
    assert shards(release)[0].stat().st_size == size
    assert labels() != before


@pytest.mark.parametrize("streaming", [False, True])
def test_load_gives_the_same_rows_as_from_parquet(
    tar: Path, parquet: Path, streaming: bool
) -> None:
    ours = list(hfaef.load(tar, "test", streaming=streaming))
    theirs = list(hfaef.load(parquet, "test", streaming=streaming))
    assert len(ours) == len(theirs) > 0
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.keys() == other.keys()
        assert np.array_equal(mine.pop("embedding"), other.pop("embedding"))
        assert np.array_equal(np.asarray(mine.pop("preview")), np.asarray(other.pop("preview")))
        assert mine == other


def test_load_gives_the_pooled_table_too(tar: Path, parquet: Path) -> None:
    for config in ("pooled", "pooled_spatial"):
        ours, theirs = (hfaef.load(folder, "test", config) for folder in (tar, parquet))
        assert list(ours) == list(theirs)


@pytest.mark.filterwarnings("ignore:Exception ignored in")  # it leaves its files open
def test_the_webdataset_library_reads_the_same(tar: Path, parquet: Path) -> None:
    import webdataset

    rows = {row["id"]: row for row in hfaef.load(parquet, "train")}
    urls = [str(path) for path in shards(tar) if "random=train" in str(path)]
    found = 0
    for sample in webdataset.WebDataset(urls, shardshuffle=False).decode("pil"):
        row = rows[sample["json"]["id"]]
        assert sample["__key__"] == key_of(row["id"])
        assert np.array_equal(sheet.split(np.asarray(sample["png"].convert("L"))), row["embedding"])
        assert sample["cls"] == row["label"]
        found += 1
    assert found == len(rows)
    gc.collect()


def test_the_bytes_are_those_of_the_webdataset_library(tar: Path) -> None:
    import webdataset

    for path in shards(tar):
        buffer = io.BytesIO()
        with webdataset.TarWriter(
            buffer, user="", group="", mode=0o644, mtime=0, encoder=False
        ) as writer:
            samples: dict[str, dict[str, bytes]] = {}
            for name, content in members(path):
                key, _, extension = name.partition(".")
                samples.setdefault(key, {})[extension] = content
            for key, sample in samples.items():
                writer.write({"__key__": key, **sample})
        assert buffer.getvalue() == path.read_bytes()


def test_the_same_bytes_with_any_number_of_workers(
    tar: Path, demo_root: Path, tmp_path: Path
) -> None:
    again = build(demo_recipe(demo_root, TAR), tmp_path / "again", threads=1)
    assert digests(again.folder) == digests(tar)


def test_a_single_scheme_lies_in_a_folder_a_split(demo_root: Path, tmp_path: Path) -> None:
    lists = demo_root / "data/demo/lists"
    splits = {name: str(lists / f"random-{name}.txt") for name in ("train", "val", "test")}
    text = "{" + ", ".join(f'{name} = "{path}"' for name, path in splits.items()) + "}"
    recipe = demo_recipe(demo_root, TAR, f"patches.splits={{random = {text}}}")
    folder = build(recipe, tmp_path / "release").folder
    assert [path.relative_to(folder).as_posix() for path in shards(folder)] == [
        f"data/{split}/00000.tar" for split in ("test", "train", "validation")
    ]
    assert problems(folder) == ""
    assert set(load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))) == {
        "train",
        "validation",
        "test",
    }


def test_raw_bands_in_a_webdataset_are_refused(demo_root: Path) -> None:
    with pytest.raises(RecipeError, match="pack: codec"):
        demo_recipe(demo_root, TAR, "pack.codec=raw")


def test_rows_come_back_whole(tar: Path) -> None:
    row = next(read_rows(shards(tar)[0]))
    assert list(row)[:2] == ["embedding", "preview"]
    assert Image.open(io.BytesIO(row["preview"]["bytes"])).size == (64, 64)
    assert sheet.decode(row["embedding"]["bytes"]).shape == (64, 64, 64)


Members = list[tuple[str, bytes]]


def renamed(old: str, new: str) -> Callable[[Members], Members]:
    return lambda found: [(name.replace(old, new, 1), content) for name, content in found]


def edited(change: Callable[[dict[str, object]], object]) -> Callable[[Members], Members]:
    """Change the record of the first sample."""

    def edit(found: Members) -> Members:
        place = next(n for n, (name, _) in enumerate(found) if name.endswith(".json"))
        name, content = found[place]
        record = json.loads(content)
        change(record)
        return [*found[:place], (name, json.dumps(record).encode()), *found[place + 1 :]]

    return edit


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (renamed("__", ".5__"), "dot"),
        (renamed(".png", ".PNG"), "upper case"),
        (renamed("_", "X_"), "whose key is not made of"),
        (renamed(".png", ".npy"), "no member of a sample"),
        (lambda found: found[1:], "lacks or adds .cls"),
        (lambda found: found + found[:4], "occurs twice"),
        (lambda found: [found[0], *found[4:], *found[1:4]], "occurs twice"),
        (edited(lambda record: record.pop("crs")), "column 'crs'"),
        (edited(lambda record: record.update(id="another")), "says that it is patch another"),
        (edited(lambda record: record.update(valid_fraction=0.25)), "another valid_fraction"),
        (edited(lambda record: record.update(year="x")), "other types"),
        (edited(lambda record: record.update(random="dev")), "lies elsewhere"),
        (lambda found: [(n, b"9" if n.endswith("cls") else c) for n, c in found], "has no name"),
        (lambda found: [(n, b"x" if n.endswith("png") else c) for n, c in found], "not a sheet"),
        (
            lambda found: [(n, b"x" if n.endswith("json") else c) for n, c in found],
            "cannot be read",
        ),
        (lambda found: found[4:], "rows, the manifest says"),
    ],
)
def test_what_readers_would_trip_over_is_found(release: Path, change, words: str) -> None:
    rewrite(release, change)
    assert words in problems(release)


def test_a_broken_tar_file_is_found(release: Path) -> None:
    path = shards(release)[0]
    path.write_bytes(path.read_bytes()[:5000])
    vouch(release)
    assert path.relative_to(release).as_posix() in problems(release)


def test_times_in_headers_are_found(release: Path) -> None:
    path = shards(release)[0]
    content = members(path)
    with tarfile.open(path, "w") as file:
        for name, data in content:
            header = tarfile.TarInfo(name)
            header.size, header.mtime = len(data), 1
            file.addfile(header, io.BytesIO(data))
    vouch(release)
    assert "time or an owner" in problems(release)


def test_a_parquet_shard_among_tar_files_is_found(release: Path) -> None:
    path = shards(release)[0]
    moved = path.with_suffix(".parquet")
    path.rename(moved)
    manifest = read_manifest(release)
    files = tuple(
        file.model_copy(update={"path": file.path.replace(".tar", ".parquet")})
        if file.path == path.relative_to(release).as_posix()
        else file
        for file in manifest.files
    )
    (release / "release.json").write_bytes(
        manifest_bytes(manifest.model_copy(update={"files": files}))
    )
    assert "is no .tar file" in problems(release)


@pytest.mark.parametrize("form", [TAR, "pack.codec=raw"])
def test_other_forms_are_pooled_as_parquet_is(
    parquet: Path, demo_root: Path, form: str, tmp_path: Path
) -> None:
    from hfaef.evaluation.vectors import pool_release, read_rows

    found = []
    for number, folder in enumerate(
        (parquet, build(demo_recipe(demo_root, form), tmp_path).folder)
    ):
        manifest = read_manifest(folder)
        scratch = tmp_path / f"scratch-{number}"
        scratch.mkdir()
        pooled = pool_release(folder, manifest, ["mean"], "values", scratch, lambda _: None)
        rows = read_rows(folder, manifest)
        found.append((rows.ids, rows.labels.tolist(), rows.splits))
        found.append(pooled["mean"].take(np.arange(len(rows.ids))).tolist())
    assert found[:2] == found[2:]
