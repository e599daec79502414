"""Releases in PyTorch and TorchGeo."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from build.test_pipeline import demo_recipe

import hfaef
from hfaef.build.pipeline import build

torch = pytest.importorskip("torch", reason="needs the extra torchgeo")

SETTINGS = {
    "png": (),
    "raw": ("pack.codec=raw",),
    "webdataset": ("pack.format=webdataset",),
}


@pytest.fixture(scope="module", params=list(SETTINGS))
def release(request, demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "release"
    return build(demo_recipe(demo_root, *SETTINGS[request.param]), folder).folder


@pytest.fixture(scope="module")
def sheets(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(demo_recipe(demo_root), tmp_path_factory.mktemp("sheets") / "release").folder


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shuffling_loader_gives_small_tensors(release: Path, workers: int) -> None:
    from hfaef.torch import Patches

    rows = hfaef.load(release, "train", columns=["embedding", "label", "id"])
    expected = {row["id"]: row for row in rows}
    loader = torch.utils.data.DataLoader(
        Patches(rows), batch_size=5, shuffle=True, num_workers=workers
    )
    seen = set()
    for batch in loader:
        assert batch["embedding"].dtype == torch.uint8
        assert batch["label"].dtype == torch.int64
        for name, embedding, label in zip(
            batch["id"], batch["embedding"], batch["label"], strict=True
        ):
            assert np.array_equal(embedding.numpy(), expected[name]["embedding"])
            assert int(label) == expected[name]["label"]
            seen.add(name)
    assert seen == set(expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_share_a_stream(release: Path, workers: int) -> None:
    from hfaef.torch import PatchStream

    columns = ["embedding", "label", "id"]
    expected = {row["id"]: row["embedding"] for row in hfaef.load(release, "train")}
    stream = hfaef.load(release, "train", streaming=True, columns=columns)
    loader = torch.utils.data.DataLoader(PatchStream(stream), batch_size=4, num_workers=workers)
    names: list[str] = []
    for batch in loader:
        assert batch["embedding"].dtype == torch.uint8
        names += batch["id"]
        for name, embedding in zip(batch["id"], batch["embedding"], strict=True):
            assert np.array_equal(embedding.numpy(), expected[name])
    assert sorted(names) == sorted(expected)


def test_floats_and_masks_become_tensors(release: Path) -> None:
    from hfaef.torch import Patches

    rows = hfaef.load(
        release, "train", dtype="float32", mask=True, layout="bands_last", columns=["embedding"]
    )
    sample = Patches(rows)[0]
    assert sample.keys() == {"embedding", "mask"}
    assert sample["embedding"].dtype == torch.float32
    assert sample["embedding"].shape == (64, 64, 64)
    lengths = torch.linalg.vector_norm(sample["embedding"], dim=-1)[sample["mask"]]
    assert torch.allclose(lengths, torch.ones(()), atol=0.02)


def test_torchgeo_gives_images_labels_and_bounds(sheets: Path) -> None:
    from hfaef.torchgeo import EmbeddingDataset

    part = EmbeddingDataset(sheets, "val", "spatial")
    rows = hfaef.load(sheets, "validation", "spatial", dtype="float32")
    assert len(part) == len(rows)
    assert part.classes == ["Dune", "Forest", "Heath", "Meadow", "Rock", "Town"]
    for number in (0, len(part) - 1):
        sample, row = part[number], rows[number]
        assert np.array_equal(sample["image"].numpy(), np.nan_to_num(row["embedding"]))
        assert int(sample["label"]) == row["label"]
        assert sample["bounds"].tolist() == row["bounds"]
    assert "size" in str(part)


@pytest.mark.slow
def test_a_trainer_of_torchgeo_learns_from_a_release(sheets: Path, tmp_path: Path) -> None:
    from lightning.pytorch import Trainer, seed_everything
    from torchgeo.trainers import ClassificationTask

    from hfaef.torchgeo import EmbeddingDataModule

    seed_everything(0)
    module = EmbeddingDataModule(release=sheets, batch_size=8)
    task = ClassificationTask(
        model="resnet18", weights=None, in_channels=64, task="multiclass", num_classes=6, lr=0.003
    )
    trainer = Trainer(
        max_epochs=6,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on workers and logging
        trainer.fit(task, datamodule=module)
        (scores,) = trainer.test(task, datamodule=module, verbose=False)
    assert scores["test_OverallAccuracy"] > 1 / 3, "no better than chance on six classes"
