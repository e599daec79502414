"""Points through a release's life: checked, compared, replaced; releases of before have none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfaef.errors import ReleaseError
from hfaef.release.atlas.metadata import KEY
from hfaef.release.atlas.points import points_bytes, read_points, tsne_bytes
from hfaef.release.bump import classify_changes
from hfaef.release.card.additions import with_files
from hfaef.release.check import check_folder
from hfaef.release.diff import compare
from hfaef.release.format.manifest import file_entry, manifest_bytes, read_manifest
from hfaef.release.handle import open_folder
from support.kinds import build_kind
from support.releases import fresh_copy, make_release

POINTS, TSNE = "atlas/points.parquet", "atlas/tsne.parquet"


def list_again(folder: Path, *more: str) -> None:
    """Make the manifest agree with the files."""
    manifest = read_manifest(folder)
    listed = [(file.path, file.rows) for file in manifest.files] + [(path, 0) for path in more]
    files = [file_entry(folder, folder / path, rows) for path, rows in listed]
    (folder / "release.json").write_bytes(manifest_bytes(with_files(manifest, files)))


def write(
    folder: Path,
    table: pa.Table | None = None,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:
    """Write the points again, with other columns, or with a changed metadata."""
    old = pq.read_table(folder / POINTS)
    said = json.loads(old.schema.metadata[KEY])
    change(said)
    new = old if table is None else table
    new = new.replace_schema_metadata({KEY: json.dumps(said).encode()})
    pq.write_table(new, folder / POINTS, store_schema=True)


def turned(table: pa.Table, name: str) -> pa.Table:
    """The same table, a column of which is upside down."""
    values = table[name].to_pylist()[::-1]
    return table.set_column(
        table.column_names.index(name), name, pa.array(values, table.schema.field(name).type)
    )


def turn(name: str) -> Callable[[Path], None]:
    return lambda folder: write(folder, turned(read_points(folder / POINTS)[0], name))


def say(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return lambda folder: write(folder, change=change)


def predict(folder: Path) -> None:
    """Add predictions that no score tells of."""
    table = read_points(folder / POINTS)[0]
    at = table.column_names.index("preview_shard")

    def change(said: dict[str, Any]) -> None:
        said["schemes"][0]["predicted"] = "predicted_0"

    write(folder, table.add_column(at, "predicted_0", table["label"]), change)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "no parquet": (lambda folder: (folder / POINTS).write_bytes(b"PAR1"), "is no table of points"),
    "a row less": (
        lambda folder: write(folder, read_points(folder / POINTS)[0].slice(1)),
        "has another column 'id' than the release; build the release again",
    ),
    "another order": (turn("id"), "has another column 'id' than the release"),
    "other labels": (turn("label"), "has another column 'label' than the release"),
    "other splits": (turn("split_0"), "has another column 'split_0' than the release"),
    "other places": (turn("lon"), "has another column 'lon' than the release"),
    "other previews": (turn("preview_offset"), "has another column 'preview_offset'"),
    "a column less": (
        lambda folder: write(folder, read_points(folder / POINTS)[0].drop_columns(["lat"])),
        "has another set of columns than the release",
    ),
    "no metadata": (
        lambda folder: pq.write_table(
            read_points(folder / POINTS)[0].replace_schema_metadata(None), folder / POINTS
        ),
        "is no table of points",
    ),
    "a newer format": (say(lambda said: said.update(format=2)), "format: Input should be 1"),
    "other rows": (
        say(lambda said: said.update(rows="0" * 64)),
        "tells of other rows than the release holds; build the release again",
    ),
    "other names": (
        say(lambda said: said["label_names"].reverse()),
        "has another `label_names` in its metadata than the release",
    ),
    "another shard": (
        say(lambda said: said["shards"][0].update(path="data/other.parquet")),
        "has another `shards` in its metadata than the release",
    ),
    "predictions without scores": (
        predict,
        "has predictions for 'random', but the release has no scores; `hfaef eval",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_check_says_how_points_are_not_those_of_the_release(
    own_smallest: Path, damage: str
) -> None:
    do, words = DAMAGE[damage]
    do(own_smallest)
    list_again(own_smallest)
    (found,) = check_folder(own_smallest)
    assert found.path == POINTS
    assert words in found.problem


def test_points_that_the_manifest_does_not_list_as_they_are_are_found(own_smallest: Path) -> None:
    (own_smallest / POINTS).write_bytes(b"PAR1")
    (found,) = check_folder(own_smallest)
    assert str(found) == f"{POINTS}: is not what the manifest lists (its size differs)"


def test_other_words_and_a_layout_from_another_machine_are_no_fault(own_smallest: Path) -> None:
    table = read_points(own_smallest / POINTS)[0]
    write(own_smallest, turned(table, "x"), lambda said: said.update(attribution="Other words."))
    list_again(own_smallest)
    assert check_folder(own_smallest) == []


@pytest.fixture(scope="module")
def scored(kinds_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with scores and predictions; not to be written to."""
    pytest.importorskip("sklearn")
    from hfaef.evaluation.evaluate import Settings, evaluate

    folder = build_kind("class", kinds_world, tmp_path_factory.mktemp("scored")).folder
    evaluate(str(folder), Settings(poolings=("mean",), quick=True))
    return folder


def other_score(folder: Path) -> None:
    content = json.loads((folder / "evaluation.json").read_text())
    for score in content["scores"]:
        score["metrics"]["accuracy"]["value"] = 0.123
    (folder / "evaluation.json").write_text(json.dumps(content))


def no_score(folder: Path) -> None:
    content = json.loads((folder / "evaluation.json").read_text())
    content["scores"] = [one for one in content["scores"] if one["probe"] == "knn"]
    (folder / "evaluation.json").write_text(json.dumps(content))


