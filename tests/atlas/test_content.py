"""What a page shows of a release, and what is made for it where the release lacks it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hfaef.atlas.content import read_folder
from hfaef.errors import ReleaseError
from hfaef.release.format.manifest import content_sha256, manifest_bytes, read_manifest
from hfaef.release.format.scores import SCORES
from support.releases import contents

POINTS = "atlas/points.parquet"


def without_points(folder: Path) -> None:
    """Make it a release of before there was an atlas."""
    manifest = read_manifest(folder)
    files = tuple(file for file in manifest.files if not file.path.startswith("atlas/"))
    shutil.rmtree(folder / "atlas")
    (folder / "release.json").write_bytes(
        manifest_bytes(manifest.model_copy(update={"files": files}))
    )


def test_a_release_is_shown_as_it_is(demo_release: Path, tmp_path: Path) -> None:
    found = read_folder(demo_release, tmp_path)
    assert (found.notes, found.made, found.layouts) == ((), (), ("pca",))
    listed = {file.path: file for file in read_manifest(demo_release).files}
    assert {path.partition("/")[0] for path in found.files} == {"atlas", "data", "pooled"}
    for path, file in found.files.items():
        assert (file.bytes, file.sha256) == (listed[path].bytes, listed[path].sha256)
        assert found.path_of(path) == demo_release / path
    assert not list(tmp_path.iterdir())


def test_points_that_a_release_lacks_are_made_beside_it(own_release: Path, tmp_path: Path) -> None:
    expected = (own_release / POINTS).read_bytes()
    without_points(own_release)
    before = contents(own_release)
    found = read_folder(own_release, tmp_path / "scratch")
    assert found.made == (POINTS,)
    (note,) = found.notes
    assert note == f"{own_release} has no {POINTS}: it is made for this page"
    assert found.local[POINTS] == tmp_path / "scratch" / POINTS
    assert found.local[POINTS].read_bytes() == expected
    assert found.files[POINTS].bytes == len(expected)
    assert contents(own_release) == before


@pytest.mark.parametrize("damage", ["other", "shorter", "gone"])
def test_damaged_points_are_made_anew(own_release: Path, tmp_path: Path, damage: str) -> None:
    path = own_release / POINTS
    expected = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(expected[:-1] + b"?" * (damage == "other"))
    found = read_folder(own_release, tmp_path / "scratch")
    assert found.local[POINTS].read_bytes() == expected
    assert f"has {'no' if damage == 'gone' else 'a damaged'} {POINTS}" in found.notes[0]


def test_points_made_for_the_page_are_said_to_lack_predictions_of_a_release_with_scores(
    own_release: Path, tmp_path: Path
) -> None:
    (own_release / POINTS).unlink()
    (own_release / SCORES).write_text("{}")
    (note,) = read_folder(own_release, tmp_path).notes
    assert "it is made for this page; what probes predict is not in it" in note
    assert note.endswith(f"`hfaef eval {own_release}` writes it with that")


def test_a_shard_that_is_gone_is_named_and_the_page_goes_without(
    own_release: Path, tmp_path: Path
) -> None:
    gone = sorted(path for path in read_folder(own_release, tmp_path).files if "data/" in path)[:2]
    (own_release / gone[0]).unlink()
    (own_release / gone[1]).write_bytes(b"short")
    found = read_folder(own_release, tmp_path)
    (note,) = found.notes
    assert f"goes without {gone[0]} and 1 more" in note
    assert f"hfaef check {own_release}" in note
    assert not found.files.keys() & set(gone)


def test_points_are_not_made_of_what_is_damaged(own_release: Path, tmp_path: Path) -> None:
    without_points(own_release)
    pooled = next(p for p in read_folder(own_release, tmp_path).files if p.startswith("pooled/"))
    (own_release / pooled).write_bytes(b"nothing")
    with pytest.raises(ReleaseError, match=pooled):
        read_folder(own_release, tmp_path)


def test_another_layout_is_made_once_and_kept_by_its_rows(
    own_release: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("openTSNE", reason="the extra `atlas` is not installed")
    monkeypatch.setenv("HFAEF_CACHE", str(tmp_path / "cache"))
    before = contents(own_release)
    found = read_folder(own_release, tmp_path, "tsne")
    assert found.layouts == ("pca", "tsne")
    path = found.local["atlas/tsne.parquet"]
    sha256 = content_sha256(read_manifest(own_release))
    assert path == tmp_path / "cache/atlas" / f"tsne-{sha256}.parquet"
    assert str(path) in capsys.readouterr().err
    table = pq.read_table(path)
    assert (table.column_names, len(table)) == (["x", "y"], read_manifest(own_release).rows)
    assert json.loads(table.schema.metadata[b"hfaef.atlas"])["rows"] == sha256
    made = path.stat().st_mtime_ns
    again = read_folder(own_release, tmp_path, "tsne")
    assert again.local["atlas/tsne.parquet"].stat().st_mtime_ns == made
    assert capsys.readouterr().err == ""
    assert contents(own_release) == before
