"""Tables as people have them: what a file says comes back as written, or is refused with its row."""

from __future__ import annotations

import csv
import datetime as dt
import json
import uuid
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfaef.catalog import table
from hfaef.catalog.patch import Catalog
from hfaef.core.names import clean, decode_id, fault_of
from hfaef.errors import CatalogError
from hfaef.recipe.patches import Table

HEAD = "id,label,lon,lat\n"

WAYS_OUT = "`patches.keep` keeps them, `patches.ignore` leaves them out"


def read(path: Path, **changes: object) -> Catalog:
    return table.read(Table.model_validate({"kind": "table", "path": path, **changes}), 2018)


def read_csv(folder: Path, content: str | bytes, **changes: object) -> Catalog:
    path = folder / "points.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(path, **changes)


def read_parquet(folder: Path, **columns: object) -> Catalog:
    path = folder / "points.parquet"
    rows = len(columns.get("label", columns.get("id", [])))  # type: ignore[arg-type]
    whole = {
        "id": [f"p{number}" for number in range(rows)],
        "label": ["x"] * rows,
        "lon": [11.5] * rows,
        "lat": [48.1] * rows,
        **columns,
    }
    pq.write_table(pa.table(whole), path)
    return read(path)


def feature(geometry: object = None, **properties: object) -> dict[str, object]:
    point = {"type": "Point", "coordinates": [11.5, 48.1]}
    place = point if geometry is None else geometry
    return {"type": "Feature", "geometry": place, "properties": properties}


def read_geojson(folder: Path, *features: object, **more: object) -> Catalog:
    path = folder / "points.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    return read(path)


def labels(catalog: Catalog) -> list[str | float]:
    return [patch.label for patch in catalog.patches]


# --- Texts stay as they are written


@pytest.mark.parametrize("word", ["001", "true", "10:00", "NA", "1e5", "null", "2018-07-01", "-0"])
def test_labels_and_splits_of_a_csv_are_texts(tmp_path: Path, word: str) -> None:
    found = read_csv(tmp_path, f"{HEAD}a,{word},11.5,48.1\nb,x,11.5,48.1\n")
    assert labels(found) == [word, "x"]
    assert found.label_names == tuple(sorted([word, "x"]))


@pytest.mark.parametrize(("word", "identity"), [("001", "001"), ("10:00", "10_0x3A_00")])
def test_ids_of_a_csv_are_texts(tmp_path: Path, word: str, identity: str) -> None:
    found = read_csv(tmp_path, f"{HEAD}{word},x,11.5,48.1\n{word}b,x,11.5,48.1\n")
    assert [patch.id for patch in found.patches] == [identity, f"{identity}b"]
    assert any("ids encoded: 2" in note for note in found.notes) == (word != identity)


def test_labels_that_are_digits_keep_their_zeros_and_the_order_of_numbers(tmp_path: Path) -> None:
    rows = "".join(f"p{label},{label},11.5,48.1\n" for label in ("10", "9", "011", "11", "2"))
    assert read_csv(tmp_path, HEAD + rows).label_names == ("2", "9", "10", "011", "11")


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ['"', 'a"b', "a,b", "a;b", "\ufeffa", "a\r\nb", " a ", "a\t", "1.0", "'a", "\\", "e\u0301"]
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4), st.sampled_from(",;\t"))
def test_whatever_a_csv_holds_comes_back_or_is_refused(
    tmp_path: Path, rows: list[tuple[str, str]], separator: str
) -> None:
    with (tmp_path / "points.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["id", "label", "lon", "lat"])
        writer.writerows([identity, label, "11.5", "48.1"] for identity, label in rows)
    cleaned = [(clean(identity), clean(label)) for identity, label in rows]
    possible = not any(fault_of(text) for row in cleaned for text in row)
    possible &= not any("/" in identity or "\\" in identity for identity, _ in cleaned)
    possible &= len({identity for identity, _ in cleaned}) == len(cleaned)
    if not possible:
        with pytest.raises(CatalogError) as caught:
            read(tmp_path / "points.csv")
        assert str(caught.value).isprintable()
        return
    found = read(tmp_path / "points.csv")
    assert [(decode_id(patch.id), patch.label) for patch in found.patches] == cleaned
    assert any("semicolons" in note for note in found.notes) == (separator == ";")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40))
