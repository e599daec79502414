"""GeoTIFFs in a tar archive, read one after the other without a file written.

What an archive says of itself is not believed: links and special files are passed over, so no name
leads anywhere, and neither a member nor a header is read that is larger than it may be.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from hfaef.core.names import printable
from hfaef.errors import InputError

_MOST_MEMBER = 512 << 20
"""Bytes of a file in an archive."""

_MOST_HEADERS = 1 << 20
"""Bytes between two files of an archive."""

_MOST_GROWTH = 200
"""Times the size of an archive that it may unpack to, above `_FREE`."""

_FREE = 1 << 30
"""Bytes that any archive may unpack to."""


@dataclass(frozen=True)
class Member:
    """A GeoTIFF of a patch."""

    id: str
    name: str
    """Of the file, for messages."""
    folder: str
    """The name of the folder that it lies in."""
    content: Path | bytes


def members(path: Path, wanted: Collection[str], notes: list[str]) -> Iterator[Member]:
    """The GeoTIFFs of an archive in their order; those of patches not wanted without content.

    Args:
        path: of the archive.
        wanted: ids.
        notes: gets how many members were passed over, when all have been read.

    Raises:
        InputError: if it is no archive, holds a patch twice, or is larger than it may be.
        CatalogError: naming a file whose name can be no id.
    """
    passed: Counter[str] = Counter()
    seen: dict[str, str] = {}
    try:
        with path.open("rb") as raw:
            stream = raw if path.suffix == ".tar" else cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
            meter = _Meter(stream, path)
            with tarfile.open(fileobj=cast("IO[bytes]", meter), mode="r|") as archive:
                while (entry := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined]  # it would keep all
                    meter.expect(entry.size)
                    found = _member(archive, entry, path, wanted, passed)
                    if found is None:
                        continue
                    if (other := seen.get(found.id)) is not None:
                        raise InputError(
                            f"two files give the patch id {found.id}: {other} and {found.name}",
                            "rename or remove one of them",
                        )
                    seen[found.id] = found.name
                    yield found
            while meter.read(tarfile.RECORDSIZE):
                pass  # to the checksum of gzip
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        reason = printable(" ".join(str(error).split()))[:200]
        raise InputError(f"cannot read {path}: {reason}", "give a whole .tar or .tar.gz") from error
    if not seen:
        raise InputError(f"there is no .tif in {path}", "give an archive of GeoTIFFs")
    notes += [f"{what}: {count:,}" for what, count in passed.items() if count]


class _Meter:
    """A stream that gives no more bytes than the entry at hand and its headers may have."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path
        self._left = _MOST_HEADERS
        self._total = max(_FREE, path.stat().st_size * _MOST_GROWTH)

    def expect(self, size: int) -> None:
        """Let an entry of this size pass, and the headers of the next one."""
        if size < 0:
            raise ValueError("it holds a file of a negative size")
        self._left = size + _MOST_HEADERS

    def read(self, size: int) -> bytes:
        """The next bytes."""
        content = self._stream.read(size)
        self._left -= len(content)
        self._total -= len(content)
        if self._left < 0:
            raise ValueError(f"a header is over {_MOST_HEADERS:,} bytes long")
        if self._total < 0:
            raise ValueError(f"it unpacks to over {_MOST_GROWTH} times its size")
        return content


def _member(
    archive: tarfile.TarFile,
    entry: tarfile.TarInfo,
    path: Path,
    wanted: Collection[str],
    passed: Counter[str],
) -> Member | None:
    """A GeoTIFF, with its content if that is wanted; None for what is passed over."""
    from hfaef.catalog.geotiffs import make_ids

    if entry.isdir():
        return None
    name = PurePosixPath(entry.name)
    if not entry.isreg() or entry.issparse():
        passed["links and special files left out"] += 1
        return None
    if name.name.startswith(".") or "__MACOSX" in name.parts:
        passed["hidden and system files left out"] += 1
        return None
    if name.suffix.lower() not in {".tif", ".tiff"}:
        passed["files left out that are no .tif or .tiff"] += 1
        return None
    shown = printable(f"{path}: {entry.name}")
    (identity,) = make_ids([Path(name.name)])[0].values()
    if identity not in wanted:
        return Member(identity, shown, name.parent.name, b"")
    if entry.size > _MOST_MEMBER:
        raise ValueError(f"{entry.name} is over {_MOST_MEMBER >> 20} MiB")
    content = archive.extractfile(entry)
    return Member(identity, shown, name.parent.name, content.read() if content else b"")
