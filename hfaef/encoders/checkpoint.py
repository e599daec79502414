"""Models of PyTorch: their weights read from files that may be hostile, and the model on a device.

Reading a file runs no code that is in it. Weights fit a model by the names and shapes of their
tensors; what is left over or missing is named, and is a fault unless it is the head that is cut
off anyway.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from hfaef.encoders.base import Float32
from hfaef.errors import InputError, one_line

SUFFIXES = (".pth", ".pt", ".safetensors")

MOST_BYTES = 2**35
"""Of a file of weights, unpacked: more fits into few memories, and the largest vision models of timm
have 28 GB."""

_NESTED = ("state_dict", "model")
"""Keys that checkpoints of training runs put their weights under."""


@dataclass(frozen=True)
class Weights:
    """Tensors of a file."""

    file: Path
    tensors: dict[str, Any] = field(repr=False)
    """On the CPU, by the names of a model's parameters and buffers."""
    sha256: str
    """Of the file."""


def read_weights(file: Path) -> Weights:
    """The tensors of a ``.pth``, ``.pt`` or ``.safetensors`` file.

    Raises:
        InputError: if it is none, holds anything but tensors, or more than `MOST_BYTES`.
    """
    import torch

    if file.suffix not in SUFFIXES:
        raise InputError(
            f"weights are read from {', '.join(SUFFIXES)} files, and {file} is none of them",
            "write the state dict with torch.save or safetensors",
        )
    content, sha256 = _read(file)
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content:
        raise InputError(
            f"{file} holds {type(content).__name__}, and no tensors by name",
            "save the model's state dict, not the model",
        )
    others = [key for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise InputError(
            f"{file}: {len(others)} of {len(content)} values, such as {others[0]}, are no tensors",
            "save the model's state dict alone",
        )
    return Weights(file, {str(key): value for key, value in content.items()}, sha256)


def _read(file: Path) -> tuple[Any, str]:
    """What a file holds, and its SHA-256.

    Raises:
        InputError: if it cannot be read, or is too big, or reading it would run code.
    """
    try:
        size = _unpacked_bytes(file)
        if size <= MOST_BYTES:
            _require_format(file)
            with file.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            return _unpickled(file), sha256
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file} holds more than tensors, and code in it is not run: {_first_line(error)}",
            "load it where you trust it, and save its state dict alone",
        ) from error
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}", "name a file") from error
    except Exception as error:  # a broken file fails in a dozen ways, deep in its reader
        raise InputError(
            f"{file} holds no weights that can be read: {_first_line(error)}",
            "copy or download it again",
        ) from error
    raise InputError(
        f"{file} holds {size / 1e9:.0f} GB of weights, more than {MOST_BYTES / 1e9:.0f} GB",
        "give a smaller model",
    )


_MAGIC = (b"PK", b"\x80")
"""What files of torch.save begin with: archives, and the pickles that it wrote before them."""


def _require_format(file: Path) -> None:
    """Raise InputError unless a file begins as one of weights does."""
    with file.open("rb") as stream:
        head = stream.read(64)
    is_safetensors = head[8:9] == b"{"  # after eight bytes that say how long the header is
    if is_safetensors if file.suffix == ".safetensors" else head.startswith(_MAGIC):
        return
    text = head.decode("latin-1")
    if not head:
        found = "is empty"
    elif text.isascii() and all(one.isprintable() or one.isspace() for one in text):
        found = f"begins with the text {' '.join(text.split())[:30]!r}"
    else:
        found = f"begins with the bytes {head[:8].hex(' ')}"
    raise InputError(
        f"{file} is not a PyTorch or safetensors file: it {found}", "copy or download it again"
    )


def _unpacked_bytes(file: Path) -> int:
    """Of the tensors in a file: zipped ones may be smaller than what they unpack to."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return sum(member.file_size for member in archive.infolist())
    return file.stat().st_size


def _unpickled(file: Path) -> Any:
    if file.suffix == ".safetensors":
        from timm.models import load_state_dict  # timm brings what reads them

        return load_state_dict(str(file), use_ema=False)
    import torch

    with warnings.catch_warnings(action="ignore", category=UserWarning):  # what matters is raised
        return torch.load(file, map_location="cpu", weights_only=True)


def _first_line(error: Exception) -> str:
    """The words of an error that PyTorch follows with paragraphs of advice."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    told = next(
        (line for line in lines if "WeightsUnpickler error" in line), lines[0] if lines else ""
    )
    return one_line(told)[:200] or type(error).__name__


