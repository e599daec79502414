"""Other models over EuroSAT100's real images: bands by name, and one card with AlphaEarth's."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import World
from encoders.test_onnx import write_model

from hfaef.core.files import sha256_of
from hfaef.encoders import embed_recipe
from hfaef.recipe.read import read_recipe
from support.weights import LITE, write_lite

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(shared: Path, eurosat_world: World, tmp_path: Path) -> Path:
    """A working folder with TorchGeo's EuroSAT100, and its recipe over a store that covers it."""
    pytest.importorskip("torchgeo")
    root = tmp_path / "data/eurosat100"
    root.mkdir(parents=True)
    (root / "ds").symlink_to(shared / "eurosat/ds")
    lists = shared / "splits"
    for split, name in (("train", "train.sorted"), ("val", "val.sorted"), ("test", "test")):
        shutil.copy(lists / f"eurosat-100-{name}.txt", root / f"eurosat-100-{split}.txt")
        shutil.copy(lists / f"eurosat-spatial-{split}.txt", root)
    (tmp_path / "hfaef.toml").write_text(
        f"""
name = "AlphaEarth-EuroSAT100"
years = [2018]
[patches]
kind = "torchgeo"
dataset = "EuroSAT100"
root = "data/eurosat100"
checksum = false
[source]
kind = "cog"
root = "{eurosat_world.root}"
"""
    )
    return tmp_path


def test_statistics_are_those_of_torchgeos_samples_band_by_band(folder: Path) -> None:
    from torchgeo.datasets import EuroSAT100

    recipe = read_recipe(str(folder / "hfaef.toml"))
    done = embed_recipe(recipe, "stats", folder / "stats.parquet")
    assert (done.vectors, done.dimensions, done.left_out) == (100, 52, ())
    assert done.provenance.bands == EuroSAT100.all_band_names
    table = pq.read_table(done.path)
    found = dict(zip(table["id"].to_pylist(), table["vector"].to_pylist(), strict=True))
    seen = 0
    for split in ("train", "val", "test"):
        samples = EuroSAT100(str(folder / "data/eurosat100"), split)
        for number, (path, _) in enumerate(samples.samples):
            image = samples[number]["image"].numpy().astype(np.float64).reshape(13, -1)
            expected = np.concatenate([image.mean(1), image.std(1), image.min(1), image.max(1)])
            np.testing.assert_allclose(found[Path(path).stem], expected, rtol=1e-6)
            seen += 1
    assert seen == 100


def hfaef(folder: Path, *words: str) -> str:
    """What a command prints that is run there."""
    command = [sys.executable, "-W", "ignore", "-c", "from hfaef.cli.main import main; main()"]
    done = subprocess.run(
        [*command, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_floors_and_models_of_timm_and_onnx_stand_beside_alphaearth_in_one_card(
    folder: Path,
) -> None:
    for package in ("sklearn", "onnx", "onnxruntime"):
        pytest.importorskip(package)
    release = "build/AlphaEarth-EuroSAT100"
    hfaef(folder, "build")
    weights = write_lite(folder / "lite0.pth")
    hfaef(folder, "embed", f"timm:{LITE}", "--weights", str(weights), "--out", "lite.parquet")
    write_model(folder / "features.onnx")
    hfaef(folder, "embed", "onnx:features.onnx", "--out", "onnx.parquet")
    models = ["--embed", "stats", "--embed", "rcf-empirical"]
    models += ["--features", "lite=lite.parquet", "--features", "onnx=onnx.parquet"]
    found = json.loads(hfaef(folder, "eval", release, "--quick", *models, "--json"))
    told = {one["name"]: one.get("provenance") for one in found["features"]}
    assert {*told} == {"mean", "image-stats", "rcf-empirical", "lite", "onnx"}
    assert told["mean"] is None
    assert told["image-stats"]["level"] == "L1C"
    assert told["lite"]["weights_sha256"] == sha256_of(weights)
    assert told["onnx"]["license"] == "Apache-2.0"
    lists = [folder / f"data/eurosat100/eurosat-{name}-train.txt" for name in ("100", "spatial")]
    both = set.intersection(*({*path.read_text().split()} for path in lists))
    assert f"drawn from {len(both)} images" in told["rcf-empirical"]["transform"]
    pairs = {(one["a"], one["b"]) for one in found["differences"]}
    assert {("mean", name) for name in told if name != "mean"} <= pairs
    card = (folder / release / "README.md").read_text()
    for name in told:
        assert f"`{name}`" in card
    assert "no benchmark" in card  # as there are few test patches
