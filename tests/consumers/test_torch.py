"""Releases in PyTorch and TorchGeo."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_share_rows_that_are_decoded_once(sheets: Path, start: str) -> None:
    from hfaef.torch import Patches

    columns = ["id", "embedding", "label", "crs"]
    plain = hfaef.load(sheets, "train", columns=columns).shuffle(seed=1)
    rows = hfaef.load(sheets, "train", columns=columns, decoded=True).shuffle(seed=1)
    loader = torch.utils.data.DataLoader(
        Patches(rows), batch_size=5, num_workers=2, multiprocessing_context=start
    )
    found = list(loader)
    assert [name for batch in found for name in batch["id"]] == plain["id"][:]
    embeddings = torch.cat([batch["embedding"] for batch in found])
    assert embeddings.dtype == torch.uint8
    assert np.array_equal(embeddings.numpy(), np.stack(plain["embedding"][:]))


@pytest.mark.parametrize("decoded", [False, True])
@pytest.mark.parametrize(
    "view",
    [{}, {"dtype": "float32", "mask": True, "layout": "bands_last"}, {"columns": ["embedding"]}],
    ids=["all columns", "floats", "embeddings alone"],
)
def test_a_batch_holds_what_rows_hold_one_by_one(
    release: Path, view: dict[str, Any], decoded: bool
) -> None:
    from hfaef.torch import Patches

    rows = hfaef.load(release, "train", **view, decoded=decoded)
    few = rows.filter(lambda row: row["embedding"].any()).select(range(7, 2, -1))
    for held in (rows, few):
        samples = Patches(held)
        for number, sample in zip([4, 0, 3], samples.__getitems__([4, 0, 3]), strict=True):
            expected = samples[number]
            assert list(sample) == list(expected)
            for name, value in expected.items():
                if isinstance(value, torch.Tensor):
                    assert sample[name].dtype == value.dtype
                    assert torch.equal(sample[name], value)
                else:
                    assert sample[name] == value
            sample["embedding"][:] = 0  # it may be written to


def test_rows_with_a_transform_of_ones_own_are_read_through_it(sheets: Path) -> None:
    from hfaef.torch import Patches

    rows = hfaef.load(sheets, "train", decoded=True).with_transform(
        lambda batch: {"label": [label + 1 for label in batch["label"]]}
    )
    expected = [row["label"] + 1 for row in hfaef.load(sheets, "train")]
    found = Patches(rows).__getitems__(list(range(len(rows))))
    assert [sample["label"].item() for sample in found] == expected


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


@pytest.mark.parametrize("decoded", [False, True])
def test_torchgeo_gives_images_labels_and_bounds(sheets: Path, decoded: bool) -> None:
    from hfaef.torchgeo import EmbeddingDataModule, EmbeddingDataset

    module = EmbeddingDataModule(release=sheets, batch_size=4, config="spatial", decoded=decoded)
    module.setup("fit")
    cached = module.train_dataset.rows.cache_files
    assert any("decoded-" in one["filename"] for one in cached) == decoded
    part = EmbeddingDataset(sheets, "val", "spatial", decoded=decoded)
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
