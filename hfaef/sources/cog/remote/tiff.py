"""The layout of an AEF tile: where each chunk of each band lies in the file, read from its header.

BigTIFF as the published tiles are: https://source.coop/tge-labs/aef. A header comes from a server,
so every number in it is checked before anything is allocated or fetched by it.
Tags: https://gdal.org/en/stable/drivers/raster/gtiff.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hfaef.core.grid import Affine
from hfaef.core.quantize import BANDS, NODATA

ZSTD = 50000
PLAIN = 1

FIRST_BYTES = 1 << 17
"""Holds the header of a published tile with all its overviews; more is read where it does not."""

_MOST_BYTES = 1 << 22
_MOST_DIRECTORIES = 24
_MOST_ENTRIES = 128
_LONGEST_SIDE = 1 << 16
_LARGEST_BLOCK = 1 << 22
"""Pixels of a block; those of AEF have 2 ** 20."""

_TYPES = {1: "u1", 2: "u1", 3: "<u2", 4: "<u4", 5: "<u8", 9: "<i4", 12: "<f8", 13: "<u4", 16: "<u8"}

Read = Callable[[int, int], bytes]
"""Bytes of a file from a first one on, so many or as many as there are."""


@dataclass(frozen=True)
class Level:
    """The full image or an overview."""

    width: int
    height: int
    block_width: int
    block_height: int
    starts: npt.NDArray[np.int64]
    """Offset of each chunk in the file, int64 (64, block rows, block columns)."""
    counts: npt.NDArray[np.int64]
    """Bytes of each chunk, of the same shape; 0 for one that is not there and is nodata."""


@dataclass(frozen=True)
class Header:
    """Georeferencing of a tile, and where its chunks are."""

    crs: str
    transform: Affine
    """From (column, row) of the full image to crs units, in the order of the file's rows."""
    compression: int
    """`ZSTD` or `PLAIN`."""
    levels: tuple[Level, ...]
    """The full image first, then overviews, each smaller than the one before."""
    size: int
    """Bytes of the file."""


def read_header(read: Read, size: int) -> Header:
    """The header of a tile.

    Args:
        read: gives bytes of the file.
        size: of the file, in bytes.

    Raises:
        ValueError: saying in what the file is not one of AEF's.
    """
    data = _Bytes(read, size)
    magic, offset_bytes, zero, offset = struct.unpack("<4sHHQ", data.span(0, 16))
    if magic != b"II\x2b\x00" or (offset_bytes, zero) != (8, 0):
        raise ValueError("is not a little-endian BigTIFF")
    seen: set[int] = set()
    directories = []
    while offset:
        if offset in seen or len(seen) == _MOST_DIRECTORIES:
            raise ValueError("has a header without an end")
        seen.add(offset)
        directory, offset = _directory(data, offset)
        directories.append(directory)
    if not directories:
        raise ValueError("has no image")
    first = directories[0]
    _require_aef(first)
    levels = [_level(first, size)]
    # An overview has bit 0 of NewSubfileType set; bit 2 would be a mask.
    for directory in directories[1:]:
        if directory.whole(254, 0) == 1:
            _require_aef(directory)
            level = _level(directory, size)
            if level.width < levels[-1].width and level.height < levels[-1].height:
                levels.append(level)
    return Header(_crs(first), _transform(first), first.whole(259), tuple(levels), size)


class _Bytes:
    """Bytes of a file, fetched in a few large pieces and not beyond a bound."""

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._size = size
        self._left = _MOST_BYTES
        self._pieces: list[tuple[int, bytes]] = []

    def span(self, start: int, count: int) -> bytes:
        """So many bytes."""
        if count > self._left or start + count > self._size:
            raise ValueError("has a header that points beyond the file")
        for first, piece in self._pieces:
            if first <= start and start + count <= first + len(piece):
                return piece[start - first : start - first + count]
        wanted = min(max(count, FIRST_BYTES), self._size - start)
        if wanted > self._left:
            raise ValueError("has a header that is far too long")
        self._left -= wanted
        piece = self._read(start, wanted)
        self._pieces.append((start, piece))
        return piece[:count]


@dataclass(frozen=True)
class _Directory:
    """Tags of one image."""

    data: _Bytes
    entries: dict[int, tuple[str, int, int, bytes]]
    """By tag: dtype, count, place of the entry's value, the value's bytes if they fit there."""

    def array(self, tag: int, most: int) -> npt.NDArray[np.generic]:
        """Values of a tag, no more than so many; none if it is not there."""
        if tag not in self.entries:
            return np.zeros(0)
        dtype, count, place, inline = self.entries[tag]
        if count > most:
            raise ValueError(f"has {count} values in its tag {tag}")
        wanted = count * np.dtype(dtype).itemsize
        content = inline[:wanted] if wanted <= 8 else self.data.span(place, wanted)
        return np.frombuffer(content, dtype)

    def whole(self, tag: int, default: int | None = None) -> int:
        """The first value of a tag of whole numbers."""
        values = self.array(tag, BANDS)
        if not values.size and default is None:
            raise ValueError(f"lacks the tag {tag}")
        return int(values[0]) if values.size else int(default or 0)

    def text(self, tag: int) -> str:
        """The value of a tag of text."""
        return self.array(tag, 1 << 16).astype(np.uint8).tobytes().decode("latin-1").strip("\0 ")


