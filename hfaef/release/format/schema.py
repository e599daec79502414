"""The columns of a release's rows, as `datasets` types them, and what their values must be."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.core.quantize import BANDS
from hfaef.recipe.columns import KeptColumn, Target
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import PREVIOUS_YEAR, VECTORS, StorageFormat
from hfaef.release.stac.extension import values_metadata

if TYPE_CHECKING:
    import datasets

BOX = ("xmin", "ymin", "xmax", "ymax")
"""Fields of `bbox` in GeoParquet: west, south, east and north."""


@dataclass(frozen=True)
class RowSchema:
    """What the columns of a release's rows depend on."""

    target: Target | None
    """None for releases of hfaef 0.1, whose numbers are float64."""
    label_names: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    folds: tuple[str, ...] = ()
    kept: tuple[KeptColumn, ...] = ()
    observed_year: bool = False
    """Whether the year of the embedding stands beside that of the patch."""
    storage: StorageFormat = field(default_factory=StorageFormat)
    emb: bool = True
    """Whether shards say what their values are, and vectors where they lie; not in releases of
    hfaef 0.1."""
    previous_year: bool = False
    """Whether pooled rows say how alike a patch is to itself in the year before."""

    @property
    def named(self) -> bool:
        """Whether names of labels stand beside their numbers."""
        return bool(self.label_names) and self.storage.label_name


def row_schema(manifest: Manifest) -> RowSchema:
    """That of a release."""
    return RowSchema(
        manifest.target,
        manifest.label_names,
        manifest.schemes,
        manifest.folds,
        manifest.kept,
        manifest.nearest_years,
        manifest.storage,
        emb=manifest.emb is not None,
        previous_year=manifest.previous_year,
    )


