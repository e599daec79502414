"""Shards of a WebDataset: tar files of samples, whose headers hold nothing but name and size.

The bytes are those of `webdataset.TarWriter`. The package itself is not used, because it imports
torch where that is installed: 500 MB, most of what a whole build may take.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from hfaef.core.codec import embedding_problem
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import PICTURES
from hfaef.release.format.sample import KEY, MEMBERS, REST, identity_of, key_of, members_of, row_of
from hfaef.release.format.schema import features, row_schema

if TYPE_CHECKING:
    import datasets


class TarShard:
    """A tar file that is being written."""

    def __init__(self, folder: Path, number: int, *, classes: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{number:05d}.part"
        self.rows = 0
        self._classes = classes
        self._file = self.path.open("wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w|")  # noqa: SIM115 - closed on exit

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()
        self._file.close()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add rows, a sample each."""
        for row in rows:
            for extension, content in sorted(members_of(row, classes=self._classes).items()):
                # A TarInfo's own defaults are fixed: no time, no owner.
                header = tarfile.TarInfo(f"{key_of(row['id'])}.{extension}")
                header.size = len(content)
                self._tar.addfile(header, io.BytesIO(content))
        self.rows += len(rows)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a shard, as in a Parquet shard.

    Raises:
        ValueError: naming the sample that is none.
        OSError: if the file cannot be read.
        tarfile.TarError: if it is no tar file.
    """
    for sample in _samples(path):
        try:
            yield row_of(sample.members)
        except ValueError as error:
            raise ValueError(f"sample {sample.key}: {error}") from error


def inspect(path: Path, manifest: Manifest, step: int) -> tuple[list[str], pa.Table | None]:
    """What readers of a WebDataset would trip over in a shard, and its rows without pictures.

    Args:
        path: a shard.
        manifest: of its release.
        step: every so many rows a sheet is decoded.

    Returns:
        Problems in words, and the plain columns; None if the rows are not all alike.
    """
    problems: list[str] = []
    rows: list[dict[str, Any]] = []
    keys: set[str] = set()
    columns = features("data", row_schema(manifest))
    plain = [name for name in columns if name not in PICTURES]
    try:
        # Readers would group the members of a file with other names in ways of their own.
        if problems := list(_headers(path)):
            return problems, None
        for number, sample in enumerate(_samples(path)):
            if sample.key in keys:
                problems.append(f"sample {sample.key} occurs twice, or its members lie apart")
            keys.add(sample.key)
            row, problem = _row(sample, columns, decode=number % step == 0)
            if problem:
                problems.append(f"sample {sample.key} {problem}")
            else:
                rows.append({name: row[name] for name in plain})
    except (OSError, tarfile.TarError) as error:
        return [f"is no readable tar file: {error}"], None
    if problems:
        return problems, None
    try:
        schema = pa.schema([columns.arrow_schema.field(name) for name in plain])
        written = pa.schema(list(map(_as_written, schema)))
        return [], pa.Table.from_pylist(rows, schema=written).cast(schema)
    except pa.ArrowException as error:
        return [f"has rows of other types: {error}"], None


def _as_written(column: pa.Field) -> pa.Field:
    """The same column as JSON has it: dates are texts."""
    kind = column.type
    if pa.types.is_list(kind) and pa.types.is_temporal(kind.value_type):
        return column.with_type(pa.list_(pa.string()))
    return column.with_type(pa.string()) if pa.types.is_temporal(kind) else column


def _row(
    sample: _Sample, columns: datasets.Features, *, decode: bool
) -> tuple[dict[str, Any], str]:
    """The row of a sample, and what is wrong with it in words."""
    classes = hasattr(columns["label"], "names")
    wanted = {*MEMBERS, REST} if classes else {*MEMBERS, REST} - {"cls"}
    if sample.members.keys() != wanted:
        return {}, f"lacks or adds .{min(sample.members.keys() ^ wanted)}"
    try:
        row = row_of(sample.members)
        problem = ""
        if row["id"] != identity_of(sample.key):
            problem = f"says that it is patch {row['id']}"
        elif set(row) != set(columns):
            problem = f"lacks or adds the column {min(set(row) ^ set(columns))!r}"
        elif decode:
            problem = embedding_problem(row)
    except ValueError as error:
        return {}, f"cannot be read: {error}"
    return row, problem


def _headers(path: Path) -> Iterator[str]:
    """Names that readers of a WebDataset split in ways of their own, and headers that differ."""
    with tarfile.open(path) as tar:
        for member in tar:
            key, _, extension = member.name.partition(".")
            if not member.isreg():
                yield f"holds {member.name}, which is no file"
            elif not KEY.fullmatch(key):
                yield f"holds {member.name}, whose key is not made of a-z, 0-9 and _"
            elif "." in extension:
                yield f"holds {member.name}, whose key has a dot: samples would be merged"
            elif extension != extension.lower():
                yield f"holds {member.name}: extensions in upper case are renamed"
            elif extension not in {*MEMBERS, REST}:
                yield f"holds {member.name}, which is no member of a sample"
            elif (member.mtime, member.uid, member.gid, member.uname) != (0, 0, 0, ""):
                yield f"holds {member.name} with a time or an owner, so no two builds are alike"


@dataclass(frozen=True)
class _Sample:
    """Members that follow each other under one key."""

    key: str
    members: dict[str, bytes]


def _samples(path: Path) -> Iterator[_Sample]:
    key, members = "", dict[str, bytes]()
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r|") as tar:
        for member in tar:
            content = tar.extractfile(member)
            name, _, extension = member.name.partition(".")
            if name != key or extension in members:
                if members:
                    yield _Sample(key, members)
                key, members = name, {}
            members[extension] = content.read() if content else b""
    if members:
        yield _Sample(key, members)