def _directory(data: _Bytes, offset: int) -> tuple[_Directory, int]:
    """A directory, and where the next one is."""
    (count,) = struct.unpack("<Q", data.span(offset, 8))
    if not 0 < count <= _MOST_ENTRIES:
        raise ValueError(f"has {count} tags in one directory")
    content = data.span(offset + 8, 20 * count + 8)
    entries = {}
    for number in range(count):
        tag, kind, values = struct.unpack_from("<HHQ", content, 20 * number)
        inline = content[20 * number + 12 : 20 * number + 20]
        (place,) = struct.unpack("<Q", inline)
        if kind in _TYPES:
            entries[tag] = (_TYPES[kind], values, place, inline)
    (following,) = struct.unpack_from("<Q", content, 20 * count)
    return _Directory(data, entries), following


def _require_aef(directory: _Directory) -> None:
    bands, planar = directory.whole(277, 1), directory.whole(284, 1)
    if bands != BANDS:
        raise ValueError(f"has {bands} bands, not {BANDS}")
    bits = set(directory.array(258, BANDS).tolist())
    formats = set(directory.array(339, BANDS).tolist())
    if (bits, formats) != ({8}, {2}):
        raise ValueError("has values that are not int8")
    if planar != 2:
        raise ValueError("has its bands mixed, not one after another")
    if directory.whole(259, PLAIN) not in (ZSTD, PLAIN) or directory.whole(317, 1) != 1:
        raise ValueError("is compressed in another way than with plain zstd")
    nodata = directory.text(42113)
    if nodata and float(nodata) != NODATA:
        raise ValueError(f"has nodata {nodata[:20]}, not {NODATA}")


def _level(directory: _Directory, size: int) -> Level:
    width, height = directory.whole(256), directory.whole(257)
    block_width, block_height = directory.whole(322), directory.whole(323)
    if not (0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE):
        raise ValueError(f"has an image of {width} x {height} pixels")
    if not 0 < block_width * block_height <= _LARGEST_BLOCK:
        raise ValueError(f"has internal tiles of {block_width} x {block_height} pixels")
    shape = (BANDS, -(-height // block_height), -(-width // block_width))
    chunks = shape[0] * shape[1] * shape[2]
    starts = directory.array(324, chunks).astype(np.int64)
    counts = directory.array(325, chunks).astype(np.int64)
    if starts.size != chunks or counts.size != chunks:
        raise ValueError(f"lists {starts.size} and {counts.size} chunks, not {chunks}")
    counts = np.where(starts == 0, 0, counts)
    # zstd makes data that it cannot compress longer by less than 1 %.
    if (counts > 1024 + block_width * block_height * 1.01).any() or (counts < 0).any():
        raise ValueError("lists chunks that are longer than their pixels")
    if (starts < 0).any() or (starts > size - counts).any():
        raise ValueError("lists chunks beyond the end of the file: it is cut off, or forged")
    return Level(
        width, height, block_width, block_height, starts.reshape(shape), counts.reshape(shape)
    )


def _geo_keys(directory: _Directory) -> dict[int, int]:
    """GeoKeys that are whole numbers.

    https://docs.ogc.org/is/19-008r4/19-008r4.html
    """
    values = directory.array(34735, 4096).astype(np.int64)[4:]
    rows = values[: values.size // 4 * 4].reshape(-1, 4).tolist()
    return {key: value for key, place, _, value in rows if place == 0}


def _crs(directory: _Directory) -> str:
    code = _geo_keys(directory).get(3072, 0)
    if not 1024 <= code <= 32766:
        raise ValueError("names no CRS by its EPSG code")
    return f"EPSG:{code}"


def _transform(directory: _Directory) -> Affine:
    matrix: list[float] = directory.array(34264, 16).astype(float).tolist()
    scale: list[float] = directory.array(33550, 3).astype(float).tolist()
    tie: list[float] = directory.array(33922, 6).astype(float).tolist()
    if len(matrix) == 16:
        a, b, c = matrix[0], matrix[1], matrix[3]
        d, e, f = matrix[4], matrix[5], matrix[7]
    elif len(scale) == 3 and len(tie) == 6:
        a, b, d, e = scale[0], 0.0, 0.0, -scale[1]
        c, f = tie[3] - tie[0] * a, tie[4] - tie[1] * e
    else:
        raise ValueError("has no upright georeferencing")
    if not np.isfinite([a, b, c, d, e, f]).all() or b or d or a <= 0 or e == 0:
        raise ValueError("has no upright georeferencing")
    # GTRasterTypeGeoKey: the places given may be those of pixel centres.
    if _geo_keys(directory).get(1025) == 2:
        c, f = c - a / 2, f - e / 2
    return (a, b, c, d, e, f)
