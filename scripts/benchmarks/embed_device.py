"""Vectors of a ResNet-18 on CPU and GPU: whether they agree, and images a second on both.

Images are made up and weights are drawn at random, so it needs no more than the extra `encoders`:
`python scripts/benchmarks/embed_device.py`. It ends with 1 if vectors differ by more than `MOST`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torchgeo.models import resnet18

from hfaef.encoders.base import Encoder, Float32, Images
from hfaef.encoders.torchgeo import open_torchgeo
from hfaef.recipe.bands import SENTINEL2

MEMBER = "ResNet18_Weights.SENTINEL2_ALL_MOCO"

MOST = 1e-4
"""Difference of a vector over its length."""

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--images", type=int, default=1024)
parser.add_argument("--batch", type=int, default=128)
arguments = parser.parse_args()


def run(encoder: Encoder, images: Float32) -> tuple[Float32, float]:
    """Vectors (n, dimensions), and images a second after a first batch."""
    batches = range(0, len(images), arguments.batch)
    encoder.encode(images[: arguments.batch])
    start = time.perf_counter()
    vectors = [encoder.encode(images[at : at + arguments.batch]) for at in batches]
    return np.concatenate(vectors), len(images) / (time.perf_counter() - start)


torch.manual_seed(0)
model = resnet18(in_chans=len(SENTINEL2))
with torch.no_grad():
    for parameter in model.parameters():  # some begin as zeros, and would hide others
        parameter.add_(torch.randn_like(parameter) * 0.02)
noise = np.random.default_rng(0)
shape = (arguments.images, len(SENTINEL2), 64, 64)
images = noise.integers(0, 8000, shape, dtype=np.uint16).astype(np.float32)

found = {}
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "resnet18.pth"
    torch.save(model.state_dict(), file)
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        encoder = open_torchgeo(MEMBER, Images(SENTINEL2, "DN", "L1C"), file, device)
        found[device], rate = run(encoder, images)
        print(
            f"{encoder.provenance.device}: {rate:.0f} images a second, batches of {arguments.batch}"
        )
print(
    f"torch {torch.__version__}, {torch.get_num_threads()} threads, {len(images)} images of 64 px"
)
if "cuda" not in found:
    sys.exit("PyTorch finds no GPU: nothing to compare with")
lengths = np.linalg.norm(found["cpu"], axis=1)
differences = np.linalg.norm(found["cuda"] - found["cpu"], axis=1) / lengths
elements = np.abs(found["cuda"] - found["cpu"]).max() / np.abs(found["cpu"]).max()
print(
    f"difference over length: at most {differences.max():.1e}, median {np.median(differences):.1e}"
)
print(f"largest difference of a number, over the largest number: {elements:.1e}")
sys.exit(int(differences.max() > MOST))
