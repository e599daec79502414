from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from hfaef.catalog import geotiffs
from hfaef.core.grid import Grid
from hfaef.errors import CatalogError
from hfaef.recipe.model import Geotiffs


def write_tiff(path: Path, crs: str | None = "EPSG:32632", **changes: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    settings: dict[str, object] = {
        "driver": "GTiff",
        "width": 8,
        "height": 6,
        "count": 2,
        "dtype": "uint16",
        "crs": crs,
        "transform": rasterio.Affine(9.9, 0, 600_000.5, 0, -10.1, 5_000_000.5),
        **changes,
    }
    with rasterio.open(path, "w", **settings) as dataset:
        dataset.write(np.ones((2, settings["height"], settings["width"]), settings["dtype"]))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label, number in (("Forest", 1), ("Forest", 2), ("River", 3)):
        write_tiff(tmp_path / "patches" / label / f"{label}_{number}.tif")
    return tmp_path / "patches"


def read(folder: Path, **changes: object):
    section = {"kind": "geotiffs", "root": folder, **changes}
    return geotiffs.read(Geotiffs.model_validate(section), 2018)


def test_real_grids_are_read_as_somebody_else_read_them(
    eurosat_images: Path, eurosat_grids: dict[str, Grid]
) -> None:
    found = read(eurosat_images)
    assert {patch.id: patch.grid for patch in found.patches} == eurosat_grids
    assert all(patch.id.startswith(patch.label) for patch in found.patches)
    assert len(found.label_names) == 10


def test_labels_are_folders(folder: Path) -> None:
    found = read(folder)
    assert {patch.id: patch.label for patch in found.patches} == {
        "Forest_1": "Forest",
        "Forest_2": "Forest",
        "River_3": "River",
    }
    assert found.label_names == ("Forest", "River")


def test_listed_labels_keep_their_order(folder: Path) -> None:
    assert read(folder, labels=["River", "Forest"]).label_names == ("River", "Forest")


def test_a_folder_that_is_no_listed_label_is_refused(folder: Path) -> None:
    with pytest.raises(CatalogError, match="patch River_3 has the label 'River'"):
        read(folder, labels=["Forest"])


def test_each_scheme_reads_its_lists(folder: Path) -> None:
    lists = {}
    for name, ids in (("train", "Forest_1 River_3"), ("test", "Forest_2")):
        lists[name] = folder.parent / f"{name}.txt"
        lists[name].write_text("\n".join(f"{identity}.jpg" for identity in ids.split()))
    found = read(folder, splits={"spatial": lists})
    assert found.schemes == ("spatial",)
    assert {patch.id: patch.splits["spatial"] for patch in found.patches} == {
        "Forest_1": "train",
        "Forest_2": "test",
        "River_3": "train",
    }


def test_a_south_up_file_gives_a_north_up_grid(tmp_path: Path) -> None:
    affine = rasterio.Affine(10, 0, 600_000, 0, 10, 5_000_000)
    path = write_tiff(tmp_path / "x/south.tif", transform=affine)
    assert geotiffs.read_grid(path).transform == (10, 0, 600_000, 0, -10, 5_000_060)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3035", "EPSG:32733"])
def test_any_crs_is_fine(tmp_path: Path, crs: str) -> None:
    affine = rasterio.Affine(0.5, 0.1, 10, 0.1, -0.5, 50)
    path = write_tiff(tmp_path / "x/patch.tif", crs=crs, transform=affine)
    assert geotiffs.read_grid(path) == Grid(crs, (0.5, 0.1, 10, 0.1, -0.5, 50), 6, 8)


def broken(path: Path, how: str) -> Path:
    """A file that is wrong in some way."""
    match how:
        case "no CRS":
            return write_tiff(path, crs=None)
        case "no affine":
            with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
                return write_tiff(path, transform=rasterio.Affine.identity())
        case "singular":
            return write_tiff(path, transform=rasterio.Affine(10, 0, 5, 0, 0, 5))
        case "cut off":
            write_tiff(path)
            path.write_bytes(path.read_bytes()[:-40])
        case "only a header":
            write_tiff(path)
            path.write_bytes(path.read_bytes()[:120])
        case "zero bytes":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        case "a picture":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
        case "a VRT":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>")
    return path


@pytest.mark.parametrize(
    "how",
    [
        "no CRS",
        "no affine",
        "singular",
        "cut off",
        "only a header",
        "zero bytes",
        "a picture",
        "a VRT",
    ],
)
def test_a_file_that_cannot_be_used_is_named(folder: Path, how: str) -> None:
    path = broken(folder / "River" / "River_9.tif", how)
    with pytest.raises(CatalogError) as caught:
        read(folder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_files_with_one_name_are_both_named(folder: Path) -> None:
    write_tiff(folder / "River" / "Forest_1.tif")
    with pytest.raises(CatalogError, match=r"Forest/Forest_1\.tif and .*River/Forest_1\.tif"):
        read(folder)


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_patches_is_refused(tmp_path: Path, exists: bool) -> None:
    root = tmp_path / "empty"
    if exists:
        root.mkdir()
    with pytest.raises(CatalogError, match="empty"):
        read(root)
