"""Pixels of unchanged rows are taken from the release before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import rasterio
from build.test_pipeline import demo_recipe, digests

from hfaef.build.pipeline import Built, build
from hfaef.build.plan import plan
from hfaef.build.staging.store import Store
from hfaef.errors import ReleaseError
from hfaef.recipe.model import Recipe
from hfaef.release.card.additions import with_files
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import file_entry, read_manifest
from hfaef.release.handle import Release, open_folder

FORMATS = {
    "png": ["pack.shard_bytes=1MB"],
    "raw": ["pack.codec=raw"],
    "webdataset": ["pack.format=webdataset"],
}


@pytest.fixture(scope="module", params=FORMATS)
def first(
    request: pytest.FixtureRequest, demo_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], Built]:
    """A release in each format, without what was staged, and the recipe's changes for it."""
    folder = tmp_path_factory.mktemp("first") / "release"
    built = build(demo_recipe(demo_root, *FORMATS[request.param]), folder)
    shutil.rmtree(folder / ".staging")
    return FORMATS[request.param], built


@pytest.fixture
def changed(demo_root: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """The recipe over patches of which one is moved, one relabelled and one gone."""

    def make(*changes: str) -> Recipe:
        shutil.copytree(demo_root / "data/demo/patches", tmp_path / "patches")
        moved, relabelled, gone, *_ = sorted((tmp_path / "patches/Dune").rglob("*.tif"))
        gone.unlink()
        relabelled.rename(tmp_path / "patches/Town" / relabelled.name)
        with rasterio.open(moved, "r+") as dataset:
            dataset.transform = dataset.transform @ rasterio.Affine.translation(1, 0)
        return demo_recipe(demo_root, f"patches.root={tmp_path / 'patches'}", *changes)

    return make


def watched(release: Release, seen: list[str]) -> Release:
    """The same release, which writes down what is asked of it."""

    def fetch(path: str) -> Path:
        seen.append(path)
        return release.fetch(path)

    return Release(release.name, release.manifest, fetch, release.open)


def outcomes(folder: Path) -> Any:
    with Store(folder) as store:
        return store.outcomes()


def test_the_same_rows_need_no_request_and_give_the_same_bytes(
    first: tuple[list[str], Built], demo_root: Path, tmp_path: Path
) -> None:
    changes, before = first
    after = build(
        demo_recipe(demo_root, *changes), tmp_path / "out", previous=open_folder(before.folder)
    )
    assert digests(after.folder) == digests(before.folder)
    assert f"40 patches are taken from {before.folder}" in after.notes
    found = outcomes(after.folder).values()
    assert {(one.requests, one.attempts, one.taken_from) for one in found} == {
        (0, 0, str(before.folder))
    }
    assert all(one.origins for one in found)


def test_only_rows_that_changed_are_fetched(
    first: tuple[list[str], Built],
    changed: Callable[..., Recipe],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes, before = first
    recipe = changed(*changes)
    release = open_folder(before.folder)
    planned = plan(recipe, previous=release)
    capsys.readouterr()
    after = build(recipe, tmp_path / "out", previous=release)
    note = f"38 patches are taken from {before.folder}, 1 has moved and is fetched"
    assert note in after.notes
    assert note in planned.notes
    assert planned.taken == 38
    assert planned.costs[1].units == 1
    assert "fetch: 1 of 1" in capsys.readouterr().err
    assert check_folder(after.folder) == []
    fresh = build(recipe, tmp_path / "fresh")
    assert rows(after.folder, after) == rows(fresh.folder, fresh)


def rows(folder: Path, built: Built) -> dict[str, list[float]]:
    """Vectors by id."""
    table = pq.read_table(folder / "pooled").to_pylist()
    assert len(table) == built.manifest.rows
    return {row["id"]: row["mean"] for row in table}


def test_only_shards_that_hold_wanted_rows_are_read(
    demo_root: Path, first: tuple[list[str], Built], tmp_path: Path
) -> None:
    changes, before = first
    recipe = demo_recipe(demo_root, *changes)
    seen: list[str] = []
    build(recipe, tmp_path / "out", limit=1, previous=watched(open_folder(before.folder), seen))
    assert len({path for path in seen if path.startswith("data/")}) == 1


@pytest.mark.parametrize("gone", ["embedding", "source", "year"])
def test_a_shard_without_a_column_is_named(
    demo_root: Path, demo_release: Path, tmp_path: Path, gone: str
) -> None:
    folder = Path(shutil.copytree(demo_release, tmp_path / "forged"))
    manifest = read_manifest(folder)
    entries = []
    for file in manifest.files:
        if file.path.startswith("data/"):
            path = folder / file.path
            pq.write_table(pq.read_table(path, partitioning=None).drop_columns([gone]), path)
            entries.append(file_entry(folder, path, file.rows))
    forged = with_files(manifest, entries)
    release = open_folder(folder)
    with pytest.raises(ReleaseError, match=r"data/.*hfaef check|is not a patch"):
        build(
            demo_recipe(demo_root),
            tmp_path / "out",
            previous=Release(release.name, forged, release.fetch, release.open),
        )


def test_what_was_taken_before_an_interruption_stays(
    first: tuple[list[str], Built],
    demo_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes, before = first
    release = open_folder(before.folder)
    recipe = demo_recipe(demo_root, *changes)
    taken: list[str] = []

    def cut_off(path: str) -> Path:
        if path.startswith("data/"):
            taken.append(path)
            if path != taken[0]:
                raise KeyboardInterrupt
        return release.fetch(path)

    cut = Release(release.name, release.manifest, cut_off, release.open)
    with pytest.raises(KeyboardInterrupt):
        build(recipe, tmp_path / "out", previous=cut)
    staged = len(outcomes(tmp_path / "out"))
    assert 0 < staged < 40
    capsys.readouterr()
    after = build(recipe, tmp_path / "out", previous=release)
    assert f"{40 - staged} patches are taken from {before.folder}" in after.notes
    assert "fetch" not in capsys.readouterr().err
    assert digests(after.folder) == digests(before.folder)


def test_a_release_of_another_source_is_named_and_not_taken(
    first: tuple[list[str], Built], demo_root: Path, tmp_path: Path
) -> None:
    changes, before = first
    release = open_folder(before.folder)
    portable = {**release.manifest.recipe, "source": {"kind": "earthengine", "collection": "X"}}
    manifest = release.manifest.model_copy(update={"recipe": portable})
    other = Release("other", manifest, release.fetch, release.open)
    recipe = demo_recipe(demo_root, *changes)
    assert plan(recipe, previous=other).taken == 0
    after = build(recipe, tmp_path / "out", limit=3, previous=other)
    [note] = [note for note in after.notes if "other" in note]
    assert "3 patches of other are fetched, as it was made from another source" in note
    assert "source.kind was 'earthengine' and is 'cog'" in note
    assert {one.taken_from for one in outcomes(after.folder).values()} == {""}


def test_a_shard_that_was_changed_is_refused_before_a_row_is_used(
    first: tuple[list[str], Built], demo_root: Path, tmp_path: Path
) -> None:
    changes, before = first
    copy = Path(shutil.copytree(before.folder, tmp_path / "copy"))
    shard = min(path for path in copy.glob("data/**/*") if path.is_file())
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ReleaseError, match="its SHA-256 differs"):
        build(demo_recipe(demo_root, *changes), tmp_path / "out", previous=open_folder(copy))
    assert not (tmp_path / "out/release.json").exists()
