"""What differs between two releases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hfaef.release.diff import compare
from hfaef.release.handle import Release, open_folder
from support.releases import make_release


@pytest.fixture(scope="module")
def first(patches_release: Path) -> Release:
    return open_folder(patches_release)


def test_a_release_does_not_differ_from_itself(first: Release) -> None:
    found = compare(first, first)
    assert found.same
    assert found.files.bytes_to_send == 0
    assert len(found.files.unchanged) == len(first.manifest.files)
    assert found.lines() == ("the same data, described anew",)


def test_rows_are_told_apart_by_what_changed(
    first: Release, demo_root: Path, tmp_path: Path
) -> None:
    second = open_folder(
        make_release(demo_root, tmp_path, patches=25, drop=("Dune_2",), relabel={"Dune_1": "Town"})
    )
    found = compare(first, second)
    assert found.rows.removed == ("Dune_2",)
    assert len(found.rows.added) == 1
    assert found.rows.relabelled == ("Dune_1",)
    assert found.rows.resplit == found.rows.repixelled == ()
    assert found.bump.level == "minor"
    assert found.lines()[1:] == ("1 row removed: Dune_2", "1 row with another label: Dune_1")
    back = compare(second, first)
    assert back.rows.added == ("Dune_2",)
    summary = found.summary()
    assert summary["rows"]["relabelled"] == ["Dune_1"]
    assert 0 < summary["bytes_to_send"] <= sum(file.bytes for file in second.manifest.files)


def test_a_renumbering_of_labels_relabels_no_row(
    first: Release, demo_root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "renumbered"
    folder.mkdir()
    release = make_release(demo_root, folder)
    recipe = (folder / "hfaef.toml").read_text()
    swapped = recipe.replace('"Dune", "Forest"', '"Forest", "Dune"')
    assert swapped != recipe
    (folder / "hfaef.toml").write_text(swapped)
    from hfaef.build.pipeline import build
    from hfaef.recipe.read import read_recipe
    from support.releases import inside

    with inside(folder):
        build(read_recipe(None), Path("release"), threads=1)
    found = compare(first, open_folder(release))
    assert found.bump.level == "major"
    assert found.rows.lines() == ()


def test_only_vectors_of_files_that_differ_are_read(
    first: Release, demo_root: Path, tmp_path: Path
) -> None:
    second = open_folder(make_release(demo_root, tmp_path, relabel={"Dune_1": "Town"}))
    read: list[str] = []

    def fetch(path: str) -> Path:
        read.append(path)
        return second.fetch(path)

    compare(first, replace(second, fetch=fetch))
    differ = {file.sha256 for file in first.manifest.files}
    assert read == [
        file.path
        for file in second.manifest.files
        if file.path.startswith("pooled/") and file.sha256 not in differ
    ]
    assert len(read) == 1