def test_no_bytes_of_a_csv_are_a_fault_of_ours(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CatalogError) as caught:
        read_csv(tmp_path, b"id,label,lon\n" + content)
    assert str(caught.value).isprintable()


def test_stray_spaces_and_unicode_forms_are_mended_and_told(tmp_path: Path) -> None:
    content = "id,label,lon,lat,split\na ,Forest,11.5,48.1, train\nb,Forest ,11.5,48.1,val\n"
    found = read_csv(
        tmp_path, content + "c,Wäldchen,11.5,48.1,test\nd,Wa\u0308ldchen,11.5,48.1,test\n"
    )
    assert [patch.id for patch in found.patches] == ["a", "b", "c", "d"]
    assert labels(found) == ["Forest", "Forest", "Wäldchen", "Wäldchen"]
    assert found.patches[0].splits == {"split": "train"}
    assert found.notes == (
        "values of `id` with stray spaces, taken off: 1",
        "values of `label` with stray spaces, taken off: 1",
        "values of `label` brought to Unicode's composed form (NFC): 1",
        "values of `split` with stray spaces, taken off: 1",
        "splits read in 'split': 'val' as validation (1)",
    )


def test_labels_that_differ_by_case_stay_two_and_are_told(tmp_path: Path) -> None:
    found = read_csv(tmp_path, f"{HEAD}a,Forest,11.5,48.1\nb,forest,11.5,48.1\n")
    assert found.label_names == ("Forest", "forest")
    assert "'Forest' and 'forest' differ only in" in found.notes[0]


