"""A release as GeoTIFFs and GeoParquet, judged by other programs."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import product
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from build.test_pipeline import demo_recipe
from rasterio.windows import Window
from rio_cogeo import cog_validate

import hfaef
from hfaef.build.pipeline import build
from hfaef.catalog import geotiffs
from hfaef.cli.main import run
from hfaef.cli.terminal.output import Output
from hfaef.core.files import atomic_folder, folder_errors
from hfaef.core.quantize import BAND_NAMES
from hfaef.errors import FolderError, InputError
from hfaef.recipe.patches import Geotiffs
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import read_manifest
from hfaef.release.gis.export import export
from hfaef.release.gis.mosaic import Tile, write_mosaics

FORMS = {"png": (), "raw": ("pack.codec=raw",), "webdataset": ("pack.format=webdataset",)}


@pytest.fixture(scope="module", params=list(FORMS))
def release(request, demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "release"
    return build(demo_recipe(demo_root, *FORMS[request.param]), folder).folder


@pytest.fixture(scope="module", params=["deflate", "zstd"])
def exported(request, release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "out"
    return export(release, folder, compression=request.param).folder


def test_every_patch_is_a_valid_cog_on_its_own_grid(release: Path, exported: Path) -> None:
    names = read_manifest(release).label_names
    rows = {row["id"]: row for part in hfaef.load(release).values() for row in part}
    paths = sorted(exported.rglob("*.tif"))
    assert {path.stem for path in paths} == set(rows)
    for path in paths:
        row = rows[path.stem]
        with rasterio.open(path) as dataset:
            assert np.array_equal(dataset.read(), row["embedding"])
            assert dataset.crs == rasterio.CRS.from_user_input(row["crs"])
            assert list(dataset.transform)[:6] == row["transform"]
            assert dataset.transform.e < 0, "north-up"
            assert set(dataset.nodatavals) == {255}
            assert dataset.descriptions == BAND_NAMES
            assert dataset.tags()["label"] == names[row["label"]] == path.parent.name
    valid, errors, _ = cog_validate(paths[0])
    assert valid, errors


def test_gdal_and_rio_cogeo_find_nothing_to_say(exported: Path) -> None:
    path = next(exported.rglob("*.tif"))
    words = subprocess.run(
        ["rio", "cogeo", "validate", str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert "is a valid cloud optimized GeoTIFF" in words
    if shutil.which("gdalinfo"):
        text = subprocess.run(
            ["gdalinfo", "-json", str(path)], capture_output=True, text=True, check=True
        ).stdout
        about = json.loads(text)
        assert about["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
        assert [band["description"] for band in about["bands"]] == list(BAND_NAMES)


def test_the_table_is_geoparquet(release: Path, exported: Path) -> None:
    table = geopandas.read_parquet(exported / "pooled.parquet")
    assert table.crs == "OGC:CRS84"
    rows = {row["id"]: row for part in hfaef.load(release).values() for row in part}
    pooled = {
        row["id"]: row for part in hfaef.load(release, config="pooled").values() for row in part
    }
    assert set(table["id"]) == set(rows)
    for entry in table.to_dict("records"):
        row = rows[entry["id"]]
        assert entry["geometry"].bounds == pytest.approx(row["bounds"], abs=1e-4)
        assert [entry[name] for name in BAND_NAMES] == pooled[entry["id"]]["mean"]
        assert (exported / entry["path"]).is_file()
        assert entry["spatial"] == row["spatial"]


def test_an_export_is_a_catalog_again(exported: Path) -> None:
    section = Geotiffs.model_validate({"kind": "geotiffs", "root": exported})
    found = geotiffs.read(section, 2018)
    assert len(found.patches) == 40
    assert found.label_names == ("Dune", "Forest", "Heath", "Meadow", "Rock", "Town")


def test_a_folder_that_holds_something_is_left_alone(release: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FolderError, match="choose another --to"):
        export(release, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_unknown_compression_is_refused(release: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither deflate nor zstd"):
        export(release, tmp_path / "out", compression="lzw")


def test_the_command_says_what_it_wrote(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    target = tmp_path / "out"
    monkeypatch.setattr(
        "sys.argv", ["hfaef", "export", str(release), "--to", str(target), "--json"]
    )
    assert run(Output()) == 0
    assert json.loads(capsys.readouterr().out)["patches"] == 40


@pytest.fixture(scope="module")
def as_values(demo_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("values") / "out"
    return export(demo_release, folder, values=True, mosaic=True).folder


def test_values_are_those_that_hfaef_dequantizes_and_nan_where_there_is_no_data(
    demo_release: Path, as_values: Path
) -> None:
    rows = {row["id"]: row for p in hfaef.load(demo_release, dtype="float32").values() for row in p}
    paths = sorted(as_values.rglob("*.tif"))
    assert {path.stem for path in paths} == set(rows)
    gaps = 0
    for path in paths:
        with rasterio.open(path) as dataset:
            assert set(dataset.dtypes) == {"float32"}
            assert np.isnan(dataset.nodata)
            found = dataset.read()
            assert np.array_equal(found, rows[path.stem]["embedding"], equal_nan=True)
            assert "NaN is nodata" in dataset.tags()["meaning"]
            gaps += int(np.isnan(found).any())
    assert gaps
    valid, errors, _ = cog_validate(paths[0])
    assert valid, errors


def mosaics(folder: Path) -> dict[Path, list[Path]]:
    """VRTs of an export, and the GeoTIFFs that each should show."""
    found = {path: [] for path in sorted(folder.glob("mosaic*.vrt"))}
    systems = {}
    for path in found:
        with rasterio.open(path) as dataset:
            systems[dataset.crs.to_string()] = path
    for path in folder.rglob("*.tif"):
        with rasterio.open(path) as dataset:
            found[systems[dataset.crs.to_string()]].append(path)
    return found


def test_a_mosaic_shows_every_patch_where_it_lies(as_values: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(as_values, tmp_path / "Öde & Co")
    found = mosaics(moved)
    assert found
    assert sum(map(len, found.values())) == 40
    for path, tiles in found.items():
        assert str(tmp_path) not in path.read_text()
        with rasterio.open(path) as mosaic:
            assert mosaic.descriptions == BAND_NAMES
            assert np.isnan(mosaic.nodata)
            for tile in tiles:
                with rasterio.open(tile) as dataset:
                    own = dataset.read(1)
                    window = mosaic.window(*dataset.bounds)
                # Pixels of the mosaic that are well inside the patch, and where they lie in it.
                columns = np.arange(round(window.col_off) + 2, round(window.col_off) + 60)
                rows = np.arange(round(window.row_off) + 2, round(window.row_off) + 60)
                part = Window(columns[0], rows[0], len(columns), len(rows))
                seen = mosaic.read(1, window=part)
                x = ((columns + 0.5 - window.col_off) * 64 / window.width).astype(int)
                y = ((rows + 0.5 - window.row_off) * 64 / window.height).astype(int)
                near = [
                    own[np.ix_(y + down, x + across)]
                    for down, across in product((0, 1, -1), repeat=2)
                ]
                alike = [(one == seen) | (np.isnan(one) & np.isnan(seen)) for one in near]
                assert np.any(alike, axis=0).all(), tile


def test_a_mosaic_has_the_finest_pixels_and_holds_tiles_that_lie_between_them(
    tmp_path: Path,
) -> None:
    tiles = []
    for name, (side, west, code) in {"a": (10, 0, 7), "b": (30, 405.0, 9)}.items():
        transform = rasterio.Affine(side, 0, west, 0, -side, 1000)
        profile = {"driver": "GTiff", "count": 64, "dtype": "uint8", "nodata": 255}
        profile |= {"height": 4, "width": 4, "crs": "EPSG:32633", "transform": transform}
        with rasterio.open(tmp_path / f"{name}&.tif", "w", **profile) as dataset:
            dataset.write(np.full((64, 4, 4), code, np.uint8))
        tiles.append(Tile(f"{name}&.tif", 2020, "EPSG:32633", tuple(transform)[:6], 4, 4))
    [path] = write_mosaics(tmp_path, tiles, values=False)
    assert path.name == "mosaic.vrt"
    with rasterio.open(path) as mosaic:
        assert mosaic.res == (10, 10)
        assert (mosaic.height, mosaic.width) == (12, 53)
        assert mosaic.nodata == 255
        assert mosaic.read(64)[:4, :4].tolist() == [[7] * 4] * 4
        assert set(mosaic.read(1)[:, 42:51].ravel()) == {9}
        assert set(mosaic.read(1)[:, 5:40].ravel()) == {255}


def test_years_and_reference_systems_have_mosaics_of_their_own(tmp_path: Path) -> None:
    transform = (10.0, 0.0, 0.0, 0.0, -10.0, 0.0)
    wkt = 'LOCAL_CS["<&>"]'
    tiles = [
        Tile("a.tif", year, crs, transform, 4, 4)
        for year in (2019, 2020)
        for crs in ("EPSG:32633", wkt)
    ]
    names = sorted(path.name for path in write_mosaics(tmp_path, tiles, values=True))
    assert names == [
        "mosaic-2019-EPSG-32633.vrt",
        "mosaic-2019-crs-2.vrt",
        "mosaic-2020-EPSG-32633.vrt",
        "mosaic-2020-crs-2.vrt",
    ]
    assert "&lt;&amp;&gt;" in (tmp_path / "mosaic-2019-crs-2.vrt").read_text()


def test_an_export_into_the_folder_that_one_is_in(
    demo_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    inode = here.stat().st_ino
    export(demo_release, Path())
    assert here.stat().st_ino == inode
    assert (here / "pooled.parquet").is_file()
    assert len(list(here.rglob("*.tif"))) == 40
    assert not list(here.glob("*.part"))
    with pytest.raises(FolderError, match=r"holds something already \(Dune\)"):
        export(demo_release, Path())


def test_of_two_exports_into_one_folder_one_is_told_and_nothing_is_mixed(
    demo_release: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "gis"
    (tmp_path / "gis.part").mkdir()

    def second() -> None:
        with folder_errors(folder), atomic_folder(folder) as late:
            (late / "mine").write_text("second")
            export(demo_release, folder)

    with pytest.raises(FolderError, match="something else was written into it meanwhile"):
        second()
    assert (folder / "pooled.parquet").is_file()
    assert not (folder / "mine").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gis", "gis.part"]


def test_an_export_into_the_release_itself_is_refused(own_release: Path) -> None:
    with pytest.raises(FolderError, match="lies in the release itself"):
        export(own_release, own_release / "gis")
    assert check_folder(own_release) == []
