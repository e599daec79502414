"""Tables of vectors: only vectors count, and what tells a label, a split or a place is refused."""

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfaef.errors import InputError
from hfaef.evaluation.evaluate import Settings, evaluate
from hfaef.evaluation.features import read_features
from hfaef.evaluation.features.joined import Features, Labels
from hfaef.evaluation.rows import Rows
from hfaef.evaluation.vectors import read_rows
from hfaef.release.format.manifest import read_manifest

COUNT = 40
IDS = tuple(f"P{number:03d}" for number in range(COUNT))
LABELS = np.arange(COUNT) % 4
ROWS = Rows(IDS, LABELS, np.full(COUNT, 2018), {"north_south": ("train",) * COUNT})
NOISE = np.random.default_rng(0).normal(size=(COUNT, 3)).astype(np.float32)
WIDE = {"id": list(IDS), **{f"f{n}": NOISE[:, n] for n in range(3)}}
LISTS = {"id": list(IDS), "vector": list(NOISE)}


def write(path, columns):
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def read(tmp_path):
    """Reads a table of these columns."""

    def read(columns: dict, rows: Rows = ROWS) -> Features:
        return read_features(f"mine={write(tmp_path / 't.parquet', columns)}", rows)

    return read


def test_vectors_of_a_csv_are_the_same(tmp_path):
    lines = ["id,a,b,c"]
    lines += [f"{i},{a},{b},{c}" for i, (a, b, c) in zip(IDS, NOISE.tolist(), strict=True)]
    (tmp_path / "v.csv").write_text("\n".join(lines))
    found = read_features(f"mine={tmp_path / 'v.csv'}", ROWS)
    assert (found.name, found.columns) == ("mine", ("a", "b", "c"))
    np.testing.assert_array_equal(found.vectors.array, NOISE)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.list_(pa.float16()),
        pa.list_(pa.int8()),
        pa.list_(pa.float32(), 3),
        pa.large_list(pa.float64()),
    ],
    ids=str,
)
def test_lists_of_any_kind_of_numbers_are_vectors(read, kind):
    vectors = np.rint(NOISE * 20)
    if pa.types.is_floating(kind.value_type):
        vectors = vectors.astype(kind.value_type.to_pandas_dtype())
    lists = pa.array([list(row) for row in vectors.tolist()], pa.list_(pa.float64()))
    if not pa.types.is_float16(kind.value_type):
        lists = lists.cast(kind)
    found = read({"id": list(IDS), "vector": lists})
    np.testing.assert_array_equal(found.vectors.array, np.rint(NOISE * 20))


def test_names_of_vectors_are_not_taken_for_labels_or_places(read):
    names = ["x_0", "x1", "B02", "latent_0", "class_token_3", "cls_1", "A63", "lattice", "gist"]
    names += ["identity_2", "labelled_mean", "crest", "testimony", "yield", "emb_0", "monthly_3"]
    vectors = np.random.default_rng(1).normal(size=(COUNT, len(names))).astype(np.float32)
    found = read({"id": list(IDS)} | dict(zip(names, vectors.T, strict=True)))
    assert found.columns == tuple(names)
    np.testing.assert_array_equal(found.vectors.array, vectors)


