"""The points of a release, ``atlas/points.parquet``: a row a patch, small enough to be read at once.

A row holds what a map and a plane of embeddings show of a patch: its place in both, its label, year
and splits, what a probe predicts of it, and where the bytes of its preview and its vector lie.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from hfaef.core.names import require_id
from hfaef.core.quantize import BANDS
from hfaef.errors import ReleaseError, command_line
from hfaef.release.atlas.layout import pca_layout, tsne_layout
from hfaef.release.atlas.metadata import (
    KEY,
    About,
    AboutLayout,
    Measured,
    Scheme,
    Shard,
    VectorColumn,
    VectorFile,
    metadata_of,
)
from hfaef.release.atlas.previews import UNKNOWN, read_shard
from hfaef.release.card.references import read_references
from hfaef.release.format.manifest import Manifest, content_sha256, first_fault
from hfaef.release.format.schema import BOX, label_problem, leaf_names, vectors_of

Key = tuple[int, str]
"""Year and id of a patch."""

_FAULTS = (OSError, ValueError, LookupError, TypeError, pa.ArrowException, tarfile.TarError)
"""What reading a file raises that is not what a release holds."""

_LEVEL = 9
"""Of zstd: smaller than by default, and read as fast."""

_EARTH = np.array([180, 90, 180, 90])
"""The largest west, south, east and north."""


@dataclass(frozen=True)
class Predicted:
    """What the probe of one score predicts of some points."""

    scheme: str
    measured: Measured
    points: npt.NDArray[np.int64]
    """Numbers of the points."""
    values: pa.Array
    """Their labels, of the type of the points' own."""


@dataclass(frozen=True)
class Points:
    """The points of a release, without predictions."""

    manifest: Manifest
    table: pa.Table

    def numbers(self) -> dict[Key, int]:
        """Number of each point by year and id."""
        keys = zip(self.table["year"].to_pylist(), self.table["id"].to_pylist(), strict=True)
        return {key: number for number, key in enumerate(keys)}

    def to_bytes(self, predicted: Sequence[Predicted] = ()) -> bytes:
        """The file, the same bytes for the same release and predictions."""
        names = (*self.manifest.schemes, *self.manifest.folds)
        of_schemes = {
            name: [one for one in predicted if one.scheme == name and len(one.points)]
            for name in names
        }
        found = about(
            self.manifest,
            {name: tuple(one.measured for one in some) for name, some in of_schemes.items()},
        )
        table = self.table
        for scheme in found.schemes:
            if scheme.predicted:
                column = _placed(of_schemes[scheme.name], len(table))
                place = table.column_names.index("preview_shard")
                table = table.add_column(place, scheme.predicted, column)
        return _parquet(table, found)


def about(manifest: Manifest, measured: Mapping[str, tuple[Measured, ...]]) -> About:
    """What the points of a release say of themselves.

    Args:
        manifest: the release's.
        measured: scores of the predictions by scheme; those without any have no column of them.
    """
    pooled, data = (
        [file for file in manifest.files if file.path.startswith(f"{kind}/")]
        for kind in ("pooled", "data")
    )
    names = (*manifest.schemes, *manifest.folds)
    return About(
        target=manifest.labelling,
        label_names=manifest.label_names,
        years=manifest.years,
        schemes=tuple(
            Scheme(
                name=name,
                split=f"split_{number}",
                predicted=f"predicted_{number}" if measured.get(name) else None,
                folds=number >= len(manifest.schemes),
                measured=measured.get(name, ()),
            )
            for number, name in enumerate(names)
        ),
        vectors=VectorColumn(
            column="mean",
            files=tuple(VectorFile(path=f.path, rows=f.rows, bytes=f.bytes) for f in pooled),
        ),
        shards=tuple(Shard(path=f.path, bytes=f.bytes) for f in data),
        missing=len(manifest.missing),
        attribution=read_references().of(manifest).attribution.text,
        rows=content_sha256(manifest),
    )


def label_column(labelling: str) -> tuple[str, pa.DataType]:
    """Name and type of the column of labels by what they are."""
    return {
        "class": ("label", pa.int32()),
        "classes": ("labels", pa.list_(pa.int32())),
        "number": ("number", pa.float64()),
    }[labelling]


