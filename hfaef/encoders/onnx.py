"""Models in ONNX files, each described by a TOML file of the same name beside it.

Such as:

    bands = ["B02", "B03", "B04", "B08"]
    unit = "DN"
    scale = 0.0001
    mean = [0.28, 0.26, 0.27, 0.33]
    std = [0.24, 0.23, 0.25, 0.23]
    size = 256
    output = "features"
    pooling = "mean"

The graph's output is the vector, or a map of features that is averaged over all positions. A vector
from the middle of a graph is reached by cutting the graph there first, as ``onnx.utils.extract_model``
does it.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hfaef.encoders.base import Encoder, Float32, Images, Needs, match, named_bands
from hfaef.encoders.checkpoint import as_vectors, versions
from hfaef.errors import InputError, one_line
from hfaef.recipe.bands import Level, Unit
from hfaef.release.format.scores import Provenance

PREFIX = "onnx:"

MOST_BYTES = 2**31
"""Of a file: https://protobuf.dev/programming-guides/proto-limits/"""


class Description(BaseModel):
    """The TOML file beside a model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    bands: tuple[str, ...] = Field(min_length=1, strict=False)
    """In the order of the channels."""
    unit: Unit
    """Of all channels."""
    level: Level | None = None
    """That it was trained on; None if nobody says."""
    scale: float = 1.0
    """Numbers are multiplied by it first."""
    mean: tuple[float, ...] = Field((), strict=False)
    """Of each channel, taken away next; none for nothing."""
    std: tuple[float, ...] = Field((), strict=False)
    """Of each channel, divided by last; none for nothing."""
    size: int | None = Field(None, ge=1, le=4096)
    """Pixels that the shorter side is resized to, bilinear, and the middle square of that side is
    kept; None for images as they are."""
    output: str
    """Of the graph's outputs."""
    pooling: Literal["none", "mean"] = "none"
    """Whether the output is a vector, or a map (n, dimensions, height, width) to average."""
    license: str = ""
    address: str = ""
    """Where the model is published."""

    @model_validator(mode="after")
    def _one_figure_a_band(self) -> Description:
        named = named_bands(self.bands)
        if len(set(named)) < len(named):
            raise ValueError(f"bands: {' '.join(named)} names a band twice")
        for key in ("mean", "std"):
            figures = getattr(self, key)
            if figures and len(figures) != len(self.bands):
                raise ValueError(f"{key}: {len(figures)} figures for {len(self.bands)} bands")
        if any(figure <= 0 for figure in self.std):
            raise ValueError("std: figures are above 0")
        return self


def open_onnx(path: Path, images: Images, device: str) -> Encoder:
    """The model of an ``.onnx`` file.

    Args:
        path: of the file; the TOML file has the same name but for its suffix.
        images: what the files hold.
        device: ``cpu``, ``cuda``, or ``auto`` for whatever this onnxruntime can use.

    Raises:
        InputError: if one of the two files is no good, they contradict each other, or the model
            does not fit the images.
    """
    name = f"{PREFIX}{path}"
    try:
        path.stat()
    except OSError as error:
        raise InputError(
            f"cannot read the model file {path}: {error.strerror}", "name an .onnx file"
        ) from error
    description = _described(path)
    bands = named_bands(description.bands)
    needs = Needs(
        bands,
        (description.unit,) * len(bands),
        frozenset({description.level} if description.level else ()),
        source=str(path.with_suffix(".toml")),
    )
    match(images, needs, name)
    content = _content(path)
    device = _device(device)
    session = _session(name, content, device)
    feed, fixed = _checked(name, session, description)
    mean, std = (
        np.array(figures or [empty] * len(bands), np.float32)[:, None, None]
        for figures, empty in ((description.mean, 0), (description.std, 1))
    )

    def encode(batch: Float32) -> Float32:
        ready = ((_resized(batch, description.size) * np.float32(description.scale)) - mean) / std
        step = fixed or len(ready)
        parts = []
        for start in range(0, len(ready), step):
            part = ready[start : start + step]
            try:
                (output,) = session.run([description.output], {feed: part})
            except Exception as error:  # onnxruntime's own errors share no class of their own
                height, width = batch.shape[-2:]
                raise InputError(
                    f"{name} does not take images of {height} x {width} px: "
                    f"{one_line(str(error))[:200]}",
                    f"give `size` in {needs.source}",
                ) from error
            if description.pooling == "mean" and output.ndim == 4:
                output = output.mean(axis=(2, 3), dtype=np.float64)
            parts.append(as_vectors(name, output, len(part)))
        return np.concatenate(parts)

    provenance = Provenance(
        model=f"{PREFIX}{path.name}",  # its folder is nobody else's business
        address=description.address,
        weights_sha256=hashlib.sha256(content).hexdigest(),
        license=description.license,
        bands=bands,
        transform=_transform_in_words(description),
        pooling="mean over all positions" if description.pooling == "mean" else "none",
        packages=versions("onnxruntime", "numpy", "pillow"),
        device=device,
    )
    return Encoder(needs, provenance, encode)


