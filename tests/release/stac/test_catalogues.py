"""A release's STAC files, read and validated by what catalogues read them with."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import pyarrow.parquet as pq
import pystac
import pytest
from pystac.errors import STACValidationError

from hfaef.release.format.manifest import read_manifest
from hfaef.release.format.rows import read_rows
from hfaef.release.stac.collection import checksum, spdx
from hfaef.release.stac.files import stac_files
from support.kinds import build_kind, write_points
from support.stac import read_collection, read_items, validate

KINDS = ("class", "classes", "number", "nearest", "webdataset", "several years", "demo")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, demo_release: Path) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("catalogues")
    world = write_points(folder)
    kinds = {kind: (kind, ()) for kind in ("class", "classes", "number", "nearest")}
    kinds["webdataset"] = "class", ("pack.format=webdataset",)
    kinds["several years"] = "class", ("years=[2018, 2024]",)
    made = {
        name: build_kind(kind, world, folder / name.replace(" ", "-"), *changes).folder
        for name, (kind, changes) in kinds.items()
    }
    return {**made, "demo": demo_release}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    manifest = read_manifest(folder)
    names = ["id", "year", "bounds", *(["observed_year"] if manifest.nearest_years else [])]
    return list(read_rows(folder, manifest, "data", names))


@pytest.mark.parametrize("name", KINDS)
def test_pystac_validates_the_collection(built: dict[str, Path], name: str) -> None:
    collection = read_collection(built[name] / "stac")
    validate(collection)
    manifest = read_manifest(built[name])
    assert collection.id == manifest.name
    assert collection.license == "CC-BY-4.0"
    assert collection.extra_fields["emb:dimensions"] == 64
    assert {"emb:model", "emb:source-data", "license"} <= {link.rel for link in collection.links}
    assert any("hfaef" in provider.name for provider in collection.providers or ())


@pytest.mark.parametrize("name", KINDS)
def test_the_extent_is_that_of_all_patches_and_years(built: dict[str, Path], name: str) -> None:
    rows = rows_of(built[name])
    extent = read_collection(built[name] / "stac").extent
    edges = list(zip(*(row["bounds"] for row in rows), strict=True))
    assert extent.spatial.bboxes == [[min(edges[0]), min(edges[1]), max(edges[2]), max(edges[3])]]
    years = sorted({row.get("observed_year", row["year"]) for row in rows})
    whole, *each = extent.temporal.intervals
    first, last = datetime(years[0], 1, 1, tzinfo=UTC), datetime(years[-1] + 1, 1, 1, tzinfo=UTC)
    assert whole[0] == first
    assert (last - (whole[1] or first)).total_seconds() == 1
    assert [start.year for start, _ in each if start] == (years if len(years) > 1 else [])


@pytest.mark.parametrize("name", KINDS)
def test_every_asset_is_a_file_with_its_size_and_multihash(
    built: dict[str, Path], name: str
) -> None:
    folder = built[name]
    collection = read_collection(folder / "stac")
    rows = {
        f.path for f in read_manifest(folder).files if f.path.split("/")[0] in ("data", "pooled")
    }
    assert rows <= collection.assets.keys()
    for asset in collection.assets.values():
        content = Path(asset.get_absolute_href() or "").read_bytes()
        assert asset.extra_fields["file:size"] == len(content)
        multihash = bytes.fromhex(asset.extra_fields["file:checksum"])
        assert (multihash[0], multihash[1]) == (0x12, 32)  # SHA-256, of so many bytes
        assert multihash[2:] == hashlib.sha256(content).digest()


@pytest.mark.parametrize("name", KINDS)
def test_stac_geoparquet_reads_an_item_a_row_that_validates(
    built: dict[str, Path], name: str
) -> None:
    folder = built[name]
    manifest = read_manifest(folder)
    items = read_items(folder / "stac")
    rows = rows_of(folder)
    several = len(manifest.config_years) > 1
    names = [f"{row['id']}-{row['year']}" if several else row["id"] for row in rows]
    assert [item.id for item in items] == names  # in the order of the shards
    assert len(set(names)) == len(names) == manifest.rows
    for item, row in zip(items, rows, strict=True):
        assert item.bbox == list(row["bounds"])
        assert item.datetime is None
        year = row.get("observed_year", row["year"])
        assert item.properties["start_datetime"].startswith(f"{year}-01-01T00:00:00")
        assert item.properties["end_datetime"].startswith(f"{year}-12-31T23:59:59")
        assert item.collection_id == manifest.name
        shard = Path(item.assets["embeddings"].get_absolute_href() or "")
        assert shard.is_file()
        if shard.suffix == ".parquet":
            assert (
                row["id"]
                in pq.read_table(shard, columns=["id"], partitioning=None)["id"].to_pylist()
            )
    for item in items[:: max(len(items) // 5, 1)]:
        validate(item)


def test_a_collection_without_what_the_extension_asks_for_does_not_validate(
    built: dict[str, Path],
) -> None:
    for key, value in (("emb:type", "scene"), ("emb:dimensions", None), ("emb:made_up", 1)):
        collection = read_collection(built["class"] / "stac")
        collection.extra_fields[key] = value
        with pytest.raises(STACValidationError):
            validate(collection)
    collection = read_collection(built["class"] / "stac")
    collection.clear_links("emb:model")
    with pytest.raises(STACValidationError):
        validate(collection)


@pytest.mark.parametrize("name", ["several years", "demo"])
def test_geopandas_and_duckdb_read_the_table(built: dict[str, Path], name: str) -> None:
    path = built[name] / "stac/items.parquet"
    frame = geopandas.read_parquet(path)
    assert len(frame) == read_manifest(built[name]).rows
    assert frame.crs == "OGC:CRS84"
    assert frame.geometry.is_valid.all()
    (box,) = read_collection(built[name] / "stac").extent.spatial.bboxes
    west, south, east, north = frame.total_bounds
    assert box[0] <= west
    assert box[1] <= south
    assert box[2] >= east
    assert box[3] >= north
    few = geopandas.read_parquet(path, bbox=tuple(frame.iloc[:1].total_bounds))
    assert 0 < len(few) < len(frame)
    columns = "min(bbox.xmin), count(DISTINCT assets.embeddings.href), epoch(min(start_datetime))"
    ((least, shards, start),) = duckdb.read_parquet(str(path)).aggregate(columns).fetchall()
    assert least == box[0]
    manifest = read_manifest(built[name])
    assert shards == sum(file.path.startswith("data/") for file in manifest.files)
    assert datetime.fromtimestamp(start, UTC) == datetime(manifest.years[0], 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", KINDS)
def test_the_same_release_gives_the_same_bytes(built: dict[str, Path], name: str) -> None:
    folder, manifest = built[name], read_manifest(built[name])
    for path, content in stac_files(folder, manifest).items():
        assert (folder / path).read_bytes() == content
        (listed,) = [file for file in manifest.files if file.path == path]
        assert listed.sha256 == hashlib.sha256(content).hexdigest()


def test_words_of_people_come_through_as_they_are(tmp_path: Path) -> None:
    words = {
        "pretty_name": 'A "name"} <script>alert(1)</script>',
        "description": "Ends \\ here\u2028and 'there' {{ 7 * 7 }} \U0001f30d",
    }
    settings = [f"card.{key}={text}" for key, text in words.items()]
    tags = '["a\\"b", "](x)"]'
    made = build_kind(
        "class", write_points(tmp_path), tmp_path / "made", *settings, f"card.tags={tags}"
    )
    collection = read_collection(made.folder / "stac")
    validate(collection)
    assert collection.title == words["pretty_name"]
    assert collection.description == words["description"]
    assert collection.keywords == ["embeddings", "alphaearth", 'a"b', "](x)"]


@pytest.mark.parametrize(
    ("hub", "stac"),
    [
        ("cc-by-4.0", "CC-BY-4.0"),
        ("cc0-1.0", "CC0-1.0"),
        ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0"),
        ("mit", "MIT"),
        ("other", "proprietary"),
        ("unknown", "proprietary"),
        ("llama3", "proprietary"),
    ],
)
def test_licences_are_spdx_s_or_proprietary(hub: str, stac: str) -> None:
    assert spdx(hub) == stac


def test_a_checksum_is_a_multihash() -> None:
    digest = hashlib.sha256(b"").hexdigest()
    assert checksum(digest) == f"1220{digest}"


def test_pystac_reads_a_link_to_the_card(built: dict[str, Path]) -> None:
    collection = read_collection(built["demo"] / "stac")
    link = collection.get_single_link(pystac.RelType.LICENSE)
    assert link is not None
    assert Path(link.get_absolute_href() or "").read_text().startswith("---\n")
    assert "formula" in json.dumps(collection.to_dict()["providers"])
