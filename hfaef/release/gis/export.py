"""An export for GIS: a cloud-optimised GeoTIFF a patch, and a table of vectors.

    FOLDER/[YEAR/]LABEL/ID.tif    64 bands A00..A63: uint8, nodata 255; with `values` float32, NaN
    FOLDER/pooled.parquet         GeoParquet: outline, label, splits, kept columns, mean vector
                               A00..A63, path; of several labels a list
    FOLDER/mosaic[-YEAR][-CRS].vrt    with `mosaic`: all patches of a year and CRS as one picture

The folder can be patches of another recipe: it is what the kind ``geotiffs`` reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hfaef.core.files import atomic_folder, finish_folder, folder_errors, is_unfinished
from hfaef.core.names import file_name, folder_names, printable
from hfaef.core.progress import progress
from hfaef.core.quantize import BAND_NAMES, STORED_NODATA, dequantize
from hfaef.core.workers import core_count, ordered_map
from hfaef.errors import FolderError, InputError, ReleaseError, command_line
from hfaef.release.card.references import read_references
from hfaef.release.format.manifest import Manifest, read_manifest
from hfaef.release.format.paths import require_outside
from hfaef.release.format.rows import read_rows, stored_of
from hfaef.release.format.schema import features, row_schema, with_geometry
from hfaef.release.gis.mosaic import Tile, write_mosaics

TABLE = "pooled.parquet"

_CODES = "q = value - 127; x = sign(q) * (q / 127.5) ** 2; 255 is nodata"
_VALUES = "dequantized values x between -1 and 1; NaN is nodata"

_BLOCK = 512
"""Pixels a side of an internal tile; larger pictures get overviews."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote."""

    folder: Path
    patches: int
    bytes: int
    mosaics: tuple[Path, ...] = ()
    """VRTs, with `mosaic`."""

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "folder": str(self.folder),
            "patches": self.patches,
            "bytes": self.bytes,
            "mosaics": [str(path) for path in self.mosaics],
        }


def export(
    release: Path,
    folder: Path,
    *,
    compression: str = "deflate",
    values: bool = False,
    mosaic: bool = False,
    threads: int | None = None,
) -> Exported:
    """Write a release's patches as GeoTIFFs and its pooled vectors as GeoParquet.

    Args:
        release: the folder of a release.
        folder: where to write; it must be new or empty.
        compression: ``deflate``, which everything reads, or ``zstd``.
        values: float32 values, NaN where there is no data, instead of the codes they are stored
            as: statistics of codes mislead, as a square root lies between the two.
        mosaic: a VRT over all patches of a year and CRS, too; some 20 kB a patch.
        threads: encoders at work.

    Raises:
        FolderError: if the folder holds something, or the disk is full.
        ReleaseError: if a file of the release cannot be read.
    """
    if compression not in ("deflate", "zstd"):
        raise InputError(f"compression {compression!r} is neither deflate nor zstd")
    manifest = read_manifest(release)
    require_outside(folder, release, "--to")
    require_place(folder)
    folders = folder_names(manifest.label_names)
    attribution = read_references().of(manifest).attribution.text
    columns = described_by(manifest)
    table: list[dict[str, Any]] = []

    def write(made: Path, row: dict[str, Any]) -> dict[str, Any]:
        path = _path(row, manifest, folders)
        label = manifest.label_of(row["label"])
        tags = {
            "id": row["id"],
            "label": ", ".join(label) if isinstance(label, tuple) else str(label),
            "year": str(row["year"]),
            **{columns[name]: str(row[name]) for name in columns if row[name] is not None},
            "meaning": _VALUES if values else _CODES,
            "attribution": attribution,
        }
        with folder_errors(made / path):
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            height, width = write_cog(made / path, row, tags, compression, values=values)
        plain = {name: row[name] for name in ("id", "year", "geometry")}
        tile = Tile(path, row["year"], row["crs"], tuple(row["transform"]), height, width)
        return {**plain, "label": label, "path": path, "tile": tile}

    with folder_errors(folder), atomic_folder(folder) as made:
        with progress("export", manifest.rows) as advance:
            rows = read_rows(release, manifest)
            for entry in ordered_map(partial(write, made), rows, threads or core_count()):
                table.append(entry)
                advance("")
        _write_table(made / TABLE, table, release, manifest)
        tiles = [entry["tile"] for entry in table]
        mosaics = write_mosaics(made, tiles, values=values) if mosaic else []
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Exported(folder, len(table), size, tuple(folder / path.name for path in mosaics))


