"""Patches that will never come are not read again, and the message says why."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from build.test_pipeline import demo_recipe

from hfaef.build.pipeline import build
from hfaef.build.status import read_status
from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Catalog
from hfaef.cli.build import status as show_status
from hfaef.cli.terminal.output import Table
from hfaef.errors import IncompleteError
from hfaef.recipe.model import Recipe
from hfaef.recipe.read import read_recipe
from hfaef.release.check import check_folder


def table_recipe(demo_root: Path, folder: Path, *, swapped: int, right: int) -> Recipe:
    """Points in the middle of patches of the demo world, some with lon and lat exchanged."""
    patches = open_catalog(demo_recipe(demo_root)).patches[: swapped + right]
    with (folder / "points.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "lon", "lat", "label"])
        for number, patch in enumerate(patches):
            west, south, east, north = patch.grid.bounds()
            place = [(west + east) / 2, (south + north) / 2]
            writer.writerow([patch.id, *(place[::-1] if number < swapped else place), patch.label])
    recipe = folder / "points.toml"
    recipe.write_text(f"""
name = "Points"
years = [2018]
[patches]
kind = "table"
path = "{folder / "points.csv"}"
size = 8
[source]
kind = "cog"
root = "{demo_root / "data/demo/aef"}"
""")
    return read_recipe(str(recipe))


def test_patches_outside_every_tile_are_not_read_again(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = table_recipe(demo_root, tmp_path, swapped=1, right=5)
    with pytest.raises(IncompleteError, match="1 of 6 patches are missing") as caught:
        build(recipe, tmp_path / "out")
    assert "outside every tile of 2018" in caught.value.message
    assert "exchanged" not in str(caught.value)
    assert "run again" not in caught.value.hint
    assert "not asked for again without --refetch" in caught.value.hint
    assert "fetch: 6 of 6" in capsys.readouterr().err
    with pytest.raises(IncompleteError, match="1 of 6 patches are missing"):
        build(recipe, tmp_path / "out")
    assert "fetch" not in capsys.readouterr().err
    [table] = [line for line in show_status(tmp_path / "out").lines if isinstance(line, Table)]
    assert "(not asked for again without --refetch)" in table.rows[0][2]
    out = tmp_path / "out"
    assert read_status(out).next_command == f"hfaef build RECIPE --out {out} --allow-missing"
    last = str(show_status(out).lines[-1])
    assert last.startswith("the same build again would ask for none of the missing patches")
    released = build(recipe, tmp_path / "out", allow_missing=True, refetch=True)
    assert "fetch: 1 of 1" in capsys.readouterr().err
    assert "1 missing patches are asked for again" in released.notes
    assert len(released.manifest.missing) == 1
    assert read_status(out).next_command == f"hfaef push {out} OWNER/NAME"
    assert str(show_status(out).lines[-1]).startswith("next: ")


def test_exchanged_longitude_and_latitude_are_recognised(demo_root: Path, tmp_path: Path) -> None:
    recipe = table_recipe(demo_root, tmp_path, swapped=5, right=1)
    with pytest.raises(IncompleteError, match="with longitude and latitude exchanged") as caught:
        build(recipe, tmp_path / "out")
    assert caught.value.hint.count("exchange longitude and latitude in the catalog") == 1
    released = build(recipe, tmp_path / "out", allow_missing=True)
    assert any("longitude and latitude exchanged" in note for note in released.notes)


def test_places_that_are_nowhere_either_way_are_not_called_exchanged(
    demo_root: Path, tmp_path: Path
) -> None:
    recipe = table_recipe(demo_root, tmp_path, swapped=0, right=4)
    points = tmp_path / "points.csv"
    points.write_text("id,lon,lat,label\na,100,10,Town\nb,120,20,Dune\nc,101,11,Town\n")
    with pytest.raises(IncompleteError, match="no patch could be had") as caught:
        build(recipe, tmp_path / "out")
    assert "exchange" not in str(caught.value)
    assert read_status(tmp_path / "out").next_command.endswith(" --refetch"), "nothing to release"


@pytest.mark.skipif(not hasattr(Catalog, "unreadable"), reason="no recipe lets us go on without")
def test_unreadable_files_are_in_the_ledger_and_in_the_release(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(demo_root / "data/demo/patches", tmp_path / "patches")
    bad = min((tmp_path / "patches").rglob("*.tif"))
    content = bad.read_bytes()
    bad.write_bytes(b"no picture")
    changes = [f"patches.root={tmp_path / 'patches'}", "patches.skip_bad=true"]
    recipe = demo_recipe(demo_root, *changes)
    for _ in range(2):
        built = build(recipe, tmp_path / "out")
        [missing] = built.manifest.missing
        assert (missing.id, built.manifest.rows) == (bad.stem, 39)
        assert check_folder(built.folder) == []
        [outcome] = read_status(tmp_path / "out").missing
        assert (outcome.id, outcome.permanent) == (bad.stem, True)
        assert outcome.reason == missing.reason
    capsys.readouterr()
    bad.write_bytes(content)
    assert build(recipe, tmp_path / "out").manifest.missing == ()
    assert "fetch: 1 of 1" in capsys.readouterr().err
