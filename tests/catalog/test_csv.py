"""Tables in CSV as people have them: what a file says comes back as written, or is refused with its row."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfaef.core.names import clean, decode_id, fault_of
from hfaef.errors import CatalogError
from support.tables import HEAD, WAYS_OUT, feature, labels, read, read_csv


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


@pytest.mark.parametrize("other", ["forest", "FOREST", "For est", "\uff26orest"])
def test_labels_that_people_take_for_one_are_refused_by_name(tmp_path: Path, other: str) -> None:
    names = " and ".join(map(repr, sorted(["Forest", other])))
    with pytest.raises(CatalogError, match=f"differ only in .*{names}"):
        read_csv(tmp_path, f"{HEAD}a,Forest,11.5,48.1\nb,{other},11.5,48.1\n")


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


# --- Words that help


def test_an_id_twice_is_named_with_both_its_rows(tmp_path: Path) -> None:
    rows = 'a,x,11,48,"two\nlines"\n,,,,\n\nb,y,11,48,\na ,y,11,48,\n'
    with pytest.raises(CatalogError) as caught:
        read_csv(tmp_path, f"id,label,lon,lat,remark\n{rows}")
    words = "points.csv: row 3 (line 7): patch a occurs twice, first in row 1 (line 2)"
    assert words in caught.value.message


def test_rows_of_empty_cells_are_left_out_and_counted(tmp_path: Path) -> None:
    found = read_csv(tmp_path, f"{HEAD}a,x,11.5,48.1\n,,,\nb,x,11.5,48.1\n , ,,\n,,,,,\n")
    assert [patch.id for patch in found.patches] == ["a", "b"]
    assert found.notes == ("rows left out in which every cell is empty: 3 (line 3)",)
    with pytest.raises(CatalogError, match=r"row 2 \(line 4\) has no id"):
        read_csv(tmp_path, f"{HEAD}a,x,11.5,48.1\n,,,\n,x,11.5,48.1\n")


@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
@pytest.mark.parametrize("stated", ["sep={}\r\n", '"sep={}"\n', "SEP={}{}{}\n"])
def test_excels_line_of_the_separator_is_understood(
    tmp_path: Path, separator: str, stated: str
) -> None:
    rows = [["id", "label", "lon", "lat"], ["a", "x", "11.5", "48.1"], ["a", "y", "11.5", "48.1"]]
    text = stated.replace("{}", separator) + "\n".join(separator.join(row) for row in rows[:2])
    found = read_csv(tmp_path, text)
    assert labels(found) == ["x"]
    assert any(note.endswith("as its first line says") for note in found.notes)
    with pytest.raises(
        CatalogError, match=r"row 2 \(line 4\): patch a .*first in row 1 \(line 3\)"
    ):
        read_csv(tmp_path, text + "\n" + separator.join(rows[2]))


def test_a_separator_that_no_table_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="line 1 says that ':' separates its cells"):
        read_csv(tmp_path, "sep=:\nid:label:lon:lat\n")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("ID,Label,Lon,Lat", "rename 'ID' to 'id', 'Label' to 'label', 'Lon' to 'lon', 'Lat' to"),
        ("ID;Label;Lon;Lat", "rename 'ID' to 'id', 'Label' to 'label', 'Lon' to 'lon', 'Lat' to"),
        ("i d,label,lon,lat", "no column 'id'; rename 'i d' to 'id'; its columns: i d, label, lon"),
        ("id,Class,lon,lat", "no column 'label'; rename 'Class' to 'label'; its columns: id, Cl"),
        ("id,label,Longitude,LATITUDE", "rename 'Longitude' to 'lon', 'LATITUDE' to 'lat'"),
        ("id,label,geom,x", "rename 'geom' to 'geometry'"),
        ("id,label,x,y", "no place columns; add lon and lat, .*its columns: id, label, x, y"),
    ],
)
def test_columns_that_are_perhaps_meant_are_named(tmp_path: Path, header: str, words: str) -> None:
    separator = ";" if ";" in header else ","
    with pytest.raises(CatalogError, match=words):
        read_csv(tmp_path, f"{header}\n{separator.join(['a', 'x', '11.5', '48.1'])}\n")


def test_of_two_columns_the_one_that_is_written_so_is_used(tmp_path: Path) -> None:
    found = read_csv(tmp_path, "ID,id,label,lon,lat\nwrong,a,x,11.5,48.1\n")
    assert [patch.id for patch in found.patches] == ["a"]
    assert found.notes == (f"columns not used: ID; {WAYS_OUT}",)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["plot.1"], "1, as their names hold other characters than letters, digits, _ and - (plot"),
        (["plot_0x2E_1"], "1, as their names read like the encoding of another name (plot_0x2E_1 "),
        (["a b", "a_0x2E_"], "2, as their names hold other characters than letters, digits, _ and"),
        (["a b", "a_0x2E_"], "_ and -, or read like the encoding of another name (a b is a_0x20_b"),
    ],
)
def test_the_note_on_encoded_ids_says_what_is_true(
    tmp_path: Path, names: list[str], words: str
) -> None:
    (note,) = read_csv(tmp_path, HEAD + "".join(f"{name},x,11.5,48.1\n" for name in names)).notes
    assert note.startswith("ids encoded: ")
    assert words in note
