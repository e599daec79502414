"""Models of TorchGeo: all that is said of one is read from its member of a weights enum.

A member names its bands and holds its transform. In which unit each band is wanted is inferred from
the transform, by the rule of `channel_units`; a member that leaves anything open is not run, and the
list says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from hfaef.encoders.base import Encoder, Float32, Images, Needs, match
from hfaef.encoders.checkpoint import (
    Weights,
    check_names,
    cut_head,
    device_name,
    read_weights,
    run_model,
    versions,
)
from hfaef.errors import HubError, InputError, one_line
from hfaef.recipe.bands import Level, Unit, canonical_band
from hfaef.release.format.scores import Provenance

PREFIX = "torchgeo:"


@dataclass(frozen=True)
class Listed:
    """A member of a weights enum."""

    name: str
    """As `hfaef embed` takes it."""
    bands: tuple[str, ...]
    """In the order of its channels."""
    size: int | None
    """Pixels a side that its transform ends with; None if it leaves images as they are."""
    license: str
    """Of the weights; empty if TorchGeo does not say."""
    fault: str
    """Why it does not run; empty if it does."""


@dataclass(frozen=True)
class Corpus:
    """What is documented of images that models were trained on, and no member says."""

    level: Level
    source: str
    white: int | None = None
    """As `Needs.white`."""
    note: str = ""
    note_on: Unit = "DN"
    """Models that take no such channels go without the note."""


CORPORA = {
    "SSL4EO-S12": Corpus("L1C", "https://github.com/zhu-xlab/SSL4EO-S12"),
    "SatlasPretrain": Corpus(
        "L1C",
        "https://github.com/allenai/satlas/blob/main/Normalization.md",
        note="digital numbers above 8160 are kept, as in TorchGeo; Satlas clips them",
    ),
    "SeCo Dataset": Corpus(
        "L2A",
        "https://github.com/ServiceNow/seasonal-contrast/blob/main/datasets/seco_downloader.py",
        white=10_000,
        note="normalized as in TorchGeo, which differs from how it was trained: red and blue have "
        "each other's range, and values are 255 times as large",
        note_on="uint8",
    ),
}
"""By ``meta["dataset"]``. A corpus that is not here is of any level, as far as anybody knows."""

OPTIONAL = {f"{part}.{kind}" for part in ("fc", "head", "norm") for kind in ("weight", "bias")}
"""Tensors that TorchGeo's builders do without: of the head, and of a last normalization that starts
as if it were not there."""


@dataclass(frozen=True)
class _Loaded:
    """A member as TorchGeo's builders take it, whose tensors are read already."""

    meta: dict[str, Any]
    transforms: Any
    url: str
    tensors: dict[str, Any]

    def get_state_dict(self, *_args: Any, **_options: Any) -> dict[str, Any]:
        return dict(self.tensors)


def open_torchgeo(member: str, images: Images, weights: Path | None, device: str) -> Encoder:
    """The model of a member such as ``ResNet50_Weights.SENTINEL2_ALL_MOCO``.

    Args:
        member: of an enum of TorchGeo.
        images: what the files hold.
        weights: a file to read in the place of the published one.
        device: ``cpu`` or ``cuda``.

    Raises:
        InputError: if there is no such member, it does not fit the images, or the file does not
            fit it.
        HubError: if its weights are not here and cannot be fetched.
    """
    name = PREFIX + member
    members = {str(entry): (model, entry) for model, entry in _members()}
    if member not in members:
        near = get_close_matches(member, members, n=1)
        raise InputError(
            f"TorchGeo has no weights {member}" + (f", did you mean `{near[0]}`?" if near else ""),
            "`hfaef embed --list` lists them",
        )
    builder, entry = members[member]
    try:
        needs = _needs(entry)
    except ValueError as error:
        raise InputError(
            f"{name} gives no vector of an image: {error}",
            "run another model, see `hfaef embed --list`",
        ) from error
    match(images, needs, name)  # before gigabytes are fetched
    found = read_weights(weights or _published(entry, name))
    model, notes = _built(builder, entry, found, name)
    pooling = cut_head(model) or "what the model gives"
    steps = _steps(entry.transforms)
    to_square = any(len(step.size) == 2 for step in steps if type(step).__name__ == "Resize")

    def prepare(batch: Float32) -> Any:
        import torch

        height, width = batch.shape[-2:]
        if to_square and height != width:
            raise ValueError("its transform would warp them to a square")
        # A copy on the device: transforms normalize in place.
        return entry.transforms(torch.tensor(batch, device=device))

    corpus = CORPORA.get(entry.meta.get("dataset", ""))
    more = (corpus.note,) if corpus and corpus.note and corpus.note_on in needs.units else ()
    provenance = Provenance(
        model=name,
        address="" if weights else entry.url,
        weights_sha256=found.sha256,
        license="" if weights else _license(entry),
        bands=needs.bands,
        transform=_transform_in_words(needs, steps),
        pooling=pooling,
        packages=versions("torchgeo", "torch", "torchvision", "timm"),
        device=device_name(device),
        notes=(*notes, *more),
    )
    return Encoder(needs, provenance, run_model(name, model, prepare, device))


