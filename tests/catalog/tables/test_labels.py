"""Labels of a table by the recipe's target: one name, several names, or a number."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfaef.catalog.patch import label_value
from hfaef.core.names import clean, fault_of
from hfaef.errors import CatalogError
from support.table_formats import FORMATS, by_id, open_table, points, write_table

SEVERAL = [["Water", "Forest"], ["Forest"], [], ["Urban", "Water"]]
TEXTS = [";".join(labels) for labels in SEVERAL]


def write_several(path: Path) -> Path:
    typed = path.suffix in (".parquet", ".geojson")
    return write_table(path, points(label=SEVERAL if typed else TEXTS))


@pytest.mark.parametrize("name", ["None", "NA", "null", "nan", "N/A", "-", "NULL"])
def test_labels_that_may_stand_for_none_are_classes_and_counted(tmp_path: Path, name: str) -> None:
    path = write_table(tmp_path / "a.csv", points(label=[name, "Water", name]))
    found = open_table(path)
    assert by_id(found, "label") == {"p0": name, "p1": "Water", "p2": name}
    assert f"labels written as {name!r} are classes: 2" in found.notes
    path = write_table(tmp_path / "b.csv", points(label=[f"{name};Water", "Water", ""]))
    found = open_table(path, target="classes", separator=";")
    assert by_id(found, "label")["p0"] == tuple(sorted([name, "Water"]))
    assert f"labels written as {name!r} are classes: 1" in found.notes


def test_other_labels_are_classes_without_a_note(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(label=["Nonesuch", "Nanjing", "no data", "--"]))
    assert not [note for note in open_table(path).notes if "classes" in note]


@pytest.mark.parametrize("suffix", FORMATS)
def test_several_labels_are_the_same_from_any_format(tmp_path: Path, suffix: str) -> None:
    path = write_several(tmp_path / f"a.{suffix}")
    separator = {} if suffix in ("parquet", "geojson") else {"separator": ";"}
    found = open_table(path, target="classes", **separator)
    assert found.target == "classes"
    assert found.label_names == ("Forest", "Urban", "Water")
    assert by_id(found, "label") == {
        "p0": ("Forest", "Water"),
        "p1": ("Forest",),
        "p2": (),
        "p3": ("Urban", "Water"),
    }
    assert label_value(("Forest", "Water"), found.label_names) == [0, 2]
    assert "patches without any label: 1" in found.notes


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["a", "b"], None], pa.list_(pa.string())),
        pa.array([["a", "b"], []], pa.large_list(pa.large_string())),
        pa.array([["a", "b"], ["b", "a"]], pa.list_(pa.string(), 2)),
        pa.array([["a", "b"], []], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
    ],
    ids=lambda column: str(column.type),
)
def test_lists_of_parquet_may_be_of_any_type_of_texts(tmp_path: Path, column: pa.Array) -> None:
    path = write_table(tmp_path / "a.parquet", points(label=column))
    found = open_table(path, target="classes")
    assert by_id(found, "label")["p0"] == ("a", "b")
    assert by_id(found, "label")["p1"] in ((), ("a", "b"))


@pytest.mark.parametrize("suffix", ["parquet", "geojson", "csv"])
def test_whole_numbers_among_several_labels_have_the_order_of_numbers(
    tmp_path: Path, suffix: str
) -> None:
    values = ["10 9", "9 2"] if suffix == "csv" else [[10, 9], [9, 2]]
    path = write_table(tmp_path / f"a.{suffix}", points(label=values))
    found = open_table(path, target="classes", **({"separator": " "} if suffix == "csv" else {}))
    assert found.label_names == ("2", "9", "10")
    assert by_id(found, "label") == {"p0": ("9", "10"), "p1": ("2", "9")}


def test_listed_labels_give_several_labels_their_numbers(tmp_path: Path) -> None:
    path = write_several(tmp_path / "a.parquet")
    found = open_table(path, target="classes", labels=["Water", "Urban", "Forest", "Bog"])
    assert found.label_names == ("Water", "Urban", "Forest", "Bog")
    assert by_id(found, "label")["p0"] == ("Water", "Forest")


@pytest.mark.parametrize("separator", [";", "|", ", ", " "])
def test_spaces_round_a_separator_are_no_part_of_a_label(tmp_path: Path, separator: str) -> None:
    text = f"Forest{separator} Water" if separator != " " else "Forest Water"
    path = write_table(tmp_path / "a.csv", points(label=[text]))
    found = open_table(path, target="classes", separator=separator)
    assert by_id(found, "label") == {"p0": ("Forest", "Water")}
    assert found.notes == ()


def test_stray_spaces_and_unicode_forms_in_lists_are_mended_and_told(tmp_path: Path) -> None:
    rows = [["Forest ", "Wa\u0308ldchen"], ["W\u00e4ldchen"]]
    found = open_table(write_table(tmp_path / "a.parquet", points(label=rows)), target="classes")
    assert by_id(found, "label") == {"p0": ("Forest", "W\u00e4ldchen"), "p1": ("W\u00e4ldchen",)}
    assert found.notes == (
        "labels with stray spaces, taken off: 1 row",
        "labels brought to Unicode's composed form (NFC): 1 row",
    )


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (["a", "b;b"], r"row 2 \(line 3\): patch p1 has the label 'b' twice"),
        (["a", "b; b"], r"row 2 \(line 3\): patch p1 has the label 'b' twice"),
        (["a", "a;b;"], r"row 2 \(line 3\): patch p1 has an empty label among others \(a;b;\)"),
        (["a", "a;c\td"], r"row 2 \(line 3\): patch p1 has the label .* control character"),
        (
            ["a", "['a', 'b']"],
            r"row 2 .*, a list in the writing of a program; write the names with",
        ),
        (["", ""], r"a\.csv: no row has a label"),
    ],
)
def test_several_labels_that_cannot_be_used_are_named_with_their_row(
    tmp_path: Path, values: list[str], word: str
) -> None:
    path = write_table(tmp_path / "a.csv", points(label=values))
    with pytest.raises(CatalogError, match=word):
        open_table(path, target="classes", separator=";")


NAMES = st.text(st.sampled_from("ab\u00e4\u0308 ,|\"'\n"), max_size=3)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(NAMES, max_size=4), min_size=1, max_size=4), st.sampled_from(FORMATS[:3]))
def test_whatever_several_labels_are_they_come_back_or_are_refused(
    tmp_path: Path, rows: list[list[str]], suffix: str
) -> None:
    texts = suffix == "csv"
    column = pa.array(rows, pa.list_(pa.string())) if suffix == "parquet" else rows
    written = [";".join(names) for names in rows] if texts else column
    path = write_table(tmp_path / f"a.{suffix}", points(label=written))
    # A cell with nothing but spaces holds no label.
    expected = [
        [] if texts and not ";".join(names).strip() else [clean(name) for name in names]
        for names in rows
    ]
    known = sorted({name for names in expected for name in names})
    possible = bool(known) and not any(fault_of(name) for name in known)
    possible &= all(len(set(names)) == len(names) for names in expected)
    if not possible:
        with pytest.raises(CatalogError) as caught:
            open_table(path, target="classes", separator=";" if texts else None)
        assert str(caught.value).isprintable()
        return
    found = open_table(path, target="classes", separator=";" if texts else None)
    assert found.label_names == tuple(known)
    labels = by_id(found, "label")
    assert [labels[f"p{n}"] for n in range(len(rows))] == [tuple(sorted(n)) for n in expected]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ([["a"], ["b", "b"]], "row 2: patch p1 has the label 'b' twice"),
        ([["a"], ["b", None]], "row 2: patch p1 has 'None' among its labels, which is no text"),
        ([["a"], ["b", True]], "row 2: patch p1 has 'True' among its labels, which is no text"),
        ([["a"], ["b", 1.5]], r"row 2: patch p1 has '1\.5' among its labels, which is no text"),
        ([["a"], [["b"]]], "row 2: patch p1 has .* among its labels, which is no text"),
        ([["a"], 3], "row 2: patch p1 has the label '3', which is neither a list nor a text"),
        ([["a"], "b;c"], r"holds texts.*patches\.separator"),
    ],
)
def test_lists_that_cannot_be_used_are_named_with_their_row(
    tmp_path: Path, values: list[object], word: str
) -> None:
    path = write_table(tmp_path / "a.geojson", points(label=values))
    with pytest.raises(CatalogError, match=word):
        open_table(path, target="classes")


@pytest.mark.parametrize("target", ["class", "classes"])
def test_a_label_that_is_not_listed_is_named_with_its_row(tmp_path: Path, target: str) -> None:
    values = ["Forest", "Bog"] if target == "class" else [["Forest"], ["Forest", "Bog"]]
    path = write_table(tmp_path / "a.parquet", points(label=values))
    with pytest.raises(
        CatalogError,
        match=r"row 2: patch p1 has the label 'Bog', which is not in `patches\.labels`.*mend the",
    ):
        open_table(path, target=target, labels=["Forest"])


def test_a_list_is_no_single_label_and_the_way_out_is_told(tmp_path: Path) -> None:
    path = write_several(tmp_path / "a.parquet")
    with pytest.raises(CatalogError, match=r'row 1 has a list.*patches\.target = "classes"'):
        open_table(path)


def test_texts_without_a_separator_are_refused_naming_the_key(tmp_path: Path) -> None:
    path = write_several(tmp_path / "a.csv")
    with pytest.raises(CatalogError, match=r'patches\.separator = ";"'):
        open_table(path, target="classes")


@pytest.mark.parametrize("separator", [";", "|", ","])
def test_single_labels_that_look_like_several_are_told(tmp_path: Path, separator: str) -> None:
    values = ["forest", f"forest{separator}water"]
    found = open_table(write_table(tmp_path / "a.csv", points(label=values)))
    assert found.label_names == tuple(sorted(values))
    (note,) = found.notes
    assert note.startswith(
        f"labels that hold `{separator}`, each taken for one name: 1; for several"
    )
    assert note.endswith(f'set patches.target = "classes" and separator = "{separator}"')


def test_a_comma_in_the_name_of_a_class_is_no_separator(tmp_path: Path) -> None:
    values = ["Pastures", "Agriculture, with natural vegetation"]
    assert open_table(write_table(tmp_path / "a.csv", points(label=values))).notes == ()


def test_labels_among_several_that_differ_by_case_are_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", points(label=[["Forest", "forest"]]))
    with pytest.raises(CatalogError, match="differ only in"):
        open_table(path, target="classes")


# --- Numbers


@pytest.mark.parametrize("suffix", FORMATS)
def test_numbers_to_predict_are_the_same_from_any_format(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"a.{suffix}", points(label=[1.5, -2.0, 0.25]))
    found = open_table(path, target="number")
    assert (found.target, found.label_names) == ("number", ())
    assert by_id(found, "label") == {"p0": 1.5, "p1": -2.0, "p2": 0.25}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([7, 8], pa.int8()), 8.0),
        (pa.array([Decimal("7.5"), Decimal("8.5")]), 8.5),
        (pa.array([0.5, 0.1], pa.float32()), float(np.float32(0.1))),
        (pa.array(["1", "2.5"]), 2.5),
    ],
    ids=lambda column: str(getattr(column, "type", "")),
)
def test_numbers_may_be_of_any_type(tmp_path: Path, column: pa.Array, expected: float) -> None:
    path = write_table(tmp_path / "a.parquet", points(label=column))
    found = open_table(path, target="number")
    assert by_id(found, "label")["p1"] == expected
    assert found.notes == ()


def test_digits_that_float32_does_not_hold_are_counted(tmp_path: Path) -> None:
    values = [0.1, 16_777_217.0, 1.23456789]
    found = open_table(write_table(tmp_path / "a.parquet", points(label=values)), target="number")
    assert found.notes == ("labels of more digits than float32 holds, cut to 7: 2",)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (float("nan"), "has the label nan, which is no finite number"),
        (float("inf"), "has the label inf, which is no finite number"),
        (-float("inf"), "has the label -inf, which is no finite number"),
        (1e39, r"has the label 1e\+39, which is over what float32 holds"),
        (None, "has no label"),
    ],
)
def test_what_is_no_finite_number_is_named_with_its_row(
    tmp_path: Path, value: float | None, word: str
) -> None:
    path = write_table(tmp_path / "a.parquet", points(label=[1.0, value]))
    with pytest.raises(CatalogError, match=f"row 2: patch p1 {word}"):
        open_table(path, target="number")


# --- Inputs that people have


@pytest.mark.parametrize(("name", "separator"), [("points.csv", ";"), ("points.geojson", None)])
def test_a_table_of_several_labels_is_read_whole(
    shared: Path, name: str, separator: str | None
) -> None:
    path = shared.parent / "cases/shape-several-labels" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    found = open_table(path, target="classes", separator=separator)
    assert found.label_names == ("Forest", "Pasture", "Urban", "Water")
    labels = by_id(found, "label")
    assert len(labels) == 40
    assert (labels["p0"], labels["p3"]) == ((), ("Forest", "Water"))
    assert labels["p15"] == ("Forest", "Pasture", "Urban", "Water")
    empty = sum(not names for names in labels.values())
    assert f"patches without any label: {empty}" in found.notes
