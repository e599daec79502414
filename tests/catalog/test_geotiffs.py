from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from hfaef.catalog import geotiffs
from hfaef.catalog.patch import Unreadable
from hfaef.core.grid import Grid
from hfaef.core.names import decode_id
from hfaef.errors import CatalogError
from hfaef.recipe.patches import Geotiffs


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


def test_all_files_that_cannot_be_used_are_named_at_once(folder: Path) -> None:
    for number in range(12):
        broken(folder / "River" / f"bad_{number:02d}.tif", "zero bytes")
    broken(folder / "River" / "bad_00.tif", "no CRS")
    with pytest.raises(CatalogError) as caught:
        read(folder)
    message = str(caught.value)
    assert "12 of 15 files cannot be used" in message
    assert f"{folder}/River/bad_00.tif has no CRS; " in message
    assert f"{folder}/River/bad_09.tif is no readable GeoTIFF; and 2 more" in message
    assert "bad_10" not in message
    assert "patches.skip_bad=true" in message


def test_each_of_many_files_has_its_own_grid_or_its_own_fault(folder: Path) -> None:
    root = folder / "Forest"
    for number in range(40):
        affine = rasterio.Affine(10, 0, 600_000 + 100 * number, 0, -10, 5_000_000)
        write_tiff(root / f"P{number:02}.tif", transform=affine)
    broken(root / "P21.tif", "zero bytes")
    with pytest.raises(CatalogError, match=r"^\S+/P21\.tif is no readable GeoTIFF"):
        read(folder)
    found = read(folder, skip_bad=True)
    assert [gone.id for gone in found.unreadable] == ["P21"]
    wests = {patch.id: patch.grid.transform[2] for patch in found.patches if patch.id[0] == "P"}
    assert wests == {f"P{n:02}": 600_000 + 100 * n for n in range(40) if n != 21}


@pytest.mark.parametrize("suffix", [".tfw", ".TFW", ".wld", ".tif.aux.xml"])
def test_an_affine_beside_a_file_counts(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "x/patch.tif"
    with pytest.warns(NotGeoreferencedWarning):
        write_tiff(path, transform=None)
    words = ["10", "0", "0", "-10", "600005", "4999995"]
    if suffix == ".tif.aux.xml":
        affine = "600000, 10, 0, 5000000, 0, -10"
        words = [f"<PAMDataset><GeoTransform>{affine}</GeoTransform></PAMDataset>"]
    path.with_name(f"patch{suffix}").write_text("\n".join(words))
    assert geotiffs.read_grid(path).transform == (10, 0, 600_000, 0, -10, 5_000_000)


def test_a_folder_is_not_listed_for_each_of_its_files(folder: Path) -> None:
    root = folder / "Forest"
    os.utime(root, (0, root.stat().st_mtime))  # most file systems note when a folder is listed
    geotiffs.read_all([root / "Forest_1.tif", root / "Forest_2.tif"])
    assert root.stat().st_atime == 0


def test_files_that_cannot_be_used_may_be_skipped_and_are_named_as_missing(folder: Path) -> None:
    broken(folder / "River" / "bad.tif", "cut off")
    beyond = rasterio.Affine(0.1, 0, 11, 0, -0.1, 95)
    write_tiff(folder / "River" / "pole.tif", crs="EPSG:4326", transform=beyond)
    lists = folder.parent / "train.txt"
    lists.write_text("Forest_1\nForest_2\nRiver_3\nbad.tif\npole")
    found = read(folder, skip_bad=True, splits={"random": {"train": lists}})
    assert [patch.id for patch in found.patches] == ["Forest_1", "Forest_2", "River_3"]
    assert found.unreadable[0] == Unreadable("bad", "River", "is cut off")
    assert found.unreadable[1].id == "pole"
    assert "no place on Earth" in found.unreadable[1].reason
    assert not any(str(folder) in gone.reason for gone in found.unreadable)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("crs", "affine", "word"),
    [
        ("EPSG:32601", (10, 0, 166_000, 0, -10, 40_000), "antimeridian"),
        ("EPSG:4326", (0.1, 0, 11, 0, -0.1, 95), "no place on Earth"),
        ("ESRI:53035", (10, 0, 0, 0, -10, 0), "WKT 1 cannot say"),
    ],
)
def test_a_grid_that_nobody_can_fetch_is_refused(
    folder: Path, crs: str, affine: tuple[float, ...], word: str
) -> None:
    path = write_tiff(folder / "River" / "far.tif", crs=crs, transform=rasterio.Affine(*affine))
    with pytest.raises(CatalogError, match=rf"River/far\.tif .*{word}"):
        read(folder)
    assert word in read(folder, skip_bad=True).unreadable[0].reason
    assert path.is_file()


def test_a_crs_of_another_authority_is_wkt_1(folder: Path) -> None:
    path = write_tiff(folder / "River" / "far.tif", crs="ESRI:54009")
    assert geotiffs.read_grid(path).crs.startswith('PROJCS["World_Mollweide"')


# --- Folders


def test_links_to_folders_and_files_are_followed(folder: Path) -> None:
    outside = folder.parent / "elsewhere"
    write_tiff(outside / "Water" / "w1.tif")
    (folder / "Water").symlink_to(outside / "Water")
    (folder / "Forest" / "w2.tif").symlink_to(outside / "Water" / "w1.tif")
    labels = {patch.id: patch.label for patch in read(folder).patches}
    assert labels["w1"] == "Water"
    assert labels["w2"] == "Forest"


@pytest.mark.parametrize("target", ["Forest", ".", "..", "River/other"])
def test_a_link_to_a_folder_above_it_is_refused(folder: Path, target: str) -> None:
    (folder / "River" / "other").mkdir()
    link = folder / "Forest" / "again"
    link.symlink_to(folder / target)
    if target == "River/other":
        (folder / "River" / "other" / "back").symlink_to(folder / "Forest")
    with pytest.raises(CatalogError, match="links to a folder above it"):
        read(folder)


