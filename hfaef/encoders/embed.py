"""A model run over all images of a recipe: read ahead, in batches, staged, and written as a table.

The table holds a vector a patch, with what they were made with; `hfaef eval --features` reads it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.core.files import atomic_file, folder_errors
from hfaef.core.progress import Advance, progress, say
from hfaef.core.workers import core_count
from hfaef.encoders.base import Channels, Encoder, Float32, Images
from hfaef.encoders.images import ImageFile, read_image
from hfaef.encoders.parts import Part, Parts, remove_parts, staged_parts
from hfaef.errors import FolderError, HfaefError, InputError, count_of
from hfaef.release.format.scores import PROVENANCE, Provenance

RECIPE = b"hfaef.recipe"
"""Key of the table's metadata: the name of the recipe."""

IDENTITY = b"hfaef.identity"
"""Key of the table's metadata: SHA-256 of what the vectors are made with and of."""

_BATCHES_A_PART = 4
"""What a kill costs at the most."""

_AHEAD_BYTES = 256 << 20
"""Of images that are read and not yet used."""

_WRITE_BYTES = 32 << 20
"""Of vectors in a row group of the table."""

_THREADS = 4
"""That read; more wait for each other."""

_READS = 16
"""Under way or waiting, of several images each: taking turns at each image costs a tenth of it."""


@dataclass(frozen=True)
class Embedded:
    """A table of vectors."""

    path: Path
    vectors: int
    dimensions: int
    left_out: tuple[str, ...]
    """Ids of patches that have pixels without a number."""
    provenance: Provenance
    computed: int = 0
    """Images that were read now; others were staged, or in the table."""
    seconds: float = 0.0
    """That this took."""
    waited: float = 0.0
    """Of these, those in which the model waited for images."""
    notes: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    """Of the notes, those that were shown before the work."""


def embed_images(
    encoder: Encoder,
    channels: Channels,
    images: Images,
    files: Sequence[ImageFile],
    out: Path,
    *,
    recipe: str = "",
    batch: int = 64,
) -> Embedded:
    """Run a model over images, and write a Parquet table of ``id`` and ``vector`` (float32).

    What was computed before a kill is staged beside the table, and is not computed again; nor is
    a table of the same model and images. The bytes are the same either way, on one machine.

    Args:
        encoder: the model.
        channels: how its channels are made of the files' bands.
        images: what the files hold.
        files: sorted by id.
        out: the table; one of the same recipe and model is replaced if anything else changed.
        recipe: its name, for the table.
        batch: images at a time, of one size each.

    Raises:
        InputError: if `out` does not end in ``.parquet``; naming a file that cannot be read or
            holds something else than is said.
        FolderError: if `out` is there and no such table, or one that stays, or cannot be written.
        HfaefError: naming a patch for which the model gives no finite numbers.
    """
    told = encoder.provenance
    before = require_replaceable(out, recipe, told.model)
    identity = _identity(encoder, channels, images, files, batch)
    if before and before.identity == identity:
        remove_parts(out, identity)
        return _read_again(out, files, told)
    notes: list[str] = []
    if before:
        if before.provenance.weights_sha256 != told.weights_sha256:
            raise before.stays(out, f"with other weights, SHA-256 {_short_sha256(before)}")
        notes.append(f"{out} holds other vectors, and is replaced: {_difference(before, told)}")
        say(f"note: {notes[0]}")
    said = tuple(notes)
    metadata = {
        PROVENANCE: encoder.provenance.model_dump_json().encode(),
        RECIPE: recipe.encode(),
        IDENTITY: identity.encode(),
    }
    run = _Run(encoder, channels, images, batch)
    with staged_parts(out, identity) as parts:
        if parts.dropped:
            notes.append(f"staged parts of other images or another model dropped: {parts.dropped}")
        rows = batch * _BATCHES_A_PART
        chunks = [files[start : start + rows] for start in range(0, len(files), rows)]
        lacking = [n for n, one in enumerate(chunks) if parts.read(n, len(one)) is None]
        computed = sum(len(chunks[number]) for number in lacking)
        if staged := len(files) - computed:
            notes.append(f"staged already: {staged:,} of {len(files):,} images")
        with progress("embed", len(files)) as advance:
            advance("", staged)
            run.fill(parts, {number: chunks[number] for number in lacking}, advance)
        vectors, dimensions, left_out = _write_table(out, chunks, parts, metadata)
    return Embedded(
        path=out,
        vectors=vectors,
        dimensions=dimensions,
        left_out=left_out,
        provenance=encoder.provenance,
        computed=computed,
        seconds=run.seconds,
        waited=run.waited,
        notes=tuple(notes),
        said=said,
    )


