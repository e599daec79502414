"""Models of timm over the red, green and blue of images, prepared as timm prepares pictures."""

from __future__ import annotations

import hashlib
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from hfaef.encoders.base import Encoder, Float32, Images, Needs, match
from hfaef.encoders.checkpoint import (
    check_names,
    cut_head,
    device_name,
    read_weights,
    run_model,
    versions,
)
from hfaef.errors import HubError, InputError, one_line
from hfaef.release.format.scores import Provenance

PREFIX = "timm:"

RGB = ("B04", "B03", "B02")


def open_timm(name: str, images: Images, weights: Path | None, device: str) -> Encoder:
    """A model of timm, such as ``resnet50`` or ``vit_small_patch16_224.dino``.

    Args:
        name: as timm knows it, with or without the tag of its weights.
        images: what the files hold.
        weights: a file to read in the place of the published one.
        device: ``cpu`` or ``cuda``.

    Raises:
        InputError: if there is no such model, it does not fit the images, or the file does not
            fit it.
        HubError: if its weights are not here and cannot be fetched.
    """
    import timm

    full = PREFIX + name
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models(), n=1)
        raise InputError(
            f"timm has no model {name}" + (f", did you mean `{near[0]}`?" if near else ""),
            "`timm.list_models()` lists them",
        )
    needs = Needs(RGB, ("uint8",) * 3, source="https://huggingface.co/docs/timm")
    match(images, needs, full)  # before anything is fetched
    model = _created(name, full, pretrained=weights is None)
    config = timm.data.resolve_model_data_config(model)
    if config["input_size"][0] != 3:
        raise InputError(
            f"{full} takes {config['input_size'][0]} channels, and not red, green and blue",
            "run another model",
        )
    facts = model.pretrained_cfg
    notes: tuple[str, ...] = ()
    if weights is None:
        sha256 = _sha256_of_published(facts)
        notes = () if sha256 else ("the file of its weights is in no cache, its hash is unknown",)
    else:
        found = read_weights(weights)
        shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        notes = check_names(found, full, shapes, _head(facts))
        held = {key: value for key, value in found.tensors.items() if key not in _head(facts)}
        model.load_state_dict(held, strict=False)  # names and shapes are checked
        sha256 = found.sha256
    transform = timm.data.create_transform(**config, is_training=False)

    def prepare(batch: Float32) -> Any:
        import torch
        from PIL import Image

        pictures = np.moveaxis(batch, 1, -1).astype(np.uint8)
        return torch.stack([transform(Image.fromarray(picture)) for picture in pictures])

    provenance = Provenance(
        model=full,
        address="" if weights else _address(facts),
        weights_sha256=sha256,
        license="" if weights else str(facts.get("license") or ""),
        bands=RGB,
        transform=_transform_in_words(config),
        pooling=cut_head(model) or "what the model gives",
        packages=versions("timm", "torch", "torchvision", "pillow"),
        device=device_name(device),
        notes=notes,
    )
    return Encoder(needs, provenance, run_model(full, model, prepare, device))


def _created(name: str, full: str, *, pretrained: bool) -> Any:
    """The model, with its published weights if asked for; timm checks that they fit.

    Raises:
        InputError: if nobody published weights.
        HubError: if they are not here and cannot be fetched.
    """
    import timm
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    try:
        facts = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:  # an unknown tag
        raise InputError(f"{full}: {one_line(str(error))}", "leave the tag out") from error
    if pretrained and not facts.has_weights:
        raise InputError(
            f"nobody published weights of {full} that timm knows", "give --weights FILE"
        )
    try:
        return timm.create_model(name, pretrained=pretrained)
    except (OSError, httpx.TransportError) as error:
        address = _address(facts.to_dict())
        raise HubError(
            f"the weights of {full} are not in {HF_HUB_CACHE} and cannot be fetched from "
            f"{address}: {one_line(str(error))[:200]}",
            "fetch them where there is a network and copy that folder, or give --weights FILE",
        ) from error


def _head(facts: dict[str, Any]) -> set[str]:
    """Names of the tensors that turn vectors into classes."""
    parts = facts.get("classifier") or ()
    parts = (parts,) if isinstance(parts, str) else parts
    return {f"{part}.{kind}" for part in parts for kind in ("weight", "bias")}


def _address(facts: dict[str, Any]) -> str:
    """Where weights are published."""
    repository = facts.get("hf_hub_id")
    return f"https://huggingface.co/{repository}" if repository else str(facts.get("url") or "")


def _sha256_of_published(facts: dict[str, Any]) -> str:
    """Of the file that timm has just read, which lies in the cache of the Hub or of PyTorch."""
    import torch
    from huggingface_hub import try_to_load_from_cache

    if facts.get("hf_hub_id"):
        named = facts.get("hf_hub_filename")
        # timm reads the first of these that there is.
        names = (named,) if named else ("model.safetensors", "pytorch_model.bin")
        paths = [try_to_load_from_cache(facts["hf_hub_id"], name) for name in names]
    else:
        name = PurePosixPath(urlsplit(facts["url"]).path).name
        paths = [str(Path(torch.hub.get_dir(), "checkpoints", name))]
    for path in paths:
        if isinstance(path, str) and Path(path).is_file():
            with Path(path).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
    return ""


def _transform_in_words(config: dict[str, Any]) -> str:
    _, height, width = config["input_size"]
    mean, std = (" ".join(f"{value:g}" for value in config[key]) for key in ("mean", "std"))
    return (
        f"{' '.join(RGB)} in uint8 over 255; resized to {height} x {width} px over "
        f"{config['crop_pct']:g}, {config['interpolation']}, crop {config['crop_mode']}; "
        f"less {mean}, over {std}"
    )
