"""From staged pixels to shards, Parquet or WebDataset: the same bytes each time, however many threads.

One row is one page and the embedding is the first column, so that a second release shares all
rows that did not change with the first one in the Hub's content-addressed storage.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hfaef import sheet
from hfaef.catalog import Catalog, Patch, label_number
from hfaef.codec import encode_raw
from hfaef.errors import CatalogError
from hfaef.preview import Basis, fit_basis, render
from hfaef.progress import Advance
from hfaef.quantize import BANDS, Pooled, pool, signed_squares, to_stored, valid_mask
from hfaef.release import (
    KINDS,
    MISSING,
    File,
    Form,
    Missing,
    cell_folder,
    features,
    file_entry,
    in_folders,
    shard_name,
    shuffled,
)
from hfaef.store import Outcome, StagedPixels, Store, writing
from hfaef.webdataset import TarShard
from hfaef.workers import Spread

ROW_GROUP_BYTES = 32_000_000
"""Bounds the memory of packing, and stays far below what the dataset viewer refuses (300 MB)."""

_BASIS_PATCHES = 400
_BASIS_PIXELS = 128
"""Pixels a patch in the sample that the colours of previews are fitted to."""

_PICTURES = ("embedding", "preview")
"""Columns that are compressed already, and hold nothing that a statistic could tell."""


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
        cells = [self.data[name] for name in _PICTURES]
        return sum(len(cell["bytes"] if isinstance(cell, dict) else cell) for cell in cells)


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
    spread: Spread,
    advance: Advance,
    form: Form | None = None,
) -> Packed:
    """Write the shards of all staged patches of a catalog.

    Args:
        catalog: patches with their labels and splits.
        store: holds their pixels.
        folder: an empty folder; gets ``data`` and ``pooled``.
        shard_bytes: size at which a shard is closed.
        spread: encodes rows, on threads or on many machines; the result is the same.
        advance: called for each row.
        form: Parquet with sheets by default.

    Raises:
        FolderError: if the disk is full.
        ReleaseError: if staged pixels are damaged.
    """
    form = form or Form()
    outcomes = store.outcomes()
    cells: dict[tuple[str, str], list[Patch]] = defaultdict(list)
    years = sorted({patch.year for patch in catalog.patches})
    for patch in catalog.patches:
        outcome = outcomes.get((patch.year, patch.id))
        if outcome is not None and outcome.fetched:
            place = cell_folder("", patch.year, patch.splits, years, catalog.schemes)
            split = patch.splits[catalog.schemes[0]] if catalog.schemes else "train"
            cells[place, split].append(patch)
    for patches in cells.values():
        patches.sort(key=lambda patch: shuffled(patch.id))
    rows = [patch for patches in cells.values() for patch in patches]
    basis = _sample_basis(sorted(rows, key=lambda patch: shuffled(patch.id)), store, spread)
    encode = _Encoder(store.pixels, catalog.label_names, basis, form)
    files: list[File] = []
    folders = in_folders(years, catalog.schemes)
    names = (catalog.label_names, catalog.schemes)
    schemas = {kind: file_schema(kind, *names, form) for kind in KINDS}

    def open_shard(place: Path, number: int) -> _Shard | TarShard:
        if form.format == "webdataset":
            return TarShard(place, number, classes=bool(catalog.label_names))
        return _Shard(place, number, schemas["data"])

    for (place, split), patches in sorted(cells.items()):
        staged = ((patch, outcomes[patch.year, patch.id]) for patch in patches)
        encoded = spread(encode, staged)
        data = folder / f"data{place}"
        pooled = folder / f"pooled{place}"
        with writing(pooled), _Shard(pooled, 0, schemas["pooled"]) as vectors:
            written = _write_shards(encoded, data, open_shard, shard_bytes, vectors, advance)
            shards = list(written)
        suffix = form.suffix("data")
        files += _settle(folder, data, split, shards, folders=folders, suffix=suffix)
        files += _settle(folder, pooled, split, [(vectors.path, vectors.rows)], folders=folders)
    return Packed(tuple(sorted(files, key=lambda file: file.path)), basis)


def missing_table(missing: Sequence[Missing]) -> pa.Table:
    """The table of the patches that a release lacks."""
    names = ("id", "label", "reason", "year")
    types = (pa.string(), pa.string(), pa.string(), pa.int32())
    return pa.Table.from_pylist(
        [patch.model_dump() for patch in missing],
        schema=pa.schema(list(zip(names, types, strict=True))),
    )


def write_missing(folder: Path, missing: Sequence[Missing]) -> File:
    """Write `MISSING` into a release's folder; gives the manifest's line on it."""
    path = folder / MISSING
    with writing(path):
        pq.write_table(missing_table(missing), path, compression="zstd")
    return file_entry(folder, path, len(missing))


@dataclass(frozen=True)
class _Encoder:
    """Reads and encodes staged patches; a value that can be sent to other machines."""

    pixels: StagedPixels
    label_names: tuple[str, ...]
    basis: Basis
    form: Form

    def __call__(self, staged: tuple[Patch, Outcome]) -> Row:
        patch, outcome = staged
        codes = self.pixels.read(patch)
        return encode_row(patch, codes, outcome, self.label_names, self.basis, self.form)


@dataclass(frozen=True)
class _Sampler:
    """Reads some pixels of staged patches."""

    pixels: StagedPixels

    def __call__(self, patch: Patch) -> npt.NDArray[np.float64]:
        codes = self.pixels.read(patch)
        valid = codes[:, valid_mask(codes)]
        step = max(valid.shape[1] // _BASIS_PIXELS, 1)
        return signed_squares(valid[:, ::step][:, :_BASIS_PIXELS]).astype(np.float64)


def encode_row(
    patch: Patch,
    codes: npt.NDArray[np.int8],
    outcome: Outcome,
    label_names: Sequence[str],
    basis: Basis,
    form: Form | None = None,
) -> Row:
    """The rows of a patch with these codes, int8 (64, H, W)."""
    pooled = pool(codes)
    try:
        bounds, ring = patch.grid.bounds(), patch.grid.ring()
    except ValueError as error:
        raise CatalogError(f"patch {patch.id}: {error}", "take it out of the catalog") from error
    common = {
        "id": patch.id,
        "label": label_number(patch.label, label_names),
        "year": patch.year,
        **patch.splits,
        # As Parquet's float32 holds it, so that all formats hold the same number.
        "valid_fraction": float(np.float32(pooled.valid_fraction)),
    }
    stored = to_stored(codes)
    if form is not None and form.codec == "raw":
        common |= {"height": patch.grid.height, "width": patch.grid.width}
    data = {
        "embedding": encode_raw(stored)
        if form is not None and form.codec == "raw"
        else {"bytes": sheet.encode(stored), "path": f"{patch.id}.png"},
        "preview": {"bytes": render(codes, basis), "path": f"{patch.id}.jpg"},
        "crs": patch.grid.crs,
        "transform": patch.grid.transform,
        "bounds": bounds,
        "geometry": _polygon(ring),
        "resampled": outcome.resampled,
        "source": outcome.origins,
    }
    return Row({**common, **data}, {**common, **_vectors(pooled)})


def file_schema(
    kind: str, label_names: Sequence[str], schemes: Sequence[str], form: Form | None = None
) -> pa.Schema:
    """Arrow schema of a shard, with what `datasets` and GeoParquet readers look for."""
    schema: pa.Schema = features(kind, label_names, schemes, form).arrow_schema
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


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """A column of a row group; vectors as one block, not number by number."""
    if values and isinstance(values[0], np.ndarray):
        numbers = pa.array(np.concatenate(values), kind.value_type)
        return pa.FixedSizeListArray.from_arrays(numbers, type=kind)
    return pa.array(values, kind)


_ROW_PAGES = {"data_page_size": 1, "write_batch_size": 1}
"""What makes the Parquet writer put each row on a page of its own."""


class _Shard:
    """A Parquet file that is being written."""

    def __init__(self, folder: Path, number: int, schema: pa.Schema) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{number:05d}.part"
        self.rows = 0
        self._schema = schema
        leaves = _leaf_names(schema)
        plain = [leaf for leaf in leaves if leaf.split(".")[0] not in _PICTURES]
        raw = {"embedding"} & set(leaves)  # a sheet's leaves lie below its column
        packed = {*plain, *raw}
        self._writer = pq.ParquetWriter(
            self.path,
            schema,
            compression={leaf: "zstd" if leaf in packed else "none" for leaf in leaves},
            # Level 3 makes a fifth less of raw codes than 1, and is read as fast.
            compression_level=dict.fromkeys(raw, 3) or None,
            use_dictionary=False,
            write_statistics=plain,
            write_page_index=True,
            # A vector's 256 numbers would be as many pages.
            **(_ROW_PAGES if "embedding" in schema.names else {}),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add one row group."""
        columns = [_column([row[field.name] for row in rows], field.type) for field in self._schema]
        table = pa.Table.from_arrays(columns, schema=self._schema)
        self._writer.write_table(table, row_group_size=max(len(rows), 1))
        self.rows += len(rows)