def require_place(folder: Path) -> None:
    """Raise FolderError if an export cannot be written to a folder, as it holds something.

    An export that was killed while it was moved into the folder is finished, and is something.
    """
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file", "choose another --to")
    with folder_errors(folder):
        finish_folder(folder)
        held = sorted(folder.iterdir()) if folder.exists() else []
    if held and all(map(is_unfinished, held)):
        raise FolderError(
            f"{folder} holds an export that is being made, or was cut off ({printable(held[0].name)})",
            "wait for it, or remove that; or choose another --to",
        )
    if held:
        raise FolderError(
            f"{folder} holds something already ({printable(held[0].name)})", "choose another --to"
        )


def write_cog(
    path: Path, row: dict[str, Any], tags: dict[str, str], compression: str, *, values: bool
) -> tuple[int, int]:
    """Write the patch of a row as a cloud-optimised GeoTIFF; gives its height and width.

    It is (64, H, W), uint8 with 255 as nodata, or with `values` float32 with NaN.
    """
    import rasterio
    import rioxarray  # noqa: F401 - gives arrays their `rio`
    import xarray

    stored = stored_of(row)
    height, width = stored.shape[1:]
    pixels = dequantize(stored) if values else stored
    array = xarray.DataArray(pixels, dims=("band", "y", "x"), attrs={"long_name": BAND_NAMES})
    array = array.rio.write_crs(row["crs"])
    array = array.rio.write_transform(rasterio.Affine(*row["transform"]))
    array = array.rio.write_nodata(math.nan if values else STORED_NODATA)
    side = max(height, width)
    array.rio.to_raster(
        path,
        driver="COG",
        compress=compression,
        predictor=3 if values else 2,
        blocksize=min(-(-side // 16) * 16, _BLOCK),
        overviews="AUTO" if side > _BLOCK else "NONE",
        # Codes of different places must not be averaged.
        overview_resampling="NEAREST",
        tags=tags,
    )
    return height, width


def _write_table(
    path: Path, entries: list[dict[str, Any]], release: Path, manifest: Manifest
) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    pooled = {(row["year"], row["id"]): row for row in read_rows(release, manifest, "pooled")}
    try:
        found = [pooled[entry["year"], entry["id"]] for entry in entries]
    except KeyError as error:
        raise ReleaseError(
            f"{release}: patch {error.args[0][1]} has no pooled vector",
            command_line("hfaef", "check", release),
        ) from error
    columns: dict[str, Any] = {}
    for name in ("id", "label", "year"):
        columns[name] = [entry[name] for entry in entries]
    if manifest.labelling == "classes":
        columns["label"] = pa.array(columns["label"], pa.list_(pa.string()))
    types = features("pooled", row_schema(manifest)).arrow_schema
    for name, written in described_by(manifest).items():
        columns[written] = pa.array([row[name] for row in found], types.field(name).type)
    for name in ("path", "geometry"):
        columns[name] = [entry[name] for entry in entries]
    columns["valid_fraction"] = pa.array([row["valid_fraction"] for row in found], pa.float32())
    means = np.array([row["mean"] for row in found], np.float32)
    # One column a band: GIS programs show numbers, not lists.
    columns |= dict(zip(BAND_NAMES, means.T, strict=True))
    table = pa.table(columns)
    table = table.replace_schema_metadata(with_geometry(table.schema).metadata)
    pq.write_table(table, path, compression="zstd")


def described_by(manifest: Manifest) -> dict[str, str]:
    """Columns that say more of a patch than id, label and year, and what an export calls them:
    a kept one that bears a name of the export's own gets another.
    """
    observed = ("observed_year",) if manifest.nearest_years else ()
    own = (*observed, *manifest.schemes, *manifest.folds)
    taken = {"path", "meaning", "attribution", *BAND_NAMES}
    kept = (column.name for column in manifest.kept)
    return dict(zip(own, own, strict=True)) | {
        name: f"kept_{name}" if name in taken else name for name in kept
    }


def _path(row: dict[str, Any], manifest: Manifest, folders: Sequence[str]) -> str:
    """Where a patch lies, from the export's folder on."""
    parts = [str(row["year"])] if len(manifest.years) > 1 else []
    parts.append(folders[int(row["label"])] if manifest.labelling == "class" else "patches")
    return "/".join([*parts, f"{file_name(row['id'])}.tif"])
