"""What consumers get of every kind of label, year, split and kept column, from every form."""

from __future__ import annotations

import gc
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, List, Value, load_dataset

import hfaef
from hfaef.errors import InputError
from hfaef.release.format.manifest import read_manifest
from support.kinds import (
    DTYPES,
    KEPT,
    KINDS,
    NAMES,
    POINTS,
    build_kind,
    labels_of,
    year_of,
)

FORMS = {"png": (), "raw": ("pack.codec=raw",), "webdataset": ("pack.format=webdataset",)}


@pytest.fixture(scope="module", params=list(itertools.product(KINDS, FORMS)), ids="-".join)
def built(
    request: pytest.FixtureRequest, kinds_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str, Path]:
    """A kind, a form, and a release of both."""
    kind, form = request.param
    folder = tmp_path_factory.mktemp(f"{kind}-{form}")
    return kind, form, build_kind(kind, kinds_world, folder, *FORMS[form]).folder


def column_of(rows: Any, name: str, form: str) -> Any:
    """The type of a column as plain `datasets` knows it."""
    columns = rows.features
    if form == "webdataset":
        member = "cls" if name == "label" else name
        return columns[member] if member in columns else columns["json"][name]
    return columns[name]


LABELS = {
    "class": ClassLabel(names=list(NAMES)),
    "classes": List(ClassLabel(names=list(NAMES))),
    "number": Value("float32"),
}


@pytest.mark.parametrize("streaming", [False, True])
def test_plain_datasets_types_labels_and_kept_columns(
    built: tuple[str, str, Path], streaming: bool, tmp_path: Path
) -> None:
    kind, form, folder = built
    parts = load_dataset(str(folder), streaming=streaming, cache_dir=str(tmp_path))
    assert set(parts) == {part.name for part in read_manifest(folder).configs[0].splits}
    found = {}
    for rows in parts.values():
        assert column_of(rows, "label", form) == LABELS.get(kind, LABELS["class"])
        for column in read_manifest(folder).kept:
            expected = Value(DTYPES[column.name])
            if form == "webdataset" and DTYPES[column.name].startswith(("date", "timestamp")):
                expected = Value("string")  # JSON has no dates
            if column.is_list:
                expected = List(expected)
            assert column_of(rows, column.name, form) == expected
        for row in rows:
            plain = {**row, **row.get("json", {})}
            found[plain["id"]] = plain.get("cls", plain.get("label"))
    assert len(found) == (12 if kind == "years" else POINTS)
    for identity, label in found.items():
        held = labels_of(kind, int(identity[1:]))
        if kind == "number":
            assert label == pytest.approx(held, rel=1e-6)
        elif kind == "classes":
            assert label == sorted(map(NAMES.index, held))
        else:
            assert NAMES[label] == held


@pytest.mark.parametrize("streaming", [False, True])
def test_load_gives_the_same_values_from_every_form(
    built: tuple[str, str, Path], streaming: bool
) -> None:
    kind, _, folder = built
    rows = [row for part in hfaef.load(folder, streaming=streaming).values() for row in part]
    for row in rows:
        number = int(row["id"][1:])
        assert row["embedding"].shape == (64, 8, 8)
        if kind in ("class", "classes"):
            kept = {name: row[name] for name in KEPT}
            assert kept == {name: value if number else None for name, (_, value) in KEPT.items()}
        if kind in ("years", "nearest"):
            assert row["year"] == year_of(number)
        if kind == "nearest":
            assert row["observed_year"] == {2017: 2018, 2021: 2018}.get(row["year"], row["year"])
        if kind == "number":
            assert row["fold"] == ("unassigned" if number == 0 else str(1 + number % 3))
        if kind == "classes":
            assert row["label_name"] == [NAMES[label] for label in row["label"]]


def test_decoded_rows_are_those_that_are_not(built: tuple[str, str, Path]) -> None:
    _, _, folder = built
    expected = hfaef.load(folder)
    for split, rows in hfaef.load(folder, decoded=True).items():
        assert rows.column_names == expected[split].column_names
        assert rows.features["label"] == expected[split].features["label"]
        assert rows.info.dataset_name == expected[split].info.dataset_name
        for row, other in zip(rows, expected[split], strict=True):
            assert np.array_equal(row.pop("embedding"), other.pop("embedding"))
            assert row == other


def test_unassigned_patches_are_a_split_of_their_own(built: tuple[str, str, Path]) -> None:
    kind, _, folder = built
    parts = hfaef.load(folder)
    expected = {"classes": {"p08", "p17"}, "number": {"p00"}}.get(kind, set())
    assert {row["id"] for row in parts.get("unassigned", ())} == expected
    if expected:
        only = hfaef.load(folder, "unassigned", columns=["id"])
        assert {row["id"] for row in only} == expected


