"""Whatever a table holds comes back as written, or is refused with the file, in one line."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import uuid
from decimal import Decimal
from pathlib import Path

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hfaef.core.names import clean
from support.arbitrary import JSON, WORDS, few, read, written
from support.refusals import used_or_refused

DEGREES = [
    "11.5",
    "48.1",
    "+11",
    "-180",
    "180",
    "181",
    "360",
    "-91",
    "84",
    "0",
    "-0",
    "11,5",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e308",
    "1e999",
    "1e-400",
]
NO_DEGREES = ["", " 11.5 ", "0x10", "1_0", "\u0661", "11.5°", "None", "\0", "11;5", ".", "9" * 400]
NUMBERS = st.sampled_from([*DEGREES, *NO_DEGREES])
HEADERS = st.sampled_from(
    [
        "id,label,lon,lat",
        "id,label,lat,lon,split",
        "id,label,west,south,east,north",
        "ID,Label,Lon,Lat",
        "id,label",
        "id,label,geometry",
        "label,id,lon,lat,,x",
        "id,id,label",
        "id,label,lon,lat,lon",
        ",,,",
        "identifier,class,lng,latitude",
    ]
) | st.sampled_from(["", " id , label ,lon,lat"])


@few
@given(
    HEADERS,
    st.lists(st.lists(WORDS | NUMBERS, min_size=2, max_size=6), max_size=4),
    st.sampled_from(",;\t|:"),
    st.sampled_from(["", "sep=;\n", '"sep=,"\r\n', "sep=\n", "SEP=:\n", ",,,\n", "\n\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    st.booleans(),
)
def test_any_cells_of_a_csv(
    tmp_path: Path,
    header: str,
    rows: list[list[str]],
    separator: str,
    before: str,
    encoding: str,
    skip: bool,
) -> None:
    path = tmp_path / "points.csv"
    with path.open("w", encoding=encoding, newline="", errors="replace") as file:
        file.write(before)
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    found = used_or_refused(lambda: read(path, skip_bad=skip), "points.csv")
    if found is None:
        return
    names = [clean(name) for name in header.split(",")]
    cells = [dict(zip(names, row, strict=False)) for row in rows if "".join(row).strip()]
    expected = [(clean(cell["id"]), clean(cell["label"])) for cell in cells]
    assert encoding in ("utf-8", "utf-8-sig") or path.read_bytes().isascii()
    assert written(found) == sorted(expected)


@few
@given(
    st.lists(
        st.sampled_from(
            [b"id", b"label", b"lon,lat", b"11.5", b",", b";", b'"', b"\n", b"\r", b"a"]
        )
        | st.binary(max_size=3),
        max_size=30,
    )
)
def test_any_bytes_of_a_csv(tmp_path: Path, parts: list[bytes]) -> None:
    path = tmp_path / "points.csv"
    for start in (b"", b"id,label,lon,lat\na,x,11.5,48.1\n"):
        path.write_bytes(start + b"".join(parts))
        used_or_refused(lambda: read(path), "points.csv")


@pytest.mark.parametrize(
    "content",
    [
        "id,label,lon,lat," + "x" * 200_000 + "\na,x,11.5,48.1,\n",
        "x" * 200_000,
        "x" * 200_000 + "\n",
        "id,label,lon,lat\n" + "a," * 100_000,
        "id,label,geometry\na,x," + "GEOMETRYCOLLECTION(" * 20_000,
        "id,label,geometry\na,x," + "GEOMETRYCOLLECTION(" * 500 + "POINT (1 1)" + ")" * 500,
        "id,label,geometry\na,x,POINT (1e308 1e308)",
        "id,label,geometry\na,x,POINT (inf nan)",
        'id,label,geometry\na,x,"LINESTRING (-80 0, 90 0)"',
        'id,label,geometry\na,x,"POLYGON ((-89 0, 89 0, 0 80, -89 0))"',
        'id,label,geometry\na,x,"CIRCULARSTRING (11 48, 11.1 48.1, 11.2 48)"',
        'id,label,geometry\na,x,"CURVEPOLYGON ((11 48, 11.1 48.1, 11.2 48, 11 48))"',
        'id,label,geometry\na,x,"TIN (((0 0, 0 1, 1 1, 0 0)))"',
        'id,label,geometry\na,x,"POINT ZM (11 48 1 2)"',
        "id,label,west,south,east,north\na,x,-89,0,89,1\n",
        "id,label,west,south,east,north\na,x,-1e308,0,1e308,1\n",
        "id,label,lon,lat\n" + ",,,\n" * 5,
    ],
    ids=lambda content: content[-30:],
)
def test_extreme_csvs(tmp_path: Path, content: str) -> None:
    path = tmp_path / "points.csv"
    path.write_text(content)
    used_or_refused(lambda: read(path), "points.csv")


ARRAYS = {
    "text": pa.array(["a", "b"]),
    "none": pa.nulls(2),
    "one none": pa.array(["a", None]),
    "int": pa.array([1, 2]),
    "uint64": pa.array([2**64 - 1, 0], pa.uint64()),
    "float": pa.array([11.5, math.nan]),
    "inf": pa.array([math.inf, -math.inf]),
    "huge": pa.array([1e308, -1e308]),
    "half": pa.array([11.5, 12.5], pa.float32()).cast(pa.float16()),
    "bool": pa.array([True, False]),
    "decimal": pa.array([Decimal("11.5"), Decimal("12.5")]),
    "wide decimal": pa.array([Decimal(10) ** 70, None], pa.decimal256(76, 0)),
    "date": pa.array([0, 1], pa.date32()),
    "no date": pa.array([2**31 - 1, -(2**31)], pa.date32()),
    "no date 64": pa.array([864 * 10**14, 0], pa.date64()),
    "time ns": pa.array([1, 2], pa.time64("ns")),
    "timestamp ns": pa.array([1, 2], pa.timestamp("ns")),
    "no timestamp": pa.array([2**62, 0], pa.timestamp("ms")),
    "no zone": pa.array([1, 2], pa.timestamp("us", "Nowhere/Land")),
    "duration ns": pa.array([1, 2**62], pa.duration("ns")),
    "bytes": pa.array([b"a", b"\xff"]),
    "not utf-8": pa.array([b"a", b"\xff"]).view(pa.string()),
    "fixed": pa.array([b"ab", b"\0\0"], pa.binary(2)),
    "list": pa.array([["a"], []]),
    "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"x": 11.5, "y": 48.1}, {"x": None, "y": 1e400}]),
    "deep": pa.array([[[[[[[1]]]]]], None]),
    "dictionary": pa.array(["a", "b"]).dictionary_encode(),
    "numbers of a dictionary": pa.array([11.5, 12.5]).dictionary_encode(),
    "uuid": pa.array([uuid.UUID(int=1).bytes] * 2, pa.uuid()),
    "view": pa.array(["a", "b"], pa.string_view()),
    "point": pa.array([shapely.Point(11.5, 48.1).wkb, shapely.Point(11.6, 48.1).wkb]),
    "points": pa.array([shapely.MultiPoint([(11.5, 48.1)]).wkb, b""]),
    "cut": pa.array([shapely.Point(11.5, 48.1).wkb[:-3], b"\x01\x01"]),
    "curve": pa.array([b"\x01\x08\0\0\0\x02\0\0\0" + bytes(32), b"\x01\xff\xff\xff\xff"]),
    "collections": pa.array([b"\x01\x07\0\0\0\x01\0\0\0" * 20_000, b"\x01\x07\0\0\0\0\0\0\0"]),
    "wkt": pa.array(["POINT (11.5 48.1)", "POINT EMPTY"]),
    "datetime": pa.array([dt.datetime(2018, 1, 1), None]),  # noqa: DTZ001 - a table has no zone
}
COLUMN = st.sampled_from(sorted(ARRAYS))
GEO = st.just({}) | st.fixed_dictionaries(
    {"primary_column": st.just("g") | JSON},
    optional={
        "version": JSON,
        "columns": st.fixed_dictionaries(
            {
                "g": st.fixed_dictionaries(
                    {},
                    optional={
                        "encoding": JSON
                        | st.sampled_from(["WKB", "WKT", "point", "polygon", "multilinestring"]),
                        "crs": JSON
                        | st.sampled_from(["EPSG:32632", "EPSG:99", "OGC:CRS84", "+proj=geos"])
                        | st.just({"type": "ProjectedCRS"}),
                    },
                )
            }
        )
        | JSON,
    },
)


@few
@given(
    st.fixed_dictionaries(
        {"id": COLUMN | st.just("text"), "label": COLUMN | st.just("text")},
        optional={"lon": COLUMN, "lat": COLUMN, "g": COLUMN, "geometry": COLUMN, "split": COLUMN},
    ),
    GEO | JSON,
    st.booleans(),
    st.sampled_from(["class", "number"]),
)
def test_any_types_of_a_parquet(
    tmp_path: Path, columns: dict[str, str], geo: object, skip: bool, target: str
) -> None:
    path = tmp_path / "points.parquet"
    content = pa.table({name: ARRAYS[kind] for name, kind in columns.items()})
    pq.write_table(content.replace_schema_metadata({"geo": json.dumps(geo)}), path)
    found = used_or_refused(lambda: read(path, skip_bad=skip, target=target), "points.parquet")
    if found is not None and target == "class":
        rows = zip(*(content[name].to_pylist() for name in ("id", "label")), strict=True)
        assert written(found) == sorted((str(one), str(other)) for one, other in rows)


@few
@given(st.binary(max_size=60), st.sampled_from(["point", "collection", ""]))
def test_any_bytes_of_wkb(tmp_path: Path, content: bytes, start: str) -> None:
    heads = {"point": b"\x01\x01\0\0\0", "collection": b"\x01\x07\0\0\0\x02\0\0\0", "": b""}
    path = tmp_path / "points.parquet"
    shapes = {"id": ["a"], "label": ["x"], "geometry": [heads[start] + content]}
    pq.write_table(pa.table(shapes), path)
    used_or_refused(lambda: read(path), "points.parquet")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A whole file of each binary kind."""
    folder = tmp_path_factory.mktemp("files")
    shapes = [shapely.Point(11.5, 48.1), shapely.box(11.5, 48.1, 11.51, 48.11)]
    frame = geopandas.GeoDataFrame({"id": ["a", "b"], "label": ["x", "y"]}, geometry=shapes)
    frame = frame.set_crs(4326)
    frame.to_parquet(folder / "a.parquet")
    for name in ("a.gpkg", "a.fgb"):
        frame.to_file(folder / name)
    frame.iloc[:1].to_file(folder / "a.shp")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@settings(few, max_examples=30)
@given(st.data(), st.sampled_from(["a.parquet", "a.gpkg", "a.fgb", "a.shp"]))
def test_any_damage_to_a_binary_file(
    tmp_path: Path, files: dict[str, bytes], data: st.DataObject, name: str
) -> None:
    content = bytearray(files[name])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    for other, whole in files.items():
        (tmp_path / other).write_bytes(bytes(content[:end]) if other == name else whole)
    used_or_refused(lambda: read(tmp_path / name), name)


@pytest.mark.parametrize("name", ["x" * 300 + ".csv", "a\0.csv", ".", "no/where.parquet"])
def test_a_path_that_is_no_file(tmp_path: Path, name: str) -> None:
    assert used_or_refused(lambda: read(tmp_path / name)) is None