def points_bytes(folder: Path, manifest: Manifest) -> bytes:
    """The content of ``atlas/points.parquet`` without predictions, for any release, older ones, too.

    Args:
        folder: of the release; of a downloaded one with its shards of data and of pooled vectors.
        manifest: the release's.

    Raises:
        ReleaseError: naming the file that is not what a release holds.
    """
    return make_points(folder, manifest).to_bytes()


def make_points(folder: Path, manifest: Manifest) -> Points:
    """The points of a release from its shards; arguments and errors are those of `points_bytes`."""
    plain, means, bounds = _read_pooled(folder, manifest)
    places = pca_layout(means)
    previews = _read_data(folder, manifest, Points(manifest, plain).numbers(), bounds)
    middle = {"lon": bounds[:, [0, 2]].mean(axis=1), "lat": bounds[:, [1, 3]].mean(axis=1)}
    new = {
        **{name: pa.array(found.astype(np.float32)) for name, found in middle.items()},
        "x": pa.array(places[:, 0]),
        "y": pa.array(places[:, 1]),
    }
    first = ["id", "year", "valid_fraction"]
    rest = [name for name in plain.column_names if name not in first]
    return Points(
        manifest,
        pa.table(
            {
                **{name: plain[name] for name in first},
                **new,
                **{name: plain[name] for name in rest},
                **previews,
            }
        ),
    )


def tsne_bytes(folder: Path, manifest: Manifest) -> bytes:
    """The content of ``atlas/tsne.parquet``: another layout of the points, in their order.

    It takes minutes for 27,000 rows, is the same again on the same machine, and another elsewhere.

    Args:
        folder: of the release.
        manifest: the release's.

    Raises:
        ReleaseError: naming the file that is not what a release holds.
        MissingPackageError: without openTSNE.
    """
    _, means, _ = _read_pooled(folder, manifest)
    places = tsne_layout(means)
    table = pa.table({"x": pa.array(places[:, 0]), "y": pa.array(places[:, 1])})
    return _parquet(table, AboutLayout(rows=content_sha256(manifest)))


def read_points(path: Path) -> tuple[pa.Table, About]:
    """A table of points, and what it says of itself.

    Raises:
        ReleaseError: if it is none.
    """
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
            return table, About.model_validate_json((file.metadata.metadata or {})[KEY])
    except _FAULTS as error:
        words = first_fault(error) if isinstance(error, ValidationError) else error
        raise ReleaseError(
            f"{path} is no table of points: {words}", "build the release again"
        ) from error


@contextmanager
def _reading(path: Path, folder: Path) -> Iterator[None]:
    """Name the file that is not what a release holds."""
    try:
        yield
    except _FAULTS as error:
        raise ReleaseError(
            f"cannot read {path}: {error}", command_line("hfaef", "check", folder)
        ) from error