@pytest.mark.parametrize(
    "name",
    [
        *("label", "labels", "Label", "LABEL_ID", "classId", "label_0", "land_cover", "target"),
        *("split", "fold", "fold_1", "Fold3", "spatial_fold", "scheme", "isTrain", "is_test"),
        *("lon", "lat", "x", "Y", "centroid_lon", "lat_min", "xmin", "centerX", "easting"),
        *("bounds", "geometry", "crs", "proj:epsg", "bbox.xmin", "north"),
        *("year_2018", "Year", "date", "patch_id", "ID", "fid", "Unnamed: 0", "", "index"),
        *("__index_level_0__", "valid_fraction", "north_south", "North_South"),
    ],
)
@pytest.mark.parametrize("number", [np.arange(COUNT) * 1.5, np.arange(COUNT)], ids=["float", "int"])
def test_numbers_named_as_no_vectors_are_refused_by_name(read, name, number):
    with pytest.raises(InputError) as caught:
        read({**WIDE, name: number})
    assert f"{name!r} (" in caught.value.message
    assert "'f0'" not in caught.value.message


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ([True, False] * (COUNT // 2), "true or false"),
        (["NA"] * COUNT, "text"),
        (pa.array(["a"] * COUNT, pa.large_string()), "text"),
        (pa.array(["a"] * COUNT).dictionary_encode(), "of the type dictionary"),
        ([dt.date(2018, 1, 1)] * COUNT, "of the type date32"),
        ([{"xmin": 1.0}] * COUNT, "of the type struct"),
    ],
    ids=["bool", "text", "large text", "dictionary", "date", "struct"],
)
def test_columns_without_numbers_are_refused_beside_numbers(read, column, what):
    with pytest.raises(InputError, match="no part of a vector: 'extra' ") as caught:
        read({**WIDE, "extra": column})
    assert f"'extra' ({what}" in caught.value.message


@pytest.mark.parametrize("values", [LABELS, LABELS * 10.0, LABELS // 2, LABELS == 3])
def test_numbers_that_tell_the_label_are_refused_whatever_their_name(read, values):
    with pytest.raises(InputError, match=r"'klasse' .one value for all of a label"):
        read({**WIDE, "klasse": np.asarray(values) * 1.0})


def test_a_constant_column_and_one_that_is_almost_a_label_are_vectors(read):
    almost = LABELS.copy()
    almost[0] = 3
    found = read({**WIDE, "same": np.ones(COUNT), "almost": almost})
    assert found.columns == ("f0", "f1", "f2", "same", "almost")


def test_many_refused_columns_are_ten_and_a_count(read):
    more = {f"label_{number}": np.arange(COUNT) for number in range(12)}
    with pytest.raises(InputError, match=r"'label_9' .a label. and 2 more"):
        read(WIDE | more)


def test_columns_beside_a_list_are_not_used_and_named(read):
    found = read({**LISTS, "label": LABELS, "lon": NOISE[:, 0], "bounds": list(NOISE)})
    np.testing.assert_array_equal(found.vectors.array, NOISE)
    assert found.columns == ("vector",)
    first, second, third = found.notes
    assert "the column 'vector' of " in first
    assert "3 numbers a patch" in first
    assert "not used of" in second
    assert "the columns 'label', 'lon', 'bounds'" in second
    assert (
        third == "mine: the values of its column 'label' are the release's labels of all 40 patches"
    )


@pytest.mark.parametrize("name", ["bounds", "label", "geometry", "splits"])
def test_a_list_named_as_no_vector_is_refused(read, name):
    with pytest.raises(InputError, match=f"no part of a vector: '{name}'"):
        read({"id": list(IDS), name: list(NOISE)})


@pytest.mark.parametrize("values", [["a", "b"], [True, False]])
def test_lists_without_numbers_are_refused(read, values):
    with pytest.raises(InputError, match="no part of a vector: 'vector'"):
        read({"id": list(IDS), "vector": [values] * COUNT})


def test_two_columns_of_lists_are_named(read):
    with pytest.raises(InputError, match="several columns of lists: the columns 'vector', 'other'"):
        read({**LISTS, "other": list(NOISE)})


def test_used_columns_and_rows_of_other_patches_are_said(read):
    strangers = [f"Q{number}" for number in range(1200)]
    many = np.random.default_rng(2).normal(size=(COUNT + 1200, 12))
    found = read(
        {"id": [*strangers, *IDS], **{f"f{n}": many[:, n] for n in range(12)}},
    )
    np.testing.assert_array_equal(found.vectors.array, many[1200:].astype(np.float32))
    assert "the 12 columns 'f0' to 'f11' of " in found.notes[0]
    assert found.notes[1] == "mine: 1,200 rows of other patches are not used"


def test_a_year_tells_rows_of_a_patch_apart(read):
    rows = Rows(IDS[:2] * 2, np.zeros(4, int), np.array([2018, 2018, 2019, 2019]), {})
    columns = {
        "id": [IDS[0], IDS[0], IDS[1], IDS[1], IDS[1]],
        "year": [2019, 2018, 2018, 2019, 2020],
        "f": [0.0, 1, 2, 3, 4],
    }
    found = read(columns, rows)
    assert found.vectors.array.ravel().tolist() == [1, 2, 0, 3]
    assert "mine: 1 row of other patches is not used" in found.notes
    with pytest.raises(InputError, match="years are not whole numbers"):
        read({**columns, "year": ["a"] * 5}, rows)


def test_a_table_of_a_part_of_the_patches_is_read_and_says_so(read):
    found = read({"id": IDS[3:], "v": NOISE[3:, 0]})
    assert found.lacking == {0, 1, 2}
    assert np.isnan(found.vectors.take(np.arange(3))).all()
    np.testing.assert_array_equal(found.vectors.take(np.arange(3, COUNT)), NOISE[3:, :1])
    assert "mine lacks 3 of 40 patches, the first: P000" in found.notes[-1]
    with pytest.raises(InputError, match="has none of the 40 patches, such as P000"):
        read({"id": ["other"], "v": [1.0]})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["A", "B"], "v": [1.0, 2]}, "none of the 40 patches, such as P000, but such as A"),
        ({"id": [*IDS, *IDS[:2]], "v": np.arange(42.0)}, "has 2 patches twice, the first: P000"),
        ({"id": [*IDS, None, ""], "v": np.arange(42.0)}, "has 2 rows without an id"),
        ({"id": IDS, "vector": [[np.nan, 1]] * COUNT}, "not finite"),
        ({"id": IDS, "vector": [[1.0, 2, 3], *[[1.0, 2]] * (COUNT - 1)]}, "different lengths"),
        ({"id": IDS, "vector": [None, *[[1.0, 2]] * (COUNT - 1)]}, "different lengths"),
        ({"patch": IDS, "v": NOISE[:, 0]}, "no column 'id', but the columns 'patch', 'v'"),
        ({"id": IDS}, "no numbers beside 'id'"),
    ],
)
def test_tables_that_do_not_fit_are_refused(read, columns, message):
    with pytest.raises(InputError, match=message):
        read(columns)


