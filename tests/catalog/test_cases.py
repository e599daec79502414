"""Inputs that people have, kept beside the real data; skipped where they are not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hfaef.catalog import geotiffs, table
from hfaef.catalog.patch import Catalog
from hfaef.errors import CatalogError
from hfaef.recipe.patches import Geotiffs, Table


@pytest.fixture
def case(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> Path:
    """The input of a case, in a folder of our own."""
    name = Path(request.param)
    source = shared.parent / "cases" / name.parts[0]
    if not source.is_dir():
        pytest.skip(f"{source} is not there")
    return Path(shutil.copytree(source, tmp_path / name.parts[0], symlinks=True).parent, name)


def read(case: Path) -> Catalog:
    if case.is_dir():
        return geotiffs.read(Geotiffs(kind="geotiffs", root=case), 2018)
    return table.read(Table(kind="table", path=case), 2018)


@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("csv-latin1/points.csv", r"not UTF-8: row 1 \(line 2\), column 'label'"),
        ("csv-empty-label/points.csv", r"row 2 \(line 3\) has no label"),
        ("csv-dup-columns/points.csv", "'label' twice"),
        ("gj-null-geometry/points.geojson", "row 2: patch p2 has no geometry"),
        ("gj-mixed-label-types/points.geojson", "row 2 has the label 1"),
        ("gj-list-label/points.geojson", "row 1 has a list as label"),
        ("shape-own-years/points.csv", r'patches\.year = "year".*patches\.ignore = \["year"\]'),
        ("dir-ipynb-checkpoints/patches", r"mosaic\.tif lies beside"),
        ("tif-at-root/patches", r"mosaic\.tif lies beside"),
    ],
    indirect=["case"],
)
def test_what_cannot_be_used_is_named(case: Path, word: str) -> None:
    with pytest.raises(CatalogError, match=word):
        read(case)


@pytest.mark.parametrize(
    ("case", "ids", "labels"),
    [
        ("csv-leading-zeros/points.csv", ["001", "002", "010"], ("011", "012", "111")),
        ("csv-bool-labels/points.csv", ["p1", "p2", "p3"], ("false", "true")),
        ("gpq-wktcrs-old/points.parquet", ["p1"], ("a",)),
        ("pq-decimal/points.parquet", ["p1"], ("a",)),
        ("gj-bom/points.geojson", ["p1"], ("a",)),
        ("polygons-squares/squares.geojson", ["s0", "s1", "s2"], ("a",)),
        ("ee-crs/patches", ["esri", "tmerc"], ("A",)),
    ],
    indirect=["case"],
)
def test_what_can_be_used_is_kept_as_written(
    case: Path, ids: list[str], labels: tuple[str, ...]
) -> None:
    found = read(case)
    assert [patch.id for patch in found.patches] == ids
    assert found.label_names == labels
    for patch in found.patches:
        assert patch.grid.crs.startswith(("EPSG:326", "PROJCS["))
        assert patch.grid.height == patch.grid.width == (8 if case.is_dir() else 64)


@pytest.mark.parametrize(
    ("case", "ignore", "note"),
    [
        ("shape-folds/points.csv", [], "columns not used: fold, parcel"),
        ("shape-own-years/points.csv", ["year"], "columns not used: country, date, weight"),
    ],
    indirect=["case"],
)
def test_columns_that_no_key_names_are_told(case: Path, ignore: list[str], note: str) -> None:
    (told,) = table.read(Table(kind="table", path=case, ignore=ignore), 2018).notes
    assert told == f"{note}; `patches.keep` keeps them, `patches.ignore` leaves them out"