def list_torchgeo(images: Images | None) -> list[Listed]:
    """All members, and why each does not run over these images; over none, why it never does."""
    listed = []
    for _, entry in _members():
        name, fault = f"{PREFIX}{entry}", ""
        bands = tuple(entry.meta.get("bands") or ())
        try:
            needs = _needs(entry)
            bands = needs.bands
            if images is not None:
                match(images, needs, name)
        except ValueError as error:
            fault = str(error)
        except InputError as error:
            fault = error.message
        listed.append(Listed(name, bands, _size(entry.transforms), _license(entry), fault))
    return listed


def _members() -> Iterator[tuple[str, Any]]:
    """Names of models, and each member of their enums."""
    from torchgeo.models import get_model_weights, list_models

    for model in list_models():
        try:
            entries = get_model_weights(model)
        except KeyError:  # a model without published weights
            continue
        for entry in entries:
            yield model, entry


def _license(entry: Any) -> str:
    return str(entry.meta.get("license") or "")


def _needs(entry: Any) -> Needs:
    """What a member wants.

    Raises:
        ValueError: in words that say why it is no encoder of an image of Sentinel-2.
    """
    meta, written = entry.meta, entry.meta.get("bands")
    if "num_classes" in meta:
        raise ValueError(f"it predicts {meta['num_classes']} classes a pixel")
    if not written:
        raise ValueError("its weights name no bands")
    if not type(entry).get_state_dict.__module__.startswith("torchvision."):
        raise ValueError("its weights are read in a way of their own")
    if "SENTINEL2" not in entry.name.split("_"):
        raise ValueError(f"its name does not say SENTINEL2: {' '.join(written)} are other bands")
    bands = []
    for band in written:
        try:
            bands.append(canonical_band(band))
        except ValueError:
            raise ValueError(f"it wants {band}, which is no band of Sentinel-2") from None
    twice = sorted({band for band in bands if bands.count(band) > 1})
    if twice:
        raise ValueError(f"it wants {' '.join(twice)} twice, as of two dates")
    if meta.get("in_chans", len(bands)) != len(bands):
        raise ValueError(f"it has {meta['in_chans']} channels and names {len(bands)} bands")
    mean, std = _first_normalization(_steps(entry.transforms), len(bands))
    corpus = CORPORA.get(meta.get("dataset", ""))
    return Needs(
        bands=tuple(bands),
        units=channel_units(mean, std),
        levels=frozenset({corpus.level}) if corpus else frozenset(),
        white=corpus.white if corpus else None,
        source=corpus.source if corpus else str(meta.get("repo") or ""),
    )


def channel_units(mean: Sequence[float], std: Sequence[float]) -> tuple[Unit, ...]:
    """In which unit each channel is wanted, by what a transform takes away and divides by first.

    - A channel that is divided by 255 as it is holds bytes.
    - If no channel is divided by more than 255, all hold bytes.
    - All others hold digital numbers: they are divided by 10,000 or the like, or by deviations of
      hundreds and thousands.

    Raises:
        ValueError: if no channel is divided by more than 1: that may be reflectance, or bytes over
            255.
    """
    if max(std) <= 1:
        raise ValueError(f"no unit can be told from its transform, which divides by {max(std):g}")
    if max(std) <= 255:
        return tuple("uint8" for _ in std)
    return tuple(
        "uint8" if (less, over) == (0, 255) else "DN" for less, over in zip(mean, std, strict=True)
    )


