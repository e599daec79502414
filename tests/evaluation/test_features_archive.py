"""Archives of GeoTIFFs as vectors: read as a stranger's are."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from hfaef.errors import InputError
from hfaef.evaluation.features import read_features
from support.rasters import ROWS, Place, labelled, patches, tiff, vectors


@pytest.fixture
def archive(tmp_path: Path) -> Place:
    return Place(tmp_path, "tar.gz")


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


def test_links_and_paths_out_of_an_archive_lead_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "B_2.tif"
    secret.write_bytes(tiff(np.full((5, 6, 8), 9.0)))
    path = tmp_path / "in" / "x.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        for name, array in list(patches().items())[:3]:
            content = tiff(array)
            member = entry(f"../../{name}.tif", tarfile.REGTYPE)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        archive.addfile(entry("B_2.tif", tarfile.SYMTYPE, str(secret)))
        archive.addfile(entry("C/B_2.tif", tarfile.LNKTYPE, "../../A_1.tif"))
        archive.addfile(entry("D/B_2.tif", tarfile.FIFOTYPE))
    before = sorted(tmp_path.rglob("*"))
    found = read_features(f"mine={path}", ROWS)
    assert found.lacking == {3}
    assert "mine: links and special files left out: 3" in found.notes
    assert sorted(tmp_path.rglob("*")) == before


def test_a_header_of_an_archive_that_does_not_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    header = entry("pax", tarfile.XHDTYPE)
    header.size = 1 << 32
    with gzip.open(path, "wb") as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(64):
            file.write(bytes(1 << 20))
    with pytest.raises(InputError, match="a header is over 1,048,576 bytes long"):
        vectors(path)


def test_a_member_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.tar"
    member = entry("A_1.tif", tarfile.REGTYPE)
    member.size = 1 << 40
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 16))
    with pytest.raises(InputError, match=r"A_1.tif is over 512 MiB"):
        vectors(path)


def test_an_archive_that_grows_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfaef.evaluation.features.archive._FREE", 1 << 20)
    path = tmp_path / "growing.tar.gz"
    member = entry("notes.txt", tarfile.REGTYPE)
    member.size = 64 << 20
    with gzip.open(path, "wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(member.size + 10240))
    with pytest.raises(InputError, match="it unpacks to over 200 times its size"):
        vectors(path)


@pytest.mark.parametrize("left", [0, 100, 3000, -200, -4])
def test_an_archive_that_is_cut_off_is_refused(archive: Place, left: int) -> None:
    path = archive.write(labelled(patches()))
    content = path.read_bytes()
    path.write_bytes(content[:left])
    with pytest.raises(InputError, match=r"cannot read .*place\.tar\.gz"):
        vectors(path)


def test_a_damaged_archive_is_refused(archive: Place) -> None:
    path = archive.write(labelled(patches()))
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # of gzip's checksum
    path.write_bytes(content)
    with pytest.raises(InputError, match="CRC"):
        vectors(path)


def test_an_archive_without_geotiffs_is_refused(archive: Place) -> None:
    with pytest.raises(InputError, match=r"there is no .tif in "):
        vectors(archive.write({"notes.txt": b"x"}))
