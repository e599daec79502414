"""STAC files through a release's life: checked, carried, compared, exported; old releases lack them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hfaef.cli.main import app
from hfaef.errors import InputError, ReleaseError
from hfaef.release.bump import classify_changes
from hfaef.release.card.additions import with_files, write_figures
from hfaef.release.check import check_folder
from hfaef.release.diff import compare
from hfaef.release.format.manifest import file_entry, manifest_bytes, read_manifest
from hfaef.release.handle import open_folder
from support.releases import contents, fresh_copy, make_release
from support.stac import read_collection, read_items, validate

ITEMS, COLLECTION = "stac/items.parquet", "stac/collection.json"


def list_again(folder: Path) -> None:
    """Make the manifest agree with the files."""
    manifest = read_manifest(folder)
    files = [file_entry(folder, folder / file.path, file.rows) for file in manifest.files]
    (folder / "release.json").write_bytes(manifest_bytes(with_files(manifest, files)))


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads((folder / COLLECTION).read_text())
    change(content)
    (folder / COLLECTION).write_text(json.dumps(content))


def drop_item(folder: Path) -> None:
    table = pq.read_table(folder / ITEMS)
    pq.write_table(table.slice(1), folder / ITEMS)


def change_items(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the rows of the first row group."""
    with pq.ParquetFile(folder / ITEMS) as file:
        tables = [file.read_row_group(number) for number in range(file.num_row_groups)]
        schema = file.schema_arrow
    rows = tables[0].to_pylist()
    change(rows)
    tables[0] = pa.Table.from_pylist(rows, schema=schema)
    with pq.ParquetWriter(folder / ITEMS, schema) as writer:
        for table in tables:
            writer.write_table(table)