@dataclass
class _Run:
    """A model at work, and the time that it takes."""

    encoder: Encoder
    channels: Channels
    images: Images
    batch: int
    seconds: float = 0.0
    waited: float = 0.0
    _pending: dict[tuple[int, ...], list[tuple[int, Float32]]] = field(default_factory=dict)
    """Of each size, rows of the part and their images, which wait for more of their like."""

    def fill(self, parts: Parts, chunks: dict[int, Sequence[ImageFile]], advance: Advance) -> None:
        """Compute the parts of these numbers, and keep each when it is whole."""
        started = time.perf_counter()
        with ThreadPoolExecutor(min(core_count(), _THREADS)) as pool:
            read = self._read_ahead(pool, chunks.values())
            try:
                for number, chunk in chunks.items():
                    parts.write(number, self._part(chunk, read, advance))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        self.seconds = time.perf_counter() - started

    def _read_ahead(
        self, pool: ThreadPoolExecutor, chunks: Collection[Sequence[ImageFile]]
    ) -> Iterator[Float32 | None]:
        """The channels of each file in order; None for one that is left out."""
        largest = max((file.height * file.width for chunk in chunks for file in chunk), default=1)
        size = 8 * largest * max(len(self.channels.indices), len(self.images.bands))
        ahead = min(max(_AHEAD_BYTES // size, 1), 2 * self.batch + _THREADS)
        together = max(1, ahead // _READS)
        pending: deque[Future[list[Float32 | None]]] = deque()
        for chunk in chunks:
            for start in range(0, len(chunk), together):
                pending.append(pool.submit(self._read, chunk[start : start + together]))
                if len(pending) * together > ahead:
                    yield from self._taken(pending)
        while pending:
            yield from self._taken(pending)

    def _taken(self, pending: deque[Future[list[Float32 | None]]]) -> list[Float32 | None]:
        started = time.perf_counter()
        try:
            return pending.popleft().result()
        finally:
            self.waited += time.perf_counter() - started

    def _read(self, files: Sequence[ImageFile]) -> list[Float32 | None]:
        images = (read_image(file, self.images) for file in files)
        return [None if image is None else self.channels.take(image) for image in images]

    def _part(
        self, files: Sequence[ImageFile], read: Iterator[Float32 | None], advance: Advance
    ) -> Part:
        """The vectors of so many images; batches depend on these alone."""
        found: dict[int, Float32] = {}
        kept = np.ones(len(files), bool)
        encode = partial(self._encode, files=files, found=found, advance=advance)
        for row in range(len(files)):
            image = next(read)
            if image is None:
                kept[row] = False
                advance("")
                continue
            alike = self._pending.setdefault(image.shape, [])
            alike.append((row, image))
            if len(alike) == self.batch:
                encode(image.shape)
            elif sum(len(one) * one[0][1].nbytes for one in self._pending.values()) > _AHEAD_BYTES:
                encode(max(self._pending, key=lambda shape: len(self._pending[shape])))
        for shape in sorted(self._pending):
            encode(shape)
        vectors = [found[row] for row in sorted(found)]
        return Part(kept, np.stack(vectors) if vectors else np.empty((0, 0), np.float32))

    def _encode(
        self,
        shape: tuple[int, ...],
        files: Sequence[ImageFile],
        found: dict[int, Float32],
        advance: Advance,
    ) -> None:
        """Run the model over what is pending of one size."""
        alike = self._pending.pop(shape)
        vectors = self.encoder.encode(np.stack([image for _, image in alike]))
        for (row, _), vector in zip(alike, vectors, strict=True):
            if not np.isfinite(vector).all():
                raise HfaefError(
                    f"{self.encoder.provenance.model} gives numbers that are not finite for "
                    f"{files[row].id}",
                    "run another model; what is staged is kept",
                )
            found[row] = vector
        advance("", len(alike))


def _identity(
    encoder: Encoder,
    channels: Channels,
    images: Images,
    files: Iterable[ImageFile],
    batch: int,
) -> str:
    """SHA-256 of the model, the batch, and each file's id, size and time of change."""
    told = (encoder.provenance.model_dump_json(), repr(channels), repr(images), batch)
    digest = hashlib.sha256(json.dumps(told).encode())
    for file in files:
        status = file.path.stat()
        digest.update(repr((file.id, status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Held:
    """What a table that is there says of itself."""

    identity: str
    recipe: str
    vectors: int
    provenance: Provenance

    def stays(self, out: Path, why: str = "") -> FolderError:
        """What to raise where it must not be replaced."""
        return FolderError(
            f"{out} holds {count_of(self.vectors, 'vector')} of {self.provenance.model} and the recipe "
            f"{self.recipe}" + (f", {why}" if why else "") + "; it stays as it is",
            f"give another --out, or remove {out}",
        )


def require_replaceable(out: Path, recipe: str, model: str, most: int | None = None) -> Held | None:
    """The table that is there and may be replaced; None if nothing is.

    Args:
        out: the table.
        recipe: its name.
        model: as the table's metadata name it.
        most: images of a trial, which replaces no table of more; None for all of a recipe.

    Raises:
        InputError: if `out` does not end in ``.parquet``.
        FolderError: if it is no table of vectors, or one of another recipe or model, or of more.
    """
    if out.suffix != ".parquet":
        raise InputError(f"{out} would be a Parquet table", "let its name end in .parquet")
    if not out.exists() and not out.is_symlink():
        return None
    held = _held(out)
    if (held.recipe, held.provenance.model) != (recipe, model):
        raise held.stays(out)
    if most is not None and held.vectors > most:
        raise held.stays(out, f"more than the {most:,} of this trial")
    return held


def _held(out: Path) -> Held:
    try:
        with pq.ParquetFile(out) as file:
            metadata, vectors = file.schema_arrow.metadata or {}, file.metadata.num_rows
        return Held(
            metadata[IDENTITY].decode(),
            metadata.get(RECIPE, b"").decode(),
            vectors,
            Provenance.model_validate_json(metadata[PROVENANCE]),
        )
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise FolderError(
            f"{out} is there, and no table of `hfaef embed`; it stays as it is",
            "give another --out",
        ) from error


def _short_sha256(held: Held) -> str:
    return held.provenance.weights_sha256[:12] or "unknown"


def _difference(held: Held, told: Provenance) -> str:
    """What other vectors were made with, or of."""
    names = [
        name
        for name in type(told).model_fields
        if getattr(held.provenance, name) != getattr(told, name)
    ]
    return f"other {', '.join(names)}" if names else "of other images, or in another batch"


def _read_again(out: Path, files: Sequence[ImageFile], provenance: Provenance) -> Embedded:
    """A table that is there already."""
    schema = pq.read_schema(out)
    ids = set(pq.read_table(out, columns=["id"])["id"].to_pylist())
    return Embedded(
        path=out,
        vectors=len(ids),
        dimensions=schema.field("vector").type.list_size,
        left_out=tuple(file.id for file in files if file.id not in ids),
        provenance=provenance,
        notes=(f"{out} is there already, of the same model and images",),
    )


def _write_table(
    out: Path, chunks: Sequence[Sequence[ImageFile]], parts: Parts, metadata: dict[bytes, bytes]
) -> tuple[int, int, tuple[str, ...]]:
    """Write all parts as one table; gives its vectors, their length, and ids left out."""
    left_out: list[str] = []
    ids: list[str] = []
    arrays: list[Float32] = []
    count = 0
    dimensions = next((d for d in map(_dimensions, _all(chunks, parts)) if d), 0)
    if not dimensions:
        raise HfaefError("no image has a number in every pixel", "mend the files' nodata tags")
    schema = pa.schema(
        [("id", pa.string()), ("vector", pa.list_(pa.float32(), dimensions))], metadata
    )
    with folder_errors(out), atomic_file(out) as file, pq.ParquetWriter(file, schema) as writer:
        for chunk, part in zip(chunks, _all(chunks, parts), strict=True):
            left_out += [one.id for one, kept in zip(chunk, part.kept, strict=True) if not kept]
            ids += [one.id for one, kept in zip(chunk, part.kept, strict=True) if kept]
            if len(part.vectors):
                arrays.append(part.vectors)
            if 4 * len(ids) * dimensions > _WRITE_BYTES:
                writer.write_table(_table(ids, arrays, schema))
                count += len(ids)
                ids, arrays = [], []
        if ids:
            writer.write_table(_table(ids, arrays, schema))
            count += len(ids)
    return count, dimensions, tuple(left_out)


def _all(chunks: Sequence[Sequence[ImageFile]], parts: Parts) -> Iterator[Part]:
    for number, chunk in enumerate(chunks):
        part = parts.read(number, len(chunk))
        if part is None:  # somebody took it away meanwhile
            raise FolderError("a staged part is gone", "run the same command again")
        yield part


def _dimensions(part: Part) -> int:
    return part.vectors.shape[1] if len(part.vectors) else 0


def _table(ids: list[str], arrays: list[Float32], schema: pa.Schema) -> pa.Table:
    flat = pa.array(np.concatenate(arrays).ravel())
    vectors = pa.FixedSizeListArray.from_arrays(flat, schema.field("vector").type.list_size)
    return pa.table([pa.array(ids, pa.string()), vectors], schema=schema)