def test_a_link_to_nothing_is_a_file_that_cannot_be_used(folder: Path) -> None:
    (folder / "River" / "gone.tif").symlink_to(folder / "nowhere.tif")
    with pytest.raises(CatalogError, match=r"gone\.tif is no readable GeoTIFF"):
        read(folder)


def test_a_link_to_no_folder_is_refused_as_it_may_be_a_label(folder: Path) -> None:
    (folder / "Water").symlink_to(folder / "nowhere")
    with pytest.raises(CatalogError, match="Water links to nothing"):
        read(folder)


def test_what_systems_leave_in_folders_is_left_out_and_counted(folder: Path) -> None:
    for name in (
        "Forest/.ipynb_checkpoints/Forest_1-checkpoint.tif",
        ".Trash-1000/files/old.tif",
        "__MACOSX/Forest/x.tif",
        ".git/objects/x.tif",
        "Forest/._Forest_1.tif",
    ):
        write_tiff(folder / name)
    for name in ("Thumbs.db", "Forest/.DS_Store", "Forest/Forest_1.tif.aux.xml", "labels.csv"):
        (folder / name).write_bytes(b"?")
    found = read(folder)
    assert found.label_names == ("Forest", "River")
    assert len(found.patches) == 3
    assert found.notes == (
        "hidden and system files and folders left out: 7 (.Trash-1000)",
        "files left out that are no .tif or .tiff: 2 (Forest_1.tif.aux.xml)",
    )


@pytest.mark.parametrize("name", ["mosaic.tif", "mosaic.TIFF", "group/mosaic.tif"])
def test_a_raster_beside_the_folders_of_labels_is_refused(folder: Path, name: str) -> None:
    write_tiff(folder / "group" / "Water" / "w1.tif")
    write_tiff(folder / name)
    with pytest.raises(CatalogError, match=rf"{name} lies beside the folders of labels"):
        read(folder)


def test_rasters_in_no_folder_of_a_label_are_refused(tmp_path: Path) -> None:
    for number in range(3):
        write_tiff(tmp_path / f"{number}.tif")
    with pytest.raises(CatalogError, match=r"0\.tif, and 2 more lies beside the folders"):
        read(tmp_path)


def test_labels_may_lie_at_any_depth(tmp_path: Path) -> None:
    for name in ("north/Forest/a.tif", "south/Forest/b.tif", "Water/c.tif"):
        write_tiff(tmp_path / name)
    assert [patch.label for patch in read(tmp_path).patches] == ["Water", "Forest", "Forest"]


@pytest.mark.parametrize("suffix", ["tif", "tiff", "TIF", "TIFF", "Tif"])
def test_all_extensions_of_tiffs_are_alike(tmp_path: Path, suffix: str) -> None:
    write_tiff(tmp_path / "x" / f"a.{suffix}")
    assert [patch.id for patch in read(tmp_path).patches] == ["a"]


def test_names_of_files_become_ids_that_give_them_back(tmp_path: Path) -> None:
    names = ["plot.1", "plot 2", "Wäldchen", "林", "tile_x20_y30", "plot_0x2E_1", "a'b"]
    for name in names:
        write_tiff(tmp_path / "x" / f"{name}.tif")
    found = read(tmp_path)
    assert {decode_id(patch.id) for patch in found.patches} == set(names)
    assert {"plot_0x2E_1", "tile_x20_y30"} <= {patch.id for patch in found.patches}
    (note,) = found.notes
    assert note.startswith("ids encoded: 6, ")


def test_labels_and_names_are_in_one_unicode_form_without_stray_spaces(tmp_path: Path) -> None:
    write_tiff(tmp_path / "Wa\u0308ld" / "a\u0308.tif")
    write_tiff(tmp_path / "Wäld " / "b .tif")
    found = read(tmp_path)
    assert found.label_names == ("Wäld",)
    assert {patch.id for patch in found.patches} == {"_0xE4_", "b"}
    assert found.notes[0].endswith("_ and - (ä is _0xE4_)")
    assert found.notes[1:] == (
        "ids whose files' names have stray spaces, or not Unicode's composed form (NFC): 2",
        "labels whose folders' names have stray spaces, or not Unicode's composed form (NFC): 2",
    )


@pytest.mark.parametrize("names", [("ä", "a\u0308"), ("a", "a "), ("a.tif", "a.TIF")])
def test_files_whose_names_are_one_are_both_named(tmp_path: Path, names: tuple[str, str]) -> None:
    for number, name in enumerate(names):
        write_tiff(tmp_path / str(number) / (name if "." in name else f"{name}.tif"))
    with pytest.raises(CatalogError, match="two files give the patch id"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("place", "word"),
    [
        (b"x/a\nb.tif", r"U\+000A"),
        (b"x/W\xe4ld.tif", "not UTF-8"),
        (b"W\xe4ld/a.tif", "not UTF-8"),
        (b"x\x07/a.tif", r"U\+0007"),
        (b"x/a" + b"." * 60 + b".tif", "over 200"),
        (b"x/a\\b.tif", "is a path"),
    ],
)
def test_a_name_that_cannot_be_published_is_refused(
    tmp_path: Path, place: bytes, word: str
) -> None:
    good = write_tiff(tmp_path / "good" / "g.tif")
    path = tmp_path / os.fsdecode(place)
    path.parent.mkdir()
    shutil.copy(good, path)
    with pytest.raises(CatalogError, match=word) as caught:
        read(tmp_path)
    assert str(caught.value).isprintable()


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
