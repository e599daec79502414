"""Columns of Parquet: values are what their types say, or are refused with their row."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfaef.errors import CatalogError
from support.tables import labels, read, read_parquet


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["001", "NA"]), ["001", "NA"]),
        (pa.array(["001", "b"], pa.large_string()), ["001", "b"]),
        (pa.array(["001", "b"], pa.string_view()), ["001", "b"]),
        (pa.array(["b", "001"]).dictionary_encode(), ["b", "001"]),
        (pa.array([10, -9]), ["10", "-9"]),
        (pa.array([2**64 - 1, 0], pa.uint64()), ["18446744073709551615", "0"]),
        (pa.array([7, 8], pa.int8()).dictionary_encode(), ["7", "8"]),
    ],
)
def test_texts_and_whole_numbers_of_parquet_are_names(
    tmp_path: Path, column: pa.Array, expected: list[str]
) -> None:
    found = read_parquet(tmp_path, id=column, label=column)
    assert sorted(str(label) for label in labels(found)) == sorted(expected)
    assert sorted(patch.id for patch in found.patches) == sorted(expected)


@pytest.mark.parametrize("name", ["id", "label"])
@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.0, 2.0]),
        pa.array([True, False]),
        pa.array([b"a", b"b"]),
        pa.array([Decimal(1), Decimal(2)]),
        pa.array([dt.date(2018, 7, 1)] * 2),
        pa.array([dt.datetime(2018, 7, 1)] * 2),  # noqa: DTZ001 - a table has no zone
        pa.array([uuid.UUID(int=1).bytes] * 2, pa.uuid()),
        pa.array([{"x": 1}] * 2),
    ],
    ids=lambda column: str(column.type),
)
def test_other_types_of_parquet_are_no_names(tmp_path: Path, name: str, column: pa.Array) -> None:
    with pytest.raises(
        CatalogError, match=rf"row 1 .* as {name}.*texts or whole numbers.*`{name}`"
    ):
        read_parquet(tmp_path, **{"label": ["x", "y"], name: column})


def test_numbers_with_a_fraction_are_told_how_to_be_predicted(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r'patches\.target = "number"'):
        read_parquet(tmp_path, label=[0.5, 1.5])


def test_a_list_is_no_label(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"row 1 has a list as label"):
        read_parquet(tmp_path, label=[["a", "b"], ["c"]])


def test_a_text_of_parquet_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    spoilt = pa.array([b"ok", b"W\xe4ld"]).view(pa.string())
    with pytest.raises(CatalogError, match="not UTF-8: row 2, column 'label'"):
        read_parquet(tmp_path, label=spoilt)


def test_a_column_of_parquet_twice_is_refused(tmp_path: Path) -> None:
    arrays = [pa.array(["a"]), pa.array(["x"]), pa.array(["y"]), pa.array([1.0]), pa.array([2.0])]
    content = pa.Table.from_arrays(arrays, ["id", "label", "label", "lon", "lat"])
    pq.write_table(content, tmp_path / "points.parquet")
    with pytest.raises(CatalogError, match="column 'label' twice"):
        read(tmp_path / "points.parquet")


@pytest.mark.parametrize(
    "lon",
    [
        pa.array([Decimal("11.500000")]),
        pa.array(["11.5"]),
        pa.array([11.5], pa.float32()),
        pa.array([Decimal("11.5")], pa.decimal256(40, 6)),
    ],
    ids=lambda column: str(column.type),
)
def test_coordinates_may_be_of_any_type_of_numbers(tmp_path: Path, lon: pa.Array) -> None:
    found = read_parquet(tmp_path, label=["x"], lon=lon).patches[0]
    assert found.grid == read_parquet(tmp_path, label=["x"]).patches[0].grid


@pytest.mark.parametrize("lon", [[True], [b"11"], [dt.date(2018, 1, 1)]])
def test_other_types_are_no_coordinates(tmp_path: Path, lon: list[object]) -> None:
    with pytest.raises(CatalogError, match=r"patch p0 has the lon .* which is no number"):
        read_parquet(tmp_path, label=["x"], lon=lon)


def test_folders_of_a_parquet_file_are_no_columns(tmp_path: Path) -> None:
    folder = tmp_path / "split=train"
    folder.mkdir()
    assert read_parquet(folder, label=["x"]).schemes == ()
