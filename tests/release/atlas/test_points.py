"""The points of releases of every kind, against their shards: places, labels, previews, vectors."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from hfaef.errors import ReleaseError
from hfaef.release.atlas.layout import pca_layout
from hfaef.release.atlas.metadata import KEY
from hfaef.release.atlas.points import points_bytes, read_points, tsne_bytes
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import Manifest, content_sha256, read_manifest
from hfaef.release.format.rows import read_rows
from support.kinds import build_kind
from support.releases import contents, fresh_copy

POINTS = "atlas/points.parquet"

FORMS = {
    "png": (),
    "raw": ("pack.codec=raw",),
    "webdataset": ("pack.format=webdataset",),
}

RELEASES = {
    "class": ("class", ()),
    "classes": ("classes", ()),
    "number with folds": ("number", ()),
    "no schemes": ("number", ("patches.folds=[]",)),
    "own years": ("years", ()),
    "nearest years": ("nearest", ()),
    "two years": ("class", ("years=[2018, 2024]",)),
    "raw": ("class", FORMS["raw"]),
    "webdataset": ("classes", FORMS["webdataset"]),
    "webdataset of two years": ("class", (*FORMS["webdataset"], "years=[2018, 2024]")),
    "made splits": ("class", ("patches.make_splits.random.seed=1",)),
    "two shards": ("number", ("patches.size=64", "pack.shard_bytes=1MB")),
    "two tar files": (
        "number",
        (*FORMS["webdataset"], "patches.size=64", "pack.shard_bytes=1MB"),
    ),
}


@pytest.fixture(scope="module", params=RELEASES)
def folder(
    request: pytest.FixtureRequest, kinds_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A release of each kind; not to be written to."""
    kind, changes = RELEASES[request.param]
    return build_kind(kind, kinds_world, tmp_path_factory.mktemp("kind"), *changes).folder


def points_of(folder: Path) -> list[dict[str, Any]]:
    return read_points(folder / POINTS)[0].to_pylist()


