"""Arrays of vectors: joined by id, or by a list's order that their labels bear out."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfaef.errors import CatalogError, InputError
from hfaef.evaluation.features import read_features
from hfaef.evaluation.features.joined import Features
from hfaef.evaluation.rows import Rows

COUNT = 12
IDS = tuple(f"P{number:02d}" for number in range(COUNT))
NAMES = ("a", "b", "c")
LABELS = np.arange(COUNT) % 3
ROWS = Rows(IDS, LABELS, np.full(COUNT, 2018), {}, NAMES)
NOISE = np.random.default_rng(0).normal(size=(COUNT, 4)).astype(np.float32)
ORDER = np.random.default_rng(1).permutation(COUNT)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(arrays: dict[str, Any], options: str = "", rows: Rows = ROWS) -> Features:
    np.savez_compressed("v.npz", **arrays)
    return read_features(f"mine=v.npz{options}", rows)


def write_list(order: Any = ORDER, name: str = "list.txt") -> str:
    Path(name).write_text("".join(f"a/{IDS[number]}.tif\n" for number in order))
    return f",list={name}"


@pytest.mark.parametrize("ids", ["ids", "id", "patch_ids", "Names", "filenames"])
@pytest.mark.parametrize("vectors", ["vectors", "embeddings", "Features", "x", "arr_0"])
def test_arrays_with_ids_are_joined_by_them(ids: str, vectors: str) -> None:
    found = read({ids: np.array(IDS)[ORDER], vectors: NOISE[ORDER]})
    np.testing.assert_array_equal(found.vectors.array, NOISE)
    assert found.made_of == f"the array '{vectors}'"


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8", "int64"])
def test_vectors_are_of_any_numbers(dtype: str) -> None:
    array = (NOISE * 10).astype(dtype)
    found = read({"ids": np.array(IDS, "S"), "vectors": np.asfortranarray(array)})
    np.testing.assert_array_equal(found.vectors.array, array.astype(np.float32))


def test_files_names_and_numbers_are_ids_too() -> None:
    found = read({"files": np.array([f"x/{one}.tif" for one in IDS]), "vectors": NOISE})
    np.testing.assert_array_equal(found.vectors.array, NOISE)
    rows = Rows(tuple(map(str, range(COUNT))), LABELS, ROWS.years, {}, NAMES)
    found = read({"id": np.arange(COUNT)[::-1], "vectors": NOISE}, rows=rows)
    np.testing.assert_array_equal(found.vectors.array, NOISE[::-1])


def test_labels_beside_ids_are_compared_and_counted() -> None:
    wrong = np.array(NAMES)[LABELS]
    wrong[[3, 4]] = "c"
    for labels, said in (
        (LABELS, "are the release's labels of all 12 patches"),
        (LABELS[:, None], "are the release's labels of all 12 patches"),
        (wrong, "differ from the release's labels in 2 of 12 patches"),
        (np.array(NAMES)[LABELS].astype("S"), "are the release's labels of all 12 patches"),
    ):
        notes = read({"ids": np.array(IDS), "vectors": NOISE, "y": labels}).notes
        assert notes[-1].startswith(f"mine: the values of its array 'y' {said}")


def test_arrays_that_are_not_used_are_named() -> None:
    notes = read({"ids": np.array(IDS), "vectors": NOISE, "split": np.zeros(COUNT)}).notes
    assert "mine: not used of v.npz: the arrays split" in notes


def test_arrays_without_ids_follow_a_list_that_their_labels_bear_out() -> None:
    options = write_list()
    for labels in (LABELS, np.array(NAMES)[LABELS]):
        found = read({"vectors": NOISE[ORDER], "labels": labels[ORDER]}, options)
        np.testing.assert_array_equal(found.vectors.array, NOISE)
        assert "mine: joined by the order of list.txt" in found.notes


def test_a_list_may_name_part_of_the_patches_and_others() -> None:
    Path("list.txt").write_text("P03.tif\nQ.tif\nP00.tif\n")
    arrays = {"vectors": NOISE[:3], "labels": np.array([0, 7, 0])}
    found = read(arrays, ",list=list.txt")
    np.testing.assert_array_equal(found.vectors.array[[3, 0]], NOISE[[0, 2]])
    assert len(found.lacking) == 10
    assert "mine: 1 row of other patches is not used" in found.notes


def test_a_list_may_name_files_with_dots_by_id_or_by_name() -> None:
    rows = Rows(("plot_0x2E_1", "plot_0x2E_2"), np.array([0, 1]), np.zeros(2), {}, NAMES)
    Path("list.txt").write_text("a/plot.2\nplot.1.tif\n")
    found = read({"x": NOISE[:2], "y": np.array([1, 0])}, ",list=list.txt", rows)
    np.testing.assert_array_equal(found.vectors.array, NOISE[[1, 0]])


@pytest.mark.parametrize(
    "labels", [LABELS, (LABELS[ORDER] + 1) % 3, np.array(["x"] * COUNT)], ids=["rows", "all", "no"]
)
def test_another_order_is_refused_with_how_many_labels_differ(labels: np.ndarray) -> None:
    options = write_list()
    truth = np.array(NAMES)[LABELS] if labels.dtype.kind == "U" else LABELS
    count = int((labels != truth[ORDER]).sum())
    with pytest.raises(InputError, match=f"not in the order of list.txt.*{count} of 12 patches"):
        read({"vectors": NOISE[ORDER], "labels": labels}, options)


def test_labels_that_cannot_be_compared_do_not_bear_an_order_out() -> None:
    options = write_list()
    with pytest.raises(InputError, match="labels cannot be compared"):
        read({"vectors": NOISE, "labels": np.ones((COUNT, 5))}, options)


def test_several_labels_bear_an_order_out() -> None:
    truth = np.random.default_rng(2).random((COUNT, 3)) < 0.5
    rows = Rows(IDS, truth, ROWS.years, {}, NAMES)
    options = write_list()
    arrays = {"vectors": NOISE[ORDER], "labels": truth[ORDER].astype(np.uint8)}
    np.testing.assert_array_equal(read(arrays, options, rows).vectors.array, NOISE)
    arrays["labels"] = arrays["labels"][::-1]
    with pytest.raises(InputError, match="not in the order"):
        read(arrays, options, rows)


def test_numbers_to_predict_bear_an_order_out() -> None:
    truth = np.random.default_rng(3).random(COUNT)
    rows = Rows(IDS, truth, ROWS.years, {})
    options = write_list()
    arrays = {"vectors": NOISE[ORDER], "y": truth[ORDER].astype(np.float32)}
    np.testing.assert_array_equal(read(arrays, options, rows).vectors.array, NOISE)
    with pytest.raises(InputError, match="not in the order"):
        read({**arrays, "y": truth}, options, rows)


def test_an_order_that_nothing_bears_out_is_said() -> None:
    found = read({"vectors": NOISE[ORDER]}, write_list())
    assert (
        "mine: joined by the order of list.txt; there are no labels beside the vectors, so nothing "
        "shows that it is theirs"
    ) in found.notes


def test_without_ids_or_a_list_nothing_is_joined() -> None:
    with pytest.raises(InputError, match="has no ids, so nothing says which") as caught:
        read({"vectors": NOISE, "labels": LABELS})
    assert "--features mine=v.npz,list=FILE" in caught.value.hint


def test_lists_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"names 11 patches, and v\.npz has 12 vectors"):
        read({"vectors": NOISE}, write_list(ORDER[1:]))
    with pytest.raises(InputError, match="has 1 patch twice, the first: P01"):
        read({"vectors": NOISE}, write_list([0, 1, 1, *range(3, COUNT)]))
    with pytest.raises(CatalogError, match=r"cannot read the split list lost\.txt"):
        read({"vectors": NOISE}, ",list=lost.txt")
    with pytest.raises(InputError, match=r"list= says nothing of an \.npz with 'ids'"):
        read({"vectors": NOISE, "ids": np.array(IDS)}, write_list())


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"ids": np.array(IDS)}, "", "has no array of vectors: 'ids'"),
        ({}, "", "has no array of vectors: nothing"),
        (
            {"ids": np.array(IDS), "a": NOISE, "b": NOISE},
            "",
            r"has several arrays of vectors: 'ids' \(12,\), 'a' \(12, 4\)",
        ),
        ({"ids": np.array(IDS), "x": NOISE, "features": NOISE}, "", "has several arrays"),
        ({"ids": np.array(IDS), "x": NOISE}, ",key=z", "has no array 'z'"),
        ({"ids": np.array(IDS), "x": NOISE[:, 0]}, ",key=x", "not a vector of numbers a row"),
        ({"ids": np.array(IDS), "x": NOISE > 0}, "", "not a vector of numbers a row"),
        ({"ids": np.array(IDS), "x": NOISE * 1j}, "", "not a vector of numbers a row"),
        ({"ids": np.array(IDS)[1:], "x": NOISE}, "", "'ids' has 11 rows, and 'x' 12"),
        ({"ids": np.array(IDS), "x": NOISE, "y": LABELS[1:]}, "", "'y' has 11 rows, and 'x' 12"),
        ({"ids": NOISE, "x": NOISE}, "", "'ids' is float32 .*, not an id a row"),
        ({"ids": np.array(["P00"] * COUNT), "x": NOISE}, "", "has 1 patch twice"),
        ({"ids": np.array(IDS), "x": NOISE * np.nan}, "", "not finite in all patches"),
        ({"ids": np.array(IDS), "x": NOISE}, ",nodata=1", "nodata= says nothing of an .npz"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    arrays: dict[str, Any], options: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(arrays, options)


def test_the_option_key_chooses_an_array() -> None:
    arrays = {"ids": np.array(IDS), "a": NOISE + 1, "b": NOISE}
    np.testing.assert_array_equal(read(arrays, ",key=b").vectors.array, NOISE)


@pytest.mark.parametrize("name", ["vectors", "ids", "labels", "else"])
def test_pickles_are_refused_and_not_run(name: str) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path("ran").touch, ())

    arrays = {"ids": np.array(IDS), "vectors": NOISE, "labels": LABELS}
    objects = np.array([Bomb() for _ in range(COUNT)], object)
    with pytest.raises(InputError, match=rf"{name}\.npy holds Python objects \(a pickle\)"):
        read({**arrays, name: objects})
    assert not Path("ran").exists()


def test_ids_that_are_objects_are_told_how_they_become_texts() -> None:
    for name, remedy in (("ids", r"`ids\.astype\(str\)`"), ("else", "not read;")):
        arrays = {"vectors": NOISE, name: np.array(IDS, object)}
        with pytest.raises(InputError, match=f"a pickle.*{remedy}"):
            read(arrays)


def member(shape: tuple[int, ...], content: bytes) -> bytes:
    file = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + content


def write_members(members: dict[str, bytes]) -> str:
    with zipfile.ZipFile("v.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return "mine=v.npz"


@pytest.mark.parametrize("shape", [(1 << 20, 1 << 20), (COUNT, 5)])
def test_an_array_that_says_it_is_larger_than_its_bytes_is_refused_unread(
    shape: tuple[int, ...],
) -> None:
    text = write_members({"vectors.npy": member(shape, bytes(COUNT * 16))})
    with pytest.raises(InputError, match="more than are there"):
        read_features(text, ROWS)


def test_an_array_that_unpacks_to_too_much_is_refused_unread() -> None:
    text = write_members({"vectors.npy": member((1 << 20, 1 << 10), bytes(100))})
    content = bytearray(Path("v.npz").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(signature) + offset
        content[place : place + 4] = struct.pack("<I", 0xFFFFFFF0)  # what it unpacks to
    Path("v.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read v\.npz"):
        read_features(text, ROWS)


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"\x93NUMPY\x01\x00", member((12, 4), NOISE.tobytes())],
    ids=["empty", "text", "cut off", "npy"],
)
def test_files_that_are_no_npz_are_refused(content: bytes) -> None:
    Path("v.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read v\.npz"):
        read_features("mine=v.npz", ROWS)


def test_damaged_members_are_refused() -> None:
    for content in (b"", b"x", b"\x93NUMPY\x09\x00" + bytes(90), b"\x93NUMPY\x01\x00\x10\x00{}"):
        with pytest.raises(InputError, match=r"cannot read v\.npz"):
            read_features(write_members({"vectors.npy": content}), ROWS)
    np.savez("v.npz", ids=np.array(IDS), vectors=NOISE)
    whole = Path("v.npz").read_bytes()
    place = whole.index(NOISE.tobytes())
    Path("v.npz").write_bytes(whole[:place] + b"\0\1\2\3" + whole[place + 4 :])
    with pytest.raises(InputError, match="CRC"):
        read_features("mine=v.npz", ROWS)


def test_a_member_twice_is_refused() -> None:
    text = write_members({"vectors.npy": member((12, 4), NOISE.tobytes())})
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile("v.npz", "a") as archive,
    ):
        archive.writestr("vectors.npy", member((12, 4), bytes(192)))
    with pytest.raises(InputError, match=r"holds vectors\.npy twice"):
        read_features(text, ROWS)
