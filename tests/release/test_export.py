"""A release as GeoTIFFs and GeoParquet, judged by other programs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from build.test_pipeline import demo_recipe
from rio_cogeo import cog_validate

import hfaef
from hfaef.build.pipeline import build
from hfaef.catalog import geotiffs
from hfaef.cli.main import run
from hfaef.cli.output import Output
from hfaef.core.quantize import BAND_NAMES
from hfaef.errors import FolderError, InputError
from hfaef.recipe.model import Geotiffs
from hfaef.release.export import export
from hfaef.release.format.manifest import read_manifest

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