def _described(path: Path) -> Description:
    """The TOML file beside a model.

    Raises:
        InputError: naming the file and the key.
    """
    beside = path.with_suffix(".toml")
    try:
        content = tomllib.loads(beside.read_text("utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} needs a TOML file beside it, and {beside} cannot be read: {error.strerror}",
            'write one with bands = ["B04", ...], unit = "DN" and output = "..."',
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{beside} is not TOML: {error}", "correct that line") from error
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        faults = [
            ".".join(map(str, one["loc"]))
            + (": " if one["loc"] else "")
            + one["msg"].removeprefix("Value error, ")
            for one in error.errors(include_url=False)
        ]
        raise InputError(
            f"{beside}: {'; '.join(faults)}",
            f"keys are {', '.join(Description.model_fields)}",
        ) from error


def _content(path: Path) -> bytes:
    """A whole model: other files that it names are not read with it."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(
                f"{path} holds {size / 1e9:.0f} GB, no model is so big", "give another"
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "name an .onnx file") from error


def _device(device: str) -> str:
    """``cpu`` or ``cuda``.

    Raises:
        InputError: if this onnxruntime cannot use a GPU that was asked for.
    """
    import onnxruntime

    there = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not there:
        raise InputError(
            "the onnxruntime that is installed runs on the CPU alone",
            "give --device cpu, or install onnxruntime-gpu in its place",
        )
    return "cuda" if there and device != "cpu" else "cpu"


def _session(name: str, content: bytes, device: str) -> Any:
    """What runs a model.

    Raises:
        InputError: if it is none.
    """
    import onnxruntime

    providers: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda":
        # As on the CPU: no rounding to 10 bits.
        providers = [("CUDAExecutionProvider", {"use_tf32": "0"})]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # onnxruntime's own errors share no class of their own
        raise InputError(
            f"{name} is no model that onnxruntime {onnxruntime.__version__} runs: "
            f"{one_line(str(error))[:200]}",
            "export it again, into one file",
        ) from error


def _checked(name: str, session: Any, description: Description) -> tuple[str, int]:
    """The name of a graph's input, and how many images it takes at once; 0 for any number.

    Raises:
        InputError: if the graph is not what its description says.
    """
    inputs, outputs = session.get_inputs(), [one.name for one in session.get_outputs()]
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        listed = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        raise InputError(
            f"{name} takes {listed}, and not one batch of images of float32", "export it anew"
        )
    if description.output not in outputs:
        raise InputError(
            f"{name} has no output {description.output}, only {', '.join(outputs)}",
            "name one of these; onnx.utils.extract_model cuts a graph at an inner one",
        )
    count, channels, *sides = inputs[0].shape
    if isinstance(channels, int) and channels != len(description.bands):
        raise InputError(
            f"{name} takes {channels} channels, and its description names "
            f"{len(description.bands)} bands",
            "correct `bands`",
        )
    fixed = {side for side in sides if isinstance(side, int)}
    if fixed and fixed != {description.size}:
        raise InputError(
            f"{name} takes images of {' x '.join(map(str, sides))} px, and its description "
            f"makes them {description.size or 'of any size'}",
            "correct `size`",
        )
    return str(inputs[0].name), count if isinstance(count, int) else 0


def _resized(images: Float32, size: int | None) -> Float32:
    """The middle square, after the shorter side was made so long."""
    height, width = images.shape[-2:]
    if size is None or (height, width) == (size, size):
        return images
    from PIL import Image

    short = min(height, width)
    to = (round(width * size / short), round(height * size / short))
    left, top = (to[0] - size) // 2, (to[1] - size) // 2
    resized = np.empty((*images.shape[:2], size, size), np.float32)
    for image, target in zip(images, resized, strict=True):
        for number, channel in enumerate(image):
            whole = Image.fromarray(channel).resize(to, Image.Resampling.BILINEAR)
            target[number] = np.asarray(whole)[top : top + size, left : left + size]
    return resized


def _transform_in_words(description: Description) -> str:
    words = [f"{' '.join(named_bands(description.bands))} in {description.unit}"]
    if description.size:
        words.append(f"shorter side resized to {description.size} px, bilinear, middle square")
    if description.scale != 1:
        words.append(f"times {description.scale:g}")
    for key, verb in (("mean", "less"), ("std", "over")):
        if figures := getattr(description, key):
            words.append(f"{verb} {' '.join(f'{figure:g}' for figure in figures)}")
    return "; ".join(words)