def _steps(transform: Any) -> tuple[Any, ...]:
    """The steps of a transform, one after the other."""
    children = tuple(getattr(transform, "children", tuple)())
    return tuple(step for child in children for step in _steps(child)) if children else (transform,)


def _first_normalization(steps: Sequence[Any], count: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each of so many channels.

    Raises:
        ValueError: if there is a step that is not known here, or no normalization.
    """
    kinds = [type(step).__name__ for step in steps]
    unknown = [
        kind for kind in kinds if kind not in ("Resize", "CenterCrop", "Normalize", "Identity")
    ]
    if unknown:
        raise ValueError(f"its transform holds {unknown[0]}, which is not known here")
    if "Normalize" not in kinds:
        raise ValueError("its transform does not say in which unit it wants images")
    first = steps[kinds.index("Normalize")]
    mean, std = (list(map(float, figures)) for figures in (first.mean, first.std))
    if {len(mean), len(std)} - {1, count}:
        raise ValueError(f"its transform normalizes {len(std)} channels, and it has {count}")
    return (
        mean * count if len(mean) == 1 else mean,
        std * count if len(std) == 1 else std,
    )


def _size(transform: Any) -> int | None:
    """Pixels a side after a transform; None if it changes none."""
    sizes = [_side(step) for step in _steps(transform) if hasattr(step, "size")]
    return sizes[-1] if sizes else None


def _side(step: Any) -> int:
    return int(step.size if isinstance(step.size, int) else step.size[-1])


def _transform_in_words(needs: Needs, steps: Sequence[Any]) -> str:
    """Units, sizes and normalization."""
    words = [
        " ".join(band for band, held in zip(needs.bands, needs.units, strict=True) if held == unit)
        + f" in {unit}"
        for unit in dict.fromkeys(needs.units)
    ]
    framed = ", smaller images framed by zeros"
    for step in steps:
        match type(step).__name__:
            case "Resize":
                framed = ""
                how = getattr(step.interpolation, "value", step.interpolation)
                words.append(f"resized to {_side(step)} px, {how}")
            case "CenterCrop":
                words.append(f"middle {_side(step)} px{framed}")
            case "Normalize":
                less = f"less {_figures(step.mean)}, " if any(step.mean) else ""
                words.append(f"{less}over {_figures(step.std)}")
    return "; ".join(words)


def _figures(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in (values if len(set(values)) > 1 else values[:1]))


def _published(entry: Any, name: str) -> Path:
    """The file of a member in the cache of PyTorch, as TorchGeo puts it there; fetched if missing.

    Raises:
        HubError: if it cannot be fetched.
    """
    import torch

    path = Path(torch.hub.get_dir(), "checkpoints", PurePosixPath(urlsplit(entry.url).path).name)
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(entry.url, str(path))
    except OSError as error:
        raise HubError(
            f"the weights of {name} are not in {path.parent} and cannot be fetched: "
            f"{one_line(str(getattr(error, 'reason', None) or error))}",
            f"put {entry.url} there, or give a copy of it: --weights {path.name}",
        ) from error
    return path


def _built(builder: str, entry: Any, weights: Weights, name: str) -> tuple[Any, tuple[str, ...]]:
    """The model as TorchGeo builds it, with these weights, and what of them it did without.

    Raises:
        InputError: with counts, if the weights do not fit.
    """
    import torch
    from torchgeo.models import get_model

    loaded = _Loaded(entry.meta, entry.transforms, entry.url, weights.tensors)
    try:
        model = get_model(builder, weights=loaded)
    except AssertionError:
        with torch.device("meta"):  # for its names alone
            model = get_model(builder)
        held = {key: tuple(tensor.shape) for key, tensor in weights.tensors.items()}
        # Shapes would compare with those of a model for three channels.
        check_names(weights, name, {key: held.get(key, ()) for key in model.state_dict()}, ())
        raise
    except RuntimeError as error:
        unlike = re.findall(r"size mismatch for (\S+): ", str(error))
        faults = f"{len(unlike)} tensors have another shape, such as {unlike[0]}" if unlike else ""
        raise InputError(
            f"{weights.file} does not fit {name}: {faults or one_line(str(error))[:300]}",
            "give the weights of that model, under its own names",
        ) from error
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    return model, check_names(weights, name, shapes, OPTIONAL)
