"""ONNX files with a TOML file beside them: vectors as by hand, contradictions refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hfaef.encoders.base import Images, match
from hfaef.encoders.onnx import open_onnx
from hfaef.errors import InputError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

IMAGES = Images(("B02", "B03", "B04", "B08"), "DN", "L1C")

WEIGHTS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
"""Of a convolution of 1 x 1: 5 features of 3 bands."""

TOML = """
bands = ["red", "B8", "B2"]
unit = "DN"
level = "L1C"
scale = 0.0001
mean = [0.1, 0.2, 0.3]
std = [1, 2, 4]
output = "features"
pooling = "mean"
license = "Apache-2.0"
address = "https://example.org/model"
"""


def write_model(
    path: Path, *, side: int | str = "side", count: int | str = "n", cut: bool = True
) -> Path:
    """A graph of features (n, 5, side, side) and classes after them; cut at the features, or not."""
    from onnx import TensorProto, helper, numpy_helper

    shape = [count, 3, side, side]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weights"], ["features"]),
            helper.make_node("ReduceMax", ["features"], ["classes"], keepdims=0),
        ],
        "model",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("classes", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(WEIGHTS[:, :, None, None], "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    whole = path.with_name("whole.onnx")
    onnx.save(onnx.shape_inference.infer_shapes(model), whole)
    if cut:
        onnx.utils.extract_model(whole, path, ["image"], ["features"])
    else:
        whole.rename(path)
    path.with_suffix(".toml").write_text(TOML)
    return path


def described(path: Path, **changes: str) -> Path:
    """A model whose description has other lines; an empty one is left out."""
    lines = dict(line.split(" = ", 1) for line in TOML.split("\n") if line) | changes
    text = "\n".join(f"{key} = {value}" for key, value in lines.items() if value)
    path.with_suffix(".toml").write_text(text)
    return path


def taken(seed: int = 1, size: int = 8, count: int = 4) -> npt.NDArray[np.float32]:
    """The model's three channels, in digital numbers."""
    numbers = np.random.default_rng(seed).integers(0, 9000, (count, 4, size, size))
    return np.stack(
        [match(IMAGES, open_needs(), "onnx").take(image) for image in numbers.astype(np.uint16)]
    )


def open_needs() -> Any:
    from hfaef.encoders.base import Needs

    return Needs(("B04", "B08", "B02"), ("DN",) * 3)


def by_hand(channels: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    less, over = (np.array(values)[:, None, None] for values in ([0.1, 0.2, 0.3], [1, 2, 4]))
    return ((channels * 1e-4 - less) / over).mean((2, 3)) @ WEIGHTS.T


@pytest.mark.parametrize("count", ["n", 1, 3])
def test_vectors_are_those_of_the_graph_by_hand(tmp_path: Path, count: int | str) -> None:
    path = write_model(tmp_path / "model.onnx", count=count)
    encoder = open_onnx(path, IMAGES, "cpu")
    assert encoder.needs.bands == ("B04", "B08", "B02")
    channels = taken(count=3)
    np.testing.assert_allclose(encoder.encode(channels), by_hand(channels), rtol=1e-5, atol=1e-5)
    told = encoder.provenance
    assert told.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told.model == "onnx:model.onnx"
    assert (told.license, told.address) == ("Apache-2.0", "https://example.org/model")
    assert told.transform == "B04 B08 B02 in DN; times 0.0001; less 0.1 0.2 0.3; over 1 2 4"
    assert told.pooling == "mean over all positions"


def test_images_are_resized_as_pillow_does_it_and_never_warped(tmp_path: Path) -> None:
    path = described(write_model(tmp_path / "model.onnx", side=16), size="16")
    encoder = open_onnx(path, IMAGES, "cpu")
    even = np.full((2, 3, 8, 12), 2000, np.float32)
    np.testing.assert_allclose(encoder.encode(even), by_hand(even), rtol=1e-5)
    ramp = np.tile(np.arange(12, dtype=np.float32) * 500, (1, 3, 8, 1))
    middle = np.tile(np.arange(2, 10, dtype=np.float32) * 500, (1, 3, 8, 1))
    np.testing.assert_allclose(encoder.encode(ramp), by_hand(middle), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": "1"}, "colour: Extra inputs are not permitted"),
        ({"unit": '"counts"'}, "unit: "),
        ({"unit": ""}, "unit: Field required"),
        ({"output": ""}, "output: Field required"),
        ({"bands": '["B4", "B99", "B2"]'}, "B99.* is no band"),
        ({"bands": '["B4", "B04", "B2"]'}, "names a band twice"),
        ({"mean": "[0.1]"}, "mean: 1 figures for 3 bands"),
        ({"std": "[1, 2, 0]"}, "std: figures are above 0"),
        ({"std": "[1, 2, nan]"}, "std"),
        ({"scale": '"0.1"'}, "scale: "),
        ({"size": "0"}, "size: "),
        ({"pooling": '"max"'}, "pooling: "),
        ({"scale": "= 1"}, "is not TOML"),
        ({"output": '"logits"'}, "no output logits, only features"),
        ({"bands": '["B4", "B2"]', "mean": "", "std": ""}, "takes 3 channels.* names 2 bands"),
        ({"bands": '["B4", "B11", "B2"]'}, "B11 is missing"),
    ],
)
def test_a_description_that_does_not_hold_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    path = described(write_model(tmp_path / "model.onnx"), **changes)
    with pytest.raises(InputError, match=words) as refusal:
        open_onnx(path, IMAGES, "cpu")
    assert "\n" not in str(refusal.value)


def test_a_model_without_description_is_told_what_to_write(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.onnx")
    path.with_suffix(".toml").unlink()
    with pytest.raises(InputError, match=r"model\.toml cannot be read.*bands = "):
        open_onnx(path, IMAGES, "cpu")


def test_a_model_that_is_not_there_is_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the model file .*nothere\.onnx: No such file"):
        open_onnx(tmp_path / "nothere.onnx", IMAGES, "cpu")


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"<html>"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = write_model(tmp_path / "model.onnx")
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no model that onnxruntime"):
        open_onnx(path, IMAGES, "cpu")


def test_weights_in_files_beside_a_model_are_not_read(tmp_path: Path) -> None:
    """The hash is of all that makes the vectors."""
    path = write_model(tmp_path / "model.onnx")
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="secret.bin")
    with pytest.raises(InputError, match="into one file"):
        open_onnx(path, IMAGES, "cpu")


def test_a_graph_that_does_not_give_vectors_is_refused(tmp_path: Path) -> None:
    whole = described(write_model(tmp_path / "model.onnx", cut=False), output='"classes"')
    with pytest.raises(InputError, match="no vector an image"):
        open_onnx(whole, IMAGES, "cpu").encode(taken())
    maps = described(write_model(tmp_path / "maps.onnx"), pooling='"none"')
    with pytest.raises(InputError, match="4 x 5 x 8 x 8 numbers for 4 images"):
        open_onnx(maps, IMAGES, "cpu").encode(taken())


def test_a_fixed_size_must_be_the_one_that_the_description_makes(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.onnx", side=16)
    with pytest.raises(InputError, match="16 x 16 px, and its description makes them of any size"):
        open_onnx(path, IMAGES, "cpu")


def test_a_gpu_that_onnxruntime_cannot_use_is_said(tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime uses GPUs")
    path = write_model(tmp_path / "model.onnx")
    with pytest.raises(InputError, match="runs on the CPU alone"):
        open_onnx(path, IMAGES, "cuda")
    assert open_onnx(path, IMAGES, "auto").provenance.device == "cpu"