def about(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(pq.read_metadata(folder / POINTS).metadata[KEY])
    return content


def rows_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    return list(read_rows(folder, read_manifest(folder), kind))


def test_point_i_is_row_i_of_the_pooled_vectors(folder: Path) -> None:
    points, rows = points_of(folder), rows_of(folder, "pooled")
    assert len(points) == read_manifest(folder).rows
    files = about(folder)["vectors"]["files"]
    assert about(folder)["vectors"]["column"] == "mean"
    listed = {file.path: file for file in read_manifest(folder).files}
    assert files == [
        {"path": one, "rows": listed[one].rows, "bytes": listed[one].bytes}
        for one in listed
        if one.startswith("pooled/")
    ]
    assert [(one["year"], one["id"]) for one in points] == [
        (row["year"], row["id"])
        for file in files
        for row in pq.read_table(folder / file["path"], partitioning=None).to_pylist()
    ]
    expected = pca_layout(np.array([row["mean"] for row in rows], np.float32))
    assert np.array_equal([[one["x"], one["y"]] for one in points], expected)


def test_places_labels_and_splits_are_those_of_the_rows(folder: Path) -> None:
    manifest = read_manifest(folder)
    rows = {(row["year"], row["id"]): row for row in rows_of(folder, "data")}
    said = about(folder)
    name = {"class": "label", "classes": "labels", "number": "number"}[said["target"]]
    assert said["target"] == manifest.labelling
    assert said["label_names"] == list(manifest.label_names)
    assert said["years"] == list(manifest.years)
    assert said["missing"] == len(manifest.missing)
    schemes = {one["name"]: one for one in said["schemes"]}
    assert [*schemes] == [*manifest.schemes, *manifest.folds]
    assert {name for name, one in schemes.items() if one["folds"]} == {*manifest.folds}
    for point in points_of(folder):
        row = rows[point["year"], point["id"]]
        west, south, east, north = row["bounds"]
        assert point["lon"] == np.float32((west + east) / 2)
        assert point["lat"] == np.float32((south + north) / 2)
        assert point.get("observed_year") == row.get("observed_year")
        assert point["valid_fraction"] == np.float32(row["valid_fraction"])
        # A tar file's JSON holds numbers as they were given, Parquet as float32.
        label = row["label"] if name != "number" else np.float32(row["label"])
        assert point[name] == label
        for scheme, one in schemes.items():
            assert point[one["split"]] == row[scheme]
            assert one["predicted"] is None
            assert one["measured"] == []


def test_the_bytes_of_each_preview_are_where_they_are_said_to_be(folder: Path) -> None:
    rows = {(row["year"], row["id"]): row for row in rows_of(folder, "data")}
    shards = about(folder)["shards"]
    listed = {file.path: file.bytes for file in read_manifest(folder).files}
    assert [(one["path"], one["bytes"]) for one in shards] == [
        (path, size) for path, size in listed.items() if path.startswith("data/")
    ]
    for point in points_of(folder):
        content = (folder / shards[point["preview_shard"]]["path"]).read_bytes()
        start = point["preview_offset"]
        picture = content[start : start + point["preview_length"]]
        assert picture == rows[point["year"], point["id"]]["preview"]["bytes"]
        with Image.open(io.BytesIO(picture)) as opened:
            assert opened.format == "JPEG"
            opened.load()


@pytest.mark.parametrize("form", ["png", "webdataset"])
def test_shards_are_named_by_their_number(kinds_world: Path, tmp_path: Path, form: str) -> None:
    changes = (*FORMS[form], "patches.size=64", "pack.shard_bytes=1MB")
    folder = build_kind("number", kinds_world, tmp_path, *changes).folder
    assert {one["preview_shard"] for one in points_of(folder)} == {0, 1, 2}
    assert len(about(folder)["shards"]) == 3


def test_the_release_is_sound_and_its_points_can_be_made_of_it_again(folder: Path) -> None:
    assert check_folder(folder) == []
    manifest = read_manifest(folder)
    assert points_bytes(folder, manifest) == (folder / POINTS).read_bytes()
    (line,) = [file for file in manifest.files if file.path == POINTS]
    assert (line.bytes, line.rows) == ((folder / POINTS).stat().st_size, 0)
    assert about(folder)["rows"] == content_sha256(manifest)
    assert "Google DeepMind" in about(folder)["attribution"]


@pytest.mark.parametrize("form", FORMS)
def test_two_builds_write_the_same_bytes(kinds_world: Path, tmp_path: Path, form: str) -> None:
    first, second = (
        build_kind("class", kinds_world, tmp_path / name, *FORMS[form]).folder / POINTS
        for name in ("first", "second")
    )
    assert first.read_bytes() == second.read_bytes()


def test_all_columns_are_of_the_types_that_a_page_expects(folder: Path) -> None:
    schema = pq.read_schema(folder / POINTS)
    types = {
        "id": pa.string(),
        **dict.fromkeys(("year", "observed_year"), pa.int32()),
        **dict.fromkeys(("valid_fraction", "lon", "lat", "x", "y"), pa.float32()),
        "label": pa.int32(),
        "labels": pa.list_(pa.field("element", pa.int32())),
        "number": pa.float64(),
        "split_0": pa.string(),
        "split_1": pa.string(),
        "preview_shard": pa.int32(),
        "preview_offset": pa.int64(),
        "preview_length": pa.int32(),
    }
    for field in schema:
        assert field.type == types[field.name], field.name
    metadata = pq.read_metadata(folder / POINTS)
    assert metadata.num_row_groups == 1
    columns = [metadata.row_group(0).column(n) for n in range(metadata.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}


def test_several_labels_may_be_none(kinds_world: Path, tmp_path: Path) -> None:
    folder = build_kind("classes", kinds_world, tmp_path).folder
    labels = [one["labels"] for one in points_of(folder)]
    assert [] in labels
    assert max(map(len, labels)) > 1
    assert {one["split_0"] for one in points_of(folder)} == {
        "train",
        "validation",
        "test",
        "unassigned",
    }


def test_a_release_of_one_patch_has_one_point(kinds_world: Path, tmp_path: Path) -> None:
    from hfaef.build.pipeline import build
    from support.kinds import recipe_of

    recipe = recipe_of("class", kinds_world, tmp_path / "points.parquet")
    folder = build(recipe, tmp_path / "release", limit=1).folder
    (point,) = points_of(folder)
    assert (point["x"], point["y"]) == (0, 0)
    assert check_folder(folder) == []


def without_bounds(folder: Path) -> Manifest:
    """Make pooled vectors those of hfaef 0.1, which did not say where patches lie; give the manifest."""
    for path in (folder / "pooled").rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.drop_columns(["bbox", "geometry"]), path)
    return read_manifest(folder)


@pytest.mark.parametrize("form", FORMS)
def test_older_releases_get_the_same_places_from_their_shards(
    kinds_world: Path, tmp_path: Path, form: str
) -> None:
    new = build_kind("class", kinds_world, tmp_path / "new", *FORMS[form]).folder
    old = fresh_copy(new, tmp_path / "old")
    manifest = without_bounds(old)
    (tmp_path / "points.parquet").write_bytes(points_bytes(old, manifest))
    found, _ = read_points(tmp_path / "points.parquet")
    assert found.equals(read_points(new / POINTS)[0])


def test_a_compressed_preview_lies_nowhere(kinds_world: Path, tmp_path: Path) -> None:
    folder = build_kind("class", kinds_world, tmp_path).folder
    first = min((folder / "data").rglob("*.parquet"))
    pq.write_table(pq.read_table(first, partitioning=None), first, compression="zstd")
    ids = {*pq.read_table(first, columns=["id"], partitioning=None)["id"].to_pylist()}
    (tmp_path / "made.parquet").write_bytes(points_bytes(folder, read_manifest(folder)))
    for one in read_points(tmp_path / "made.parquet")[0].to_pylist():
        assert (one["preview_shard"] == -1) == (one["id"] in ids)
        assert (one["preview_offset"] == -1) == (one["id"] in ids)
        assert (one["preview_length"] == 0) == (one["id"] in ids)


def change(folder: Path, kind: str, edit: Callable[[pa.Table], pa.Table]) -> Path:
    """Write the first shard of a kind again; gives its path."""
    path = min((folder / kind).rglob("*.parquet"))
    pq.write_table(edit(pq.read_table(path, partitioning=None)), path)
    return path


def with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    at = table.column_names.index(name)
    kind = table.schema.field(name).type
    return table.set_column(at, name, pa.array(values, kind))


FAULTS: dict[str, tuple[str, Callable[[pa.Table], pa.Table], str]] = {
    "another id": (
        "data",
        lambda t: with_column(t, "id", ["other", *t["id"].to_pylist()[1:]]),
        "patch other of 2018 has no pooled vector",
    ),
    "an id twice": (
        "data",
        lambda t: with_column(t, "id", [t["id"][0].as_py()] * len(t)),
        "has no pooled vector of its own",
    ),
    "a row less": ("data", lambda t: t.slice(1), "without a row of data"),
    "an id that is none": (
        "pooled",
        lambda t: with_column(t, "id", ["<b>"] * len(t)),
        "cannot read",
    ),
    "a vector twice": (
        "pooled",
        lambda t: pa.concat_tables([t, t.slice(0, 1)]),
        "there is a pooled vector twice",
    ),
    "vectors of no numbers": (
        "pooled",
        lambda t: with_column(t, "mean", [[float("nan")] * 64] * len(t)),
        "a mean vector is not 64 numbers",
    ),
    "a label without a name": (
        "pooled",
        lambda t: with_column(t, "label", [99] * len(t)),
        "has the label 99, which has no name",
    ),
    "a year of no release": (
        "pooled",
        lambda t: with_column(t, "year", [1999] * len(t)),
        "is of a year that is none of the release",
    ),
    "no column of splits": ("pooled", lambda t: t.drop_columns(["split"]), "split"),
    "bounds beyond the Earth": (
        "pooled",
        lambda t: with_column(
            t, "bbox", [{"xmin": 500.0, "ymin": 0.0, "xmax": 501.0, "ymax": 1.0}] * len(t)
        ),
        "lie nowhere on Earth",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_shards_that_contradict_each_other_are_named(
    smallest_class: Path, tmp_path: Path, fault: str
) -> None:
    folder = fresh_copy(smallest_class, tmp_path / "release")
    kind, edit, words = FAULTS[fault]
    change(folder, kind, edit)
    with pytest.raises(ReleaseError, match=words) as caught:
        points_bytes(folder, read_manifest(folder))
    assert str(folder) in caught.value.message
    assert caught.value.hint == f"hfaef check {folder}"


@pytest.fixture(scope="module")
def smallest_class(kinds_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_kind("class", kinds_world, tmp_path_factory.mktemp("smallest")).folder


def test_a_tar_file_without_rows_is_named(kinds_world: Path, tmp_path: Path) -> None:
    folder = build_kind("class", kinds_world, tmp_path, *FORMS["webdataset"]).folder
    path = min((folder / "data").rglob("*.tar"))
    with tarfile.open(path, "w") as tar:
        header = tarfile.TarInfo("p00.json")
        header.size = 2
        tar.addfile(header, io.BytesIO(b"[]"))
    with pytest.raises(ReleaseError, match=f"cannot read {path}"):
        points_bytes(folder, read_manifest(folder))
    path.write_bytes(b"no tar")
    with pytest.raises(ReleaseError, match=f"cannot read {path}"):
        points_bytes(folder, read_manifest(folder))


def test_t_sne_has_a_place_for_each_point_and_says_of_which_rows(smallest_class: Path) -> None:
    pytest.importorskip("openTSNE")
    manifest = read_manifest(smallest_class)
    found = tsne_bytes(smallest_class, manifest)
    table = pq.read_table(io.BytesIO(found))
    assert table.column_names == ["x", "y"]
    assert table.num_rows == manifest.rows
    said = json.loads(pq.read_metadata(io.BytesIO(found)).metadata[KEY])
    assert said == {"format": 1, "layout": "tsne", "rows": content_sha256(manifest)}


def test_a_release_without_its_pooled_vectors_is_named(
    smallest_class: Path, tmp_path: Path
) -> None:
    folder = fresh_copy(smallest_class, tmp_path / "release")
    manifest = read_manifest(folder)
    some = tuple(file for file in manifest.files if not file.path.startswith("pooled/"))
    with pytest.raises(ReleaseError, match="has no pooled vectors"):
        points_bytes(folder, manifest.model_copy(update={"files": some}))


def test_figures_and_cards_leave_the_points_as_they_are(
    smallest_class: Path, tmp_path: Path
) -> None:
    from hfaef.release.card.additions import write_figures
    from hfaef.release.card.render import write_card

    folder = fresh_copy(smallest_class, tmp_path / "release")
    before = contents(folder)[POINTS]
    write_figures(folder)
    write_card(folder)
    assert contents(folder)[POINTS] == before
    assert check_folder(folder) == []
