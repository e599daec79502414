"""Releases as data sets of TorchGeo, for its trainers and its data modules.

    module = EmbeddingDataModule(release="OWNER/NAME", batch_size=32)
    task = ClassificationTask("resnet18", in_channels=64, num_classes=10)
    Trainer(max_epochs=3).fit(task, module)

For several labels a patch it is ``task="multilabel", loss="bce", num_labels=10``, for numbers to
predict `RegressionTask`.

Needs the extra ``torchgeo``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfaef.core.codec import multi_hot
from hfaef.errors import missing_package
from hfaef.load import load

try:
    import torch
    from torchgeo.datamodules import NonGeoDataModule
    from torchgeo.datasets import NonGeoDataset
except ImportError as error:
    raise missing_package("hfaef.torchgeo", error, "torchgeo") from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EmbeddingDataModule", "EmbeddingDataset", "Sample"]

Sample = dict[str, Any]
"""`image` float32 (64, H, W), 0 where there is no data; `label` int64, the number of a class,
float32 (), a number to predict, or int64 (classes,), 1 for each of several labels, which is what
TorchGeo's own data sets hold; `bounds` float64 (4,): west, south, east, north in degrees."""


class EmbeddingDataset(NonGeoDataset):  # type: ignore[misc]  # TorchGeo has no types
    """One split of a release.

    Args:
        release: a folder, or ``owner/name`` on the Hub.
        split: ``train``, ``val`` (or ``validation``), ``test`` or ``unassigned``.
        config: one of the release's configs of patches; its default one by default.
        version: ``1.2.0``; what is there, by default.
        transforms: applied to each sample.
        decoded: decode all rows once, as `hfaef.load` does; it pays from the second epoch on.
    """

    def __init__(
        self,
        release: str | Path,
        split: str = "train",
        config: str | None = None,
        version: str | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        *,
        decoded: bool = False,
    ) -> None:
        self.rows: Any = load(
            release,
            split,
            config,
            version=version,
            dtype="float32",
            mask=True,
            columns=("embedding", "label", "bounds"),
            decoded=decoded,
        )
        self.transforms = transforms
        label = self.rows.features["label"]
        several = getattr(label, "feature", None)
        self._several = several is not None
        self.classes: list[str] = list(getattr(several or label, "names", ()))
        """Names of the labels in the order of their numbers; none if they are targets."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        """The sample of a row."""
        row = self.rows[index]
        embedding: NDArray[Any] = row["embedding"]
        if self._several:
            label = torch.from_numpy(multi_hot(row["label"], len(self.classes))).to(torch.int64)
        else:
            label = torch.tensor(row["label"])
        sample: Sample = {
            "image": torch.from_numpy(embedding),
            "label": label,
            "bounds": torch.tensor(row["bounds"], dtype=torch.float64),
        }
        return self.transforms(sample) if self.transforms else sample


class EmbeddingDataModule(NonGeoDataModule):  # type: ignore[misc]  # TorchGeo has no types
    """The splits of a release, each in its loader.

    Args:
        batch_size: samples a batch.
        num_workers: processes that read.
        **kwargs: of `EmbeddingDataset`, ``release`` among them.
    """

    # Embeddings are unit vectors already: nothing is to be scaled.
    mean = torch.tensor(0.0)
    std = torch.tensor(1.0)

    def __init__(self, batch_size: int = 32, num_workers: int = 0, **kwargs: Any) -> None:
        super().__init__(EmbeddingDataset, batch_size, num_workers, **kwargs)
