"""The table of a release's STAC Items, one a row of ``data``, as STAC GeoParquet.

https://github.com/stac-utils/stac-geoparquet/blob/main/spec/stac-geoparquet-spec.md. Items stand in
the order of the shards, a row group a shard, and hold nothing that a shard's content changes, so
that a release in which few rows move sends little of it. Addresses are relative to the table.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hfaef.errors import ReleaseError, command_line
from hfaef.release.format import webdataset
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import COLLECTION
from hfaef.release.format.schema import BOX, leaf_names, with_geometry
from hfaef.release.stac.addresses import UP, media_type, shard_address
from hfaef.release.stac.extension import EXTENSION, QUANTIZATION, SPACING, STAC_VERSION

_TEXT = pa.string()
_TIME = pa.timestamp("us", "UTC")
_LINK = pa.struct([(name, _TEXT) for name in ("rel", "href", "type", "title")])
_ASSET = pa.struct([("href", _TEXT), ("type", _TEXT), ("roles", pa.list_(_TEXT))])
_QUANTIZATION = pa.struct([(name, _LINK if name == "link" else _TEXT) for name in QUANTIZATION])
_SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("geometry", pa.binary()),
        ("bbox", pa.struct([(edge, pa.float64()) for edge in BOX])),
        ("datetime", _TIME),
        ("start_datetime", _TIME),
        ("end_datetime", _TIME),
        ("type", _TEXT),
        ("stac_version", _TEXT),
        ("stac_extensions", pa.list_(_TEXT)),
        ("collection", _TEXT),
        ("links", pa.list_(_LINK)),
        ("assets", pa.struct([("embeddings", _ASSET)])),
        ("gsd", pa.float64()),
        ("emb:quantization", _QUANTIZATION),
    ]
)


def make_items(folder: Path, manifest: Manifest, *, up: str = UP) -> list[pa.Table]:
    """Items of a release, a table a shard.

    Args:
        folder: of the release.
        manifest: the release's.
        up: address of the release, as a folder's, that stands before those of its files.

    Raises:
        ReleaseError: naming a shard that cannot be read.
    """
    found = []
    for file in manifest.files:
        if file.path.startswith("data/"):
            path = folder / file.path
            try:
                found.append(_items(_read(path, manifest), file.path, manifest, up))
            except (OSError, ValueError, LookupError, pa.ArrowException, tarfile.TarError) as error:
                raise ReleaseError(
                    f"cannot read {path}: {error}", command_line("hfaef", "check", folder)
                ) from error
    return found


def items_bytes(items: list[pa.Table]) -> bytes:
    """The table's file, the same bytes for the same items."""
    metadata = {b"stac-geoparquet": json.dumps({"version": "1.0.0"}).encode()}
    schema = with_geometry(_SCHEMA.with_metadata(metadata))
    buffer = pa.BufferOutputStream()
    plain = ("id", "geometry", "bbox.xmin", "bbox.ymin", "bbox.xmax", "bbox.ymax")
    constant = [name for name in leaf_names(schema) if name not in plain]
    with pq.ParquetWriter(
        buffer,
        schema,
        compression="zstd",
        use_dictionary=constant,
        column_encoding=dict.fromkeys(plain[2:], "BYTE_STREAM_SPLIT"),
        write_statistics=False,  # rows are shuffled, so a range tells nothing
    ) as writer:
        for table in items:
            writer.write_table(
                table.replace_schema_metadata(schema.metadata),
                row_group_size=max(table.num_rows, 1),
            )
    return bytes(buffer.getvalue())


