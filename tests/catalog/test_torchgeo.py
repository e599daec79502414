"""Folders that hold no data set of TorchGeo's, whatever they hold: refused by name."""

from __future__ import annotations

import io
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from hfaef.catalog import torchgeo
from hfaef.errors import CatalogError
from hfaef.recipe.patches import TorchGeo
from support.refusals import used_or_refused

EuroSAT100 = pytest.importorskip("torchgeo.datasets").EuroSAT100


def read(root: Path, **changes: object) -> object:
    section = {"kind": "torchgeo", "dataset": "EuroSAT100", "root": root, **changes}
    return torchgeo.read(TorchGeo.model_validate(section), 2018)


def damaged_archive() -> bytes:
    """A ZIP whose list of files is whole, and whose file is not."""
    file = io.BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr("a.tif", bytes(range(256)) * 4)
    content = bytearray(file.getvalue())
    content[50:60] = b"\xff" * 10
    return bytes(content)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04" + bytes(100), b"?" * 1000, damaged_archive()]
)
@pytest.mark.parametrize("checksum", [True, False])
def test_an_archive_that_is_none_is_refused(tmp_path: Path, content: bytes, checksum: bool) -> None:
    for name in EuroSAT100.split_filenames.values():
        (tmp_path / name).write_text("Forest_1.jpg\n")
    (tmp_path / EuroSAT100.filename).write_bytes(content)
    words = "TorchGeo cannot open EuroSAT100"
    assert used_or_refused(lambda: read(tmp_path, checksum=checksum), words) is None


def test_a_folder_that_holds_nothing_is_told_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"--set patches\.download=true"):
        read(tmp_path)
    with pytest.raises(CatalogError, match="EuroSAT100 is not in"):
        read(tmp_path / "nowhere")
