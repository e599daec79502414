"""The columns of a release's rows, as `datasets` types them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hfaef.core.quantize import BANDS
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import VECTORS, StorageFormat

if TYPE_CHECKING:
    import datasets


def features(
    kind: str,
    label_names: Sequence[str],
    schemes: Sequence[str],
    storage: StorageFormat | None = None,
) -> datasets.Features:
    """Columns of a release's rows in their order, as `datasets` types them.

    Without label names a label is a number to predict.
    """
    from datasets import ClassLabel, Features, Image, List, Value

    labels = {"label": ClassLabel(names=list(label_names)) if label_names else Value("float64")}
    if label_names and storage is not None and storage.label_name:
        labels["label_name"] = Value("string")
    if kind == "pooled":
        # By how seldom they change: storage that finds the head of a file finds the rest.
        vectors: dict[str, Any] = {
            **{name: List(Value("float32"), length=BANDS) for name in VECTORS},
            "valid_fraction": Value("float32"),
            "id": Value("string"),
            "year": Value("int32"),
            **{scheme: Value("string") for scheme in schemes},
            **labels,
        }
        return Features(vectors)
    raw = storage is not None and storage.codec == "raw"
    shape = {"height": Value("int32"), "width": Value("int32")} if raw else {}
    return Features(
        {
            "embedding": Value("binary") if raw else Image(),
            "id": Value("string"),
            **labels,
            "year": Value("int32"),
            **{scheme: Value("string") for scheme in schemes},
            **shape,
            "crs": Value("string"),
            "transform": List(Value("float64"), length=6),
            "bounds": List(Value("float64"), length=4),
            "geometry": Value("binary"),
            "valid_fraction": Value("float32"),
            "resampled": Value("bool"),
            "source": List(Value("string")),
            # Last, so that small columns, which change, lie between two chunk boundaries.
            "preview": Image(),
        }
    )


def sample_features(columns: datasets.Features) -> datasets.Features:
    """How `datasets` reads the same rows from a WebDataset: a column a member; `json` is a record."""
    from datasets import ClassLabel, Features, Value

    # https://huggingface.co/docs/hub/datasets-webdataset
    members = {"jpg": columns["preview"]}
    rest = {name: kind for name, kind in columns.items() if name not in ("embedding", "preview")}
    if isinstance(rest["label"], ClassLabel):
        members["cls"] = rest.pop("label")
    rest["geometry"] = Value("string")
    about = {"__key__": Value("string"), "__url__": Value("string")}
    return Features({**members, "json": rest, "png": columns["embedding"], **about})


def loaded_features(kind: str, manifest: Manifest) -> datasets.Features:
    """Columns that `load_dataset` gives of a kind of rows."""
    columns = features(kind, manifest.label_names, manifest.schemes, manifest.storage)
    tar = manifest.storage.suffix(kind) == ".tar"
    return sample_features(columns) if tar else shown_first(columns)


def shown_first(columns: datasets.Features) -> datasets.Features:
    """The same columns in the order in which people look at them: the picture first."""
    from datasets import Features

    first = [name for name in ("preview", "id", "label") if name in columns]
    last = [name for name in (*VECTORS, "embedding") if name in columns]
    rest = [name for name in columns if name not in (*first, *last)]
    return Features({name: columns[name] for name in (*first, *rest, *last)})


def file_schema(
    kind: str,
    label_names: Sequence[str],
    schemes: Sequence[str],
    storage: StorageFormat | None = None,
) -> pa.Schema:
    """Arrow schema of a shard, with what `datasets` and GeoParquet readers look for."""
    schema: pa.Schema = features(kind, label_names, schemes, storage).arrow_schema
    # What pyarrow makes of a folder's name; plain strings would make it refuse the folder.
    few_values = pa.dictionary(pa.int32(), pa.string())
    for name in ("label_name", *schemes):
        if name in schema.names:
            schema = schema.set(schema.get_field_index(name), pa.field(name, few_values))
    return with_geometry(schema) if kind == "data" else schema


def with_geometry(schema: pa.Schema) -> pa.Schema:
    """The same schema as that of a GeoParquet file, whose column `geometry` holds WKB polygons.

    https://geoparquet.org/releases/v1.1.0/; without a crs they are lon/lat on WGS 84.
    """
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Polygon"]}},
    }
    return schema.with_metadata({**(schema.metadata or {}), b"geo": json.dumps(geo).encode()})