def test_patches_without_a_vector_or_with_one_that_is_not_finite_are_lacking_and_counted(read):
    vectors = NOISE.copy()
    vectors[5, 1], vectors[7, 2] = np.nan, np.inf
    found = read({"id": IDS[3:], "vector": list(vectors[3:])})
    assert found.lacking == {0, 1, 2, 5, 7}
    rest = [row for row in range(COUNT) if row not in found.lacking]
    np.testing.assert_array_equal(found.vectors.array[rest], NOISE[rest])
    assert np.isnan(found.vectors.array[sorted(found.lacking)]).all()
    assert found.notes[-1] == (
        "mine lacks 5 of 40 patches, the first: P000 (2 with numbers not finite); it is scored on "
        "the others, and compared on what both have"
    )


def test_a_label_is_found_out_among_the_patches_that_are_there(read):
    with pytest.raises(InputError, match=r"'klasse' .one value for all of a label"):
        read({"id": IDS[3:], "klasse": LABELS[3:] * 2.5, "f": NOISE[3:, 0]})


def test_patches_may_be_named_by_their_files(read):
    names = [f"images\\{name}.tif" if row % 2 else f"a/{name}" for row, name in enumerate(IDS)]
    found = read({**WIDE, "id": names})
    np.testing.assert_array_equal(found.vectors.array, NOISE)
    assert "mine: 40 patches are named by their files, as a/P000" in found.notes
    with pytest.raises(InputError, match="has 1 patch twice, the first: P003"):
        read({"id": [*IDS, "b/P003.png"], "v": np.arange(41.0)})


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a", "b", "c", "d"] * 10, "are the release's labels of all 40 patches"),
        (["d", "b", "c", "d"] * 10, "differ from the release's labels in 10 of 40 patches"),
        ([[0], [1], [2], [3]] * 10, "cannot be compared with the release's labels"),
        ([True, False] * 20, "cannot be compared with the release's labels"),
    ],
)
def test_labels_beside_vectors_are_compared_with_the_release(read, labels, said):
    rows = Rows(IDS, LABELS, ROWS.years, ROWS.splits, ("a", "b", "c", "d"))
    (note,) = [note for note in read({**LISTS, "label": labels}, rows).notes if "values of" in note]
    assert said in note


