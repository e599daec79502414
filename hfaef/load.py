"""What consumers import: a release as a `datasets` data set whose embeddings are arrays.

However the rows lie in files (sheets or raw bytes in Parquet, or a WebDataset), they look the
same here. Needs numpy, Pillow and datasets, nothing else.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from hfaef.errors import InputError, ReleaseError, upgrade_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    import datasets
    import numpy as np
    import numpy.typing as npt

__all__ = ["Dtype", "Layout", "load", "multi_hot"]

Dtype = Literal["uint8", "float32"]
Layout = Literal["bands_first", "bands_last"]

_MANIFEST = "release.json"
_SHAPE = ("height", "width")


@dataclass(frozen=True)
class _View:
    """How embeddings are handed over."""

    dtype: Dtype = "uint8"
    layout: Layout = "bands_first"
    mask: bool = False
    columns: tuple[str, ...] | None = None
    """All of them for None."""

    def __post_init__(self) -> None:
        if self.dtype not in ("uint8", "float32"):
            raise InputError(f"dtype {self.dtype!r} is neither uint8 nor float32")
        if self.layout not in ("bands_first", "bands_last"):
            raise InputError(f"layout {self.layout!r} is neither bands_first nor bands_last")


def load(
    path_or_repo: str | Path,
    split: str | None = None,
    config: str | None = None,
    *,
    version: str | None = None,
    revision: str | None = None,
    streaming: bool = False,
    dtype: Dtype = "uint8",
    layout: Layout = "bands_first",
    mask: bool = False,
    columns: Sequence[str] | None = None,
) -> datasets.Dataset | datasets.DatasetDict | datasets.IterableDataset:
    """A release, from a folder or the Hub.

    Args:
        path_or_repo: a release folder, or ``owner/name`` on the Hub.
        split: ``train``, ``validation``, ``test`` or ``unassigned``; all that there are, in a
            dictionary, by default.
        config: one of the release's configs, the pooled tables among them; its default one by
            default.
        version: ``1.2.0``: what the tag ``v1.2.0`` names; a folder must be of that version.
        revision: any branch, tag or commit of the repository instead.
        streaming: whether to read rows as they are asked for, without a cache.
        dtype: ``uint8``, the stored form, 255 where there is no data; or ``float32``,
            dequantized, NaN where there is no data.
        layout: ``bands_first`` (64, H, W) or ``bands_last`` (H, W, 64).
        mask: add a column `mask`, bool (H, W), True where there is data; floats are 0 elsewhere,
            not NaN.
        columns: names of those to read; all by default.

    Returns:
        Rows whose `embedding` is an array. Configs of pooled vectors come as they are. `label` is
        the number of a class, a list of such, or a number to predict; read as a stream, rows have
        no `features`, so the names are those of ``load_dataset`` or the release's card.

    Raises:
        ReleaseError: if it is no release, or of a newer format or another version.
        InputError: if it has no such config, split or column.
    """
    view = _View(dtype, layout, mask, None if columns is None else tuple(columns))
    if version is not None and revision is not None:
        raise InputError("version and revision both say which commit", "give one of them")
    target = str(path_or_repo)
    local = Path(target).is_dir()
    if local:
        target = str(Path(target).resolve())  # datasets names a data set after it; `.` has no name
    if version is not None and not local:
        revision = f"v{version.removeprefix('v')}"
    builder, manifest = _open(target, config, revision)
    if version is not None and local and manifest["version"] != version.removeprefix("v"):
        raise ReleaseError(
            f"{target} is of version {manifest['version']}, not {version}", "load it from the Hub"
        )
    dates = _date_columns(manifest)
    if split == "val":
        split = "validation"
    _require_split(target, split, config, manifest)
    if streaming:
        loaded = builder.as_streaming_dataset(split=split)
    else:
        builder.download_and_prepare()
        loaded = builder.as_dataset(split=split)
    if isinstance(loaded, dict):
        return type(loaded)({name: _with_view(part, view, dates) for name, part in loaded.items()})
    return _with_view(loaded, view, dates)


def _open(
    target: str, config: str | None, revision: str | None
) -> tuple[datasets.DatasetBuilder, dict[str, Any]]:
    """The builder of a config, pinned to a commit, and the manifest of that commit."""
    from datasets import DownloadManager, load_dataset_builder

    known = load_dataset_builder(target, revision=revision)
    # For a repository this names the commit, to which datasets has resolved branch or tag.
    base = known.base_path
    manifest = _read_manifest(target, DownloadManager(base_path=base))
    configs = {entry["name"]: entry for entry in manifest["configs"]}
    if config is None or configs.get(config, {}).get("default"):
        return known, manifest
    if config not in configs:
        raise InputError(f"{target} has no config {config!r}", f"it has {', '.join(configs)}")
    entry = configs[config]
    if entry["kind"] == "pooled" and manifest["recipe"]["pack"]["format"] == "webdataset":
        # load_dataset reads one format in a repository, and the table is no WebDataset.
        globs = {part["name"]: _require_glob(target, part["glob"]) for part in entry["splits"]}
        files = {name: f"{base}/{glob}" for name, glob in globs.items()}
        return load_dataset_builder("parquet", data_files=files), manifest
    return load_dataset_builder(target, config, revision=_commit(base) or revision), manifest


def _require_split(
    target: str, split: str | None, config: str | None, manifest: dict[str, Any]
) -> None:
    """Raise InputError for a plain name of a split that a config does not have."""
    known = [
        part["name"]
        for entry in manifest["configs"]
        if (entry["default"] if config is None else entry["name"] == config)
        for part in entry["splits"]
    ]
    if split is not None and split.isidentifier() and split != "all" and split not in known:
        raise InputError(f"{target} has no split {split!r}", f"it has {', '.join(known)}")


def _commit(base: str) -> str | None:
    """The commit in ``hf://datasets/OWNER/NAME@COMMIT``."""
    return base.rpartition("@")[2] if base.startswith("hf://") and "@" in base else None


