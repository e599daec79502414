"""An export for GIS: a cloud-optimised GeoTIFF a patch, and a table of vectors.

    FOLDER/[YEAR/]LABEL/ID.tif    uint8, 64 bands A00..A63, nodata 255
    FOLDER/pooled.parquet         GeoParquet: outline, label, splits, mean vector A00..A63, path

The folder can be patches of another recipe: it is what the kind ``geotiffs`` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hfaef.core.files import atomic_folder, folder_errors
from hfaef.core.names import file_name, folder_names
from hfaef.core.progress import progress
from hfaef.core.quantize import BAND_NAMES, STORED_NODATA
from hfaef.core.workers import core_count, ordered_map
from hfaef.errors import FolderError, InputError
from hfaef.release.card.references import read_references
from hfaef.release.format.manifest import Manifest, read_manifest
from hfaef.release.format.rows import read_rows, stored_of
from hfaef.release.format.schema import with_geometry

TABLE = "pooled.parquet"

_BLOCK = 512
"""Pixels a side of an internal tile; larger pictures get overviews."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote."""

    folder: Path
    patches: int
    bytes: int

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"folder": str(self.folder), "patches": self.patches, "bytes": self.bytes}


def export(
    release: Path, folder: Path, *, compression: str = "deflate", threads: int | None = None
) -> Exported:
    """Write a release's patches as GeoTIFFs and its pooled vectors as GeoParquet.

    Args:
        release: the folder of a release.
        folder: where to write; it must be new or empty.
        compression: ``deflate``, which everything reads, or ``zstd``.
        threads: encoders at work.

    Raises:
        FolderError: if the folder holds something, or the disk is full.
        ReleaseError: if a file of the release cannot be read.
    """
    if compression not in ("deflate", "zstd"):
        raise InputError(f"compression {compression!r} is neither deflate nor zstd")
    manifest = read_manifest(release)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderError(f"{folder} holds something already", "choose another --to")
    folders = folder_names(manifest.label_names)
    attribution = read_references().attribution.text
    table: list[dict[str, Any]] = []

    def write(made: Path, row: dict[str, Any]) -> dict[str, Any]:
        path = _path(row, manifest, folders)
        label = manifest.label_of(row["label"])
        tags = {
            "id": row["id"],
            "label": str(label),
            "year": str(row["year"]),
            **{scheme: row[scheme] for scheme in manifest.schemes},
            "meaning": "q = value - 127; x = sign(q) * (q / 127.5) ** 2; 255 is nodata",
            "attribution": attribution,
        }
        with folder_errors(made / path):
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            write_cog(made / path, row, tags, compression)
        plain = {name: row[name] for name in ("id", "year", *manifest.schemes, "geometry")}
        return {**plain, "label": label, "path": path}

    with folder_errors(folder), atomic_folder(folder) as made:
        with progress("export", manifest.rows) as advance:
            rows = read_rows(release, manifest)
            for entry in ordered_map(partial(write, made), rows, threads or core_count()):
                table.append(entry)
                advance("")
        _write_table(made / TABLE, table, release, manifest)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Exported(folder, len(table), size)


def write_cog(path: Path, row: dict[str, Any], tags: dict[str, str], compression: str) -> None:
    """Write the patch of a row as a cloud-optimised GeoTIFF: uint8 (64, H, W), 255 nodata."""
    import rasterio
    import rioxarray  # noqa: F401 - gives arrays their `rio`
    import xarray

    stored = stored_of(row)
    array = xarray.DataArray(stored, dims=("band", "y", "x"), attrs={"long_name": BAND_NAMES})
    array = array.rio.write_crs(row["crs"])
    array = array.rio.write_transform(rasterio.Affine(*row["transform"]))
    array = array.rio.write_nodata(STORED_NODATA)
    side = max(stored.shape[1:])
    array.rio.to_raster(
        path,
        driver="COG",
        compress=compression,
        predictor=2,
        blocksize=min(-(-side // 16) * 16, _BLOCK),
        overviews="AUTO" if side > _BLOCK else "NONE",
        # Codes of different places must not be averaged.
        overview_resampling="NEAREST",
        tags=tags,
    )


def _write_table(
    path: Path, entries: list[dict[str, Any]], release: Path, manifest: Manifest
) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    pooled = {(row["year"], row["id"]): row for row in read_rows(release, manifest, "pooled")}
    found = [pooled[entry["year"], entry["id"]] for entry in entries]
    names = ("id", "label", "year", *manifest.schemes, "path", "geometry")
    columns: dict[str, Any] = {name: [entry[name] for entry in entries] for name in names}
    columns["valid_fraction"] = pa.array([row["valid_fraction"] for row in found], pa.float32())
    means = np.array([row["mean"] for row in found], np.float32)
    # One column a band: GIS programs show numbers, not lists.
    columns |= dict(zip(BAND_NAMES, means.T, strict=True))
    table = pa.table(columns)
    table = table.replace_schema_metadata(with_geometry(table.schema).metadata)
    pq.write_table(table, path, compression="zstd")


def _path(row: dict[str, Any], manifest: Manifest, folders: Sequence[str]) -> str:
    """Where a patch lies, from the export's folder on."""
    parts = [str(row["year"])] if len(manifest.years) > 1 else []
    parts.append(folders[int(row["label"])] if manifest.label_names else "patches")
    return "/".join([*parts, f"{file_name(row['id'])}.tif"])
