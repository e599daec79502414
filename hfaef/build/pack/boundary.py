"""Marks in pictures at which content-defined storage cuts, so that a row is a chunk of its own.

The Hub's storage cuts files into chunks where a hash over the last 64 bytes has 16 zero bits, at
least 8 KiB after the last cut (https://huggingface.co/docs/xet/main/chunking.md). A row that goes
takes its chunks along; those that reach from it into its neighbours must be sent again. So a sheet
ends in 64 bytes with such a hash, and so does one preview in eight, as some four of them make up
8 KiB: most rows begin and end with a chunk, and rows around one that goes are not sent again.

The bytes are a private chunk of a PNG and a comment of a JPEG, which every reader passes over.
They were found by trying out their last letters.
"""

from __future__ import annotations

import zlib

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_PNG_MARK = b"\0\0\0(cuTtcontent-defined storage cuts here: 058fq\xf6\xb2\xbcQ"
"""With `_PNG_END` 64 bytes. https://www.w3.org/TR/png/#5Chunk-naming-conventions"""

_JPEG_END = b"\xff\xd9"
_JPEG_MARK = b"\xff\xfe\0<  content-defined storage cuts here, in every eighth: 2bry"
"""With `_JPEG_END` 64 bytes."""

EVERY = 8
"""One preview in so many has a mark. With one in each, cuts would lie 8 KiB apart, counted from the
last cut: a row that goes would move all that follow."""


def mark_png(png: bytes) -> bytes:
    """The same picture, with a mark before its end.

    Raises:
        ValueError: if the bytes do not end as a PNG.
    """
    return _insert(png, _PNG_MARK, _PNG_END)


def mark_jpeg(jpeg: bytes) -> bytes:
    """The same picture, with a mark before its end if it is one in `EVERY`.

    Its own bytes tell, so that it is so in every release.

    Raises:
        ValueError: if the bytes do not end as a JPEG.
    """
    return _insert(jpeg, b"" if zlib.crc32(jpeg) % EVERY else _JPEG_MARK, _JPEG_END)


def _insert(content: bytes, mark: bytes, end: bytes) -> bytes:
    if not content.endswith(end):
        raise ValueError("the picture does not end as it should")
    return b"".join((memoryview(content)[: -len(end)], mark, end))