def test_a_split_that_is_not_there_is_named_with_those_that_are(
    built: tuple[str, str, Path],
) -> None:
    kind, _, folder = built
    missing = "test" if kind == "number" else "fold"
    there = ", ".join(part.name for part in read_manifest(folder).configs[0].splits)
    with pytest.raises(InputError, match=f"there is no split '{missing}'; there are {there}"):
        hfaef.load(folder, missing)
    assert len(hfaef.load(folder, "train[:2]")) == 2


def test_columns_may_be_chosen(built: tuple[str, str, Path]) -> None:
    kind, _, folder = built
    columns = ["embedding", "label", *(column.name for column in read_manifest(folder).kept)]
    row = hfaef.load(folder, "train", columns=columns)[0]
    assert list(row) == columns
    with pytest.raises(InputError, match="no column 'colour'"):
        hfaef.load(folder, "train", columns=["colour"])
    pooled = hfaef.load(folder, "train", config="pooled")
    assert {"label", "mean", *columns[2:]} <= set(pooled.column_names)
    assert pooled.features["label"] == LABELS.get(kind, LABELS["class"])


def test_torch_gives_one_tensor_a_batch(built: tuple[str, str, Path]) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra torchgeo")
    from hfaef.torch import Patches, PatchStream

    kind, _, folder = built
    columns = ["id", "embedding", "label"]
    stream = hfaef.load(folder, "train", streaming=True, columns=columns)
    if kind == "classes":
        with pytest.raises(InputError, match=r"an unknown number of classes; .*classes=N"):
            next(iter(PatchStream(stream)))
        with pytest.raises(InputError, match="of 1 class"):
            list(PatchStream(stream, classes=1))
    for rows in (
        Patches(hfaef.load(folder, "train", columns=columns)),
        PatchStream(stream, classes=len(NAMES)),
    ):
        seen = 0
        for batch in torch.utils.data.DataLoader(rows, batch_size=4):
            assert batch["embedding"].dtype == torch.uint8
            for identity, label in zip(batch["id"], batch["label"], strict=True):
                held = labels_of(kind, int(identity[1:]))
                if kind == "classes":
                    assert label.dtype == torch.float32
                    assert label.tolist() == [float(name in held) for name in NAMES]
                elif kind == "number":
                    assert label.dtype == torch.float32
                    assert float(label) == pytest.approx(held, rel=1e-6)
                else:
                    assert label.dtype == torch.int64
                    assert NAMES[int(label)] == held
                seen += 1
        assert seen == read_manifest(folder).configs[0].splits[0].rows


@pytest.mark.filterwarnings("ignore:Exception ignored in")  # it leaves its files open
def test_the_webdataset_package_reads_labels_where_they_belong(
    built: tuple[str, str, Path],
) -> None:
    kind, form, folder = built
    if form != "webdataset":
        pytest.skip("no WebDataset")
    webdataset = pytest.importorskip("webdataset")
    shards = sorted(map(str, (folder / "data").rglob("*.tar")))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
    gc.collect()
    assert len(samples) == read_manifest(folder).rows
    for sample in samples:
        row = json.loads(sample["json"], parse_constant=pytest.fail)
        held = labels_of(kind, int(row["id"][1:]))
        if kind == "classes":
            assert "cls" not in sample
            assert row["label"] == sorted(map(NAMES.index, held))
        elif kind == "number":
            assert "cls" not in sample
            assert row["label"] == np.float32(held)
        else:
            assert NAMES[int(sample["cls"])] == held
            assert "label" not in row


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["class", "classes", "number"])
def test_trainers_of_torchgeo_take_a_step(kinds_world: Path, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("torchgeo", reason="needs the extra torchgeo")
    import warnings

    from lightning.pytorch import Trainer
    from torchgeo.trainers import ClassificationTask, RegressionTask

    from hfaef.torchgeo import EmbeddingDataModule, EmbeddingDataset

    changes = ["patches.size=32"]
    if kind == "number":
        changes.append("patches.make_splits.random.seed=1")
    folder = build_kind(kind, kinds_world, tmp_path, *changes).folder
    about = {"model": "resnet18", "weights": None, "in_channels": 64}
    if kind == "number":
        task = RegressionTask(**about, num_outputs=1)
        assert EmbeddingDataset(folder).classes == []
    elif kind == "classes":
        task = ClassificationTask(**about, task="multilabel", loss="bce", num_labels=len(NAMES))
    else:
        task = ClassificationTask(**about, task="multiclass", num_classes=len(NAMES))
    if kind != "number":
        assert EmbeddingDataset(folder).classes == list(NAMES)
    trainer = Trainer(
        max_steps=1,
        limit_val_batches=0,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on workers and logging
        trainer.fit(
            task, train_dataloaders=loader(EmbeddingDataModule(release=folder, batch_size=4))
        )
    assert trainer.global_step == 1


def loader(module: Any) -> Any:
    """The training batches of a data module."""
    module.setup("fit")
    return module.train_dataloader()
