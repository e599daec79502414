"""The cache of ``hfaef.load(..., decoded=True)``: embeddings of a split as the bytes of their arrays,
in an Arrow file that processes map into memory.

It lies in the folder in which `datasets` keeps the same rows, and is removed with it. It is there
whole or not at all, and one process at a time writes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hfaef.core import sheet
from hfaef.core.codec import Layout
from hfaef.core.files import atomic_file, folder_errors, is_unfinished, require_room
from hfaef.core.progress import progress, say, shown
from hfaef.core.quantize import BANDS
from hfaef.core.workers import core_count, ordered_map
from hfaef.errors import ReleaseError, count_of

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

Shapes = npt.NDArray[np.int64]
"""Height and width of each patch: (rows, 2)."""

_FORMAT = 1
"""Version of what is written; another number is another file."""
_PREFIX = "decoded-"
_CHUNK = 2**20
"""Bytes that a thread decodes at once, and a record batch holds; or one patch, if that is more."""
_AHEAD = 4
"""Chunks a thread that may wait to be written, so that threads work on while the disk does."""
_IN_FLIGHT = 2**27
"""Bytes that all threads may hold; patches of which they cannot hold more than one go one by one."""
_UNSAVED = 2**24
"""Bytes that the disk may be behind: it writes while others are decoded, not when all are."""
_HEADS_AT_ONCE = 10_000
_BESIDE = 64
"""Bytes that a row needs beside its array, no fewer."""
_HINT = "make room or mend the rights, set HF_DATASETS_CACHE to another disk, or leave decoded out"


def decode_once(
    parts: Mapping[str, datasets.Dataset], folder: Path, content: str, layout: Layout
) -> dict[str, datasets.Dataset]:
    """The same rows, whose embeddings are `{bytes, shape}` of stored values in the layout; decoded
    now, unless a process has done so before.

    Rows without an embedding, and those whose embeddings are bytes already, stay as they are.

    Args:
        parts: rows by split, as `datasets` has them in its cache.
        folder: that cache.
        content: what tells one content of the rows from another in that folder.
        layout: of the arrays.

    Raises:
        FolderError: if the disk has no room, or the folder cannot be written.
        ReleaseError: if a row's embedding is no sheet.
    """
    from datasets import Image

    sheets = {
        name: rows
        for name, rows in parts.items()
        if isinstance(rows.features.get("embedding"), Image) and len(rows)
    }
    paths = {
        name: folder / _file_name(str(rows.split), content, layout) for name, rows in sheets.items()
    }

    def find() -> dict[str, datasets.Dataset]:
        found = {name: _whole(paths[name], len(rows)) for name, rows in sheets.items()}
        return {name: rows for name, rows in found.items() if rows is not None}

    if find().keys() != sheets.keys():
        with _as_datasets_shows(), _one_at_a_time(folder):
            there = find()  # another process may have been faster
            missing = {name: rows for name, rows in sheets.items() if name not in there}
            if missing:
                _write_all(missing, paths, folder, layout)
    arrays = find()
    return {
        name: _join(arrays[name], sheets[name]) if name in sheets else rows
        for name, rows in parts.items()
    }


def _file_name(split: str, content: str, layout: Layout) -> str:
    key = hashlib.sha256(json.dumps([_FORMAT, split, content, layout]).encode()).hexdigest()
    return f"{_PREFIX}{re.sub(r'[^a-z]+', '-', split)[:40]}-{key[:16]}.arrow"


def _whole(path: Path, count: int) -> datasets.Dataset | None:
    """The rows of a file, mapped into memory; None if it is not there, or lacks some."""
    import pyarrow as pa
    from datasets import Dataset

    if not path.is_file():
        return None
    try:
        found = Dataset.from_file(str(path))
    except (OSError, pa.ArrowInvalid):
        return None
    return found if len(found) == count else None


def _join(arrays: datasets.Dataset, rows: datasets.Dataset) -> datasets.Dataset:
    """Rows with the arrays in the place of their embeddings."""
    from datasets import concatenate_datasets

    info = rows.info.copy()
    info.features = None  # those of the columns hold
    columns = [arrays, rows.remove_columns("embedding")]
    columns = [one for one in columns if one.column_names]
    joined = concatenate_datasets(columns, info=info, split=rows.split, axis=1)
    return joined.select_columns(rows.column_names)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process decodes into a folder.

    Raises:
        FolderError: if it cannot be written.
    """
    import filelock

    lock = filelock.FileLock(folder / f"{_PREFIX.rstrip('-')}.lock")
    with folder_errors(folder, _HINT):
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            say(f"another process decodes into {folder}; this one waits for it")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _as_datasets_shows() -> Iterator[None]:
    """Inside, progress is shown unless `datasets` is asked to show none."""
    from datasets import are_progress_bars_disabled

    token = shown.set(shown.get() and not are_progress_bars_disabled())
    try:
        yield
    finally:
        shown.reset(token)