def test_a_byte_order_mark_is_no_part_of_a_table(tmp_path: Path) -> None:
    assert read_csv(tmp_path, f"\ufeff{HEAD}a,x,11.5,48.1\n").patches[0].id == "a"
    path = tmp_path / "points.geojson"
    path.write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature(id="a", label="x")]}),
        encoding="utf-8-sig",
    )
    assert read(path).patches[0].id == "a"


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("id;label;lon;lat\na;x,y;11.5;48.1\n", "cells are separated by semicolons"),
        ("id\tlabel\tlon\tlat\na\tx,y\t11.5\t48.1\n", "cells are separated by tabs"),
        ('id,label,lon,lat\r\na,"x,y",11.5,48.1\r\n\r\n', None),
        ('"id","label","lon","lat"\ra,"x,y",11.5,48.1', None),
        (' id , label,lon,lat\na,"x,y",11.5,48.1\n', None),
    ],
)
def test_a_csv_is_read_however_programs_write_it(
    tmp_path: Path, content: str, note: str | None
) -> None:
    found = read_csv(tmp_path, content)
    assert labels(found) == ["x,y"]
    assert found.notes == ((note,) if note else ())


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (
            b"id,label,lon,lat\na,x,11,48\nb,W\xe4ld,11,48\n",
            r"not UTF-8: row 2 \(line 3\), column 'label'",
        ),
        (b"id,label,lon,lat,n\n\na,x,11,48,\xff\n", r"not UTF-8: row 1 \(line 3\), column 'n'"),
        (b"id,lab\xe4,label,lon,lat\na,x,y,11,48\n", r"not UTF-8: its header, column 'lab"),
        (f"{HEAD}a,x,11,48\n".encode("utf-16"), "UTF-16, not UTF-8"),
        (f"{HEAD}a,x,11,48\nb,,11,48\n", r"row 2 \(line 3\) has no label"),
        (f"{HEAD}a,x,11,48\n ,x,11,48\n", r"row 2 \(line 3\) has no id"),
        (f'{HEAD}"a\nb",x,11,48\n', r"row 1 \(line 2\) has the id .* control character U\+000A"),
        (f'{HEAD}a,"x\ty",11,48\n', r"control character U\+0009"),
        (f"{HEAD}a/b,x,11,48\n", r"row 1 \(line 2\) has the patch id 'a/b', which is a path"),
        (f"{HEAD}{'.' * 40},x,11,48\n", "an id of over 200 characters"),
        ("id,label,label,lon,lat\na,x,y,11,48\n", "column 'label' twice"),
        ("id,label,lon,lat,n,n\na,x,11,48,1,2\n", "column 'n' twice"),
        (f"{HEAD}a,x,11,48\nb,x,11\n", r"row 2 \(line 3\) has 3 cells, the header 4"),
        (f"{HEAD}a,x,11,48,9\n", r"row 1 \(line 2\) has 5 cells"),
        (
            f'{HEAD}a,x,11,48\nb,"x,11,48\nc,x,11,48\n',
            r"row 2 \(line 3\) has a quote that is not closed",
        ),
        (f'{HEAD}a,"x"y,11,48\n', r"row 1 \(line 2\) has a fault"),
        (HEAD, "has no row"),
        ("", "is empty"),
        ("a,x,11,48\nb,x,11,48\n", "has no column 'id'; add it; its columns: a, x, 11, 48"),
        ("ID,Label,lon,lat\na,x,11,48\n", "no column 'id'.*its columns: ID, Label"),
        (
            f"{HEAD}a,x,east,48\n",
            r"row 1 \(line 2\): patch a has the lon 'east', which is no number",
        ),
        (f"{HEAD}a,x,,48\n", "patch a has no place"),
        (f"{HEAD}a,x,nan,48\n", "has the lon 'nan'"),
        (f"{HEAD}a,x,1e999,48\n", "patch a has no place"),
        ("id;label;lon;lat\na;x;11,5;48,1\n", "has the lon '11,5'.* write it as 1234.5"),
    ],
)
def test_what_is_wrong_with_a_csv_is_named_with_its_row(
    tmp_path: Path, content: str | bytes, word: str
) -> None:
    with pytest.raises(CatalogError, match=word) as caught:
        read_csv(tmp_path, content)
    assert "points.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cell_may_be_as_long_as_an_outline(tmp_path: Path) -> None:
    ring = ", ".join(f"{11.5 + number * 1e-7:.7f} 48.1" for number in range(12_000))
    outline = f"POLYGON (({ring}, 11.5 48.101, 11.5000000 48.1))"
    found = read_csv(tmp_path, f'id,label,geometry\na,x,"{outline}"\n')
    assert len(outline) > 131_072
    west, _, east, _ = found.patches[0].grid.bounds()
    assert west <= 11.5
    assert 11.5012 <= east < 11.502


# --- Numbers to predict


@pytest.mark.parametrize(("cell", "number"), [("1.5", 1.5), (" -2e3 ", -2000.0), ("7", 7.0)])
def test_a_number_to_predict_is_the_one_that_is_written(
    tmp_path: Path, cell: str, number: float
) -> None:
    found = read_csv(tmp_path, f"{HEAD}a,{cell},11.5,48.1\n", target="number")
    assert labels(found) == [number]
    assert found.label_names == ()


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ('"1,5"', "'1,5', which is no number; write it as 1234.5"),
        ('"1,234.5"', "no number; write it as"),
        ("1.234.5", "no number; write it as"),
        ("1 234", "no number; write it as"),
        ("inf", "'inf', which is no number"),
        ("nan", "'nan', which is no number"),
        ("1e999", "inf, which is no finite number"),
        ("1_000", "no number"),
        ("\u0661", "no number"),
        ("tall", "no number"),
        ("", "has no label"),
    ],
)
def test_what_is_no_number_to_predict_is_named_with_its_row(
    tmp_path: Path, cell: str, word: str
) -> None:
    with pytest.raises(CatalogError, match=word) as caught:
        read_csv(tmp_path, f"{HEAD}a,1,11,48\nb,{cell},11,48\n", target="number")
    assert "row 2 (line 3)" in str(caught.value)


