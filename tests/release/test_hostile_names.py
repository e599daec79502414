"""A release from a stranger, whose names lead elsewhere, is refused by whoever reads it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hfaef
from hfaef.errors import ReleaseError
from hfaef.evaluation.evaluate import Settings, evaluate
from hfaef.release.card.render import write_card
from hfaef.release.check import check_folder
from hfaef.release.diff import compare
from hfaef.release.format import webdataset
from hfaef.release.format.manifest import (
    file_entry,
    manifest_bytes,
    parse_manifest,
    read_manifest,
)
from hfaef.release.gis.export import export
from hfaef.release.handle import open_folder
from hfaef.release.locate import read_placement

IDS = ["../../outside", "/outside", "a/b", "..", ".a", "a\\b", "C:a", "a\0b", "", "x" * 300]


def plant(folder: Path, identity: str) -> None:
    """Give the first row of a shard of each kind this id, and list it."""
    manifest = read_manifest(folder)
    files = []
    for kind in ("data", "pooled"):
        file = next(one for one in manifest.files if one.path.startswith(f"{kind}/"))
        table = pq.read_table(folder / file.path, partitioning=None)
        ids = table["id"].to_pylist()
        column = pa.array([identity, *ids[1:]], table["id"].type)
        table = table.set_column(table.column_names.index("id"), table.schema.field("id"), column)
        pq.write_table(table, folder / file.path)
        files.append(file_entry(folder, folder / file.path, file.rows))
    changed = {file.path: file for file in files}
    listed = tuple(changed.get(file.path, file) for file in manifest.files)
    content = manifest_bytes(manifest.model_copy(update={"files": listed}))
    (folder / "release.json").write_bytes(content)
    write_card(folder)  # by which datasets knows its cache


@pytest.mark.parametrize("identity", IDS)
def test_an_export_writes_nothing_for_an_id_that_leads_elsewhere(
    own_release: Path, tmp_path: Path, identity: str
) -> None:
    plant(own_release, identity)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ReleaseError, match=r"the patch id .* is not of 1 to 200 letters"):
        export(own_release, tmp_path / "to/gis")
    assert sorted(path for path in tmp_path.iterdir() if path.name != "to") == before
    assert not list((tmp_path / "to").iterdir())


READERS: dict[str, Callable[[Path, Path], object]] = {
    "eval": lambda folder, _: evaluate(str(folder), Settings(poolings=("mean",), probes=("knn",))),
    "diff": lambda folder, sound: compare(open_folder(folder), open_folder(sound)),
    "--from": lambda folder, _: read_placement(open_folder(folder)),
    "load": lambda folder, _: [row for part in hfaef.load(folder).values() for row in part],
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_refuses_it(own_release: Path, demo_release: Path, reader: str) -> None:
    plant(own_release, "../../outside")
    with pytest.raises(ReleaseError, match=r"the patch id .*outside.* is not of 1 to 200 letters"):
        READERS[reader](own_release, demo_release)


def test_check_names_it(own_release: Path) -> None:
    plant(own_release, "../../outside")
    problems = [str(one) for one in check_folder(own_release)]
    assert (
        sum("the patch id '../../outside' is not of 1 to 200 letters" in one for one in problems)
        == 2
    )


def test_a_sample_of_a_webdataset_with_such_an_id_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        rest = json.dumps({"id": "../../outside", "geometry": ""}).encode()
        for name, content in {"png": b"", "jpg": b"", "json": rest}.items():
            member = tarfile.TarInfo(f"a.{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.raises(ValueError, match=r"sample a: the patch id '../../outside' is not"):
        list(webdataset.read_rows(tmp_path / "00000.tar"))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("files", 0, "path"), "../outside.parquet"),
        (("files", 0, "path"), "/etc/outside.parquet"),
        (("configs", 0, "splits", 0, "glob"), "../*.parquet"),
        (("configs", 0, "name"), "../a"),
        (("schemes", 0), "../a"),
        (("missing",), [{"id": "../a", "year": 2018, "label": "x", "reason": "y"}]),
    ],
)
def test_a_manifest_with_a_name_that_leads_elsewhere_is_none(
    demo_release: Path, keys: tuple[str | int, ...], value: object
) -> None:
    content = json.loads((demo_release / "release.json").read_bytes())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    with pytest.raises(ReleaseError, match="is no manifest"):
        parse_manifest(json.dumps(content).encode(), "release.json")


def test_a_pattern_that_leads_elsewhere_is_not_loaded(own_release: Path) -> None:
    content = json.loads((own_release / "release.json").read_bytes())
    content["recipe"]["pack"]["format"] = "webdataset"
    pooled = next(one for one in content["configs"] if one["kind"] == "pooled")
    pooled["splits"][0]["glob"] = "../../*.parquet"
    (own_release / "release.json").write_text(json.dumps(content))
    with pytest.raises(ReleaseError, match="none of a release's files"):
        hfaef.load(own_release, config=pooled["name"])


def test_labels_of_any_script_are_folders_of_an_export_and_none_leads_elsewhere(
    own_release: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(own_release)
    names = ("Öde See", "森林", "../../outside", "Forest", "forest", "العربية")
    changed = {"label_names": names, "rows_by_label": dict.fromkeys(names, 1)}
    content = manifest_bytes(manifest.model_copy(update=changed))
    (own_release / "release.json").write_bytes(content)
    made = export(own_release, tmp_path / "to/gis").folder
    folders = {path.name for path in made.iterdir() if path.is_dir()}
    assert folders == {"Öde See", "森林", "%2E.%2F..%2Foutside", "Forest", "%66orest", "العربية"}
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["gis"]
    paths = pq.read_table(made / "pooled.parquet")["path"].to_pylist()
    assert all((made / path).is_file() for path in paths)
