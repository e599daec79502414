"""A release folder that is damaged in any way: findings or one line, never a traceback."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hfaef.errors import HfaefError, ReleaseError
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import (
    LARGEST,
    file_entry,
    manifest_bytes,
    parse_manifest,
    read_manifest,
)
from hfaef.release.format.scores import read_evaluation
from hfaef.release.gis.export import export


def judged(folder: Path) -> list[str]:
    """What check says; a refusal is one line, too."""
    try:
        found = [str(finding) for finding in check_folder(folder)]
    except HfaefError as error:
        found = [error.message]
    assert all("\n" not in line for line in found)
    return found


def list_file(folder: Path, path: str) -> None:
    """Make the manifest agree with a file that was changed."""
    manifest = read_manifest(folder)
    files = tuple(
        file_entry(folder, folder / path, file.rows) if file.path == path else file
        for file in manifest.files
    )
    (folder / "release.json").write_bytes(
        manifest_bytes(manifest.model_copy(update={"files": files}))
    )


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 200_000,
        b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"format": 1e999}',
        b'{"format": true}',
        b"null",
        b"[]",
        b"",
        b"\xff\xfe\x00",
        b'{"format": 1, "recipe": {"a": NaN}}',
        b"9" * 5000,
    ],
)
def test_a_manifest_that_is_none_is_refused_in_one_line(text: bytes) -> None:
    with pytest.raises(ReleaseError) as caught:
        parse_manifest(text, "release.json")
    assert "release.json" in caught.value.message
    assert len(caught.value.message) < 500


def test_a_manifest_or_scores_without_an_end_are_not_read(own_smallest: Path) -> None:
    for name in ("evaluation.json", "release.json"):
        with (own_smallest / name).open("ab") as file:
            file.truncate(LARGEST + 1)
    with pytest.raises(ReleaseError, match=r"evaluation\.json: is larger than 256 MB"):
        read_evaluation(own_smallest)
    with pytest.raises(ReleaseError, match=r"release\.json: is larger than 256 MB"):
        read_manifest(own_smallest)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_score_that_is_no_number_is_refused(tmp_path: Path, number: str) -> None:
    interval = f'{{"value": {number}, "low": 0, "high": 1}}'
    score = {"features": "a", "scheme": "b", "year": 2018, "probe": "knn", "train": 1, "test": 1}
    text = json.dumps(score)[:-1]
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        text += f', "{name}": {interval}'
    (tmp_path / "evaluation.json").write_text(
        '{"format": 1, "packages": {}, "features": [], "label_names": [], "scores": ['
        + text
        + ', "confusion": []}], "measured_on": {"content_sha256": ""}, "protocol": {"on": "values",'
        ' "knn": "", "linear": "", "interval": "", "seed": 0}}'
    )
    with pytest.raises(ReleaseError, match="finite number"):
        read_evaluation(tmp_path)


def bomb() -> bytes:
    """A PNG of 900 million pixels in few bytes: only its head is true."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    return bytes(content)


def small_sheet() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (9, 7)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("sheet", [b"", b"no picture", bomb(), small_sheet()])
def test_a_sheet_that_is_none_is_a_finding(own_smallest: Path, sheet: bytes) -> None:
    path = min(one.path for one in read_manifest(own_smallest).files if one.path[:5] == "data/")
    table = pq.read_table(own_smallest / path, partitioning=None)
    field = table.schema.field("embedding")
    column = pa.array([{"bytes": sheet, "path": None}] * len(table), field.type)
    pq.write_table(table.set_column(0, field, column), own_smallest / path)
    list_file(own_smallest, path)
    assert any(path in line and "patch " in line for line in judged(own_smallest))
    with pytest.raises(ReleaseError, match="patch "):
        export(own_smallest, own_smallest.parent / "gis")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, b"dir"])
def test_a_tar_file_in_the_place_of_a_shard_is_a_finding(own_smallest: Path, kind: bytes) -> None:
    path = min(one.path for one in read_manifest(own_smallest).files if one.path[:5] == "data/")
    with tarfile.open(own_smallest / path, "w") as tar:
        member = tarfile.TarInfo("/etc/a.png")
        member.type = tarfile.DIRTYPE if kind == b"dir" else kind
        member.linkname = "/etc/passwd"
        tar.addfile(member)
    list_file(own_smallest, path)
    assert any(path in line and "no readable Parquet" in line for line in judged(own_smallest))


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_damage_ends_in_a_traceback(smallest: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "release"
        shutil.copytree(smallest, folder, ignore=shutil.ignore_patterns(".staging"))
        paths = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        path = data.draw(st.sampled_from(paths))
        content = bytearray((folder / path).read_bytes())
        how = data.draw(st.sampled_from(["cut", "flip", "other", "gone", "columns"]))
        if how == "cut":
            content = content[: data.draw(st.integers(0, len(content) - 1))]
        elif how == "flip":
            for place in data.draw(
                st.lists(st.integers(0, len(content) - 1), min_size=1, unique=True)
            ):
                content[place] ^= data.draw(st.integers(1, 255))
        elif how == "other":
            content = bytearray(data.draw(st.binary(max_size=99)))
        elif how == "columns" and path.endswith(".parquet"):
            table = pq.read_table(folder / path, partitioning=None)
            name = data.draw(st.sampled_from(table.column_names))
            kept = table.drop_columns([name])
            if data.draw(st.booleans()):
                kept = kept.append_column(name, pa.array(["x"] * len(kept)))
            buffer = io.BytesIO()
            pq.write_table(kept, buffer)
            content = bytearray(buffer.getvalue())
        (folder / path).write_bytes(content)
        if how == "gone":
            (folder / path).unlink()
        elif path.endswith(".parquet") and data.draw(st.booleans()):
            list_file(folder, path)
            judged(folder)
            return
        changed = how != "columns" or path.endswith(".parquet")
        # The card's text below its head belongs to nobody's check.
        assert judged(folder) or not changed or path == "README.md"