def test_several_labels_and_numbers_are_compared_too():
    several = Rows(
        ("A", "B"), np.array([[True, True], [False, False]]), np.zeros(2), {}, ("x", "y")
    )
    numbers = Rows(("A", "B"), np.array([1.5, 0.1]), np.zeros(2), {})
    pair = [0, 1]
    for values, rows, count in [
        ([[1, 0], []], several, 0),
        ([["x"], []], several, 1),
        ([["x", "y"], ["y"]], several, 1),
        (np.array([[1, 1], [0, 0]]), several, 0),
        (np.array([[1, 0], [0, 1]]), several, 2),
        (np.array([[1, 0, 0], [0, 1, 0]]), several, None),
        ([0, 1], several, None),
        ([1.5, float(np.float32(0.1))], numbers, 0),
        ([2, 0.1], numbers, 1),
        (["1.5", "0.1"], numbers, None),
    ]:
        assert Labels("", values).differing(rows, pair, pair) == count
    classes = Rows(("A", "B"), np.array([0, 1]), np.zeros(2), {}, ("x", "y"))
    assert Labels("", [0, 1], ("y", "x")).differing(classes, pair, pair) == 2
    assert Labels("", [1, 0], ("y", "x")).differing(classes, pair, pair) == 0


def test_a_table_without_years_says_so_of_a_release_of_several(read):
    rows = Rows(IDS[:2] * 2, np.zeros(4, int), np.array([2018, 2018, 2019, 2019]), {})
    found = read({"id": IDS[:2], "f": [1.0, 2]}, rows)
    assert found.vectors.array.ravel().tolist() == [1, 2, 1, 2]
    assert "mine: it tells no years, so a patch has one vector for all of them" in found.notes


def test_a_column_twice_in_a_csv_is_named(tmp_path):
    (tmp_path / "v.csv").write_text("id,a,a\nP000,1,2\n")
    with pytest.raises(InputError, match="has the column 'a' twice"):
        read_features(f"mine={tmp_path / 'v.csv'}", ROWS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,a,b\n", "v.csv has no rows"),
        ("id;a;b\nP000;1;2\n", "v.csv has `;` between its columns"),
        ("id\ta\nP000\t1\n", "v.csv has tabs between its columns"),
        ("id;a\n", "v.csv has `;` between its columns"),
        ("id\nP000\n", "has no numbers beside 'id'"),
    ],
)
def test_a_csv_without_rows_or_with_other_separators_is_told_so(tmp_path, content, message):
    (tmp_path / "v.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_features(f"mine={tmp_path / 'v.csv'}", ROWS)


def test_a_table_that_unpacks_to_too_much_is_refused(read, monkeypatch):
    monkeypatch.setattr("hfaef.evaluation.features.table._MOST_BYTES", 1 << 20)
    count = 1 << 18
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), ["P000"])
    with pytest.raises(InputError, match="holds over 0 GiB"):
        read({"id": ids, "v": np.zeros(count)})


def test_only_columns_that_are_used_are_read(tmp_path):
    path = write(tmp_path / "t.parquet", {**LISTS, "image": [b"x" * 1000] * COUNT})
    content = bytearray(path.read_bytes())
    content[content.index(b"x" * 100)] ^= 1
    path.write_bytes(content)
    assert read_features(f"mine={path}", ROWS).columns == ("vector",)


def test_a_table_without_rows_is_refused(read):
    with pytest.raises(InputError, match="has no rows"):
        read({"id": pa.array([], pa.string()), "v": pa.array([], pa.float32())})