def move_item(folder: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[0]["id"], rows[1]["id"] = rows[1]["id"], rows[0]["id"]

    change_items(folder, change)


def point_elsewhere(folder: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[0]["assets"]["embeddings"]["href"] = "../../other/data.parquet"

    change_items(folder, change)


@pytest.mark.parametrize(
    ("damage", "path", "words"),
    [
        (drop_item, ITEMS, "is no table of the release's items"),
        (move_item, ITEMS, "names other patches, places, years or shards"),
        (point_elsewhere, ITEMS, "names other patches, places, years or shards"),
        (lambda folder: (folder / ITEMS).write_bytes(b"PAR1"), ITEMS, "is no table"),
        (lambda folder: (folder / COLLECTION).write_text("[]"), COLLECTION, "is no collection"),
        (lambda folder: (folder / COLLECTION).write_text("{"), COLLECTION, "is no collection"),
        (
            lambda folder: edit(folder, lambda content: content["assets"].popitem()),
            COLLECTION,
            "is not what the manifest says",
        ),
        (
            lambda folder: edit(folder, lambda content: content.update({"license": "MIT"})),
            COLLECTION,
            "is not what the manifest says",
        ),
    ],
)
def test_a_check_finds_what_contradicts_the_release(
    own_smallest: Path, damage: Callable[[Path], None], path: str, words: str
) -> None:
    damage(own_smallest)
    list_again(own_smallest)
    found = check_folder(own_smallest)
    assert words in "\n".join(one.problem for one in found if one.path == path)


def test_other_words_of_a_collection_are_nobody_s_fault(own_smallest: Path) -> None:
    edit(own_smallest, lambda content: content.update({"description": "Written by a later hfaef."}))
    list_again(own_smallest)
    assert check_folder(own_smallest) == []


def test_a_release_that_lost_them_is_told_apart_from_an_old_one(own_smallest: Path) -> None:
    shutil.rmtree(own_smallest / "stac")
    content = json.loads((own_smallest / "release.json").read_bytes())
    content["files"] = [file for file in content["files"] if not file["path"].startswith("stac/")]
    (own_smallest / "release.json").write_text(json.dumps(content))
    found = {finding.path: finding.problem for finding in check_folder(own_smallest)}
    assert found == dict.fromkeys((ITEMS, COLLECTION), "is missing; build the release again")


def test_figures_leave_them_as_they_are(own_smallest: Path) -> None:
    before = contents(own_smallest)
    write_figures(own_smallest)
    after = contents(own_smallest)
    assert {path: after[path] for path in (ITEMS, COLLECTION)} == {
        path: before[path] for path in (ITEMS, COLLECTION)
    }
    assert check_folder(own_smallest) == []


def test_a_second_release_of_the_same_places_has_the_same_items(
    demo_root: Path, smallest: Path, tmp_path: Path
) -> None:
    name = min(row.id for row in read_items(smallest / "stac"))
    second = make_release(
        demo_root,
        tmp_path / "second",
        patches=12,
        relabel={name: "Town"},
        previous=str(smallest),
    )
    assert (second / ITEMS).read_bytes() == (smallest / ITEMS).read_bytes()
    assert (second / COLLECTION).read_bytes() != (smallest / COLLECTION).read_bytes()
    assert check_folder(second) == []
    found = compare(open_folder(smallest), open_folder(second))
    assert not [line for line in found.lines() if "stac" in line]


def test_another_description_is_still_no_other_data(
    demo_root: Path, smallest: Path, tmp_path: Path
) -> None:
    second = make_release(demo_root, tmp_path / "second", patches=12, description="Other words.")
    before, after = read_manifest(smallest), read_manifest(second)
    assert (second / COLLECTION).read_bytes() != (smallest / COLLECTION).read_bytes()
    assert classify_changes(before, after).level == "patch"
    assert not [
        line
        for line in compare(open_folder(smallest), open_folder(second)).lines()
        if "stac" in line
    ]


def test_a_release_in_the_place_of_an_old_one_takes_its_files_away(
    demo_root: Path, tmp_path: Path
) -> None:
    folder = make_release(demo_root, tmp_path / "twice", patches=12)
    (folder / "stac/left.json").write_text("{}")
    again = make_release(demo_root, tmp_path / "twice", patches=12, description="Again.")
    assert again == folder
    assert sorted(path.name for path in (folder / "stac").iterdir()) == [
        "collection.json",
        "items.parquet",
    ]


def as_before_stac(folder: Path) -> None:
    """Take away what releases of hfaef 0.1 have not, but for columns, which an export does not read."""
    shutil.rmtree(folder / "stac")
    content = json.loads((folder / "release.json").read_bytes())
    content["files"] = [file for file in content["files"] if not file["path"].startswith("stac/")]
    content["emb"] = None
    (folder / "release.json").write_text(json.dumps(content))


@pytest.mark.parametrize("old", [False, True])
def test_an_export_leads_back_to_the_release(smallest: Path, tmp_path: Path, old: bool) -> None:
    folder = fresh_copy(smallest, tmp_path / "my release")
    if old:
        as_before_stac(folder)
    there = tmp_path / "elsewhere/stac"
    done = CliRunner().invoke(app, ["export", str(folder), "--to", str(there), "--stac", "--json"])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in there.iterdir()) == ["collection.json", "items.parquet"]
    collection = read_collection(there)
    validate(collection)
    for asset in collection.assets.values():
        assert Path((asset.get_absolute_href() or "").replace("%20", " ")).is_file()
    items = read_items(there)
    assert json.loads(done.stdout)["items"] == len(items) == read_manifest(folder).rows
    for item in items:
        href = item.assets["embeddings"].get_absolute_href() or ""
        assert Path(href.replace("%20", " ")).is_file()
    assert [item.id for item in items] == [item.id for item in read_items(smallest / "stac")]


@pytest.mark.parametrize("option", ["--values", "--mosaic", "--workers=2", "--compression=zstd"])
def test_options_of_geotiffs_beside_stac_are_refused(
    smallest: Path, tmp_path: Path, option: str
) -> None:
    there = tmp_path / "there"
    done = CliRunner().invoke(
        app, ["export", str(smallest), "--to", str(there), "--stac", option, "--json"]
    )
    assert isinstance(done.exception, InputError)
    assert option.partition("=")[0] in done.exception.message
    assert not there.exists()


def test_rows_of_an_old_release_stay_and_get_what_it_has_not(
    demo_root: Path, smallest: Path, tmp_path: Path
) -> None:
    old = fresh_copy(smallest, tmp_path / "old")
    as_before_stac(old)
    new = make_release(demo_root, tmp_path / "new", patches=12, previous=str(old))
    assert check_folder(new) == []
    rows = [
        [row.as_py() for path in sorted((one / "data").rglob("*.parquet")) for row in ids(path)]
        for one in (old, new)
    ]
    assert rows[0] == rows[1]
    found = compare(open_folder(old), open_folder(new))
    assert found.bump.level == "minor"
    assert found.bump.reasons[0].startswith("pooled vectors have `geometry` and `bbox`")
    back = classify_changes(read_manifest(new), read_manifest(old))
    assert (back.level, back.reasons[0]) == (
        "major",
        "pooled vectors have no `geometry` and no `bbox`",
    )


def ids(path: Path) -> Any:
    return pq.read_table(path, columns=["id"], partitioning=None)["id"]


@pytest.mark.parametrize("own", [True, False])
def test_a_release_without_a_shard_is_not_exported(
    own_smallest: Path, tmp_path: Path, own: bool
) -> None:
    content = json.loads((own_smallest / "release.json").read_bytes())
    keep = ("stac/",) if own else ()
    content["files"] = [file for file in content["files"] if file["path"].startswith(keep)]
    (own_smallest / "release.json").write_text(json.dumps(content))
    there = tmp_path / "there"
    done = CliRunner().invoke(app, ["export", str(own_smallest), "--to", str(there), "--stac"])
    assert isinstance(done.exception, ReleaseError)
    assert not there.exists()