def features(kind: str, schema: RowSchema) -> datasets.Features:
    """Columns of a release's rows in their order, as `datasets` types them."""
    from datasets import Features, Image, List, Value

    years = {"year": Value("int32")}
    if schema.observed_year:
        years["observed_year"] = Value("int32")
    splits = {name: Value("string") for name in (*schema.schemes, *schema.folds)}
    kept = {
        column.name: List(Value(column.dtype)) if column.is_list else Value(column.dtype)
        for column in schema.kept
    }
    if kind == "pooled":
        # By how seldom they change: storage that finds the head of a file finds the rest.
        vectors: dict[str, Any] = {
            **{name: List(Value("float32"), length=BANDS) for name in VECTORS},
            "valid_fraction": Value("float32"),
            **({PREVIOUS_YEAR: Value("float32")} if schema.previous_year else {}),
            **(_outline() if schema.emb else {}),
            "id": Value("string"),
            **years,
            **splits,
            **kept,
            **_labels(schema),
        }
        return Features(vectors)
    raw = schema.storage.codec == "raw"
    shape = {"height": Value("int32"), "width": Value("int32")} if raw else {}
    return Features(
        {
            "embedding": Value("binary") if raw else Image(),
            "id": Value("string"),
            **_labels(schema),
            **kept,
            **years,
            **splits,
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


def _outline() -> dict[str, Any]:
    """What makes a table of vectors GeoParquet; `bbox` are `bounds` as readers of that seek them."""
    from datasets import Value

    return {"geometry": Value("binary"), "bbox": dict.fromkeys(BOX, Value("float64"))}


def _labels(schema: RowSchema) -> dict[str, Any]:
    from datasets import ClassLabel, List, Value

    if not schema.label_names:
        return {"label": Value("float32" if schema.target else "float64")}
    several = schema.target == "classes"
    number, name = ClassLabel(names=list(schema.label_names)), Value("string")
    found = {"label": List(number) if several else number}
    if schema.named:
        found["label_name"] = List(name) if several else name
    return found


def sample_features(columns: datasets.Features) -> datasets.Features:
    """How `datasets` reads the same rows from a WebDataset: a column a member; `json` is a record.

    Dates are texts there.
    """
    from datasets import ClassLabel, Features, List, Value

    # https://huggingface.co/docs/hub/datasets-webdataset
    members = {"jpg": columns["preview"]}
    rest = {name: kind for name, kind in columns.items() if name not in ("embedding", "preview")}
    if isinstance(rest["label"], ClassLabel):
        members["cls"] = rest.pop("label")
    rest = {name: Value("string") if _is_time(kind) else kind for name, kind in rest.items()}
    rest |= {
        name: List(Value("string"))
        for name, kind in rest.items()
        if isinstance(kind, List) and _is_time(kind.feature)
    }
    rest["geometry"] = Value("string")
    about = {"__key__": Value("string"), "__url__": Value("string")}
    return Features({**members, "json": rest, "png": columns["embedding"], **about})


def _is_time(feature: object) -> bool:
    return str(getattr(feature, "dtype", "")).startswith(("date", "timestamp"))


def loaded_features(kind: str, manifest: Manifest) -> datasets.Features:
    """Columns that `load_dataset` gives of a kind of rows."""
    columns = features(kind, row_schema(manifest))
    tar = manifest.storage.suffix(kind) == ".tar"
    return sample_features(columns) if tar else shown_first(columns)


def shown_first(columns: datasets.Features) -> datasets.Features:
    """The same columns in the order in which people look at them: the picture first."""
    from datasets import Features

    first = [name for name in ("preview", "id", "label") if name in columns]
    last = [name for name in (*VECTORS, "embedding") if name in columns]
    rest = [name for name in columns if name not in (*first, *last)]
    return Features({name: columns[name] for name in (*first, *rest, *last)})


def file_schema(kind: str, schema: RowSchema) -> pa.Schema:
    """Arrow schema of a shard, with what readers of `datasets`, GeoParquet and embeddings look for."""
    arrow: pa.Schema = features(kind, schema).arrow_schema
    # What pyarrow makes of a folder's name; plain strings would make it refuse the folder.
    few_values = pa.dictionary(pa.int32(), pa.string())
    for name in ("label_name", *schema.schemes, *schema.folds):
        if name in arrow.names and pa.types.is_string(arrow.field(name).type):
            arrow = arrow.set(arrow.get_field_index(name), pa.field(name, few_values))
    arrow = with_geometry(arrow) if "geometry" in arrow.names else arrow
    described = values_metadata(kind, schema.storage.codec) if schema.emb else {}
    return arrow.with_metadata({**(arrow.metadata or {}), **described})


def with_geometry(schema: pa.Schema) -> pa.Schema:
    """The same schema as that of a GeoParquet file, whose column `geometry` holds WKB polygons.

    https://geoparquet.org/releases/v1.1.0/; without a crs they are lon/lat on WGS 84. A column
    `bbox` is its covering.
    """
    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": ["Polygon"]}
    if "bbox" in schema.names:
        column["covering"] = {"bbox": {edge: ["bbox", edge] for edge in BOX}}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return schema.with_metadata({**(schema.metadata or {}), b"geo": json.dumps(geo).encode()})


def leaf_names(schema: pa.Schema) -> list[str]:
    """Parquet's names of the columns of a schema, nested ones with dots."""
    buffer = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), buffer)
    metadata = pq.read_metadata(pa.BufferReader(buffer.getvalue()))
    return [metadata.schema.column(number).path for number in range(metadata.num_columns)]


def column_types(schema: RowSchema) -> dict[str, str]:
    """Type of each column of the rows of patches, as people write it."""
    types = {}
    for name, feature in features("data", schema).items():
        kind = type(feature).__name__
        if kind == "Value":
            kind = feature.dtype
        elif kind == "List":
            length = f"[{feature.length}]" if feature.length > 0 else ""
            of = feature.feature
            kind = of.dtype if type(of).__name__ == "Value" else type(of).__name__
            kind = f"list of {kind}{length}"
        types[name] = kind
    return types


def label_problem(value: object, manifest: Manifest) -> str:
    """What is wrong with a row's label, in words; empty if nothing is."""
    several = manifest.labelling == "classes"
    if several != isinstance(value, list):
        return f"has the label {value!r}, not {'a list' if several else 'one value'}"
    numbers: list[Any] = value if isinstance(value, list) else [value]
    for number in numbers:
        if type(number) not in {int, float}:
            return "has a label that is no number"
        if not math.isfinite(number):
            return f"has the label {number}, which is no finite number"
        if manifest.label_names and not 0 <= number < len(manifest.label_names):
            return f"has the label {number}, which has no name"
    if len(set(numbers)) != len(numbers):
        return "has a label twice"
    return "has labels that are not in their order" if numbers != sorted(numbers) else ""


def vectors_of(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """A column of vectors of one length as an array (rows, dimensions)."""
    joined = column.combine_chunks()
    return np.asarray(joined.flatten()).reshape(len(joined), -1)
