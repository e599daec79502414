"""Columns that come along into the rows: their types, and what no release can hold."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfaef.catalog.patch import Catalog
from hfaef.errors import CatalogError
from hfaef.recipe.columns import KeptColumn
from hfaef.release.format.schema import RowSchema, features
from support.table_formats import FORMATS, by_id, open_table, points, write_table

DAY = dt.date(2019, 7, 1)
MIDNIGHT = dt.datetime(2019, 7, 1)  # noqa: DTZ001 - a table's times may have no zone
NOON = dt.datetime(2019, 7, 1, 12)  # noqa: DTZ001 - a table's times may have no zone
BERLIN = dt.datetime(2019, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))


def keep(path: Path, *names: str, **patches: object) -> Catalog:
    return open_table(path, keep=list(names), **patches)


@pytest.mark.parametrize(
    ("column", "dtype", "value"),
    [
        *((pa.array([7, None], getattr(pa, kind)()), kind, 7) for kind in ("int8", "int16")),
        *((pa.array([7, None], getattr(pa, kind)()), kind, 7) for kind in ("int32", "int64")),
        *((pa.array([7, None], getattr(pa, kind)()), kind, 7) for kind in ("uint8", "uint16")),
        *((pa.array([7, None], getattr(pa, kind)()), kind, 7) for kind in ("uint32", "uint64")),
        (pa.array([2**63 - 1, None]), "int64", 2**63 - 1),
        (pa.array([0.5, None], pa.float32()), "float32", 0.5),
        (pa.array([0.1, None]), "float64", 0.1),
        (pa.array([True, None]), "bool", True),
        (pa.array(["001", None]), "string", "001"),
        (pa.array(["DE", None], pa.large_string()), "string", "DE"),
        (pa.array(["DE", None], pa.string_view()), "string", "DE"),
        (pa.array(["DE", None]).dictionary_encode(), "string", "DE"),
        (pa.array([7, None], pa.int16()).dictionary_encode(), "int16", 7),
        (pa.array([DAY, None]), "date32", DAY),
        (pa.array([DAY, None], pa.date64()), "date32", DAY),
        (pa.array([NOON, None], pa.timestamp("s")), "timestamp[ms]", NOON),
        (pa.array([NOON, None], pa.timestamp("ms")), "timestamp[ms]", NOON),
        (pa.array([NOON, None], pa.timestamp("us")), "timestamp[us]", NOON),
        (pa.array([NOON, None], pa.timestamp("ns")), "timestamp[ns]", NOON),
        (
            pa.array([BERLIN, None], pa.timestamp("us", tz="Europe/Berlin")),
            "timestamp[us, tz=Europe/Berlin]",
            BERLIN,
        ),
        (
            pa.array([BERLIN, None], pa.timestamp("ns", tz="UTC")),
            "timestamp[ns, tz=UTC]",
            BERLIN,
        ),
        (
            pa.array([BERLIN, None], pa.timestamp("s", tz="+02:00")),
            "timestamp[ms, tz=+02:00]",
            BERLIN,
        ),
    ],
    ids=lambda given: str(getattr(given, "type", "")),
)
def test_a_kept_column_has_the_type_that_it_has_in_parquet(
    tmp_path: Path, column: pa.Array, dtype: str, value: object
) -> None:
    path = write_table(tmp_path / "a.parquet", points(extra=column))
    found = keep(path, "extra")
    assert found.kept == (KeptColumn("extra", dtype),)
    assert by_id(found, "kept") == {"p0": (value,), "p1": (None,)}
    assert found.notes == ()
    held = features("data", RowSchema("class", ("x",), kept=found.kept)).arrow_schema
    again = pa.array([kept[0] for kept in by_id(found, "kept").values()], held.field("extra").type)
    assert again.to_pylist() == [value, None]


@pytest.mark.parametrize(
    ("column", "dtype", "value"),
    [
        (pa.array([[1, 2], None], pa.list_(pa.int8())), "int8", [1, 2]),
        (pa.array([["a", None], None], pa.large_list(pa.string())), "string", ["a", None]),
        (pa.array([[0.5, 1.5], None], pa.list_(pa.float32(), 2)), "float32", [0.5, 1.5]),
        (pa.array([[DAY], None]), "date32", [DAY]),
    ],
    ids=lambda given: str(getattr(given, "type", "")),
)
def test_lists_are_kept_as_lists(
    tmp_path: Path, column: pa.Array, dtype: str, value: object
) -> None:
    path = write_table(tmp_path / "a.parquet", points(extra=column))
    found = keep(path, "extra")
    assert found.kept == (KeptColumn("extra", dtype, is_list=True),)
    assert by_id(found, "kept") == {"p0": (value,), "p1": (None,)}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([Decimal("1.50")]),
        pa.array([{"x": 1}]),
        pa.array([b"\0\1"]),
        pa.array([0.5], pa.float16()),
        pa.array([dt.time(12)]),
        pa.array([dt.timedelta(1)]),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())),
        pa.array([[[1]]]),
        pa.array([[Decimal("1.50")]]),
    ],
    ids=lambda column: str(column.type),
)
def test_a_type_that_rows_do_not_hold_is_refused_naming_column_and_ways_out(
    tmp_path: Path, column: pa.Array
) -> None:
    path = write_table(tmp_path / "a.parquet", points(extra=column))
    with pytest.raises(
        CatalogError,
        match=r"a\.parquet: the column 'extra' cannot be kept: rows do not hold .*"
        r"write it as numbers, texts or dates, or name it in `patches\.ignore`",
    ):
        keep(path, "extra")
    (note,) = open_table(path).notes
    assert note.startswith("columns not used: extra")


def test_a_column_in_which_nothing_stands_is_kept_as_texts(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", points(extra=pa.nulls(2)))
    found = keep(path, "extra")
    assert (found.kept, by_id(found, "kept")["p1"]) == ((KeptColumn("extra", "string"),), (None,))


@pytest.mark.parametrize("suffix", FORMATS)
def test_texts_are_kept_as_written_from_any_format(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"a.{suffix}", points(parcel=["001", "\u00e4, x"]))
    found = keep(path, "parcel")
    assert found.kept == (KeptColumn("parcel", "string"),)
    assert by_id(found, "kept") == {"p0": ("001",), "p1": ("\u00e4, x",)}


@pytest.mark.parametrize(
    ("suffix", "dtype", "expected"),
    [
        ("csv", "string", "3"),
        ("geojson", "int64", 3),
        ("gpkg", "int64", 3),
        ("fgb", "int64", 3),
        ("shp", "int64", 3),
    ],
)
def test_whole_numbers_have_the_type_of_their_format(
    tmp_path: Path, suffix: str, dtype: str, expected: object
) -> None:
    path = write_table(tmp_path / f"a.{suffix}", points(count=[3, 4]))
    found = keep(path, "count")
    assert found.kept == (KeptColumn("count", dtype),)
    assert by_id(found, "kept")["p0"] == (expected,)


@pytest.mark.parametrize(
    ("suffix", "dtype", "day"), [("gpkg", "date32", DAY), ("fgb", "timestamp[ms]", MIDNIGHT)]
)
def test_dates_of_gis_programs_are_kept_as_their_format_has_them(
    tmp_path: Path, suffix: str, dtype: str, day: dt.date
) -> None:
    import pyogrio

    path = tmp_path / f"a.{suffix}"
    plain = pa.table(
        {"id": ["a"], "label": ["x"], "day": [DAY], "geometry": [_point_wkb(11.5, 48.1)]}
    )
    pyogrio.write_arrow(
        plain, path, geometry_name="geometry", geometry_type="Point", crs="EPSG:4326"
    )
    found = keep(path, "day")
    assert found.kept == (KeptColumn("day", dtype),)
    assert by_id(found, "kept") == {"a": (day,)}


def _point_wkb(lon: float, lat: float) -> bytes:
    import shapely

    wkb: bytes = shapely.to_wkb(shapely.Point(lon, lat))
    return wkb


def test_empty_cells_of_a_csv_are_missing(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(country=["DE", ""]))
    assert by_id(keep(path, "country"), "kept") == {"p0": ("DE",), "p1": (None,)}


@pytest.mark.parametrize(
    ("values", "column", "first"),
    [
        ([1, 2.5], KeptColumn("extra", "float64"), 1),
        ([True, None], KeptColumn("extra", "bool"), True),
        ([None, "a"], KeptColumn("extra", "string"), None),
        ([None, None], KeptColumn("extra", "string"), None),
        ([["a"], []], KeptColumn("extra", "string", is_list=True), ["a"]),
        ([[1], [2]], KeptColumn("extra", "int64", is_list=True), [1]),
    ],
)
def test_values_of_geojson_are_typed_by_what_they_are(
    tmp_path: Path, values: list[object], column: KeptColumn, first: object
) -> None:
    found = keep(write_table(tmp_path / "a.geojson", points(extra=values)), "extra")
    assert found.kept == (column,)
    assert by_id(found, "kept")["p0"] == (first,)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ([1, "a"], "row 2 has a text as extra, others a whole number"),
        ([True, 1], "row 2 has a whole number as extra, others a truth value"),
        (["a", ["a"]], "row 2 has a list of texts as extra, others a text"),
        ([1, {"x": 1}], "row 2 has the extra .*, which rows do not hold"),
        ([[1, "a"], [2]], "row 1 has a list of texts as extra, others a list of whole numbers"),
    ],
)
def test_values_of_geojson_that_are_not_alike_are_named_with_their_row(
    tmp_path: Path, values: list[object], word: str
) -> None:
    path = write_table(tmp_path / "a.geojson", points(extra=values))
    with pytest.raises(CatalogError, match=rf"{word}.*`patches\.ignore`"):
        keep(path, "extra")


# --- Numbers that are none


@pytest.mark.parametrize(
    ("column", "kept", "count"),
    [
        (pa.array([0.5, float("nan")]), (0.5, None), 1),
        (pa.array([float("nan")] * 2, pa.float32()), (None, None), 2),
        (pa.array([[0.5, float("nan")], None]), ([0.5, None], None), 1),
    ],
    ids=["float64", "float32", "list"],
)
@pytest.mark.parametrize("form", ["parquet", "webdataset"])
def test_nan_is_missing_in_every_format_and_counted(
    tmp_path: Path, form: str, column: pa.Array, kept: tuple[Any, Any], count: int
) -> None:
    path = write_table(tmp_path / "a.parquet", points(weight=column))
    found = keep(path, "weight", pack={"format": form})
    assert by_id(found, "kept") == {"p0": kept[:1], "p1": kept[1:]}
    assert found.notes == (f"values of `weight` that are NaN, kept as missing: {count}",)
    json.dumps(kept, allow_nan=False)


@pytest.mark.parametrize(
    "column",
    [pa.array([0.5, float("inf")]), pa.array([[0.5], [0.5, -float("inf")]])],
    ids=["plain", "list"],
)
def test_infinite_numbers_are_refused_with_their_row(tmp_path: Path, column: pa.Array) -> None:
    path = write_table(tmp_path / "a.parquet", points(weight=column))
    with pytest.raises(
        CatalogError, match=r"row 2 has the weight -?inf, which is no finite number"
    ):
        keep(path, "weight")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([DAY]),
        pa.array([NOON], pa.timestamp("ms")),
        pa.array([BERLIN], pa.timestamp("us", tz="UTC")),
        pa.array([[DAY]]),
    ],
    ids=lambda column: str(column.type),
)
def test_dates_are_texts_in_a_webdataset_and_that_is_told(tmp_path: Path, column: pa.Array) -> None:
    path = write_table(tmp_path / "a.parquet", points(day=column))
    assert not keep(path, "day").notes
    found = keep(path, "day", pack={"format": "webdataset"})
    assert found.kept[0].name == "day"
    assert found.notes == ("dates and times that a WebDataset holds as texts (ISO 8601): day",)


# --- Names


def test_all_columns_that_are_not_used_are_kept_in_their_order(tmp_path: Path) -> None:
    columns = points(country=["DE"], split=["train"], weight=[0.5], junk=["?"], fold=["1"])
    path = write_table(tmp_path / "a.parquet", columns)
    found = open_table(path, keep="all", ignore=["junk"])
    assert [column.name for column in found.kept] == ["country", "weight", "fold"]
    assert by_id(found, "kept") == {"p0": ("DE", 0.5, "1")}
    assert found.notes == ()


def test_columns_are_kept_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", points(a=[1], b=[2], c=[3]))
    found = keep(path, "c", "a")
    assert by_id(found, "kept") == {"p0": (3, 1)}
    assert found.notes == (
        "columns not used: b; `patches.keep` keeps them, `patches.ignore` leaves them out",
    )


def test_a_column_that_is_not_there_is_refused_naming_those_that_are(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", points(country=["DE"]))
    with pytest.raises(
        CatalogError, match="no column 'contry' to keep; its columns: id, label, lon, lat, country"
    ):
        keep(path, "contry")


@pytest.mark.parametrize("name", ["source", "crs", "mean", "bounds", "observed_year"])
def test_a_name_of_a_row_that_all_would_keep_is_refused(tmp_path: Path, name: str) -> None:
    path = write_table(tmp_path / "a.parquet", points(**{name: ["x"]}))
    with pytest.raises(
        CatalogError,
        match=rf"column '{name}' cannot be kept: rows have hfaef's own of that name; rename it, or",
    ):
        open_table(path, keep="all")
    assert open_table(path, keep="all", ignore=[name]).kept == ()


@pytest.mark.parametrize("name", ["random", "spatial"])
def test_a_name_of_a_scheme_that_is_made_here_is_refused(tmp_path: Path, name: str) -> None:
    path = write_table(tmp_path / "a.parquet", points(**{name: ["a"] * 9}))
    with pytest.raises(CatalogError, match=f"column '{name}' cannot be kept: rows have a scheme's"):
        open_table(path, keep="all", make_splits={name: {}})


def test_a_name_that_nobody_can_read_is_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", points(**{"a\nb": ["x"]}))
    with pytest.raises(
        CatalogError, match=r"the column 'a.+u000ab' cannot be kept: its name holds"
    ):
        open_table(path, keep="all")


def test_a_column_to_ignore_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", points(country=["DE"]))
    found = open_table(path, ignore=["country", "contry"])
    assert found.notes == ("columns of `patches.ignore` that are not there: contry",)


def test_the_place_and_the_year_may_be_kept_too(tmp_path: Path) -> None:
    columns = points(harvest=["2019-07-01"])
    path = write_table(tmp_path / "a.parquet", columns)
    found = keep(path, "lon", "harvest", year="harvest")
    assert by_id(found, "kept") == {"p0": (11.5, "2019-07-01")}
    assert by_id(found, "year") == {"p0": 2019}


def test_kept_columns_follow_their_rows_when_some_are_skipped(tmp_path: Path) -> None:
    columns = points(parcel=["a", "b", "c", "d"], lat=[48.1, None, 48.1, 48.1])
    path = write_table(tmp_path / "a.parquet", {**columns, "split": ["train", "train", "", "test"]})
    found = keep(path, "parcel", skip_bad=True, unassigned="drop")
    assert by_id(found, "kept") == {"p0": ("a",), "p3": ("d",)}


def test_rows_of_a_file_keep_their_values(shared: Path) -> None:
    path = shared.parent / "cases/shape-own-years/points.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    found = keep(path, "country", "date", "weight", year="year")
    assert [column.name for column in found.kept] == ["country", "date", "weight"]
    assert by_id(found, "kept")["0000"] == ("DE", "2017-07-01", "0.623")
    assert found.notes == ()


def test_metadata_of_pandas_change_nothing(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(points(country=["DE", None], count=[1.0, None]))
    frame["country"] = frame["country"].astype("category")
    frame.to_parquet(tmp_path / "a.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").pandas_metadata
    found = keep(tmp_path / "a.parquet", "country", "count")
    assert found.kept == (KeptColumn("country", "string"), KeptColumn("count", "float64"))
    assert by_id(found, "kept") == {"p0": ("DE", 1.0), "p1": (None, None)}
