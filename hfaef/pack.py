"""From staged pixels to Parquet shards: the same bytes each time, however many threads.

One row is one page and the embedding is the first column, so that a second release shares all
rows that did not change with the first one in the Hub's content-addressed storage.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hfaef import sheet
from hfaef.catalog import Catalog, Patch
from hfaef.errors import CatalogError
from hfaef.layout import Layout, arrange
from hfaef.preview import Basis, fit_basis, render
from hfaef.progress import Advance
from hfaef.quantize import BANDS, Pooled, pool, signed_squares, to_stored, valid_mask
from hfaef.release import (
    KINDS,
    ROW_GROUPS,
    File,
    cell_folder,
    features,
    file_entry,
    in_folders,
    shard_name,
    shuffled,
)
from hfaef.store import Outcome, Store, writing
from hfaef.workers import ordered_map

ROW_GROUP_BYTES = 32_000_000
"""Bounds the memory of packing, and stays far below what the dataset viewer refuses (300 MB)."""

_BASIS_PATCHES = 400
_BASIS_PIXELS = 128
"""Pixels a patch in the sample that the colours of previews are fitted to."""

_PICTURES = ("embedding", "preview")
"""Columns that are compressed already."""


@dataclass(frozen=True)
class Row:
    """A patch, encoded."""

    data: dict[str, Any]
    """Its row in the shards of patches."""
    pooled: dict[str, Any]
    """Its row in the shards of pooled vectors."""

    @property
    def bytes(self) -> int:
        """What its pictures take; the rest is small."""
        return sum(len(self.data[name]["bytes"]) for name in _PICTURES)


@dataclass(frozen=True)
class Packed:
    """What was written."""

    files: tuple[File, ...]
    basis: Basis


def pack(
    catalog: Catalog,
    store: Store,
    folder: Path,
    *,
    shard_bytes: int,
    threads: int,
    advance: Advance,
    layout: Layout | None = None,
) -> Packed:
    """Write the shards of all staged patches of a catalog.

    Args:
        catalog: patches with their labels and splits.
        store: holds their pixels.
        folder: an empty folder; gets ``data`` and ``pooled``.
        shard_bytes: size at which a shard is closed.
        threads: encoders at work; the result is the same for any number.
        advance: called for each row.
        layout: of the release before, whose rows stay in their shards.

    Raises:
        FolderError: if the disk is full.
        ReleaseError: if staged pixels are damaged.
    """
    outcomes = store.outcomes()
    cells: dict[tuple[str, str], list[Patch]] = defaultdict(list)
    years = sorted({patch.year for patch in catalog.patches})
    for patch in catalog.patches:
        outcome = outcomes.get((patch.year, patch.id))
        if outcome is not None and outcome.fetched:
            place = cell_folder("", patch.year, patch.splits, years, catalog.schemes)
            split = patch.splits[catalog.schemes[0]] if catalog.schemes else "train"
            cells[place, split].append(patch)
    layout = layout or Layout()
    arranged = {cell: arrange(patches, layout) for cell, patches in cells.items()}
    everyone = [patch for patches in arranged.values() for patch in patches.order]
    basis = layout.basis or _sample_basis(
        sorted(everyone, key=lambda patch: shuffled(patch.id)), store, threads
    )

    def encode(patch: Patch) -> Row:
        codes = store.codes(patch)
        return encode_row(patch, codes, outcomes[patch.year, patch.id], catalog, basis)

    files: list[File] = []
    folders = in_folders(years, catalog.schemes)
    schemas = {kind: file_schema(kind, catalog.label_names, catalog.schemes) for kind in KINDS}
    for (place, split), patches in sorted(arranged.items()):
        encoded = ordered_map(encode, patches.order, threads)
        data = folder / f"data{place}"
        pooled = folder / f"pooled{place}"
        with writing(pooled), _Vectors(pooled, 0, schemas["pooled"]) as vectors:
            rows = _counted(encoded, advance)
            kept = list(_write_kept(rows, patches.kept, data, schemas["data"], vectors))
            rest = _write_shards(rows, data, len(kept), schemas["data"], shard_bytes, vectors)
            shards = [*kept, *rest]
        files += _settle(folder, data, split, shards, folders=folders)
        files += _settle(folder, pooled, split, [(vectors.path, vectors.rows)], folders=folders)
    return Packed(tuple(sorted(files, key=lambda file: file.path)), basis)


def encode_row(
    patch: Patch, codes: npt.NDArray[np.int8], outcome: Outcome, catalog: Catalog, basis: Basis
) -> Row:
    """The rows of a patch with these codes, int8 (64, H, W)."""
    pooled = pool(codes)
    try:
        bounds, ring = patch.grid.bounds(), patch.grid.ring()
    except ValueError as error:
        raise CatalogError(f"patch {patch.id}: {error}", "take it out of the catalog") from error
    common = {
        "id": patch.id,
        "label": catalog.label_names.index(patch.label),
        "year": patch.year,
        **patch.splits,
        "valid_fraction": pooled.valid_fraction,
    }
    data = {
        "embedding": {"bytes": sheet.encode(to_stored(codes)), "path": f"{patch.id}.png"},
        "preview": {"bytes": render(codes, basis), "path": f"{patch.id}.jpg"},
        "crs": patch.grid.crs,
        "transform": patch.grid.transform,
        "bounds": bounds,
        "geometry": _polygon(ring),
        "resampled": outcome.resampled,
        "source": outcome.origins,
    }
    return Row({**common, **data}, {**common, **_vectors(pooled)})


def file_schema(kind: str, label_names: Sequence[str], schemes: Sequence[str]) -> pa.Schema:
    """Arrow schema of a shard, with what `datasets` and GeoParquet readers look for."""
    schema: pa.Schema = features(kind, label_names, schemes).arrow_schema
    for scheme in schemes:
        # What pyarrow makes of a folder's name; plain strings would make it refuse the folder.
        place = schema.get_field_index(scheme)
        schema = schema.set(
            place, schema.field(place).with_type(pa.dictionary(pa.int32(), pa.string()))
        )
    if kind != "data":
        return schema
    # https://geoparquet.org/releases/v1.1.0/; without a crs it is lon/lat on WGS 84.
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Polygon"]}},
    }
    return schema.with_metadata({**(schema.metadata or {}), b"geo": json.dumps(geo).encode()})


class _Shard:
    """A Parquet file that is being written."""

    def __init__(self, folder: Path, number: int, schema: pa.Schema) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{number:05d}.part"
        self.rows = 0
        self._schema = schema
        leaves = _leaf_names(schema)
        plain = [leaf for leaf in leaves if leaf.split(".")[0] not in _PICTURES]
        self._writer = pq.ParquetWriter(
            self.path,
            schema,
            compression={leaf: "zstd" if leaf in plain else "none" for leaf in leaves},
            use_dictionary=False,
            # Both hold a line for every page: a row that goes would change all that follows.
            write_statistics=False,
            write_page_index=False,
            data_page_size=1,
            write_batch_size=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add one row group."""
        table = pa.Table.from_pylist(rows, schema=self._schema)
        self._writer.write_table(table, row_group_size=max(len(rows), 1))
        self.rows += len(rows)


