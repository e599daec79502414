"""Models of timm: the vectors that timm itself gives of the same pictures."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hfaef.encoders.base import Images, match
from hfaef.encoders.timm import open_timm
from hfaef.errors import InputError
from support.weights import LITE, write_lite

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

pytestmark = pytest.mark.slow

IMAGES = Images(("B02", "B03", "B04", "B08"), "DN", "L1C")


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lite(tmp_path_factory.mktemp("lite") / "lite0.pth")


def pictures(seed: int, count: int = 3) -> npt.NDArray[Any]:
    """Digital numbers (count, 4, 64, 64) of smooth pictures, some of them over white."""
    noise = np.random.default_rng(seed).normal(size=(count, 4, 64, 64)).cumsum(-1).cumsum(-2)
    return (1500 + 20 * noise).clip(0, 6000).astype(np.uint16)


def test_vectors_are_those_of_timm_by_hand(lite: Path) -> None:
    from PIL import Image

    encoder = open_timm(LITE, IMAGES, lite, "cpu")
    channels = match(IMAGES, encoder.needs, LITE)
    numbers = pictures(0)
    vectors = encoder.encode(np.stack([channels.take(image) for image in numbers]))

    model = timm.create_model(LITE, num_classes=0).eval()
    state = torch.load(lite, map_location="cpu", weights_only=True)
    model.load_state_dict({k: v for k, v in state.items() if not k.startswith("classifier.")})
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    rgb = np.rint(np.clip(numbers[:, [2, 1, 0]] * 255.0 / 3558, 0, 255)).astype(np.uint8)
    ready = torch.stack([transform(Image.fromarray(p)) for p in rgb.transpose(0, 2, 3, 1)])
    with torch.no_grad():
        expected = model(ready).numpy()
    assert vectors.shape == (3, 1280)
    np.testing.assert_allclose(vectors, expected, rtol=1e-6, atol=1e-6)
    told = encoder.provenance
    assert told.weights_sha256 == hashlib.sha256(lite.read_bytes()).hexdigest()
    assert told.notes == ()
    assert "224 x 224 px over 0.875, bicubic" in told.transform
    assert told.pooling == "mean over all positions"


def test_a_file_for_another_model_is_refused_with_counts(lite: Path) -> None:
    with pytest.raises(InputError, match=r"resnet18.* are missing, such as .* are left over"):
        open_timm("resnet18", IMAGES, lite, "cpu")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet18x", "did you mean `resnet18"),
        ("resnet18.never", "never"),
        ("", "timm has no model"),
    ],
)
def test_a_model_that_timm_does_not_know_is_refused(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_timm(name, IMAGES, Path("any.pth"), "cpu")


def test_images_without_colours_are_refused_before_anything_is_fetched() -> None:
    with pytest.raises(InputError, match="B02 is missing"):
        open_timm(LITE, Images(("B03", "B04"), "DN"), None, "cpu")


SCRIPT = """
import sys
from hfaef.encoders.base import Images
from hfaef.encoders.timm import open_timm
from hfaef.errors import HubError
images = Images(("B04", "B03", "B02"), "uint8")
told = open_timm("tf_efficientnet_lite0", images, None, "cpu").provenance
print(told.weights_sha256, told.address, told.license)
try:
    open_timm("resnet18.a1_in1k", images, None, "cpu")
except HubError as error:
    print(error)
"""


def test_published_weights_come_from_the_hub_s_cache_and_what_is_not_there_is_named(
    lite: Path, tmp_path: Path
) -> None:
    commit = "0" * 40
    repository = tmp_path / "hub" / "models--timm--tf_efficientnet_lite0.in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    file = repository / "snapshots" / commit / "model.safetensors"
    file.parent.mkdir(parents=True)
    state = torch.load(lite, map_location="cpu", weights_only=True)
    whole = {key: tensor.contiguous() for key, tensor in state.items()}
    pytest.importorskip("safetensors.torch").save_file(whole, file)
    hub = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=os.environ | hub,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found, missing = ran.stdout.splitlines()
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    address = "https://huggingface.co/timm/tf_efficientnet_lite0.in1k"
    assert found == f"{sha256} {address} apache-2.0"
    assert "https://huggingface.co/timm/resnet18.a1_in1k" in missing
    assert str(tmp_path / "hub") in missing
    assert "--weights FILE" in missing
