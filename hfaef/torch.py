"""Releases as data sets of PyTorch, of small tensors: uint8 stays uint8.

`datasets` makes int64 of every array of whole numbers for torch, which takes eight times the
memory; here the arrays of `hfaef.load` are handed over as they are. Needs the extra ``torch``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hfaef.core.codec import Decoder, multi_hot
from hfaef.core.workers import core_count
from hfaef.errors import missing_package

try:
    import torch
    from torch.utils.data import Dataset, IterableDataset, get_worker_info
except ImportError as error:
    raise missing_package("hfaef.torch", error, "torch") from error

if TYPE_CHECKING:
    import datasets

__all__ = ["PatchStream", "Patches", "Sample", "to_tensors"]

Sample = dict[str, Any]
"""A row of which `embedding`, `mask` and `label` are tensors."""


class Patches(Dataset[Sample]):  # type: ignore[misc]  # torch is not followed
    """Rows by number, for shuffling loaders.

    Args:
        rows: one split, as of `hfaef.load`; give it the columns that you need, since the default
            collation of loaders takes neither pictures nor lists of various lengths. With
            ``decoded=True`` nothing is left to decode from the second epoch on.
    """

    def __init__(self, rows: datasets.Dataset) -> None:
        self.rows = rows
        self._classes = _class_count(rows)
        self._batches = _Batches.of(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Sample:
        return to_tensors(self.rows[number], self._classes)

    def __getitems__(self, numbers: Sequence[int]) -> list[Sample]:
        """A batch, read at once; loaders of torch ask for it."""
        threads = min(_threads(), len(numbers))
        if threads < 2:
            return self._read(list(numbers))
        # Decoding releases the GIL, and with few workers there are cores left.
        parts = [list(numbers[first::threads]) for first in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            read = list(pool.map(self._read, parts))
        return [read[index % threads][index // threads] for index in range(len(numbers))]

    def _read(self, numbers: list[int]) -> list[Sample]:
        batch = self._batches.read(numbers) if self._batches else self.rows[numbers]
        names = list(batch)
        return [
            to_tensors(dict(zip(names, cells, strict=True)), self._classes)
            for cells in zip(*batch.values(), strict=True)
        ]


@dataclass(frozen=True)
class _Batches:
    """Rows as `datasets` gives them, but for a copy of each embedding's bytes."""

    decoder: Decoder
    columns: tuple[str, ...]
    embeddings: datasets.Dataset
    """Alone, as Arrow."""
    others: datasets.Dataset

    @classmethod
    def of(cls, rows: datasets.Dataset) -> _Batches | None:
        """Those of rows of `hfaef.load`; None for rows that are made into others."""
        transform = rows.format["format_kwargs"].get("transform")
        decoder = getattr(transform, "__self__", None)
        if not isinstance(decoder, Decoder) or not _holds_bytes(rows):
            return None
        embeddings = rows.select_columns("embedding").with_format("arrow")
        others = rows.with_format(None).remove_columns("embedding")
        return cls(decoder, tuple(rows.column_names), embeddings, others)

    def read(self, numbers: list[int]) -> dict[str, list[Any]]:
        """Rows, by column."""
        found = self.others[numbers] if self.others.column_names else {}
        found["embedding"] = list(_views(self.embeddings[numbers]["embedding"]))
        return self.decoder.batch({name: found[name] for name in self.columns})


def _holds_bytes(rows: datasets.Dataset) -> bool:
    """Whether embeddings are bytes, alone or in a struct, whose offsets take 32 bits."""
    import pyarrow as pa

    if "embedding" not in rows.column_names:
        return False
    kind = rows.features.arrow_schema.field("embedding").type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    return bool(pa.types.is_binary(kind))


def _views(column: Any) -> Iterator[Any]:
    """Embeddings of Arrow's as Python's, without a copy of their bytes: Arrow's own cells are one."""
    for chunk in column.chunks:
        struct = hasattr(chunk, "field")
        cells = chunk.field("bytes") if struct else chunk
        _, offsets, content = cells.buffers()
        ends = np.frombuffer(offsets, np.int32)[cells.offset : cells.offset + len(cells) + 1]
        views = [content[start:end] for start, end in itertools.pairwise(ends.tolist())]
        if not struct:
            yield from views
        elif chunk.type.get_field_index("shape") < 0:
            yield from ({"bytes": view} for view in views)
        else:
            shapes = chunk.field("shape").to_pylist()
            for view, shape in zip(views, shapes, strict=True):
                yield {"bytes": view, "shape": shape}


class PatchStream(IterableDataset[Sample]):  # type: ignore[misc]  # torch is not followed
    """Rows one after the other, as they are read; workers of a loader share the shards.

    Args:
        rows: one split, as of ``hfaef.load(..., streaming=True)``.
        classes: how many there are, which a stream does not say; needed where patches have
            several labels.
    """

    def __init__(self, rows: datasets.IterableDataset, classes: int = 0) -> None:
        # Row groups are the shards then, so that one file keeps several workers busy.
        self.rows = rows.reshard()
        self._classes = classes or _class_count(rows)

    def __iter__(self) -> Iterator[Sample]:
        return (to_tensors(row, self._classes) for row in self.rows)


def _threads() -> int:
    """Cores for each worker of the loader that asks."""
    worker = get_worker_info()
    return max(1, core_count() // (worker.num_workers if worker else 1))


def _class_count(rows: datasets.Dataset | datasets.IterableDataset) -> int:
    """How many classes the labels of rows have; 0 if they are numbers to predict, or unknown."""
    label = (rows.features or {}).get("label")
    return len(getattr(getattr(label, "feature", label), "names", ()))


def _label_tensor(label: float | Sequence[int], classes: int) -> torch.Tensor:
    """int64 () for the number of a class, float32 () for a number to predict, and for several
    labels float32 (classes,), 1 for each of them and 0 elsewhere.

    Raises:
        InputError: if there are several labels and it is not known of how many, or of fewer.
    """
    if isinstance(label, (int, float)):
        return torch.tensor(label, dtype=torch.int64 if isinstance(label, int) else torch.float32)
    return torch.from_numpy(multi_hot(label, classes))


def to_tensors(row: dict[str, Any], classes: int = 0) -> Sample:
    """A row with arrays and pooled vectors as tensors of their own dtype, its label as `_label_tensor`.

    Args:
        row: as of `hfaef.load`.
        classes: how many there are; needed for rows with several labels.
    """
    sample = dict(row)
    for name in ("embedding", "mask"):
        if name in sample:
            sample[name] = torch.from_numpy(sample[name])
    for name in ("mean", "std", "min", "max"):  # of pooled vectors
        if name in sample:
            sample[name] = torch.tensor(sample[name], dtype=torch.float32)
    if "cosine_previous_year" in sample:  # of pooled vectors; null for the first year
        cosine = sample["cosine_previous_year"]
        sample["cosine_previous_year"] = torch.tensor(math.nan if cosine is None else cosine)
    if "label" in sample:
        sample["label"] = _label_tensor(sample["label"], classes)
    return sample
