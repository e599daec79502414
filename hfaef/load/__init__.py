"""What consumers import: a release as a `datasets` data set whose embeddings are arrays.

However the rows lie in files (sheets or raw bytes in Parquet, or a WebDataset), they look the
same here. Needs numpy, Pillow and datasets, nothing else.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from hfaef.errors import InputError

if TYPE_CHECKING:
    import datasets

    from hfaef.core.codec import View

__all__ = ["Dtype", "Layout", "load"]

Dtype = Literal["uint8", "float32"]
Layout = Literal["bands_first", "bands_last"]

_SHOWN = 60
"""Characters of a value that an error shows."""


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
    verify: bool = False,
    decoded: bool = False,
) -> datasets.Dataset | datasets.DatasetDict | datasets.IterableDataset:
    """A release, from a folder or the Hub.

    Where the Hub cannot be reached, what `datasets` or the client of the Hub hold in their caches
    of that very commit is read.

    Args:
        path_or_repo: a release folder, or ``owner/name`` on the Hub. A folder of that name that is
            there goes first, unless `version` or `revision` is given; a `Path`, and a path of
            any other form, is always a folder.
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
        verify: compare the SHA-256 of every file of the config with the release's manifest, before
            a row is read. It reads all of each file, so not with `streaming`. Copies of rows that
            the cache holds already, those of `decoded` too, are not compared.
        decoded: decode the sheets of all rows that are asked for once, on all cores, into a file
            beside the rows in the cache of `datasets`, from which every later reading of any
            process takes bytes: 64 H W of them a row. It pays from the second epoch on. Rows that
            are bytes already (``pack.codec = "raw"``), or have no embedding, are read as they are;
            not with `streaming`.

    Returns:
        Rows whose `embedding` is an array; pooled vectors come as they are. `label` is the number
        of a class, a list of such, or a number to predict; streamed rows have no `features`.

    Raises:
        ReleaseError: if it is no release, of a newer format or another version, or a file is not
            what its manifest lists.
        InputError: if an argument cannot be, as a text in the place of True or of a list;
            if there is no such folder and it cannot be a repository, it has no such
            config, split or column, or lies in a folder whose path `datasets` reads as a pattern;
            if there is no room for what is decoded, or it cannot be written.
        HubError: if the Hub has no such repository or revision, or cannot be reached and the cache
            does not hold it.
    """
    from hfaef.core.codec import View, date_columns
    from hfaef.load.opened import find_folder, open_folder, open_repository

    _require_bools(streaming=streaming, mask=mask, verify=verify, decoded=decoded)
    view = View(dtype, layout, mask, _column_names(columns))
    if version is not None and revision is not None:
        raise InputError("version and revision both say which commit", "give one of them")
    if verify and streaming:
        raise InputError("verify reads whole files, streaming only parts", "give one of them")
    if decoded and streaming:
        raise InputError("decoded reads all rows first, streaming as they come", "give one of them")
    folder = find_folder(path_or_repo, pinned=bool(version or revision))
    if folder is None:
        tag = None if version is None else f"v{version.removeprefix('v')}"
        opened = open_repository(str(path_or_repo), config, tag or revision)
    else:
        opened = open_folder(folder, config, version, revision)
    if verify:
        opened.verify(str(path_or_repo))
    view = replace(view, dates=date_columns(opened.manifest))
    loaded = opened.read("validation" if split == "val" else split, streaming=streaming)
    several = isinstance(loaded, dict)
    parts = loaded if several else {"": loaded}
    parts = {name: _with_columns(part, view) for name, part in parts.items()}
    if decoded:
        from hfaef.load.decoded import decode_once

        parts = decode_once(parts, Path(opened.builder.cache_dir), opened.digest(), layout)
    parts = {name: _with_view(part, view) for name, part in parts.items()}
    return type(loaded)(parts) if several else parts[""]


def _require_bools(**values: object) -> None:
    """Refuse what is neither True nor False; of most other values it is unclear what they mean."""
    for name, value in values.items():
        if not isinstance(value, bool):
            from hfaef.core.net.text import clean_text

            said = f"{name} is {clean_text(repr(value), _SHOWN)}, neither True nor False"
            raise InputError(said, f"give {name}=True or {name}=False")


def _column_names(columns: Sequence[str] | None) -> tuple[str, ...] | None:
    """Names of columns; None for all."""
    if columns is None:
        return None
    if isinstance(columns, str):
        raise InputError(f"columns is the text {columns!r}, no list", f"give columns=[{columns!r}]")
    names = tuple(columns)
    if not names:
        raise InputError("columns is empty", "name some, or leave it out for all")
    return names


def _with_columns(dataset: Any, view: View) -> Any:
    """The data set with those of a release's columns that are asked for, or needed to decode.

    Raises:
        InputError: if it has no such column.
    """
    from datasets import Image, IterableDataset

    from hfaef.core.codec import SHAPE
    from hfaef.release.format.sample import MEMBERS, REST

    if "__key__" in dataset.column_names:
        if isinstance(dataset, IterableDataset):
            return dataset.cast_column("png", Image(decode=False))
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
        return dataset.select_columns(wanted)
    beside = [name for name in SHAPE if name in known and name not in wanted]
    dataset = dataset.select_columns(wanted + beside)
    if isinstance(dataset.features["embedding"], Image):
        dataset = dataset.cast_column("embedding", Image(decode=False))
    return dataset


def _with_view(dataset: Any, view: View) -> Any:
    """The data set whose embeddings become arrays when rows are read."""
    from datasets import IterableDataset

    from hfaef.core.codec import Decoder, common_shape

    if not isinstance(dataset, IterableDataset):
        return dataset.with_transform(Decoder(view, common_shape(dataset)).batch)
    decoder = Decoder(view, {})
    decode = decoder.sample if "__key__" in dataset.column_names else decoder.row
    return dataset.map(decode, remove_columns=dataset.column_names)


class _CallableModule(ModuleType):
    """This module, which is its function, too.

    A package has one attribute for a submodule and a function of one name, which an import of the
    submodule sets anew: so it is always the module, and calling that is calling `load`.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return load(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (self.__name__,)  # as a function, it can be sent elsewhere


sys.modules[__name__].__class__ = _CallableModule
__signature__ = inspect.signature(load)
