"""What files hold is said, compared with each of them, and read as it is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from hfaef.catalog import open_catalog
from hfaef.encoders import embed_recipe
from hfaef.encoders.base import Images
from hfaef.encoders.images import (
    ImageFile,
    describe_images,
    image_files,
    order_notes,
    read_image,
    training_files,
)
from hfaef.errors import InputError
from hfaef.recipe.model import Recipe
from hfaef.recipe.patches import TorchGeo
from support.images import images_recipe, noise, write_image, write_images

RGB = Images(("B04", "B03", "B02"), "DN")


def described(recipe: Recipe) -> Images:
    return describe_images(recipe.patches, image_files(open_catalog(recipe)))


def read(path: Path, images: Images = RGB) -> Any:
    return read_image(ImageFile("P0", path, 8, 8), images)


def test_images_come_sorted_by_id_one_for_all_years(tmp_path: Path) -> None:
    recipe = images_recipe(write_images(tmp_path, 4))
    catalog = open_catalog(recipe.model_copy(update={"years": [2018, 2024]}))
    assert len(catalog.patches) == 8
    files = image_files(catalog)
    assert [file.id for file in files] == ["P0", "P1", "P2", "P3"]
    assert files[1] == ImageFile("P1", tmp_path / "River/P1.tif", 8, 8)


def test_rows_of_a_table_have_no_images(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("id,label,lon,lat\na,Forest,11,48\n")
    table = {"kind": "table", "path": tmp_path / "points.csv"}
    recipe = Recipe.model_validate(
        {"name": "t", "years": [2018], "patches": table, "source": {"kind": "cog", "root": "aef"}}
    )
    with pytest.raises(InputError, match="rows of a table, which has no images"):
        image_files(open_catalog(recipe))


def test_training_images_are_those_that_no_scheme_tests_on(tmp_path: Path) -> None:
    root = write_images(tmp_path / "patches", 4)
    lists: dict[str, dict[str, Path]] = {}
    for scheme, train in {"random": "P0 P1", "spatial": "P1 P2"}.items():
        lists[scheme] = {}
        for split, names in (("train", train), ("test", "P0 P1 P2 P3")):
            wanted = [name for name in names.split() if split == "train" or name not in train]
            lists[scheme][split] = tmp_path / f"{scheme}-{split}.txt"
            lists[scheme][split].write_text("\n".join(wanted))
    catalog = open_catalog(images_recipe(root, splits=lists))
    files = image_files(catalog)
    assert [file.id for file in training_files(catalog, files)] == ["P1"]
    alone = open_catalog(images_recipe(root))
    assert training_files(alone, files) == files


def test_eurosats_bands_are_those_of_torchgeos_class_in_the_order_of_the_files(
    tmp_path: Path,
) -> None:
    datasets = pytest.importorskip("torchgeo.datasets")
    path = write_image(tmp_path / "a.tif", noise(0, 13))
    section = TorchGeo(kind="torchgeo", dataset="EuroSAT", root=tmp_path)
    found = describe_images(section, [ImageFile("a", path, 8, 8)])
    assert found.bands == datasets.EuroSAT.all_band_names
    assert found.bands[-1] == "B8A"
    assert (found.unit, found.level) == ("DN", "L1C")


def test_the_recipe_says_what_geotiffs_hold(tmp_path: Path) -> None:
    recipe = images_recipe(write_images(tmp_path), level="L2A")
    assert described(recipe) == Images(("B04", "B03", "B02"), "DN", "L2A")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            {"bands": [], "unit": None},
            'nobody says what the images hold (3 bands of uint16): the recipe has no `patches.bands` and no `patches.unit`; say it, as in `--set patches.bands=\'["B04","B03","B02"]\' --set patches.unit=DN`',
        ),
        ({"unit": None}, "no `patches.unit`; say it, as in `--set patches.unit=DN`"),
        ({"bands": []}, "no `patches.bands`; say it, as in `--set patches.bands="),
    ],
)
def test_what_nobody_says_is_asked_for_by_its_keys(
    tmp_path: Path, said: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        described(images_recipe(write_images(tmp_path), **said))


def test_what_is_asked_for_is_what_the_files_name(tmp_path: Path) -> None:
    write_image(tmp_path / "a/P0.tif", noise(0), names=("B2", "B3", "nir"))
    write_image(tmp_path / "a/P1.tif", noise(0), names=("B2", "B3", "B8"))
    with pytest.raises(InputError, match=re.escape('\'["B04","B03","B02"]\'')):
        described(images_recipe(tmp_path, bands=[]))
    (tmp_path / "a/P0.tif").unlink()
    with pytest.raises(InputError, match=re.escape('\'["B02","B03","B08"]\'')):
        described(images_recipe(tmp_path, bands=[]))


def test_names_in_a_file_that_contradict_are_refused_with_both(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise(0), names=("B2", "", "red"))
    words = f"{path} calls its bands B02 ? B04, and is said to hold B04 B03 B02"
    with pytest.raises(InputError, match=re.escape(words)):
        read(path)


def test_names_that_say_the_same_or_nothing_are_fine(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise(0), names=("Red", "second", "B2"))
    assert read(path) is not None


@pytest.mark.parametrize(
    ("names", "notes"),
    [
        ((), ("files name no bands: their order is believed as `patches.bands` says it",)),
        (
            ("red", "second", "B2"),
            ("files name not all bands: their order is believed as `patches.bands` says it",),
        ),
        (("red", "green", "blue"), ()),
    ],
)
def test_an_order_that_files_do_not_name_is_believed_and_said_once(
    tmp_path: Path, names: tuple[str, ...], notes: tuple[str, ...]
) -> None:
    for number in range(3):
        path = tmp_path / f"patches/Forest/P{number}.tif"
        write_image(path, noise(number), names=names, place=number)
    recipe = images_recipe(tmp_path / "patches")
    assert order_notes(recipe.patches, image_files(open_catalog(recipe))) == notes
    done = embed_recipe(recipe, "stats", tmp_path / "v.parquet")
    assert tuple(note for note in done.notes if note.startswith("files name")) == notes


def test_a_band_that_a_level_does_not_have_is_refused(tmp_path: Path) -> None:
    root = write_images(tmp_path)
    bands = ["B09", "B10", "B11"]
    with pytest.raises(InputError, match="has B10, which is in L1C only"):
        described(images_recipe(root, bands=bands, level="L2A"))
    assert described(images_recipe(root, bands=bands, level="L1C")).level == "L1C"
    assert described(images_recipe(root, bands=bands)).level is None


def test_another_number_of_bands_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise(0, 4))
    with pytest.raises(InputError, match="has 4 bands, and is said to hold 3: B04 B03 B02"):
        read(path)


@pytest.mark.parametrize(
    ("kind", "unit", "scale", "fits"),
    [
        ("uint16", "DN", 1.0, True),
        ("int16", "DN", 1.0, True),
        ("float32", "DN", 1.0, True),
        ("uint8", "DN", 1.0, False),
        ("uint16", "DN", 1e-4, False),
        ("uint8", "uint8", 1.0, True),
        ("uint16", "uint8", 1.0, False),
        ("float32", "reflectance", 1.0, True),
        ("uint16", "reflectance", 1.0, False),
        ("uint16", "reflectance", 1e-4, True),
    ],
)
def test_a_unit_that_the_files_cannot_hold_is_refused(
    tmp_path: Path, kind: str, unit: str, scale: float, fits: bool
) -> None:
    path = write_image(tmp_path / "a.tif", noise(0, kind=kind), scaled=(scale, 0.0))
    images = Images(RGB.bands, unit)  # type: ignore[arg-type]
    if fits:
        np.testing.assert_allclose(read(path, images), noise(0) * scale)
    else:
        with pytest.raises(InputError, match=f"holds {kind}.* said to be {unit}; mend"):
            read(path, images)


def test_reflectance_is_what_the_tags_make_of_numbers(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise(0), scaled=(1e-4, -0.1))
    found = read(path, Images(RGB.bands, "reflectance"))
    np.testing.assert_allclose(found, noise(0) * 1e-4 - 0.1)


def test_numbers_are_read_as_they_are_and_north_up(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise(0))
    found = read(path)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, noise(0))
    upside_down = write_image(tmp_path / "b.tif", noise(0)[:, ::-1], south_up=True)
    np.testing.assert_array_equal(read(upside_down), noise(0))


@pytest.mark.parametrize(("kind", "nodata"), [("uint16", 0), ("float32", -1), ("float32", None)])
def test_a_pixel_without_a_number_in_one_band_leaves_the_image_out(
    tmp_path: Path, kind: str, nodata: float | None
) -> None:
    values = noise(0, kind=kind)
    assert read(write_image(tmp_path / "whole.tif", values, nodata=nodata)) is not None
    values[1, 3, 4] = np.nan if nodata is None else nodata
    assert read(write_image(tmp_path / "holed.tif", values, nodata=nodata)) is None


def test_a_mask_beside_a_file_leaves_the_image_out(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise(0))
    assert read(path) is not None
    mask = np.full((8, 8), 255, np.uint8)
    mask[3, 4] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    assert (tmp_path / "a.tif.msk").is_file()
    assert read(path) is None


def test_a_folder_is_not_listed_for_each_of_its_files(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise(0))
    os.utime(tmp_path, (0, tmp_path.stat().st_mtime))  # most file systems note a listing
    assert read(path) is not None
    assert tmp_path.stat().st_atime == 0


def test_a_zero_without_a_tag_is_a_number(tmp_path: Path) -> None:
    values = noise(0)
    values[:, 0, 0] = 0
    np.testing.assert_array_equal(read(write_image(tmp_path / "a.tif", values)), values)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", noise(0))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=f"cannot read {re.escape(str(path))}"):
        read(path)
    other = tmp_path / "b.tif"
    os.mkfifo(other)
    with pytest.raises(InputError, match="it is no file"):
        read(other)
