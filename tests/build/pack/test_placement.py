"""Rows stay in their shard from release to release."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from build.test_pipeline import demo_recipe, digests

from hfaef.build.pack.placement import place_rows
from hfaef.build.pack.rows import pack
from hfaef.build.pipeline import build
from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Patch
from hfaef.core.grid import Grid
from hfaef.errors import InputError, ReleaseError
from hfaef.hub.open import open_release
from hfaef.release.check import check_folder
from hfaef.release.diff import compare
from hfaef.release.format.manifest import read_manifest
from hfaef.release.format.paths import shuffled
from hfaef.release.handle import open_folder
from hfaef.release.locate import RowLocation, RowPlacement, read_placement
from hfaef.sources.demo.field import Field
from hfaef.sources.demo.tiles import write_store
from servers.hub import Hub
from servers.hub.fixtures import Client
from support.pushes import NAME, finish, push
from support.releases import fresh_copy, inside, make_release

GRID = Grid("EPSG:32632", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), 4, 5)
Make = Callable[..., Path]


def patch(name: str, split: str = "train") -> Patch:
    return Patch(name, GRID, "Forest", {"random": split}, 2018)


def placement(*rows: tuple[str, str, int]) -> RowPlacement:
    """Of rows with these names, shards and row groups, in this order."""
    splits = {"random": "train"}
    return RowPlacement(
        {
            (2018, name): RowLocation(splits, path, group, position)
            for position, (name, path, group) in enumerate(rows)
        }
    )


def names(groups: Any) -> Any:
    return groups.id if isinstance(groups, Patch) else [names(group) for group in groups]


def shards(folder: Path, split: str) -> list[list[str]]:
    """Names of the rows of each shard of a split."""
    paths = sorted(folder.glob(f"data/{split}-*.parquet"))
    return [pq.read_table(path, columns=["id"])["id"].to_pylist() for path in paths]


def test_without_a_release_before_all_patches_are_fresh_and_shuffled() -> None:
    found = place_rows([patch(name) for name in "abcdef"], RowPlacement())
    assert found.kept == ()
    assert names(found.fresh) == sorted("abcdef", key=shuffled)


def test_rows_keep_their_order_and_those_that_are_gone_leave_no_hole() -> None:
    before = placement(*(("b", "x", 0), ("a", "x", 0), ("gone", "x", 1), ("d", "x", 2)))
    found = place_rows([patch(name) for name in "abcd"], before)
    assert names(found.kept) == [[["b", "a"], ["d"]]]
    assert names(found.fresh) == ["c"]
    assert names(found.order) == ["b", "a", "d", "c"]


def test_a_shard_of_which_no_row_is_left_is_no_shard() -> None:
    before = placement(("gone", "x", 0), ("a", "y", 0))
    assert names(place_rows([patch("a")], before).kept) == [[["a"]]]


def test_a_row_that_comes_from_another_split_is_a_new_one() -> None:
    found = place_rows([patch("a", "test")], placement(("a", "x", 0)))
    assert (found.kept, names(found.fresh)) == ((), ["a"])


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Shards of four rows or so, in row groups of two: smaller than a recipe may ask for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hfaef.build.pack.rows.ROW_GROUP_BYTES", 150_000)
        patch.setattr(
            "hfaef.build.pipeline.pack",
            lambda *words, **more: pack(*words, **more | {"shard_bytes": 300_000}),
        )
        yield


@pytest.fixture(scope="module")
def first(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    release = make_release(demo_root, tmp_path_factory.mktemp("first"))
    found = shards(release, "train")
    assert len(found) > 3
    path = next(release.glob("data/train-00000*"))
    assert pq.read_metadata(path).num_row_groups > 1
    return release


@pytest.fixture
def follow(demo_root: Path, first: Path, tmp_path: Path) -> Make:
    """Makes a release that follows the first one."""

    def make(**options: Any) -> Path:
        (tmp_path / "next").mkdir()
        options = {"previous": str(first)} | options
        after = make_release(demo_root, tmp_path / "next", **options)
        assert check_folder(after) == []
        assert read_manifest(after).preview == read_manifest(first).preview
        return after

    return make


def changed_shards(before: Path, after: Path, split: str) -> list[int]:
    """Numbers of shards that were there before and are other bytes now."""
    pairs = zip(
        sorted(before.glob(f"data/{split}-*")), sorted(after.glob(f"data/{split}-*")), strict=False
    )
    return [n for n, (old, new) in enumerate(pairs) if old.read_bytes() != new.read_bytes()]


def test_the_same_patches_are_the_same_files(first: Path, follow: Make) -> None:
    assert digests(follow()) == digests(first)


def test_a_new_label_changes_one_shard(first: Path, follow: Make) -> None:
    name = shards(first, "train")[1][0]
    after = follow(relabel={name: "Town" if not name.startswith("Town") else "Dune"})
    assert shards(after, "train") == shards(first, "train")
    assert changed_shards(first, after, "train") == [1]
    assert changed_shards(first, after, "test") == []


def test_a_row_is_dropped_in_its_place(first: Path, follow: Make) -> None:
    before = shards(first, "train")
    after = follow(drop=(before[1][0], *shards(first, "train")[2]))
    assert shards(after, "train") == [before[0], before[1][1:], *before[3:]]
    unchanged = {file.sha256 for file in read_manifest(after).files}
    held = [f for f in read_manifest(first).files if f.path.startswith("data/train-")]
    assert [file.sha256 in unchanged for file in held] == [
        True,
        False,
        False,
        *(True for _ in before[3:]),
    ]


def test_new_rows_come_into_shards_of_their_own(first: Path, follow: Make) -> None:
    after = follow(patches=40)
    for split in ("train", "validation", "test"):
        old = shards(first, split)
        new = shards(after, split)
        assert new[: len(old)] == old
        assert changed_shards(first, after, split) == []
        rest = [name for shard in new[len(old) :] for name in shard]
        assert rest == sorted(rest, key=shuffled)
    sent = compare(open_folder(first), open_folder(after)).files.bytes_to_send
    appended = sum(f.bytes for f in read_manifest(after).files) * 16 / 40
    assert sent < 1.2 * appended


def test_a_row_that_moves_leaves_one_split_and_joins_another(first: Path, follow: Make) -> None:
    name = shards(first, "train")[0][1]
    after = follow(resplit={name: "test"})
    old = shards(first, "train")
    assert shards(after, "train") == [[n for n in old[0] if n != name], *old[1:]]
    assert shards(after, "test") == [*shards(first, "test"), [name]]


def test_a_third_release_keeps_to_the_second(first: Path, follow: Make, demo_root: Path) -> None:
    gone = shards(first, "train")[0][0]
    second = follow(drop=(gone,), patches=30)
    third = second.parents[1] / "third"
    third.mkdir()
    options = {"patches": 30, "previous": str(second)}
    same = make_release(demo_root, third, drop=(gone,), **options)
    assert digests(same) == digests(second)


def test_several_years_and_schemes_keep_their_rows(demo_root: Path, tmp_path: Path) -> None:
    before = build(demo_recipe(demo_root), tmp_path / "before").folder
    assert len(list(before.glob("data/*/*/00001.parquet"))) > 1
    kept = open_folder(before)
    again = build(demo_recipe(demo_root), tmp_path / "again", previous=kept).folder
    assert digests(again) == digests(before)


def test_a_second_year_moves_the_files_of_the_first_as_they_are(
    demo_root: Path, tmp_path: Path
) -> None:
    grids = [patch.grid for patch in open_catalog(demo_recipe(demo_root)).patches]
    write_store(tmp_path / "aef", Field(seed=5), {2018: grids, 2024: grids})
    place = f"source.root={tmp_path / 'aef'}"
    one = build(demo_recipe(demo_root, place), tmp_path / "one").folder
    recipe = demo_recipe(demo_root, place, "years=[2018, 2024]")
    both = build(recipe, tmp_path / "both", previous=open_folder(one)).folder
    assert check_folder(both) == []
    before = {file.sha256 for file in read_manifest(one).files if file.path.startswith("data/")}
    after = {file.sha256 for file in read_manifest(both).files if file.path.startswith("data/")}
    after &= {file.sha256 for file in read_manifest(both).files if "/2018/" in file.path}
    # Pooled vectors say from now on how alike a patch is to itself in the year before.
    assert after == before


def test_the_release_before_may_be_a_published_version(
    hub: Hub, client: Client, first: Path, demo_root: Path, tmp_path: Path
) -> None:
    assert push(client, fresh_copy(first, tmp_path / "release"))["exit"] == 0
    hub.forget()
    (tmp_path / "next").mkdir()
    # Writes the recipe and the patches.
    gone = shards(first, "train")[0][0]
    make_release(demo_root, tmp_path / "next", drop=(gone,))
    with inside(tmp_path / "next"):
        command = ["build", "--out", "after", "--from", f"{NAME}@1.0.0", "--json"]
        assert finish(client.hfaef(*command))["exit"] == 0
        said = finish(client.hfaef("diff", f"{NAME}@1.0.0", "after", "--json"))
    after = tmp_path / "next/after"
    assert check_folder(after) == []
    assert changed_shards(first, after, "train") == [0]
    assert (said["rows"]["removed"], said["rows"]["repixelled"]) == ([gone], [])


def test_a_release_before_that_is_none_is_refused(first: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a folder nor"):
        open_release("nothing")
    broken = fresh_copy(first, tmp_path / "broken")
    shard = next(broken.glob("pooled/train-*"))
    shard.write_bytes(b"short")
    with pytest.raises(ReleaseError, match="cannot be read"):
        read_placement(open_folder(broken))
    shard.write_bytes(next(broken.glob("pooled/test-*")).read_bytes())
    with pytest.raises(ReleaseError, match="differ in their rows"):
        read_placement(open_folder(broken))
