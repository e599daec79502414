"""Padding in pictures at which the Hub's storage ends a chunk, so that a row is a chunk of its own.

That storage cuts files where a hash over the last 64 bytes has 16 zero bits, at least 8 KiB after
the last cut (https://huggingface.co/docs/xet/main/chunking.md). A row that goes takes its chunks
along; those that reach from it into its neighbours must be sent again. So a sheet ends in 64 bytes
with such a hash, and so does one preview in eight, as some four of them make up 8 KiB: most rows
begin and end with a chunk, and rows around one that goes are not sent again.

The padding is a private chunk of a PNG and a comment of a JPEG, which every reader passes over.
Its last letters were found by trial.
"""

from __future__ import annotations

import zlib

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_PNG_PADDING = b"\0\0\0(cuTtcontent-defined storage cuts here: 058fq\xf6\xb2\xbcQ"
"""With `_PNG_END` 64 bytes. https://www.w3.org/TR/png/#5Chunk-naming-conventions"""

_JPEG_END = b"\xff\xd9"
_JPEG_PADDING = b"\xff\xfe\0<  content-defined storage cuts here, in every eighth: 2bry"
"""With `_JPEG_END` 64 bytes."""

EVERY = 8
"""One preview in so many is padded. With each, cuts would lie 8 KiB apart, counted from the last
cut: a row that goes would move all that follow."""


def pad_png(png: bytes) -> bytes:
    """The same picture, padded to end a chunk.

    Raises:
        ValueError: if the bytes do not end as a PNG.
    """
    return _insert(png, _PNG_PADDING, _PNG_END)


def pad_jpeg(jpeg: bytes) -> bytes:
    """The same picture, padded to end a chunk if it is one in `EVERY`.

    A checksum of its bytes decides, so that it is the same in every release.

    Raises:
        ValueError: if the bytes do not end as a JPEG.
    """
    return _insert(jpeg, b"" if zlib.crc32(jpeg) % EVERY else _JPEG_PADDING, _JPEG_END)


def _insert(content: bytes, padding: bytes, end: bytes) -> bytes:
    if not content.endswith(end):
        raise ValueError("the picture does not end as it should")
    return b"".join((memoryview(content)[: -len(end)], padding, end))
