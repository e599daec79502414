"""Columns of splits: the words that people write for them, and rows without one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from hfaef.errors import CatalogError
from support.table_formats import FORMATS, open_table, points, splits_of, write_table


@pytest.mark.parametrize(
    ("word", "split"),
    [
        *((word, "train") for word in ("Train", "TRAIN", "training", "Training")),
        *((word, "validation") for word in ("val", "Val", "valid", "VALID", "dev", "Dev")),
        *((word, "validation") for word in ("Validation", "VALIDATION")),
        *((word, "test") for word in ("Test", "TEST", "testing")),
        ("Unassigned", "unassigned"),
    ],
)
def test_other_words_for_splits_are_understood_and_told(
    tmp_path: Path, word: str, split: str
) -> None:
    path = write_table(tmp_path / "a.csv", points(split=["train", word, word]))
    found = open_table(path)
    assert splits_of(found, "split") == {"p0": "train", "p1": split, "p2": split}
    assert found.notes[0] == f"splits read in 'split': {word!r} as {split} (2)"


def test_words_of_one_column_are_told_in_one_note(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(split=["Train", "val", "dev", "val", "test"]))
    (note,) = open_table(path).notes
    words = "'Train' as train (1), 'val' as validation (2), 'dev' as validation (1)"
    assert note == f"splits read in 'split': {words}"


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_without_a_split_are_unassigned_and_counted(tmp_path: Path, suffix: str) -> None:
    values = ["train", "" if suffix in ("csv", "shp") else None, "test", " "]
    path = write_table(tmp_path / f"a.{suffix}", points(split=values))
    expected = {"p0": "train", "p1": "unassigned", "p2": "test", "p3": "unassigned"}
    for unassigned in (None, "keep"):
        found = open_table(path, unassigned=unassigned)
        assert splits_of(found, "split") == expected
        assert found.notes == ("patches that 'split' gives no split: 2, in `unassigned`",)
    found = open_table(path, unassigned="drop")
    assert splits_of(found, "split") == {"p0": "train", "p2": "test"}
    assert found.notes == ("patches without a split, left out: 2",)


def test_only_rows_that_no_scheme_gives_a_split_are_left_out(tmp_path: Path) -> None:
    columns = points(one=["train", "", ""], two=["", "test", ""], fold=["1", "2", ""])
    path = write_table(tmp_path / "a.csv", columns)
    found = open_table(path, schemes=["one", "two"], folds=["fold"], unassigned="drop")
    assert splits_of(found, "one") == {"p0": "train", "p1": "unassigned"}
    assert splits_of(found, "two") == {"p0": "unassigned", "p1": "test"}
    assert found.notes == (
        "patches without a split, left out: 1",
        "patches that 'one' gives no split: 1, in `unassigned`",
        "patches that 'two' gives no split: 1, in `unassigned`",
    )


def test_a_table_none_of_whose_rows_has_a_split_cannot_be_dropped_whole(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(split=["", ""]))
    with pytest.raises(CatalogError, match="no patch"):
        open_table(path, unassigned="drop")


@pytest.mark.parametrize("word", ["holdout", "1", "train2", "te st"])
def test_another_word_is_named_with_its_row_and_the_way_to_folds(tmp_path: Path, word: str) -> None:
    path = write_table(tmp_path / "a.csv", points(split=["", word]))
    with pytest.raises(
        CatalogError,
        match=rf"row 2 \(line 3\): patch p1 has the split '{word}' in 'split'; use one of train, "
        r'validation, test; for cross-validation: patches\.folds = \["split"\]',
    ):
        open_table(path)


def test_where_others_are_splits_another_word_is_no_fold(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(split=["Train", "blue"]))
    with pytest.raises(CatalogError, match=r"patch p1 has the split 'blue'.*use one of ") as caught:
        open_table(path)
    assert "folds" not in str(caught.value)


def test_splits_may_be_of_any_type_of_texts(tmp_path: Path) -> None:
    column = pa.array(["train", "test", None]).dictionary_encode()
    found = open_table(write_table(tmp_path / "a.parquet", points(split=column)))
    assert splits_of(found, "split") == {"p0": "train", "p1": "test", "p2": "unassigned"}


@pytest.mark.parametrize("keys", [{"ignore": ["split"]}, {"keep": ["split"]}, {"schemes": []}])
def test_the_column_split_is_a_scheme_unless_the_recipe_says_otherwise(
    tmp_path: Path, keys: dict[str, object]
) -> None:
    path = write_table(tmp_path / "a.csv", points(split=["train", "anything"]))
    assert open_table(path, **keys).schemes == ()