def _read_manifest(target: str, downloads: datasets.DownloadManager) -> dict[str, Any]:
    from hfaef.core.codec import FORMAT

    try:
        content = json.loads(Path(downloads.download(_MANIFEST)).read_bytes())
        found = int(content["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"{target} holds no release: its {_MANIFEST} cannot be read: {error}",
            "load it with datasets.load_dataset",
        ) from error
    if found > FORMAT:
        raise ReleaseError(
            f"{target} has format {found}, newer than the {FORMAT} that this hfaef knows",
            upgrade_command(),
        )
    return dict(content)


def _date_columns(manifest: dict[str, Any]) -> tuple[str, ...]:
    """Kept columns of dates and times, which a WebDataset holds as texts."""
    kept = ((one["name"], one["dtype"]) for one in manifest.get("kept", ()))
    return tuple(name for name, dtype in kept if dtype.startswith(("date", "timestamp")))


def _with_view(dataset: Any, view: _View, dates: tuple[str, ...]) -> Any:
    """The data set with a release's columns, whose embeddings are decoded when rows are read."""
    from datasets import Image, IterableDataset

    from hfaef.release.format.sample import MEMBERS, REST

    streaming = isinstance(dataset, IterableDataset)
    tar = "__key__" in dataset.column_names
    if tar and streaming:
        dataset = dataset.cast_column("png", Image(decode=False))
        return dataset.map(_Decoder(view, {}, dates).sample, remove_columns=dataset.column_names)
    if tar:
        # Each column of the record becomes one of its own.
        dataset = dataset.flatten().remove_columns(["__key__", "__url__"])
        names = {name: name.removeprefix(f"{REST}.") for name in dataset.column_names}
        dataset = dataset.rename_columns({old: MEMBERS.get(old, new) for old, new in names.items()})
    known = list(dataset.column_names)
    wanted = known if view.columns is None else list(view.columns)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InputError(f"there is no column {unknown[0]!r}", f"there are {', '.join(known)}")
    if "embedding" not in wanted:
        dataset = dataset.select_columns(wanted)
    else:
        beside = [name for name in _SHAPE if name in known and name not in wanted]
        dataset = dataset.select_columns(wanted + beside)
        if isinstance(dataset.features["embedding"], Image):
            dataset = dataset.cast_column("embedding", Image(decode=False))
    decoder = _Decoder(view, {} if streaming else _only_shape(dataset), dates if tar else ())
    if streaming:
        return dataset.map(decoder.row, remove_columns=dataset.column_names)
    return dataset.with_transform(decoder.batch)


def _require_id(identity: object) -> None:
    from hfaef.core.names import require_id

    try:
        require_id(identity)
    except ValueError as error:
        raise ReleaseError(
            str(error), "do not use this release: `hfaef check` tells more"
        ) from error


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


def _require_glob(target: str, glob: str) -> str:
    from hfaef.core.names import require_path

    try:
        return require_path(glob, pattern=True)
    except (TypeError, ValueError) as error:
        raise ReleaseError(f"{target}: {error}", f"hfaef check {target}") from error


def _only_shape(dataset: Any) -> dict[str, int]:
    """Height and width, if all rows have the same."""
    if not set(_SHAPE) <= set(dataset.column_names):
        return {}
    values = {name: dataset.unique(name) for name in _SHAPE}
    alike = all(len(found) == 1 for found in values.values())
    return {name: found[0] for name, found in values.items()} if alike else {}


def _writable(arrays: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """The same arrays, or copies of them, that can be written to.

    Arrays of one shape are copied into one: an allocation for each takes longer than all the rest.
    """
    import numpy as np

    if len(arrays) == 1 and arrays[0].flags.writeable:
        return arrays
    if len({array.shape for array in arrays}) == 1:
        return list(np.stack(arrays))
    return [array.copy() for array in arrays]


@dataclass(frozen=True)
class _Decoder:
    """Decodes embeddings into arrays; it can be pickled, for the workers of a loader."""

    view: _View
    shape: dict[str, int]
    """Height and width of every patch, where all are alike; else empty."""
    dates: tuple[str, ...] = ()
    """Columns whose texts are dates or times."""

    def batch(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Rows, by column."""
        for identity in batch.get("id", ()):
            _require_id(identity)
        if "geometry" in batch:
            batch["geometry"] = [
                bytes.fromhex(value) if isinstance(value, str) else value
                for value in batch["geometry"]
            ]
        for name in self.dates:
            if name in batch:
                batch[name] = [_moment(value) for value in batch[name]]
        if "embedding" in batch:
            names = [name for name in ("embedding", *_SHAPE) if name in batch]
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
        import numpy as np

        from hfaef.core.codec import decode_row
        from hfaef.core.quantize import STORED_NODATA, dequantize

        array: npt.NDArray[Any] = decode_row({**self.shape, **row})
        mask = np.empty(0, np.bool_)
        if self.view.mask:
            mask = (array != STORED_NODATA).all(axis=0)
        if self.view.dtype == "float32":
            array = dequantize(array)
            if self.view.mask:
                array[:, ~mask] = 0
        if self.view.layout == "bands_last":
            array = np.ascontiguousarray(np.moveaxis(array, 0, -1))
        return array, mask


def multi_hot(labels: Sequence[int], classes: int) -> npt.NDArray[np.float32]:
    """The labels of a row as float32 (classes,): 1 for each of them and 0 elsewhere.

    Raises:
        InputError: if it is not known how many classes there are, or there are fewer.
    """
    import numpy as np

    if not classes or not all(0 <= number < classes for number in labels):
        of = f"of {classes} classes" if classes else "of an unknown number of classes"
        raise InputError(
            f"a patch has the labels {list(labels)} {of}", "say how many there are: classes=N"
        )
    hot = np.zeros(classes, np.float32)
    hot[list(labels)] = 1
    return hot


class _CallableModule(ModuleType):
    """This module, which is its function, too.

    A package has one attribute for a submodule and for a function of the same name, and whoever
    imports the submodule later sets it anew. So the attribute is always the module, and calling
    it is calling `load`: `hfaef.load(...)` works whatever was imported before.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return load(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (self.__name__,)  # as a function, it can be sent elsewhere


sys.modules[__name__].__class__ = _CallableModule
__signature__ = inspect.signature(load)
