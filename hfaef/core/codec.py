"""A patch's embedding as bytes in a row, a PNG sheet or raw bands, and as arrays to readers.

`png` takes half of the bytes that `raw` takes, and everything reads it; `raw` is read many times
faster, and needs the patch's height and width beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hfaef.core import sheet
from hfaef.core.names import require_id, require_path
from hfaef.core.quantize import BANDS, STORED_NODATA, dequantize, from_stored, pool
from hfaef.errors import InputError, ReleaseError, command_line, count_of

FORMAT = 1
"""Version of the rows' schema and of the meaning of their values."""


SHAPE = ("height", "width")
"""Columns that raw bytes need beside them."""

Layout = Literal["bands_first", "bands_last"]


def encode_raw(stored: npt.NDArray[np.uint8]) -> bytes:
    """Bytes of stored values, uint8 (64, H, W): band after band, row after row."""
    if stored.dtype != np.uint8 or stored.ndim != 3 or stored.shape[0] != BANDS:
        raise ValueError(f"raw takes uint8 (64, H, W), not {stored.dtype} {stored.shape}")
    return stored.tobytes()


def decode_row(row: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """Stored values, uint8 (64, H, W), of a row; may be read-only.

    Args:
        row: `embedding` is a sheet as `datasets.Image` holds it, or raw bytes, which need `height`
            and `width` beside them.

    Raises:
        ValueError: if the bytes are not what they should be.
    """
    value = row["embedding"]
    if isinstance(value, dict):
        return sheet.decode(value["bytes"])
    if "height" not in row or "width" not in row:
        raise ValueError("raw bytes need the columns height and width beside them")
    shape = (BANDS, row["height"], row["width"])
    if len(value) != math.prod(shape):
        raise ValueError(f"{len(value):,} bytes are not {' x '.join(map(str, shape))} pixels")
    return np.frombuffer(value, np.uint8).reshape(shape)


def embedding_problem(row: Mapping[str, Any]) -> str:
    """What is wrong with a row's embedding, in words; empty if nothing is.

    Args:
        row: as of `decode_row`, with its `valid_fraction`.
    """
    try:
        pooled = pool(from_stored(decode_row(row)))
    except ValueError as error:
        return f"cannot be decoded: {error}"
    if abs(pooled.valid_fraction - row["valid_fraction"]) > 1e-6:
        return "has another valid_fraction than its pixels"
    return ""


@dataclass(frozen=True)
class View:
    """How embeddings are handed over."""

    dtype: Literal["uint8", "float32"] = "uint8"
    layout: Layout = "bands_first"
    mask: bool = False
    columns: tuple[str, ...] | None = None
    """All of them for None."""
    dates: tuple[str, ...] = ()
    """Columns of dates and times, which a WebDataset holds as texts."""

    def __post_init__(self) -> None:
        if self.dtype not in ("uint8", "float32"):
            raise InputError(f"dtype {self.dtype!r} is neither uint8 nor float32")
        if self.layout not in ("bands_first", "bands_last"):
            raise InputError(f"layout {self.layout!r} is neither bands_first nor bands_last")


@dataclass(frozen=True)
class Decoder:
    """Decodes embeddings into arrays; it can be pickled, for the workers of a loader."""

    view: View
    shape: dict[str, int]
    """Height and width of every patch, where all are alike; else empty."""

    def batch(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Rows, by column."""
        for identity in batch.get("id", ()):
            _require_id(identity)
        if "geometry" in batch:
            batch["geometry"] = [
                bytes.fromhex(value) if isinstance(value, str) else value
                for value in batch["geometry"]
            ]
        for name in self.view.dates:
            if name in batch:
                batch[name] = [_moment(value) for value in batch[name]]
        if "embedding" in batch:
            names = [name for name in ("embedding", *SHAPE) if name in batch]
            cells = zip(*(batch[name] for name in names), strict=True)
            pairs = [self._arrays(dict(zip(names, row, strict=True))) for row in cells]
            batch["embedding"] = _writable([array for array, _ in pairs])
            if self.view.mask:
                batch["mask"] = [mask for _, mask in pairs]
        if self.view.columns is None:
            return batch
        return {name: batch[name] for name in (*self.view.columns, "mask") if name in batch}

    def row(self, row: dict[str, Any]) -> dict[str, Any]:
        """One row."""
        return {
            name: values[0]
            for name, values in self.batch({name: [row[name]] for name in row}).items()
        }

    def sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The row of a sample of a WebDataset."""
        row = {"embedding": sample["png"], "preview": sample["jpg"], **sample["json"]}
        if "cls" in sample:
            row["label"] = sample["cls"]
        return self.row(row)

    def _arrays(self, row: dict[str, Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """The embedding of a row, and where it holds data if that is asked for."""
        bands = -1 if self.view.layout == "bands_last" else 0
        value = row["embedding"]
        array: npt.NDArray[Any]
        if isinstance(value, dict) and "shape" in value:  # decoded before, in this layout
            array = np.frombuffer(value["bytes"], np.uint8).reshape(value["shape"])
        else:
            array = np.moveaxis(decode_row({**self.shape, **row}), 0, bands)
        mask = np.empty(0, np.bool_)
        if self.view.mask:
            mask = (array != STORED_NODATA).all(axis=bands)
        if self.view.dtype == "float32":
            array = dequantize(array)
            if self.view.mask:
                np.moveaxis(array, bands, 0)[:, ~mask] = 0
        return np.ascontiguousarray(array), mask


def date_columns(manifest: dict[str, Any]) -> tuple[str, ...]:
    """Kept columns of dates and times, by the content of a manifest."""
    kept = ((one["name"], one["dtype"]) for one in manifest.get("kept", ()))
    return tuple(name for name, dtype in kept if dtype.startswith(("date", "timestamp")))


def _moment(value: Any) -> Any:
    """A date or time, or a list of them, from ISO 8601."""
    if isinstance(value, list):
        return [_moment(one) for one in value]
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value) if "T" in value else date.fromisoformat(value)
    except ValueError as error:
        raise ReleaseError(
            str(error), "do not use this release: `hfaef check` tells more"
        ) from error


def common_shape(dataset: Any) -> dict[str, int]:
    """Height and width of a data set's rows, if all have the same."""
    if not set(SHAPE) <= set(dataset.column_names):
        return {}
    values = {name: dataset.unique(name) for name in SHAPE}
    alike = all(len(found) == 1 for found in values.values())
    return {name: found[0] for name, found in values.items()} if alike else {}


def multi_hot(labels: Sequence[int], classes: int) -> npt.NDArray[np.float32]:
    """The labels of a row as float32 (classes,): 1 for each of them and 0 elsewhere.

    Raises:
        InputError: if it is not known how many classes there are, or there are fewer.
    """
    if not classes or not all(0 <= number < classes for number in labels):
        of = f"of {count_of(classes, 'class')}" if classes else "of an unknown number of classes"
        raise InputError(
            f"a patch has the labels {list(labels)} {of}", "say how many there are: classes=N"
        )
    hot = np.zeros(classes, np.float32)
    hot[list(labels)] = 1
    return hot


def _require_id(identity: object) -> None:
    try:
        require_id(identity)
    except ValueError as error:
        raise ReleaseError(
            str(error), "do not use this release: `hfaef check` tells more"
        ) from error


def _writable(arrays: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """The same arrays, or copies of them, that can be written to.

    Arrays of one shape are copied into one: an allocation for each takes longer than all the rest.
    """
    if len(arrays) == 1 and arrays[0].flags.writeable:
        return arrays
    if len({array.shape for array in arrays}) == 1:
        return list(np.stack(arrays))
    return [array.copy() for array in arrays]


def require_listed_path(target: str, path: str) -> str:
    """A path, or pattern of paths, of a manifest.

    Raises:
        ReleaseError: if it leads out of the release that is called `target`.
    """
    try:
        return require_path(path, pattern=True)
    except (TypeError, ValueError) as error:
        raise ReleaseError(f"{target}: {error}", command_line("hfaef", "check", target)) from error


def splits_of(manifest: dict[str, Any], config: str) -> list[dict[str, Any]]:
    """The splits of a config, as a manifest lists them."""
    configs = manifest.get("configs", ())
    return [part for one in configs if one["name"] == config for part in one["splits"]]


def files_of(manifest: dict[str, Any], config: str) -> list[dict[str, Any]]:
    """The manifest's lines on files that a config reads."""
    globs = [part["glob"] for part in splits_of(manifest, config)]
    listed = manifest.get("files", ())
    return [file for file in listed if any(PurePosixPath(file["path"]).match(g) for g in globs)]
