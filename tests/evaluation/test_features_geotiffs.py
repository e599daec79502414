"""GeoTIFFs as vectors: pooled as embeddings are, and read as a stranger's files are."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from hfaef.core.quantize import SCALE, from_stored, signed_squares
from hfaef.errors import CatalogError, InputError
from hfaef.evaluation.features import read_features
from hfaef.evaluation.pooling import POOLINGS, join_stats, patch_stats, pool_stats
from hfaef.evaluation.rows import Rows
from support.rasters import IDS, NAMES, PLACED, RNG, ROWS, Place, labelled, patches, tiff, vectors

VRT = (
    b'<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1">'
    b"<SimpleSource><SourceFilename>/etc/hostname</SourceFilename></SimpleSource>"
    b"</VRTRasterBand></VRTDataset>"
)


@pytest.fixture(params=["folder", "tar", "tar.gz", "tgz"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path, request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    return Place(tmp_path, "folder")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "float32", "float64"])
def test_the_vector_is_the_mean_of_the_bands(place: Place, dtype: str) -> None:
    arrays = patches(dtype)
    found = read_features(f"mine={place.write(labelled(arrays))}", ROWS)
    expected = [array.reshape(5, -1).astype(np.float64).mean(axis=1) for array in arrays.values()]
    np.testing.assert_array_equal(found.vectors.array, np.array(expected, np.float32))
    assert found.made_of == "the mean of 5 bands over valid pixels"
    assert str(place.root) not in found.made_of
    assert found.notes[1:] == (
        "mine: the names of its folders are the release's labels of all 4 patches",
    )


@pytest.mark.parametrize("name", POOLINGS)
def test_poolings_of_any_numbers_are_those_of_embeddings(folder: Place, name: str) -> None:
    stored = RNG.integers(0, 255, (4, 64, 6, 8), dtype=np.uint8)
    stored[1, :, 2:4, 1] = stored[3, :, 0, :] = 255
    whole = np.stack([signed_squares(from_stored(one)) for one in stored])
    values = np.where(stored == 255, np.nan, whole / SCALE**2)
    files = labelled(dict(zip(IDS, values, strict=True)))
    rows = Rows(IDS, np.arange(4), ROWS.years, {})
    found = vectors(folder.write(files), f",pooling={name}", rows)
    stats = join_stats([patch_stats(one) for one in stored])
    np.testing.assert_allclose(found, pool_stats(stats, [name])[name], rtol=1e-6, atol=1e-7)


def test_pixels_count_where_every_band_has_a_value(place: Place) -> None:
    arrays = patches("int16", bands=2)
    for array in arrays.values():
        array[0, 0, 0] = array[1, 3, 4] = -9999
    arrays["B_2"][1] = -9999
    expected = []
    for array in arrays.values():
        valid = (array != -9999).all(axis=0)
        expected.append([band[valid].mean() if valid.any() else np.nan for band in array])
    by_tag = read_features(f"mine={place.write(labelled(arrays, nodata=-9999))}", ROWS)
    given = f"mine={place.write(labelled(arrays), 'plain')},nodata=-9999"
    by_option = read_features(given, ROWS)
    for found in (by_tag, by_option):
        np.testing.assert_array_equal(found.vectors.array, np.array(expected, np.float32))
        assert found.lacking == {3}
        assert "the first: B_2 (1 without a valid pixel)" in found.notes[-1]
    assert by_tag.made_of.endswith(", by the files' tags nodata -9999")
    assert by_option.made_of.endswith(", nodata -9999")


@pytest.mark.parametrize("nodata", ["-3.4e38", "nan"])
def test_nodata_in_decimal_digits_is_the_nearest_number_of_the_band(
    folder: Place, nodata: str
) -> None:
    arrays = patches()
    for array in arrays.values():
        array[2, 1, 1] = np.float32(nodata)
    found = vectors(folder.write(labelled(arrays)), f",nodata={nodata}")
    valid = np.ones((6, 8), bool)
    valid[1, 1] = False
    expected = [array[:, valid].astype(np.float64).mean(axis=1) for array in arrays.values()]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_nodata_beyond_the_type_of_the_bands_is_no_pixel(folder: Place) -> None:
    arrays = {name: np.full((1, 2, 2), 241, np.uint8) for name in IDS}  # -9999 wraps to 241
    arrays["A_1"][:] = 3
    path = folder.write(labelled(arrays))
    assert vectors(path, ",nodata=-9999").ravel().tolist() == [3, 241, 241, 241]


def test_scales_and_offsets_are_those_of_the_tags_or_the_given_ones(folder: Place) -> None:
    arrays = patches("uint16", bands=2)
    tags = {"scales": (0.5, 0.25), "offsets": (1, -2)}
    path = folder.write(labelled(arrays, tags=tags))
    means = np.array([array.reshape(2, -1).mean(axis=1) for array in arrays.values()])
    found = read_features(f"mine={path}", ROWS)
    np.testing.assert_allclose(found.vectors.array, means * [0.5, 0.25] + [1, -2], rtol=1e-6)
    assert found.made_of.endswith("by the files' tags scale 0.25 to 0.5, offset -2 to 1")
    found = read_features(f"mine={path},scale=0.0001,offset=0", ROWS)
    np.testing.assert_allclose(found.vectors.array, means * 0.0001, rtol=1e-6)
    assert found.made_of.endswith("over valid pixels, scale 0.0001, offset 0")


def test_tags_that_differ_between_files_are_used_and_named(folder: Place) -> None:
    files = labelled({name: np.ones((1, 2, 2), np.uint8) for name in IDS})
    files["A/A_1.tif"] = tiff(np.ones((1, 2, 2), np.uint8), {"scales": (0.5,)})
    found = read_features(f"mine={folder.write(files)}", ROWS)
    assert found.vectors.array.ravel().tolist() == [0.5, 1, 1, 1]
    assert "mine: the files' own tags differ, and each file's are used: none; scale 0.5" in (
        found.notes
    )


def test_a_mask_in_the_file_counts_and_a_band_called_alpha_is_a_number(folder: Place) -> None:
    array = np.array([[[1, 2], [3, 100]]], np.uint8)
    path = folder.write({f"{name}.tif": tiff(array) for name in IDS})
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path / "A_1.tif", "r+") as dataset,
    ):
        dataset.write_mask(np.array([[255, 255], [255, 0]], np.uint8))
    assert vectors(path).ravel().tolist() == [2, 26.5, 26.5, 26.5]
    rgba = np.arange(16, dtype=np.uint8).reshape(4, 2, 2) * np.array([1, 1, 1, 0])[:, None, None]
    content = tiff(rgba.astype(np.uint8))
    path = folder.write({f"{name}.tif": content for name in IDS}, "rgba")
    with rasterio.open(path / "A_1.tif") as dataset:
        assert dataset.colorinterp[-1].name == "alpha"
    assert vectors(path)[0].tolist() == [1.5, 5.5, 9.5, 0]


def test_files_are_named_as_those_of_a_catalog(place: Place) -> None:
    rows = Rows(("plot_0x2E_1", "W_0xE4_ldchen"), np.array([0, 1]), np.zeros(2), {})
    files = {
        "a/plot.1.tif": tiff(np.ones((1, 2, 2))),
        "Wa\u0308ldchen.TIFF": tiff(np.full((1, 2, 2), 2.0)),
    }
    assert vectors(place.write(files), rows=rows).ravel().tolist() == [1, 2]


def test_what_is_not_used_or_not_there_is_counted(place: Place) -> None:
    arrays = patches()
    del arrays["A_2"]
    files = labelled(arrays)
    files |= {"C/C_1.tif": b"not read", "notes.txt": b"x", "A/._A_1.tif": b"x"}
    found = read_features(f"mine={place.write(files)}", ROWS)
    assert found.lacking == {1}
    text = "\n".join(found.notes)
    assert "mine: hidden and system files" in text
    assert "mine: files left out that are no .tif or .tiff" in text
    assert "mine: 1 row of other patches is not used" in text
    assert "mine lacks 1 of 4 patches, the first: A_2;" in text


def test_folders_that_are_other_labels_are_counted(place: Place) -> None:
    files = labelled(patches())
    files["A/B_1.tif"] = files.pop("B/B_1.tif")
    found = read_features(f"mine={place.write(files)}", ROWS)
    assert found.notes[-1] == (
        "mine: the names of its folders differ from the release's labels in 1 of 4 patches; those "
        "of the release are used"
    )


def test_files_without_a_place_are_read_without_a_warning(place: Place) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        content = tiff(np.ones((2, 3, 3)), crs=None, transform=None)
    path = place.write({f"{name}.tif": content for name in IDS})
    assert vectors(path).tolist() == [[1, 1]] * 4


def test_two_files_of_a_patch_are_refused(place: Place) -> None:
    files = labelled(patches()) | {"C/A_1.tiff": tiff(np.ones((5, 2, 2)))}
    with pytest.raises((InputError, CatalogError), match="two files give the patch id A_1"):
        vectors(place.write(files))


def test_files_of_different_bands_are_refused_by_name(place: Place) -> None:
    files = labelled(patches()) | {"B/B_1.tif": tiff(np.ones((3, 2, 2)))}
    with pytest.raises(InputError, match="files of 5 and of 3 bands, as A_1 and B_1"):
        vectors(place.write(files))


def test_a_band_that_tells_the_label_is_refused_by_name(place: Place) -> None:
    arrays = patches(bands=3)
    for name, array in arrays.items():
        array[1] = NAMES.index(name[0]) * 7
    with pytest.raises(InputError, match=r"'mean of band 2' .one value for all of a label"):
        vectors(place.write(labelled(arrays)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no tiff", r"cannot read .*A_1\.tif: "),
        (b"", r"cannot read .*A_1\.tif: "),
        (tiff(np.ones((5, 64, 64)))[:-900], r"cannot read .*A_1\.tif: "),
        (tiff(np.ones((5, 2, 2), np.complex64)), r"A_1\.tif: its bands are of the type complex64"),
        (VRT, r"cannot read .*A_1\.tif: "),
    ],
    ids=["text", "empty", "cut off", "complex", "vrt"],
)
def test_files_that_are_no_whole_geotiffs_of_numbers_are_refused(
    place: Place, content: bytes, message: str
) -> None:
    files = labelled(patches()) | {"A/A_1.tif": content}
    with pytest.raises(InputError, match=message):
        vectors(place.write(files))


@pytest.mark.parametrize(
    "profile",
    [{}, {"tiled": True, "blockxsize": 512, "blockysize": 512}],
    ids=["strips", "tiles"],
)
def test_a_small_file_that_unpacks_to_a_large_one_is_refused_unread(
    place: Place, profile: dict[str, Any]
) -> None:
    with MemoryFile() as file:
        shape = {"count": 5, "height": 9000, "width": 9000, "dtype": "uint8", "sparse_ok": True}
        shape |= PLACED
        with file.open(driver="GTiff", compress="deflate", **shape, **profile):
            pass
        content = file.read()
    assert len(content) < 2_000_000
    with pytest.raises(InputError, match="it says that it has 5 bands of 9,000 x 9,000 pixels"):
        vectors(place.write(labelled(patches()) | {"A/A_1.tif": content}))


def test_a_small_picture_in_a_large_block_is_refused_unread(folder: Place) -> None:
    with MemoryFile() as file:
        blocks = {"tiled": True, "blockxsize": 16384, "blockysize": 8192, "sparse_ok": True}
        shape = {"count": 1, "height": 8, "width": 8, "dtype": "uint8"} | PLACED
        with file.open(driver="GTiff", compress="deflate", **shape, **blocks):
            pass
        content = file.read()
    with pytest.raises(InputError, match="in blocks up to 8,192 x 16,384"):
        vectors(folder.write(labelled(patches()) | {"A/A_1.tif": content}))


def test_a_folder_without_geotiffs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no .tif below "):
        vectors(tmp_path)


def test_a_pipe_in_a_folder_is_not_waited_for(folder: Place) -> None:
    path = folder.write(labelled(patches()))
    (path / "A/A_1.tif").unlink()
    os.mkfifo(path / "A/A_1.tif")
    with pytest.raises(InputError, match=r"A_1\.tif: it is no file"):
        vectors(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (",pooling=median", "there is no pooling 'median'"),
        (",scale=big", "scale=big is no number"),
        (",scale=nan", "scale=nan is no number"),
        (",nodata=inf", "nodata=inf is no number"),
        (",list=a.txt", "list= says nothing of GeoTIFFs"),
    ],
)
def test_options_that_do_not_fit_are_refused(folder: Place, options: str, message: str) -> None:
    path = folder.write(labelled(patches()))
    with pytest.raises(InputError, match=message):
        vectors(path, options)


def test_vectors_that_are_too_long_for_memory_are_refused_before_one_is_made(
    folder: Place,
) -> None:
    many = (*IDS, *(f"C_{number}" for number in range(30_000)))
    rows = Rows(many, np.zeros(len(many), int), np.full(len(many), 2018), {})
    path = folder.write({"A_1.tif": tiff(np.ones((200, 2, 2), np.uint8))})
    with pytest.raises(InputError, match="30,004 vectors of 20,100 numbers are over 2 GiB"):
        vectors(path, ",pooling=covariance", rows)


def test_no_pixel_in_any_file_is_refused(folder: Place) -> None:
    arrays = {name: np.zeros((2, 2, 2), np.uint8) for name in IDS}
    with pytest.raises(InputError, match="has no valid pixel in all patches"):
        vectors(folder.write(labelled(arrays)), ",nodata=0")
