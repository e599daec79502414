"""What a table of points says of itself: JSON under `KEY` in the metadata of its Parquet file."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field

from hfaef.recipe.columns import Target
from hfaef.release.format.manifest import Part

KEY = b"hfaef.atlas"


class Measured(Part):
    """The score of the probe whose predictions a table holds, as ``evaluation.json`` has it."""

    vectors: str
    """Name of the set."""
    probe: Literal["knn", "linear"]
    year: int | None
    """None for rows of all years, where each has its own."""
    metric: str
    value: float
    test: int
    """Patches that it predicts."""
    misclassified: int | None
    """Of them, those whose label, or set of labels, is another one; None for numbers."""


class Scheme(Part):
    """A split scheme, or folds."""

    name: str
    split: str
    """Column of its splits."""
    predicted: str | None = None
    """Column of the predictions, if there are any."""
    folds: bool = False
    measured: tuple[Measured, ...] = ()
    """A score a year."""


class VectorFile(Part):
    """A file whose rows are points, and hold their vectors."""

    path: str
    rows: int
    bytes: int


class VectorColumn(Part):
    """Where the vectors of points lie: point i is row i of the files one after the other."""

    column: str
    files: tuple[VectorFile, ...]


class Shard(Part):
    """A file that holds previews."""

    path: str
    bytes: int


class About(Part):
    """The metadata of a table of points."""

    format: Literal[1] = 1
    target: Target
    label_names: tuple[str, ...]
    years: tuple[int, ...]
    schemes: tuple[Scheme, ...]
    layout: Literal["pca"] = "pca"
    vectors: VectorColumn
    shards: tuple[Shard, ...]
    missing: int = 0
    """Patches and years that the release lacks, for reasons that its manifest lists."""
    attribution: str
    rows: str = Field(pattern=r"^[0-9a-f]{64}$")
    """`manifest.content_sha256` of the release: of which rows the points are."""


class AboutLayout(Part):
    """The metadata of another layout of the same points."""

    format: Literal[1] = 1
    layout: Literal["tsne"] = "tsne"
    rows: str = Field(pattern=r"^[0-9a-f]{64}$")
    """As in `About`."""


def metadata_of(one: About | AboutLayout) -> dict[bytes, bytes]:
    """The metadata of a Parquet file."""
    content = one.model_dump(mode="json")
    return {KEY: json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()}