class _Vectors(_Shard):
    """The table of pooled vectors of a cell, one row group a shard of its data.

    It tells where the rows lie, so that nobody needs the large files to know.
    """

    def __init__(self, folder: Path, number: int, schema: pa.Schema) -> None:
        super().__init__(folder, number, schema)
        self._held: list[dict[str, Any]] = []
        self._groups: list[int] = []
        self._shards: list[list[int]] = []

    def __exit__(self, *error: object) -> None:
        self._writer.add_key_value_metadata({ROW_GROUPS: json.dumps(self._shards)})
        super().__exit__(*error)

    def hold(self, rows: list[dict[str, Any]]) -> None:
        """Add the rows of a row group of data."""
        self._held += rows
        self._groups.append(len(rows))

    def end_shard(self) -> None:
        """Write what a shard of data has held."""
        self.write(self._held)
        self._shards.append(self._groups)
        self._held, self._groups = [], []


def _counted(rows: Iterable[Row], advance: Advance) -> Iterator[Row]:
    for row in rows:
        advance("")
        yield row


def _write_kept(
    rows: Iterator[Row],
    kept: Sequence[Sequence[Sequence[Patch]]],
    folder: Path,
    schema: pa.Schema,
    vectors: _Vectors,
) -> Iterator[tuple[Path, int]]:
    """Write the first rows into shards and row groups as they were; path and rows of each."""
    for number, groups in enumerate(kept):
        with writing(folder), _Shard(folder, number, schema) as shard:
            for group in groups:
                _write_group(list(islice(rows, len(group))), shard, vectors)
        vectors.end_shard()
        yield shard.path, shard.rows


def _write_shards(
    rows: Iterator[Row],
    folder: Path,
    number: int,
    schema: pa.Schema,
    shard_bytes: int,
    vectors: _Vectors,
) -> Iterator[tuple[Path, int]]:
    """Write rows into shards of about this size, from this number on; path and rows of each."""
    row = next(rows, None)
    while row is not None:
        with writing(folder), _Shard(folder, number, schema) as shard:
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


def _write_group(rows: list[Row], shard: _Shard, vectors: _Vectors) -> None:
    shard.write([row.data for row in rows])
    vectors.hold([row.pooled for row in rows])


def _settle(
    root: Path, folder: Path, split: str, shards: list[tuple[Path, int]], *, folders: bool
) -> Iterator[File]:
    """Give shards their names, now that their number is known."""
    for number, (path, rows) in enumerate(shards):
        named = folder / shard_name(split, number, len(shards), folders=folders)
        path.replace(named)
        yield file_entry(root, named, rows)


def _sample_basis(patches: Sequence[Patch], store: Store, threads: int) -> Basis:
    """The basis of previews, fitted to some pixels of some patches."""

    def sample(patch: Patch) -> npt.NDArray[np.float64]:
        codes = store.codes(patch)
        valid = codes[:, valid_mask(codes)]
        step = max(valid.shape[1] // _BASIS_PIXELS, 1)
        return signed_squares(valid[:, ::step][:, :_BASIS_PIXELS]).astype(np.float64)

    samples = list(ordered_map(sample, patches[:_BASIS_PATCHES], threads))
    return fit_basis(np.concatenate(samples, axis=1) if samples else np.zeros((BANDS, 1)))


def _vectors(pooled: Pooled) -> dict[str, Any]:
    return {"mean": pooled.mean, "stats": pooled.stats}


def _polygon(ring: Sequence[tuple[float, float]]) -> bytes:
    import shapely

    return bytes(shapely.to_wkb(shapely.Polygon(ring), byte_order=1))


def _leaf_names(schema: pa.Schema) -> list[str]:
    """Parquet's names of the columns of a schema, nested ones with dots."""
    buffer = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), buffer)
    metadata = pq.read_metadata(pa.BufferReader(buffer.getvalue()))
    return [metadata.schema.column(number).path for number in range(metadata.num_columns)]
