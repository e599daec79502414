"""Releases as data sets of PyTorch, of small tensors: uint8 stays uint8.

`datasets` makes int64 of every array of whole numbers for torch, which takes eight times the
memory; here the arrays of `hfaef.load` are handed over as they are. Needs torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Dataset, IterableDataset

if TYPE_CHECKING:
    import datasets

Sample = dict[str, Any]
"""A row of which `embedding`, `mask` and `label` are tensors."""


class Patches(Dataset[Sample]):  # type: ignore[misc]  # torch is not followed
    """Rows by number, for shuffling loaders.

    Args:
        rows: one split, as of `hfaef.load`; give it the columns that you need, since the default
            collation of loaders takes neither pictures nor lists of various lengths.
    """

    def __init__(self, rows: datasets.Dataset) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Sample:
        return to_tensors(self.rows[number])

    def __getitems__(self, numbers: Sequence[int]) -> list[Sample]:
        """A batch, read at once; loaders of torch ask for it."""
        batch = self.rows[list(numbers)]
        names = list(batch)
        return [
            to_tensors(dict(zip(names, cells, strict=True)))
            for cells in zip(*batch.values(), strict=True)
        ]


class PatchStream(IterableDataset[Sample]):  # type: ignore[misc]  # torch is not followed
    """Rows one after the other, as they are read; workers of a loader share the shards.

    Args:
        rows: one split, as of ``hfaef.load(..., streaming=True)``.
    """

    def __init__(self, rows: datasets.IterableDataset) -> None:
        # Row groups are the shards then, so that one file keeps several workers busy.
        self.rows = rows.reshard()

    def __iter__(self) -> Iterator[Sample]:
        return map(to_tensors, self.rows)


def to_tensors(row: dict[str, Any]) -> Sample:
    """A row with its arrays as tensors of their own dtype; a label is int64 or float32."""
    sample = dict(row)
    for name in ("embedding", "mask"):
        if name in sample:
            sample[name] = torch.from_numpy(sample[name])
    if "label" in sample:
        number = sample["label"]
        whole = isinstance(number, int)
        sample["label"] = torch.tensor(number, dtype=torch.int64 if whole else torch.float32)
    return sample
