"""What consumers import: a release as a `datasets` data set whose embeddings are arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import datasets


def load(
    path_or_repo: str | Path,
    split: str | None = None,
    config: str | None = None,
    *,
    revision: str | None = None,
    streaming: bool = False,
) -> datasets.Dataset | datasets.DatasetDict | datasets.IterableDataset:
    """A release, from a folder or the Hub.

    Args:
        path_or_repo: a release folder, or ``owner/name`` on the Hub.
        split: ``train``, ``validation`` or ``test``; all of them, in a dictionary, by default.
        config: one of the release's configs; its default one by default.
        revision: a version tag such as ``v1.0.0``, or a commit.
        streaming: whether to read rows as they are asked for, without a cache.

    Returns:
        Rows whose `embedding` is the stored form: uint8 (64, H, W), 255 where there is no data.
        `dequantize` makes floats of it. Configs of pooled vectors come as they are.
    """
    from datasets import Image, load_dataset

    loaded = load_dataset(
        str(path_or_repo), config, split=split, revision=revision, streaming=streaming
    )
    if isinstance(loaded, dict):
        return type(loaded)(
            {name: _with_arrays(part, Image, streaming=streaming) for name, part in loaded.items()}
        )
    return _with_arrays(loaded, Image, streaming=streaming)


def _with_arrays(dataset: Any, image: Any, *, streaming: bool) -> Any:
    """A data set that decodes its sheets when rows are taken."""
    if "embedding" not in dataset.features:
        return dataset
    raw = dataset.cast_column("embedding", image(decode=False))
    if streaming:
        return raw.map(_decode_row)
    return raw.with_transform(_decode_batch)


def _decode_row(row: dict[str, Any]) -> dict[str, Any]:
    from hfaef.sheet import decode

    return {**row, "embedding": decode(row["embedding"]["bytes"])}


def _decode_batch(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    from hfaef.sheet import decode

    if "embedding" in batch:
        batch["embedding"] = [decode(value["bytes"]) for value in batch["embedding"]]
    return batch