def check_names(
    weights: Weights,
    model: str,
    shapes: Mapping[str, tuple[int, ...]],
    optional: Collection[str],
) -> tuple[str, ...]:
    """Notes on tensors that are missing or left over.

    Args:
        weights: of a file.
        model: as `hfaef embed` names it.
        shapes: of the model's own tensors, by name.
        optional: names of those whose vectors do not depend on, or that start as if they were not
            there.

    Raises:
        InputError: with counts, if others than the optional ones are missing, left over, or have
            another shape.
    """
    missing = [name for name in shapes if name not in weights.tensors]
    left = [name for name in weights.tensors if name not in shapes]
    unlike = [
        name
        for name, shape in shapes.items()
        if name in weights.tensors
        and name not in optional
        and tuple(weights.tensors[name].shape) != shape
    ]
    faults = [
        f"{len(names)} {words}, such as {names[0]}"
        for words, names in (
            ("are missing", [name for name in missing if name not in optional]),
            ("are left over", [name for name in left if name not in optional]),
            ("have another shape", unlike),
        )
        if names
    ]
    if faults:
        raise InputError(
            f"{weights.file} does not fit {model}, which has {len(shapes)} tensors: "
            + "; ".join(faults),
            "give the weights of that model, under its own names",
        )
    return tuple(
        f"{' '.join(names)} of the model {words} in the file of weights"
        for words, names in (("are not", missing), ("were left over", left))
        if names
    )


def run_model(
    name: str, model: Any, prepare: Callable[[Float32], Any], device: str
) -> Callable[[Float32], Float32]:
    """What gives vectors (n, dimensions) of images (n, channels, height, width).

    Everything is computed in float32, on CPU and GPU alike.

    Args:
        name: of the model, for errors.
        model: a module of PyTorch that gives vectors (n, dimensions).
        prepare: makes its input of images.
        device: ``cpu`` or ``cuda``.
    """
    import torch

    model = model.float().eval().to(device)

    def encode(images: Float32) -> Float32:
        height, width = images.shape[-2:]
        exact = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with torch.inference_mode(), torch.autocast(device, enabled=False), exact:
            try:
                vectors = model(prepare(images).to(device))
            except torch.OutOfMemoryError as error:
                raise InputError(
                    f"{name}: {len(images)} images at once do not fit into the GPU's memory",
                    "give a smaller --batch",
                ) from error
            except (AssertionError, RuntimeError, ValueError) as error:
                raise InputError(
                    f"{name} does not take images of {height} x {width} px: {_first_line(error)}",
                    "run another model, see `hfaef embed --list`",
                ) from error
        return as_vectors(name, vectors.cpu().numpy(), len(images))

    return encode


def as_vectors(name: str, output: Any, count: int) -> Float32:
    """What a model gave, if it is one vector an image.

    Raises:
        InputError: if it is anything else.
    """
    if output.ndim != 2 or len(output) != count:
        shape = " x ".join(map(str, output.shape))
        raise InputError(
            f"{name} gave {shape} numbers for {count} images, which is no vector an image",
            "run another model, see `hfaef embed --list`",
        )
    return np.ascontiguousarray(output, dtype=np.float32)


POOLINGS = {"avg": "mean over all positions", "token": "class token", "": "none"}


def cut_head(model: Any) -> str | None:
    """Make a classifier give the vector that its head was fed, and say in words what that is.

    None for a module whose head is not known.
    """
    import torch

    if hasattr(model, "reset_classifier"):  # timm
        model.reset_classifier(0)
        pool = getattr(model, "global_pool", "avg")
        pool = getattr(pool, "pool_type", pool)
        return POOLINGS.get(pool, f"{pool} of timm")
    if isinstance(getattr(model, "head", None), torch.nn.Linear):  # Swin of torchvision
        model.head = torch.nn.Identity()
        return POOLINGS["avg"]
    return None


def versions(*packages: str) -> dict[str, str]:
    """Of installed packages."""
    return {name: metadata.version(name) for name in packages}


def device_name(device: str) -> str:
    """``cpu``, or ``cuda`` with the name of the GPU."""
    if device == "cpu":
        return device
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"