def _read_pooled(
    folder: Path, manifest: Manifest
) -> tuple[pa.Table, npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Columns of points that pooled vectors have, means (rows, 64), and bounds as of `_boxes`."""
    names = (*manifest.schemes, *manifest.folds)
    years = ["year", "observed_year"] if manifest.nearest_years else ["year"]
    columns = ["id", *years, "valid_fraction", "label", "mean", "bbox", *names]
    tables, means, boxes = [], [], []
    for file in manifest.files:
        if not file.path.startswith("pooled/"):
            continue
        with _reading(folder / file.path, folder):
            with pq.ParquetFile(folder / file.path) as opened:  # gives of the columns those it has
                table = opened.read(columns=columns).combine_chunks()
            vectors = vectors_of(table["mean"])
            if vectors.shape[1] != BANDS or not (np.abs(vectors) <= 1).all():
                raise ValueError(f"a mean vector is not {BANDS} numbers from -1 to 1")
            tables.append(_columns(table, manifest))
            means.append(vectors)
            boxes.append(_boxes(table))
    if not tables:
        raise ReleaseError(f"{folder} has no pooled vectors", "build the release again")
    return pa.concat_tables(tables).combine_chunks(), np.concatenate(means), np.concatenate(boxes)


def _columns(table: pa.Table, manifest: Manifest) -> pa.Table:
    """Columns of points that are those of pooled vectors, checked."""
    for identity, year, label in zip(
        *(table[name].to_pylist() for name in ("id", "year", "label")), strict=True
    ):
        require_id(identity)
        if year not in manifest.years:
            raise ValueError(f"patch {identity} is of a year that is none of the release")
        if label is not None and (problem := label_problem(label, manifest)):
            raise ValueError(f"patch {identity} {problem}")
    name, kind = label_column(manifest.labelling)
    splits = {
        f"split_{number}": table[scheme].cast(pa.string())
        for number, scheme in enumerate((*manifest.schemes, *manifest.folds))
    }
    observed = ["observed_year"] if manifest.nearest_years else []
    return pa.table(
        {
            "id": table["id"].cast(pa.string()),
            **{year: table[year].cast(pa.int32()) for year in ("year", *observed)},
            "valid_fraction": table["valid_fraction"].cast(pa.float32()),
            name: table["label"].cast(kind),
            **splits,
        }
    )


def _boxes(table: pa.Table) -> npt.NDArray[np.float64]:
    """Shape (rows, 4): west, south, east and north; NaN in releases of hfaef 0.1."""
    if "bbox" not in table.column_names:
        return np.full((len(table), len(BOX)), np.nan)
    boxes = table["bbox"].combine_chunks()
    return np.stack([boxes.field(edge).to_numpy(zero_copy_only=False) for edge in BOX], axis=1)


def _read_data(
    folder: Path,
    manifest: Manifest,
    numbers: dict[Key, int],
    bounds: npt.NDArray[np.float64],
) -> dict[str, pa.Array]:
    """Shard, offset and length of the preview of each point; bounds that are NaN are filled in.

    Args:
        folder: of the release.
        manifest: the release's.
        numbers: of the points by year and id.
        bounds: of the points.
    """
    shards = np.full(len(bounds), UNKNOWN, np.int32)
    offsets = np.full(len(bounds), UNKNOWN, np.int64)
    lengths = np.zeros(len(bounds), np.int32)
    lacking = bool(np.isnan(bounds).any())
    left = dict(numbers)
    files = [file for file in manifest.files if file.path.startswith("data/")]
    for number, file in enumerate(files):
        with _reading(folder / file.path, folder):
            shard = read_shard(folder / file.path, bounds=lacking)
            rows = np.array([left.pop(key, -1) for key in shard.keys], np.int64)
            if (rows < 0).any():
                year, identity = shard.keys[int(rows.argmin())]
                raise ValueError(f"patch {identity} of {year} has no pooled vector of its own")
            shards[rows] = np.where(shard.offsets < 0, UNKNOWN, number)
            offsets[rows], lengths[rows] = shard.offsets, shard.lengths
            if lacking:
                bounds[rows] = shard.bounds
            if not (np.abs(bounds[rows]) <= _EARTH).all():
                raise ValueError("the bounds of a patch lie nowhere on Earth")
    if left or len(numbers) < len(bounds):
        words = "there is a pooled vector twice, or without a row of data"
        raise ReleaseError(f"{folder}: {words}", command_line("hfaef", "check", folder))
    return {
        "preview_shard": pa.array(shards),
        "preview_offset": pa.array(offsets),
        "preview_length": pa.array(lengths),
    }


def _placed(some: Sequence[Predicted], count: int) -> pa.Array:
    """A column of predictions: null where nothing is predicted."""
    values = pa.concat_arrays([one.values for one in some])
    index = np.full(count, -1, np.int64)
    index[np.concatenate([one.points for one in some])] = np.arange(len(values))
    return values.take(pa.array(index, mask=index < 0))


def _parquet(table: pa.Table, found: About | AboutLayout) -> bytes:
    buffer = pa.BufferOutputStream()
    schema = table.schema.remove_metadata()
    split, steady = [], []
    for field in schema:
        if pa.types.is_floating(field.type):
            split.append(field.name)
        elif field.name in {"preview_offset", "preview_length"}:
            steady.append(field.name)
    few = [leaf for leaf in leaf_names(schema) if leaf not in {"id", *split, *steady}]
    with pq.ParquetWriter(
        buffer,
        schema,
        compression="zstd",
        compression_level=_LEVEL,
        use_dictionary=few or False,
        column_encoding={
            **dict.fromkeys(split, "BYTE_STREAM_SPLIT"),
            **dict.fromkeys(steady, "DELTA_BINARY_PACKED"),
        },
        write_statistics=False,
        store_schema=False,
    ) as writer:
        writer.write_table(table.cast(schema), row_group_size=max(len(table), 1))
        writer.add_key_value_metadata(metadata_of(found))
    return bytes(buffer.getvalue())
