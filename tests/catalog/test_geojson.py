"""GeoJSON: what its features say comes back as written, and what is not used is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfaef.errors import CatalogError
from support.tables import WAYS_OUT, feature, read, read_csv, read_geojson, read_parquet


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