def _write_shards(
    rows: Iterable[Row],
    folder: Path,
    open_shard: Callable[[Path, int], _Shard | TarShard],
    shard_bytes: int,
    vectors: _Shard,
    advance: Advance,
) -> Iterator[tuple[Path, int]]:
    """Write rows into shards of about this size; gives each one's path and rows.

    The pooled rows go to `vectors`, as many a row group.
    """
    source = iter(rows)
    row = next(source, None)
    number = 0
    while row is not None:
        with writing(folder), open_shard(folder, number) as shard:
            size = 0
            while row is not None and size < shard_bytes:
                group: list[Row] = []
                held = 0
                limit = min(ROW_GROUP_BYTES, shard_bytes - size)
                while row is not None and held < limit:
                    group.append(row)
                    held += row.bytes
                    advance("")
                    row = next(source, None)
                shard.write([packed.data for packed in group])
                vectors.write([packed.pooled for packed in group])
                size += held
        yield shard.path, shard.rows
        number += 1


def _settle(
    root: Path,
    folder: Path,
    split: str,
    shards: list[tuple[Path, int]],
    *,
    folders: bool,
    suffix: str = ".parquet",
) -> Iterator[File]:
    """Give shards their names, now that their number is known."""
    for number, (path, rows) in enumerate(shards):
        named = folder / shard_name(split, number, len(shards), folders=folders, suffix=suffix)
        named.parent.mkdir(exist_ok=True)
        path.replace(named)
        yield file_entry(root, named, rows)


def _sample_basis(patches: Sequence[Patch], store: Store, spread: Spread) -> Basis:
    """The basis of previews, fitted to some pixels of some patches."""
    samples = list(spread(_Sampler(store.pixels), patches[:_BASIS_PATCHES]))
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
