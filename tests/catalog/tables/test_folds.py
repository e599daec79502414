"""Columns of folds: any names, none for some rows, one scheme for cross-validation each."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from hfaef.errors import CatalogError
from support.table_formats import FORMATS, by_id, open_table, points, splits_of, write_table

HALF = "patches that 'fold' gives no split: 1, in `unassigned`"


@pytest.mark.parametrize("suffix", FORMATS)
def test_folds_are_the_same_from_any_format(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"a.{suffix}", points(fold=["1", "2", "north"]))
    found = open_table(path, folds=["fold"])
    assert (found.schemes, found.folds) == ((), ("fold",))
    assert splits_of(found, "fold") == {"p0": "1", "p1": "2", "p2": "north"}
    assert found.notes == ()


@pytest.mark.parametrize(
    ("column", "notes"),
    [
        (pa.array(["1", "2", ""]), (HALF,)),
        (pa.array(["1", "2", None]), (HALF,)),
        (pa.array([1, 2, None], pa.int8()), (HALF,)),
        (
            pa.array([1.0, 2.0, float("nan")]),
            ("values of `fold` such as 1.0 read as whole numbers: 2", HALF),
        ),
        (
            pa.array([1.0, 2.0, None]),
            ("values of `fold` such as 1.0 read as whole numbers: 2", HALF),
        ),
    ],
    ids=lambda given: str(getattr(given, "type", "")),
)
def test_rows_without_a_fold_are_unassigned_and_counted(
    tmp_path: Path, column: pa.Array, notes: tuple[str, ...]
) -> None:
    path = write_table(tmp_path / "a.parquet", points(fold=column))
    for unassigned in (None, "keep"):
        found = open_table(path, folds=["fold"], unassigned=unassigned)
        assert splits_of(found, "fold") == {"p0": "1", "p1": "2", "p2": "unassigned"}
        assert found.notes == notes
    found = open_table(path, folds=["fold"], unassigned="drop")
    assert splits_of(found, "fold") == {"p0": "1", "p1": "2"}
    assert found.notes == (*notes[:-1], "patches without a split, left out: 1")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (["1", "1"], r"the column 'fold' has only the fold '1'; cross-validation needs two"),
        (["1", ""], r"the column 'fold' has only the fold '1'"),
        (["", ""], r"the column 'fold' has no fold"),
        (["1", "unassigned"], r"row 2 .*: patch p1 has the fold 'unassigned', which stands for"),
    ],
)
def test_a_column_that_is_no_folds_is_refused(tmp_path: Path, values: list[str], word: str) -> None:
    with pytest.raises(CatalogError, match=word):
        open_table(write_table(tmp_path / "a.csv", points(fold=values)), folds=["fold"])


@pytest.mark.parametrize("value", [1.5, True, [1]])
def test_a_fold_that_is_no_name_is_named_with_its_row(tmp_path: Path, value: object) -> None:
    path = write_table(tmp_path / "a.geojson", points(fold=[value]))
    with pytest.raises(CatalogError, match=r"row 1 has .* fold"):
        open_table(path, folds=["fold"])


def test_splits_and_several_columns_of_folds_stand_side_by_side(tmp_path: Path) -> None:
    columns = points(split=["train", "test"], fold=["1", "2"], region=["north", "south"])
    found = open_table(write_table(tmp_path / "a.csv", columns), folds=["fold", "region"])
    assert (found.schemes, found.folds) == (("split",), ("fold", "region"))
    assert by_id(found, "splits") == {
        "p0": {"split": "train", "fold": "1", "region": "north"},
        "p1": {"split": "test", "fold": "2", "region": "south"},
    }


def test_a_column_split_may_hold_folds(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(split=["1", "2"]))
    found = open_table(path, folds=["split"])
    assert (found.schemes, found.folds) == ((), ("split",))
    with pytest.raises(
        CatalogError, match=r"patch p0 has the split '1' in 'split'.*patches\.folds = \[\"split\"\]"
    ):
        open_table(path)


@pytest.mark.parametrize("word", ["train", "Validation", "TEST", "val", "Dev", "testing"])
def test_words_for_splits_are_no_folds(tmp_path: Path, word: str) -> None:
    path = write_table(tmp_path / "a.csv", points(split=["1", "2", word]))
    with pytest.raises(CatalogError) as caught:
        open_table(path, folds=["split"])
    assert f"row 3 (line 4): patch p2 has the fold {word!r} in 'split'" in str(caught.value)
    assert 'patches.schemes = ["split"]' in caught.value.hint
    longer = write_table(tmp_path / "b.csv", points(fold=["1", "2", f"{word}3"]))
    assert open_table(longer, folds=["fold"]).folds == ("fold",)


def test_a_column_of_folds_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(label=["x"]))
    with pytest.raises(CatalogError, match=r"no column 'fold'; mend `patches\.folds`"):
        open_table(path, folds=["fold"])


def test_a_file_of_folds_is_read_whole(shared: Path) -> None:
    path = shared.parent / "cases/shape-folds/points.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    found = open_table(path, folds=["fold"], keep=["parcel"])
    folds = splits_of(found, "fold")
    without = sum(fold == "unassigned" for fold in folds.values())
    assert set(folds.values()) == {"1", "2", "3", "4", "5", "unassigned"}
    assert by_id(found, "kept")["p0"] == ("1000",)
    assert found.notes == (f"patches that 'fold' gives no split: {without}, in `unassigned`",)
    dropped = open_table(path, folds=["fold"], keep=["parcel"], unassigned="drop")
    assert len(dropped.patches) == 40 - without