def read_items(path: Path, manifest: Manifest, *, up: str | None = None) -> list[pa.Table]:
    """Items of a release from the table that it holds, as of `make_items`.

    Args:
        path: of the table.
        manifest: of the release.
        up: address of the release, as a folder's; None leaves the table's own.

    Raises:
        ReleaseError: if it is no such table.
    """
    shards = [file for file in manifest.files if file.path.startswith("data/")]
    try:
        with pq.ParquetFile(path) as file:
            groups = [file.read_row_group(n) for n in range(file.metadata.num_row_groups)]
        return [
            _at(table.replace_schema_metadata(None).cast(_SCHEMA), shard.path, up)
            for table, shard in zip(groups, shards, strict=True)
        ]
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        raise ReleaseError(
            f"{path} is no table of the release's items: {error}", "build the release again"
        ) from error


def year_bounds(years: Any) -> tuple[Any, Any]:
    """First and last second of years, datetime64[us]; a year has no other moment."""
    start = np.asarray(years, np.int64) - 1970
    first = start.astype("datetime64[Y]").astype("datetime64[us]")
    last = (start + 1).astype("datetime64[Y]").astype("datetime64[us]") - np.timedelta64(1, "s")
    return first, last


def _read(path: Path, manifest: Manifest) -> pa.Table:
    """Id, years, bounds and geometry of a shard's rows."""
    names = ["id", "year", "bounds", "geometry"]
    names += ["observed_year"] if manifest.nearest_years else []
    if path.suffix == ".tar":
        rows = [{name: row[name] for name in names} for row in webdataset.read_rows(path)]
        types = [_TEXT, pa.int32(), pa.list_(pa.float64()), pa.binary(), pa.int32()]
        return pa.Table.from_pylist(rows, pa.schema(list(zip(names, types, strict=False))))
    with pq.ParquetFile(path) as shard:
        return shard.read(columns=names)


def _items(rows: pa.Table, path: str, manifest: Manifest, up: str) -> pa.Table:
    count = rows.num_rows
    bounds = rows["bounds"].combine_chunks().flatten().to_numpy().reshape(count, 4)
    edges = [pa.array(np.ascontiguousarray(bounds[:, number])) for number in range(4)]
    years = rows["observed_year" if manifest.nearest_years else "year"].to_numpy()
    first, last = year_bounds(years)
    ids = rows["id"].combine_chunks().cast(_TEXT)
    if len(manifest.config_years) > 1:  # a patch has an item in each
        ids = pc.binary_join_element_wise(ids, rows["year"].combine_chunks().cast(_TEXT), "-")
    constants: dict[str, Any] = {
        "datetime": None,
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EXTENSION],
        "collection": manifest.name,
        "links": [
            {
                "rel": "collection",
                "href": COLLECTION.rpartition("/")[2],
                "type": "application/json",
                "title": "The release",
            }
        ],
        "assets": _assets(path, up),
        "gsd": float(SPACING),
        "emb:quantization": QUANTIZATION,
    }
    columns = {
        "id": ids,
        "geometry": rows["geometry"].combine_chunks().cast(pa.binary()),
        "bbox": pa.StructArray.from_arrays(edges, fields=list(_SCHEMA.field("bbox").type)),
        "start_datetime": pa.array(first).cast(_TIME),
        "end_datetime": pa.array(last).cast(_TIME),
        **{
            name: _repeated(value, _SCHEMA.field(name).type, count)
            for name, value in constants.items()
        },
    }
    return pa.Table.from_arrays([columns[name] for name in _SCHEMA.names], schema=_SCHEMA)


def _assets(path: str, up: str) -> dict[str, Any]:
    asset = {"href": shard_address(path, up), "type": media_type(path), "roles": ["data"]}
    return {"embeddings": asset}


def _at(items: pa.Table, path: str, up: str | None) -> pa.Table:
    """The same items with the address of their shard from elsewhere."""
    if up is None:
        return items
    column = _SCHEMA.get_field_index("assets")
    field = _SCHEMA.field(column)
    return items.set_column(column, field, _repeated(_assets(path, up), field.type, items.num_rows))


def _repeated(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    return pa.array([value], kind).take(pa.array(np.zeros(count, np.int32)))
