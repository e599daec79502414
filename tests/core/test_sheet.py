from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from hfaef.core import sheet

patches = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda shape: hnp.arrays(np.uint8, (64, *shape))
)


@given(patches)
def test_a_sheet_gives_back_what_went_in(stored: np.ndarray) -> None:
    decoded = sheet.decode(sheet.encode(stored))
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, stored)


@given(patches)
def test_a_sheet_tells_its_shape_and_is_decoded_into_an_array(stored: np.ndarray) -> None:
    png = sheet.encode(stored)
    assert sheet.shape(png[: sheet.HEAD]) == stored.shape[1:]
    last = np.empty((*stored.shape[1:], 64), np.uint8)
    for out in (np.empty_like(stored), np.moveaxis(last, -1, 0)):
        sheet.decode(png, out)
        assert np.array_equal(out, stored)
    assert np.array_equal(np.moveaxis(last, -1, 0), stored)
    with pytest.raises(ValueError, match="a sheet of"):
        sheet.decode(png, np.empty((64, stored.shape[1] + 1, 1), np.uint8))


@settings(max_examples=20)
@given(patches)
def test_pillow_and_datasets_decode_the_same(stored: np.ndarray) -> None:
    from datasets import Image as ImageFeature

    png = sheet.encode(stored)
    with Image.open(io.BytesIO(png)) as picture:
        by_pillow = np.asarray(picture)
    by_datasets = np.asarray(ImageFeature().decode_example({"bytes": png, "path": None}))
    assert np.array_equal(by_pillow, by_datasets)
    assert np.array_equal(sheet.split(by_pillow), stored)


def test_band_lies_in_its_tile() -> None:
    stored = np.zeros((64, 3, 5), np.uint8)
    stored[8 * 2 + 6] = 200
    with Image.open(io.BytesIO(sheet.encode(stored))) as picture:
        grey = np.asarray(picture)
    assert grey.shape == (24, 40)
    assert (grey[2 * 3 : 3 * 3, 6 * 5 : 7 * 5] == 200).all()
    assert (grey == 200).sum() == 15


@pytest.mark.parametrize(
    "stored",
    [np.zeros((63, 4, 4), np.uint8), np.zeros((64, 4, 4), np.int8), np.zeros((64, 0, 4), np.uint8)],
)
def test_what_is_no_patch_is_not_encoded(stored: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a sheet takes"):
        sheet.encode(stored)


def picture(mode: str, size: tuple[int, int], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "png",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        picture("RGB", (64, 64)),
        picture("L", (63, 64)),
        picture("L", (64, 64), "BMP"),
        picture("L", (64, 64))[:-30],
    ],
    ids=["empty", "only a signature", "colour", "odd size", "another format", "cut off"],
)
def test_what_is_no_sheet_is_not_decoded(png: bytes) -> None:
    with pytest.raises(ValueError, match="not a sheet"):
        sheet.decode(png)


@pytest.mark.parametrize(
    "png",
    [b"", b"\x89PNG\r\n\x1a\n", picture("L", (63, 64)), picture("L", (64, 64), "BMP")],
    ids=["empty", "only a signature", "odd size", "another format"],
)
def test_what_is_no_sheet_tells_no_shape(png: bytes) -> None:
    with pytest.raises(ValueError, match="not a sheet"):
        sheet.shape(png[: sheet.HEAD])


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    png = bytearray(picture("L", (8, 8)))
    png[16:24] = (40_000).to_bytes(4) + (40_000).to_bytes(4)
    import zlib

    png[29:33] = zlib.crc32(bytes(png[12:29])).to_bytes(4)
    for read in (sheet.decode, sheet.shape):
        with pytest.raises(ValueError, match="not a sheet"):
            read(bytes(png))