# --- Parquet: values by their types


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


# --- GeoJSON


def test_numbers_and_texts_of_geojson_are_names(tmp_path: Path) -> None:
    found = read_geojson(tmp_path, feature(id=1, label=3), feature(id=2, label=20))
    assert [patch.id for patch in found.patches] == ["1", "2"]
    assert found.label_names == ("3", "20")


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([feature(id="a", label="x"), feature(id="b", label=1)], "row 2 has the label 1"),
        ([feature(id="a", label=["x", "y"])], "row 1 has a list as label"),
        ([feature(id="a", label=True)], "row 1 has the bool"),
        ([feature(id="a", label=1.0)], "row 1 has the float"),
        ([feature(id="a", label={"x": 1})], "row 1 has the dict"),
        ([feature(id="a", label="x"), feature(id="b")], "row 2 has no label"),
        ([feature(id="a", label=None)], "row 1 has no label"),
        ([feature(label="x")], "no column 'id'"),
        ([{"type": "Feature"}, 3], "row 2 is no Feature"),
        ([], "no row"),
    ],
)
def test_what_is_wrong_with_geojson_is_named_with_its_row(
    tmp_path: Path, rows: list[object], word: str
) -> None:
    with pytest.raises(CatalogError, match=word):
        read_geojson(tmp_path, *rows)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b'{"features": [{"properties": {"id": "a", "label": "W\xe4"}}]}', "row 1, column 'label'"),
        (
            b'{"features": [{"properties": {"id": "a", "label": "x", "label": "y"}}]}',
            "'label' twice",
        ),
        (b'{"type": "Feature"}', "no FeatureCollection"),
        (b"[]", "no FeatureCollection"),
        (b"{", "cannot read the table"),
        (b"[" * 100_000, "cannot read the table"),
    ],
)
def test_a_file_that_is_no_geojson_is_named(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "points.geojson"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=word) as caught:
        read(path)
    assert "points.geojson" in str(caught.value)


def test_the_property_id_is_used_and_the_features_own_is_told(tmp_path: Path) -> None:
    own = {**feature(id="a", label="x"), "id": 7}
    found = read_geojson(tmp_path, own, {**feature(label="x"), "id": "b"})
    assert [patch.id for patch in found.patches] == ["a", "b"]
    assert found.notes == ("features whose own `id` is not used, but the property `id`: 1",)


# --- Nothing is ignored without a word


@pytest.mark.parametrize("suffix", ["csv", "geojson", "parquet"])
def test_columns_that_are_not_used_are_named_once(tmp_path: Path, suffix: str) -> None:
    more = {"fold": 3, "country": "DE", "date": "2017-07-01"}
    match suffix:
        case "csv":
            cells = ",".join(map(str, more.values()))
            found = read_csv(
                tmp_path, f"id,label,lon,lat,{','.join(more)}\na,x,11.5,48.1,{cells}\n"
            )
        case "geojson":
            found = read_geojson(tmp_path, feature(id="a", label="x", **more))
        case _:
            columns = {name: [value] for name, value in more.items()}
            found = read_parquet(tmp_path, label=["x"], **columns)
    assert found.notes == (f"columns not used: fold, country, date; {WAYS_OUT}",)


def test_a_place_that_is_given_twice_is_told(tmp_path: Path) -> None:
    found = read_csv(tmp_path, "id,label,lon,lat,west,\na,x,11.5,48.1,3,\n")
    assert found.notes == (f"columns not used: west, column 6; {WAYS_OUT}",)


@pytest.mark.parametrize("suffix", [".xlsx", ".csv.gz", ""])
def test_another_kind_of_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"points{suffix}"
    path.write_bytes(b"?")
    with pytest.raises(CatalogError, match=r"is no \.csv, \.parquet"):
        read(path)
