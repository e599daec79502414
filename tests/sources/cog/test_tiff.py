from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from hfaef.core.aef import Tile
from hfaef.sources.cog.remote.blocks import RUN_BYTES, Chunk, plan_runs
from hfaef.sources.cog.remote.tiff import ZSTD, Header, read_header
from hfaef.sources.demo.bigtiff import CELL, Order, write_tiff

TILE = Tile("EPSG:32632", 1, 64)


def write(path: Path, order: Order = "bands", side: int = 4096) -> Path:
    cells = {
        (row, column): np.full((64, CELL, CELL), row + column, np.int8)
        for row in (0, 17, 40)
        for column in (3, 33)
    }
    write_tiff(path, [cells], epsg=32632, transform=TILE.grid.transform, side=side, order=order)
    return path


def header_of(content: bytes, size: int | None = None) -> Header:
    return read_header(lambda start, count: content[start : start + count], size or len(content))


@pytest.mark.parametrize("order", ["bands", "blocks"])
def test_chunks_lie_where_rasterio_says(tmp_path: Path, order: Order) -> None:
    path = write(tmp_path / "tile.tiff", order)
    header = header_of(path.read_bytes())
    with rasterio.open(path) as tile:
        assert header.crs == "EPSG:32632" == str(tile.crs)
        assert header.transform == tuple(tile.transform)[:6]
        assert header.compression == ZSTD
        assert [level.width for level in header.levels] == [
            tile.width,
            *(tile.width // factor for factor in tile.overviews(1)),
        ]
        starts, counts = header.levels[0].starts, header.levels[0].counts
        for band in (1, 30, 64):
            for row in range(4):
                for column in range(4):
                    name = f"{column}_{row}"
                    start = tile.get_tag_item(f"BLOCK_OFFSET_{name}", "TIFF", bidx=band)
                    size = tile.get_tag_item(f"BLOCK_SIZE_{name}", "TIFF", bidx=band)
                    assert int(start or 0) == starts[band - 1, row, column]
                    assert int(size or 0) == counts[band - 1, row, column]


def test_a_file_written_by_gdal_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "gdal.tiff"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=300,
        height=200,
        count=64,
        dtype="int8",
        nodata=-128,
        crs="EPSG:32733",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 100_000),
        tiled=True,
        blockxsize=128,
        blockysize=64,
        interleave="band",
        compress="zstd",
        bigtiff="yes",
    ) as dataset:
        dataset.write(np.zeros((64, 200, 300), np.int8))
    header = header_of(path.read_bytes())
    assert header.crs == "EPSG:32733"
    assert header.transform == (10, 0, 500_000, 0, -10, 100_000)
    assert header.levels[0].starts.shape == (64, 4, 3)


def place_of(content: bytes, tag: int) -> int:
    """Where the first directory's entry of a tag is."""
    (start,) = struct.unpack_from("<Q", content, 8)
    (count,) = struct.unpack_from("<Q", content, start)
    places = [start + 8 + 20 * number for number in range(count)]
    return next(p for p in places if struct.unpack_from("<H", content, p)[0] == tag)


@pytest.mark.parametrize(
    ("tag", "at", "layout", "value", "words"),
    [
        (277, 12, "<H", 63, "63 bands"),
        (259, 12, "<H", 5, "compressed in another way"),
        (284, 12, "<H", 1, "bands mixed"),
        (256, 12, "<I", 2**31, "pixels"),
        (322, 12, "<I", 2**20, "internal tiles"),
        (322, 12, "<I", 0, "internal tiles"),
        (324, 4, "<Q", 4 * 10**18, "values in its tag 324"),
        (325, 4, "<Q", 10**12, "values in its tag 325"),
        (324, 12, "<Q", 2**62, "beyond the file"),
        (34735, 4, "<Q", 4, "names no CRS"),
        (34264, 0, "<H", 65_000, "no upright georeferencing"),
        (42113, 4, "<Q", 10**9, "values in its tag 42113"),
    ],
)
def test_a_forged_header_is_refused_before_anything_is_allocated(
    tmp_path: Path, tag: int, at: int, layout: str, value: int, words: str
) -> None:
    content = bytearray(write(tmp_path / "tile.tiff").read_bytes())
    struct.pack_into(layout, content, place_of(bytes(content), tag) + at, value)
    with pytest.raises(ValueError, match=words):
        header_of(bytes(content))


def test_a_header_that_goes_in_circles_is_refused(tmp_path: Path) -> None:
    content = bytearray(write(tmp_path / "tile.tiff").read_bytes())
    (start,) = struct.unpack_from("<Q", content, 8)
    (count,) = struct.unpack_from("<Q", content, start)
    struct.pack_into("<Q", content, start + 8 + 20 * count, start)
    with pytest.raises(ValueError, match="without an end"):
        header_of(bytes(content))


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    content = write(tmp_path / "tile.tiff").read_bytes()
    with pytest.raises(ValueError, match="beyond the end"):
        header_of(content[:-1000])


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_do_more_than_be_refused(content: bytes, real_start: bool) -> None:
    start = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if real_start else b""
    with pytest.raises(ValueError, match=r"."):
        header_of(start + content)


@given(st.data())
def test_a_damaged_header_is_read_or_refused(tmp_path_factory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.tiff"
    content = bytearray((path if path.exists() else write(path)).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, 2000))] = data.draw(st.integers(0, 255))
    try:
        header = header_of(bytes(content))
    except ValueError:
        return
    for level in header.levels:
        assert (level.starts + level.counts <= len(content)).all()


class TestRuns:
    def test_chunks_side_by_side_are_one_request(self) -> None:
        chunks = [Chunk(700_000 * n, 700_000, (0, 0, 0), n) for n in range(64)]
        runs = plan_runs(reversed(chunks))
        assert len(runs) <= 8
        assert [chunk for run in runs for chunk in run.chunks] == chunks
        assert max(run.count for run in runs) <= RUN_BYTES

    def test_the_few_bytes_between_chunks_of_a_cog_do_not_part_them(self) -> None:
        chunks = [Chunk(1008 * n, 1000, (0, 0, 0), n) for n in range(64)]
        assert len(plan_runs(chunks)) == 1

    @given(st.lists(st.integers(0, 200_000), max_size=60), st.integers(1, 3_000_000))
    def test_hardly_a_byte_more_is_fetched_than_is_needed(self, gaps: list[int], size: int) -> None:
        chunks, start = [], 0
        for number, gap in enumerate(gaps):
            start += gap
            chunks.append(Chunk(start, size, (0, 0, number), 0))
            start += size
        runs = plan_runs(chunks)
        needed = size * len(chunks)
        assert needed <= sum(run.count for run in runs) <= needed * 1.01 + 16 * len(chunks)
        assert [chunk for run in runs for chunk in run.chunks] == chunks