def _write_all(
    parts: Mapping[str, datasets.Dataset],
    paths: Mapping[str, Path],
    folder: Path,
    layout: Layout,
) -> None:
    """Decode parts into their files, if there is room for all of them."""
    with folder_errors(folder, _HINT):
        for left in filter(is_unfinished, folder.glob(f"{_PREFIX}*")):
            left.unlink()  # of a process that was killed, as this one holds the lock
    shapes = {name: _shapes(rows) for name, rows in parts.items()}
    count = sum(len(part) for part in shapes.values())
    size = sum(int(_sizes(part).sum()) for part in shapes.values()) + _BESIDE * count
    require_room(folder, size, f"decoding {count_of(count, 'patch')}", _HINT)
    say(f"decoding {count_of(count, 'patch')} once, into {size / 1e6:,.0f} MB in {folder}")
    for name, rows in parts.items():
        _write(rows, shapes[name], paths[name], layout)


def _shapes(rows: datasets.Dataset) -> Shapes:
    """Shapes of patches by the heads of their sheets; no picture is decoded."""
    import pyarrow.compute as pc

    table = rows.select_columns("embedding").with_format("arrow")
    found = []
    for start in range(0, len(rows), _HEADS_AT_ONCE):
        pictures = table[start : start + _HEADS_AT_ONCE]["embedding"]
        heads = pc.binary_slice(pc.struct_field(pictures, "bytes"), 0, sheet.HEAD)
        for number, head in enumerate(heads.to_pylist(), start):
            with _naming_row(rows, number):
                found.append(sheet.shape(head or b""))
    return np.array(found, np.int64).reshape(-1, 2)


@contextmanager
def _naming_row(rows: datasets.Dataset, number: int) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ReleaseError(
            f"row {number:,} of {rows.split} cannot be decoded: {error}",
            "do not use this release: `hfaef check` tells more",
        ) from error


def _sizes(shapes: Shapes) -> npt.NDArray[np.int64]:
    """Bytes of each patch."""
    return BANDS * shapes[:, 0] * shapes[:, 1]


def _write(rows: datasets.Dataset, shapes: Shapes, path: Path, layout: Layout) -> None:
    """Decode rows into a file, which is there once it is whole."""
    import pyarrow as pa

    sizes = _sizes(shapes)
    chunks = list(_chunks(sizes))
    largest = max(int(sizes[chunk.start : chunk.stop].sum()) for chunk in chunks)
    threads = max(1, min(core_count(), _IN_FLIGHT // ((_AHEAD + 2) * largest)))
    unsaved = 0
    decode = partial(_decode, rows.select_columns("embedding"), shapes, layout)
    with (
        folder_errors(path, _HINT),
        atomic_file(path) as file,
        pa.ipc.new_stream(file, _schema()) as writer,
        progress(f"decode {rows.split}", len(rows)) as advance,
    ):
        for batch in ordered_map(decode, chunks, threads, _AHEAD):
            writer.write_batch(batch)
            unsaved += batch.nbytes
            if unsaved > _UNSAVED:
                file.flush()
                os.fsync(file.fileno())
                unsaved = 0
            advance("", steps=batch.num_rows)


def _schema() -> pa.Schema:
    import pyarrow as pa

    fields = {"bytes": pa.binary(), "shape": pa.list_(pa.int32())}
    return pa.schema({"embedding": pa.struct(fields)})


def _chunks(sizes: npt.NDArray[np.int64]) -> Iterator[range]:
    """Consecutive rows of at most `_CHUNK` bytes, or single ones."""
    start, held = 0, 0
    for number, size in enumerate(sizes.tolist()):
        if number > start and held + size > _CHUNK:
            yield range(start, number)
            start, held = number, 0
        held += size
    yield range(start, len(sizes))


def _decode(rows: datasets.Dataset, shapes: Shapes, layout: Layout, chunk: range) -> pa.RecordBatch:
    """The arrays of some rows, of the schema of the file."""
    import pyarrow as pa

    shapes = shapes[chunk.start : chunk.stop]
    ends = np.cumsum([0, *_sizes(shapes)], dtype=np.int32)
    content = np.empty(ends[-1], np.uint8)
    cells = rows[chunk.start : chunk.stop]["embedding"]
    written = []
    for number, cell, (height, width), start in zip(chunk, cells, shapes, ends[:-1], strict=True):
        last = layout == "bands_last"
        shape = (height, width, BANDS) if last else (BANDS, height, width)
        array = content[start : start + math.prod(shape)].reshape(shape)
        with _naming_row(rows, number):
            sheet.decode(cell["bytes"], np.moveaxis(array, -1, 0) if last else array)
        written.append(shape)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(content)]
    embedding = pa.StructArray.from_arrays(
        [
            pa.Array.from_buffers(pa.binary(), len(chunk), buffers),
            pa.array(written, pa.list_(pa.int32())),
        ],
        ["bytes", "shape"],
    )
    return pa.record_batch([embedding], schema=_schema())