def predict_less(folder: Path) -> None:
    table = read_points(folder / POINTS)[0]
    at = table.column_names.index("predicted_0")
    values = table["predicted_0"].to_pylist()
    first = next(number for number, value in enumerate(values) if value is not None)
    values[first] = None
    write(folder, table.set_column(at, "predicted_0", pa.array(values, pa.int32())))


def miscount(folder: Path) -> None:
    def change(said: dict[str, Any]) -> None:
        said["schemes"][0]["measured"][0]["misclassified"] += 1

    write(folder, change=change)


def unsaid(folder: Path) -> None:
    write(folder, change=lambda said: said["schemes"][0].update(measured=[]))


def no_column(folder: Path) -> None:
    write(folder, read_points(folder / POINTS)[0].drop_columns(["predicted_0"]))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (other_score, "are of another score than the evaluation has; `hfaef eval"),
        (no_score, "are of a score that is not in the evaluation"),
        (predict_less, "patches, and their score of"),
        (miscount, "are right and wrong of other patches than it is said of them"),
        (unsaid, "has predictions for 'split' without a score"),
        (no_column, "has no column of predictions for 'split'"),
    ],
)
def test_a_check_finds_predictions_that_belong_to_no_score(
    scored: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    folder = fresh_copy(scored, tmp_path / "own")
    damage(folder)
    list_again(folder)
    found = check_folder(folder, card=False)
    assert words in "\n".join(one.problem for one in found if one.path == POINTS)


def without_points(folder: Path) -> None:
    """Make a release one of an earlier hfaef."""
    shutil.rmtree(folder / "atlas")
    content = json.loads((folder / "release.json").read_bytes())
    content["files"] = [one for one in content["files"] if one["path"] != POINTS]
    (folder / "release.json").write_text(json.dumps(content))


def test_a_release_of_before_is_sound_and_the_next_one_says_that_points_are_new(
    smallest: Path, tmp_path: Path
) -> None:
    old = fresh_copy(smallest, tmp_path / "old")
    without_points(old)
    assert check_folder(old) == []
    found = compare(open_folder(old), open_folder(smallest))
    assert f"{POINTS} is new" in found.lines()
    assert found.bump.level == "patch"
    assert [file.path for file in found.files.added] == [POINTS]
    back = compare(open_folder(smallest), open_folder(old))
    assert f"{POINTS} is gone" in back.lines()
    assert points_bytes(old, read_manifest(old)) == (smallest / POINTS).read_bytes()


def test_points_follow_rows_and_scores_so_that_a_changelog_names_those_alone(
    scored: Path, kinds_world: Path, tmp_path: Path
) -> None:
    plain = build_kind("class", kinds_world, tmp_path).folder
    assert (plain / POINTS).read_bytes() != (scored / POINTS).read_bytes()
    found = compare(open_folder(plain), open_folder(scored))
    assert POINTS in {file.path for file in found.files.changed}
    assert "evaluation.json is new" in found.lines()
    assert not [line for line in found.lines() if "atlas" in line]


def test_a_second_release_keeps_its_shards_and_has_points_of_its_own_rows(
    demo_root: Path, smallest: Path, tmp_path: Path
) -> None:
    first = read_points(smallest / POINTS)[0].to_pylist()
    name = min(point["id"] for point in first)
    second = make_release(
        demo_root,
        tmp_path / "second",
        patches=12,
        relabel={name: "Town"},
        previous=str(smallest),
    )
    assert check_folder(second) == []
    after = {point["id"]: point for point in read_points(second / POINTS)[0].to_pylist()}
    names = read_manifest(second).label_names
    assert names[after[name]["label"]] == "Town"
    assert {one["id"]: (one["x"], one["y"]) for one in first} == {
        identity: (one["x"], one["y"]) for identity, one in after.items()
    }
    assert classify_changes(read_manifest(smallest), read_manifest(second)).level == "minor"


def test_a_rebuild_takes_away_what_lay_beside_the_points(demo_root: Path, tmp_path: Path) -> None:
    folder = make_release(demo_root, tmp_path / "twice", patches=12)
    (folder / "atlas/left.txt").write_text("")
    make_release(demo_root, tmp_path / "twice", patches=12, description="Again.")
    assert [path.name for path in (folder / "atlas").iterdir()] == ["points.parquet"]


def test_a_layout_by_t_sne_is_checked_where_a_release_holds_one(own_smallest: Path) -> None:
    pytest.importorskip("openTSNE")
    layout = tsne_bytes(own_smallest, read_manifest(own_smallest))
    (own_smallest / TSNE).write_bytes(layout)
    list_again(own_smallest, TSNE)
    assert check_folder(own_smallest) == []
    table = pq.read_table(own_smallest / TSNE)
    said = table.schema.metadata[KEY].replace(b'"rows":"', b'"rows":"0')[:-3] + b'"}'
    pq.write_table(table.replace_schema_metadata({KEY: said}), own_smallest / TSNE)
    list_again(own_smallest)
    (found,) = check_folder(own_smallest)
    assert (found.path, found.problem) == (
        TSNE,
        "tells of other rows than the release holds; make it again",
    )
    (own_smallest / TSNE).write_bytes(b"PAR1")
    list_again(own_smallest)
    (found,) = check_folder(own_smallest)
    assert "is no layout of points" in found.problem


def test_points_that_cannot_be_read_are_named(own_smallest: Path) -> None:
    (own_smallest / POINTS).write_bytes(b"")
    with pytest.raises(ReleaseError, match=f"{own_smallest / POINTS} is no table of points"):
        read_points(own_smallest / POINTS)