def test_options_that_say_nothing_of_a_place_are_refused(tmp_path):
    path = write(tmp_path / "t.parquet", WIDE)
    with pytest.raises(InputError, match="scale= says nothing of a table"):
        read_features(f"x={path},scale=2", ROWS)


def test_a_path_may_hold_a_comma_and_an_equals_sign(tmp_path):
    path = write(tmp_path / "a,scale=1.parquet", WIDE)
    np.testing.assert_array_equal(read_features(f"x={path}", ROWS).vectors.array, NOISE)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "v.txt").write_text("x")
    with pytest.raises(InputError, match=r"v.txt is of no kind that is read"):
        read_features(f"x={tmp_path / 'v.txt'}", ROWS)


def test_a_label_beside_noise_does_not_score(own_release, tmp_path):
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    rows = read_rows(own_release, read_manifest(own_release))
    noise = np.random.default_rng(3).normal(size=(len(rows.ids), 4))
    columns = {"id": rows.ids, **{f"f{n}": noise[:, n] for n in range(4)}}
    asked = {"poolings": ["mean"], "probes": ["knn"]}
    path = write(tmp_path / "leak.parquet", {**columns, "label": rows.labels})
    with pytest.raises(InputError, match=r"'label' .a label"):
        evaluate(str(own_release), Settings(features=[f"noise={path}"], **asked))
    assert not (own_release / "evaluation.json").exists()
    path = write(tmp_path / "noise.parquet", columns)
    written = evaluate(str(own_release), Settings(features=[f"noise={path}"], **asked))
    assert f"noise: the columns 'f0', 'f1', 'f2', 'f3' of {path}, 4 numbers a patch" in (
        written.notes
    )
    score = written.evaluation.score("noise", "random", 2018, "knn", fit="train")
    assert score.metrics["accuracy"].value < 0.7
    sets = json.loads((own_release / "evaluation.json").read_text())["features"]
    assert [one.get("columns") for one in sets] == [None, ["f0", "f1", "f2", "f3"]]


PROVENANCE = {
    "model": "stats",
    "license": "mit",
    "bands": ["B04", "B03", "B02"],
    "pooling": "mean of each band",
    "packages": {"numpy": "2"},
    "notes": ["without B08 of the images"],
}


def write_told(path, ids, vectors, told):
    """A table whose metadata tell a model."""
    table = pa.table({"id": list(ids), "vector": list(vectors)})
    metadata = {"hfaef.provenance": told if isinstance(told, str) else json.dumps(told)}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


def test_the_model_that_a_table_tells_goes_into_the_scores(own_release, tmp_path):
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    rows = read_rows(own_release, read_manifest(own_release))
    noise = np.random.default_rng(3).normal(size=(len(rows.ids), 4)).astype(np.float32)
    path = write_told(tmp_path / "m.parquet", rows.ids, noise, PROVENANCE)
    asked = {"poolings": ["mean"], "probes": ["knn"], "quick": True}
    evaluate(str(own_release), Settings(features=[f"model={path}"], **asked))
    pooled, model = json.loads((own_release / "evaluation.json").read_text())["features"]
    assert "provenance" not in pooled
    assert {name: value for name, value in model["provenance"].items() if value} == PROVENANCE
    # Scores that are not measured again stay with it.
    evaluate(str(own_release), Settings(poolings=["max"], probes=["knn"], quick=True))
    sets = json.loads((own_release / "evaluation.json").read_text())["features"]
    assert [one["provenance"] for one in sets if one["name"] == "model"] == [model["provenance"]]


def test_a_table_that_tells_no_model_has_none(tmp_path):
    path = write(tmp_path / "v.parquet", LISTS)
    assert read_features(f"x={path}", ROWS).provenance is None


@pytest.mark.parametrize("told", ["", "{", "[]", "{}", '{"model": 1}', '{"model": "a", "b": 1}'])
def test_metadata_that_tell_something_else_are_refused(tmp_path, told):
    path = write_told(tmp_path / "v.parquet", IDS, NOISE, told)
    with pytest.raises(InputError, match="its metadata tell no model that vectors are made with"):
        read_features(f"x={path}", ROWS)
