"""From staged pixels to shards: the same bytes each time, on however many threads or machines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from hfaef.build.pack.boundary import pad_jpeg, pad_png
from hfaef.build.pack.manifest import Packed
from hfaef.build.pack.parquet import ParquetShard, PooledShard
from hfaef.build.pack.placement import place_rows
from hfaef.build.pack.previous_year import add_previous_year, in_several_years
from hfaef.build.staging.ledger import Outcome
from hfaef.build.staging.pixels import StagedPixels
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Catalog, Patch, label_value
from hfaef.core import sheet
from hfaef.core.codec import encode_raw
from hfaef.core.files import folder_errors
from hfaef.core.grid import Outline, outlines
from hfaef.core.progress import Advance
from hfaef.core.quantize import BANDS, pool, signed_squares, to_stored, valid_mask
from hfaef.core.workers import ParallelMap
from hfaef.errors import CatalogError
from hfaef.release.format.manifest import File, Missing, file_entry, missing_table
from hfaef.release.format.paths import (
    KINDS,
    MISSING,
    PICTURES,
    StorageFormat,
    first_split,
    is_partitioned,
    partition_folder,
    shard_name,
    shuffled,
)
from hfaef.release.format.preview import PreviewBasis, fit_basis, render
from hfaef.release.format.schema import BOX, RowSchema, file_schema
from hfaef.release.format.webdataset import TarShard
from hfaef.release.locate import RowPlacement

ROW_GROUP_BYTES = 32_000_000
"""Bounds the memory of packing, and stays far below what the dataset viewer refuses (300 MB)."""

_BASIS_PATCHES = 400
_BASIS_PIXELS = 32
"""Pixels of each of so many patches that the colours of previews are fitted to."""

OpenShard = Callable[[Path, int], ParquetShard | TarShard]


@dataclass(frozen=True)
class Staged:
    """A patch whose pixels are staged."""

    patch: Patch
    outcome: Outcome
    outline: Outline


@dataclass(frozen=True)
class Row:
    """A patch, encoded."""

    data: dict[str, Any]
    """Its row in the shards of patches."""
    pooled: dict[str, Any]
    """Its row in the shards of pooled vectors."""

    @property
    def bytes(self) -> int:
        """Of its embedding and preview; the rest is small."""
        values = [self.data[name] for name in PICTURES]
        return sum(len(value["bytes"] if isinstance(value, dict) else value) for value in values)


def pack(
    catalog: Catalog,
    store: Store,
    folder: Path,
    *,
    shard_bytes: int,
    parallel_map: ParallelMap,
    advance: Advance,
    storage: StorageFormat | None = None,
    placement: RowPlacement | None = None,
) -> Packed:
    """Write the shards of all staged patches of a catalog.

    Args:
        catalog: patches with their labels and splits.
        store: holds their pixels.
        folder: an empty folder; gets ``data`` and ``pooled``.
        shard_bytes: size at which a shard is closed.
        parallel_map: encodes rows, on threads or on many machines; the result is the same.
        advance: called for each row.
        storage: Parquet with sheets by default.
        placement: of the release before, whose rows stay in their shards.

    Raises:
        FolderError: if the disk is full.
        ReleaseError: if staged pixels are damaged.
    """
    storage = storage or StorageFormat()
    placement = placement or RowPlacement()
    outcomes = store.outcomes()
    fetched = {key for key, outcome in outcomes.items() if outcome.fetched}
    staged = [patch for patch in catalog.patches if (patch.year, patch.id) in fetched]
    years: Sequence[int | None] = (None,)
    if not catalog.own_years:
        years = sorted({patch.year for patch in staged})
    partitions: dict[tuple[str, str], list[Patch]] = defaultdict(list)
    for patch in staged:
        below = partition_folder("", patch.year, patch.splits, years, catalog.schemes)
        partitions[below, first_split(patch.splits, catalog.schemes)].append(patch)
    placed = [(key, place_rows(partitions[key], placement)) for key in sorted(partitions)]
    order = [patch for _, patches in placed for patch in patches.order]
    basis = placement.basis or _sample_basis(order, store, parallel_map)
    schema = RowSchema(
        catalog.target,
        catalog.label_names,
        catalog.schemes,
        catalog.folds,
        catalog.kept,
        catalog.nearest_years,
        storage,
    )
    encode = _Encoder(store.pixels, schema, basis)
    folders = is_partitioned(years, catalog.schemes)
    schemas = {kind: file_schema(kind, schema) for kind in KINDS}

    def open_shard(folder: Path, number: int) -> ParquetShard | TarShard:
        if storage.format == "webdataset":
            return TarShard(folder, number, classes=catalog.target == "class")
        return ParquetShard(folder, number, schemas["data"])

    files: list[File] = []
    # One stream for all partitions: encoders do not wait while the last file of one is finished.
    encoded = _counted(parallel_map(encode, _staged(order, outcomes)), advance)
    for (below, split), patches in placed:
        rows = islice(encoded, len(patches.order))
        data = folder / f"data{below}"
        pooled = folder / f"pooled{below}"
        with folder_errors(pooled), PooledShard(pooled, schemas["pooled"]) as vectors:
            kept = list(_write_kept(rows, patches.kept, data, open_shard, vectors))
            rest = _write_shards(rows, data, len(kept), open_shard, shard_bytes, vectors)
            shards = [*kept, *rest]
        suffix = storage.suffix("data")
        files += _name_shards(folder, data, split, shards, folders=folders, suffix=suffix)
        tables = [(vectors.path, vectors.rows)]
        files += _name_shards(folder, pooled, split, tables, folders=folders)
    files.sort(key=lambda file: file.path)
    several = in_several_years(staged)
    if several:
        arrow = file_schema("pooled", replace(schema, previous_year=True))
        pooled_files = [file for file in files if file.path.startswith("pooled/")]
        again = {file.path: file for file in add_previous_year(folder, pooled_files, arrow)}
        files = [again.get(file.path, file) for file in files]
    return Packed(tuple(files), basis, several)


def write_missing(folder: Path, missing: Sequence[Missing]) -> File:
    """Write `MISSING` into a release's folder; gives the manifest's line on it."""
    path = folder / MISSING
    with folder_errors(path):
        pq.write_table(missing_table(missing), path, compression="zstd")
    return file_entry(folder, path, len(missing))


@dataclass(frozen=True)
class _Encoder:
    """Reads and encodes staged patches; a value that other processes can use."""

    pixels: StagedPixels
    schema: RowSchema
    basis: PreviewBasis

    def __call__(self, staged: Staged) -> Row:
        patch = staged.patch
        codes = self.pixels.read(patch)
        # Once for both, as it is the dearest step after the sheet.
        squares = signed_squares(codes)
        pooled = pool(codes, squares)
        common = {
            "id": patch.id,
            "label": label_value(patch.label, self.schema.label_names),
            **({"label_name": patch.label} if self.schema.named else {}),
            **{
                column.name: value
                for column, value in zip(self.schema.kept, patch.kept, strict=True)
            },
            "year": patch.row_year,
            **({"observed_year": patch.year} if self.schema.observed_year else {}),
            **patch.splits,
            # As Parquet's float32 holds it, so that all formats hold the same number.
            "valid_fraction": float(np.float32(pooled.valid_fraction)),
        }
        stored = to_stored(codes)
        embedding: bytes | dict[str, Any]
        if self.schema.storage.codec == "raw":
            common |= {"height": patch.grid.height, "width": patch.grid.width}
            embedding = encode_raw(stored)
        else:
            embedding = {"bytes": pad_png(sheet.encode(stored)), "path": f"{patch.id}.png"}
        data = {
            "embedding": embedding,
            "preview": {
                "bytes": pad_jpeg(render(codes, self.basis, squares)),
                "path": f"{patch.id}.jpg",
            },
            "crs": patch.grid.crs,
            "transform": patch.grid.transform,
            "bounds": staged.outline.bounds,
            "geometry": staged.outline.polygon,
            "resampled": staged.outcome.resampled,
            "source": staged.outcome.origins,
        }
        vectors = {"mean": pooled.mean, "std": pooled.std, "min": pooled.low, "max": pooled.high}
        where = {
            "geometry": staged.outline.polygon,
            "bbox": dict(zip(BOX, staged.outline.bounds, strict=True)),
        }
        return Row({**common, **data}, {**common, **vectors, **where})


@dataclass(frozen=True)
class _Sampler:
    """Reads some valid pixels of staged patches; a value that other processes can use."""

    pixels: StagedPixels

    def __call__(self, patch: Patch) -> npt.NDArray[np.float64]:
        codes = self.pixels.read(patch).reshape(BANDS, -1)
        thinned = codes[:, :: max(codes.shape[1] // _BASIS_PIXELS, 1)]
        # Few valid pixels may all lie between those.
        for some in (thinned, codes):
            if (valid := valid_mask(some)).any():
                break
        return signed_squares(some[:, valid][:, :_BASIS_PIXELS]).astype(np.float64)


def _staged(
    patches: Sequence[Patch], outcomes: Mapping[tuple[int, str], Outcome]
) -> Iterator[Staged]:
    found = outlines(patch.grid for patch in patches)
    for patch in patches:
        try:
            outline = next(found)
        except ValueError as error:
            raise CatalogError(
                f"patch {patch.id}: {error}", "take it out of the catalog"
            ) from error
        yield Staged(patch, outcomes[patch.year, patch.id], outline)


def _counted(rows: Iterable[Row], advance: Advance) -> Iterator[Row]:
    for row in rows:
        advance("")
        yield row


def _write_kept(
    rows: Iterator[Row],
    kept: Sequence[Sequence[Sequence[Patch]]],
    folder: Path,
    open_shard: OpenShard,
    vectors: PooledShard,
) -> Iterator[tuple[Path, int]]:
    """Write the first rows into shards and row groups as they were; path and rows of each."""
    for number, groups in enumerate(kept):
        with folder_errors(folder), open_shard(folder, number) as shard:
            for group in groups:
                _write_group(list(islice(rows, len(group))), shard, vectors)
        vectors.end_shard()
        yield shard.path, shard.rows


def _write_shards(
    rows: Iterator[Row],
    folder: Path,
    number: int,
    open_shard: OpenShard,
    shard_bytes: int,
    vectors: PooledShard,
) -> Iterator[tuple[Path, int]]:
    """Write rows into shards of about this size, from this number on; path and rows of each."""
    row = next(rows, None)
    while row is not None:
        with folder_errors(folder), open_shard(folder, number) as shard:
            size = 0
            while row is not None and size < shard_bytes:
                group: list[Row] = []
                held = 0
                limit = min(ROW_GROUP_BYTES, shard_bytes - size)
                while row is not None and held < limit:
                    group.append(row)
                    held += row.bytes
                    row = next(rows, None)
                _write_group(group, shard, vectors)
                size += held
        vectors.end_shard()
        yield shard.path, shard.rows
        number += 1


def _write_group(rows: list[Row], shard: ParquetShard | TarShard, vectors: PooledShard) -> None:
    shard.write([row.data for row in rows])
    vectors.hold([row.pooled for row in rows])


def _name_shards(
    root: Path,
    folder: Path,
    split: str,
    shards: list[tuple[Path, int]],
    *,
    folders: bool,
    suffix: str = ".parquet",
) -> Iterator[File]:
    """Rename the shards of a partition, now that their number is known; gives their entries."""
    for number, (path, rows) in enumerate(shards):
        named = folder / shard_name(split, number, len(shards), folders=folders, suffix=suffix)
        named.parent.mkdir(exist_ok=True)
        path.replace(named)
        yield file_entry(root, named, rows)


def _sample_basis(
    patches: Sequence[Patch], store: Store, parallel_map: ParallelMap
) -> PreviewBasis:
    """The basis of previews, fitted to some pixels of some patches."""
    some = sorted(patches, key=lambda patch: shuffled(patch.id))[:_BASIS_PATCHES]
    samples = list(parallel_map(_Sampler(store.pixels), some))
    return fit_basis(np.concatenate(samples, axis=1) if samples else np.zeros((BANDS, 1)))
