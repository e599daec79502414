"""Whatever a folder or a split list holds is used, or refused with its path, in one line."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfaef.catalog import geotiffs
from hfaef.catalog.patch import Catalog
from hfaef.catalog.splits import read_list
from hfaef.recipe.patches import Geotiffs
from support.refusals import used_or_refused

few = settings(max_examples=30, suppress_health_check=list(HealthCheck), database=None)

NORTH_UP = rasterio.Affine(10, 0, 600_000, 0, -10, 5_000_000)


def write_tiff(path: Path, dtype: str = "uint8", **changes: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile: dict[str, object] = {
        "driver": "GTiff",
        "count": 1,
        "height": 8,
        "width": 8,
        "dtype": dtype,
        "crs": "EPSG:32632",
        "transform": NORTH_UP,
        **changes,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.ones((1, 8, 8), dtype))
    return path


def read(root: Path, **changes: object) -> Catalog:
    return geotiffs.read(
        Geotiffs.model_validate({"kind": "geotiffs", "root": root, **changes}), 2018
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tiff(tmp_path / "Forest" / "a.tif")
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiff(tmp_path_factory.mktemp("whole") / "a.tif").read_bytes()


@few
@given(st.data())
def test_any_damage_to_a_geotiff(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    content = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    path = tmp_path / "x" / "a.tif"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(content[:end]))
    found = used_or_refused(lambda: read(tmp_path), str(path))
    assert found is None or [patch.id for patch in found.patches] == ["a"]


@few
@given(
    st.tuples(*[st.floats() | st.sampled_from([0.0, 10.0, -10.0, 1e308, 5e-324])] * 6),
    st.sampled_from([None, "EPSG:32632", "EPSG:4326", "EPSG:3857", "ESRI:54009", "EPSG:3031"]),
)
def test_any_affine_and_crs(tmp_path: Path, affine: tuple[float, ...], crs: str | None) -> None:
    try:
        path = write_tiff(tmp_path / "x" / "a.tif", crs=crs, transform=rasterio.Affine(*affine))
    except Exception:  # noqa: BLE001 - rasterio writes no such file
        return
    found = used_or_refused(lambda: read(tmp_path), str(path))
    assert found is None or np.isfinite(found.patches[0].grid.bounds()).all()


@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "uint32", "int64", "float32", "float64", "complex64", "complex128"]
)
def test_any_type_of_pixels_has_a_grid(tmp_path: Path, dtype: str) -> None:
    write_tiff(tmp_path / "x" / "a.tif", dtype)
    assert read(tmp_path).patches[0].grid.transform == tuple(NORTH_UP)[:6]


def test_a_rotated_file_keeps_its_rotation(tmp_path: Path) -> None:
    turned = NORTH_UP @ rasterio.Affine.rotation(30)
    write_tiff(tmp_path / "x" / "a.tif", transform=turned)
    assert read(tmp_path).patches[0].grid.transform == pytest.approx(tuple(turned)[:6])


def test_a_pipe_and_a_socket_are_no_files(root: Path) -> None:
    os.mkfifo(root / "Forest" / "pipe.tif")
    here = Path.cwd()
    os.chdir(root / "Forest")  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as held:
            held.bind("socket.tif")
    finally:
        os.chdir(here)
    assert (
        used_or_refused(lambda: read(root), "pipe.tif is no file", "socket.tif is no file") is None
    )
    found = read(root, skip_bad=True)
    assert [patch.id for patch in found.patches] == ["a"]
    assert [gone.reason for gone in found.unreadable] == ["is no file"] * 2


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_is_closed_to_us_is_named(root: Path, what: str) -> None:
    path = write_tiff(root / "Water" / "b.tif")
    closed = path if what == "file" else path.parent
    closed.chmod(0)
    try:
        assert used_or_refused(lambda: read(root), str(closed)) is None
    finally:
        closed.chmod(0o700)


def test_a_folder_that_ends_as_a_raster_is_a_folder(root: Path) -> None:
    write_tiff(root / "Water.tif" / "b.tif")
    assert read(root).label_names == ("Forest", "Water.tif")


def test_folders_in_folders_without_end_are_refused(root: Path) -> None:
    deepest = root.joinpath(*["d"] * 900)
    for part in reversed([deepest, *deepest.parents]):
        if not part.is_dir():
            part.mkdir()
    assert used_or_refused(lambda: read(root), "lies in over 64 folders") is None


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "no/where", "Forest/a.tif"])
def test_a_path_that_is_no_folder(root: Path, name: str) -> None:
    assert used_or_refused(lambda: read(root / name)) is None


def test_labels_that_differ_only_in_case_are_refused_by_their_names(root: Path) -> None:
    write_tiff(root / "forest" / "b.tif")
    assert used_or_refused(lambda: read(root), "'Forest' and 'forest'") is None
    assert used_or_refused(lambda: read(root, labels=["forest", "Forest"]), "'Forest'") is None


def test_a_label_that_is_pythons_writing_of_bytes_is_refused(root: Path) -> None:
    write_tiff(root / "b'Water'" / "b.tif")
    assert used_or_refused(lambda: read(root), "b'Water'", "writing of bytes") is None


@few
@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r", b".tif", b"/", b"\\"]) | st.binary(max_size=3))
)
def test_any_bytes_of_a_split_list(tmp_path: Path, parts: list[bytes]) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(b"".join(parts))
    names = used_or_refused(lambda: read_list(path), str(path))
    assert names is None or all(name.strip() for name in names)
    write_tiff(tmp_path / "x" / "a.tif")
    used_or_refused(lambda: read(tmp_path, splits={"random": {"train": path}}))


@pytest.mark.parametrize("kind", ["folder", "pipe", "long", "nul", "missing"])
def test_a_split_list_that_is_no_file(root: Path, kind: str) -> None:
    path = root.parent / f"{root.name}-{kind}.txt"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "long":
            path = root / ("x" * 300)
        case "nul":
            path = root / "a\0b"
    lists = {"random": {"train": path}}
    assert used_or_refused(lambda: read(root, splits=lists), "split list") is None
