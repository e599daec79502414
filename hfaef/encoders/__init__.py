"""Other models over the images of the same patches; `base` holds the contract of a model.

`images` reads the patches' files, an adapter a file opens models by name, and `embed` runs one
over all patches and writes a table of vectors. `floors` are what every model must beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Catalog
from hfaef.encoders.base import Channels, Encoder, Images, match
from hfaef.encoders.embed import Embedded, embed_images, require_replaceable
from hfaef.encoders.images import (
    ImageFile,
    describe_images,
    image_files,
    order_notes,
    training_files,
)
from hfaef.errors import InputError, MissingPackageError, missing_package
from hfaef.recipe.model import Recipe

FLOORS = ("stats", "rcf", "rcf-empirical")
KINDS = (*FLOORS, "torchgeo:MEMBER", "timm:NAME", "onnx:FILE")

DEVICES = ("auto", "cpu", "cuda")

EXTRA = "encoders"
"""That all but `stats` needs."""


@dataclass(frozen=True)
class Choices:
    """What a user may choose of a model."""

    weights: Path | None = None
    """A file of weights in the place of those that are published."""
    device: str = "auto"
    """Of `DEVICES`."""
    train: Sequence[ImageFile] = ()
    """Images that a model may learn from, which no split scheme tests on."""


def open_encoder(
    name: str, images: Images, choices: Choices | None = None
) -> tuple[Encoder, Channels]:
    """A model by its name, ready to run, and how its channels are made of the files' bands.

    Its provenance says which bands these are, and what of the images does not fit.

    Args:
        name: one of `KINDS`.
        images: what the files hold.
        choices: of the user; none by default.

    Raises:
        InputError: if there is no such model, the images do not fit, or a choice means nothing.
        MissingPackageError: if a package of the extra `encoders` is not installed.
    """
    choices = choices or Choices()
    require_model(name, choices)
    kind, _, rest = name.partition(":")
    try:
        encoder = _open(kind, rest, images, choices)
    except MissingPackageError:
        raise
    except ImportError as error:
        raise missing_package(f"the model {name}", error, EXTRA) from error
    channels = match(images, encoder.needs, name)
    told = encoder.provenance.model_copy(
        update={
            "bands": tuple(images.bands[index] for index in channels.indices),
            "level": images.level or "",
            "notes": (*encoder.provenance.notes, *channels.notes),
        }
    )
    return replace(encoder, provenance=told), channels


def require_model(name: str, choices: Choices) -> None:
    """Raise InputError unless a model may have this name, and takes what was chosen."""
    kind, _, rest = name.partition(":")
    if name not in FLOORS and not (rest and kind in ("torchgeo", "timm", "onnx")):
        near = get_close_matches(name, [*KINDS, *_known()], n=1, cutoff=0.5)
        raise InputError(
            f"there is no model {name!r}" + (f", did you mean `{near[0]}`?" if near else ""),
            f"one of {', '.join(KINDS)}; `hfaef embed --list` lists them",
        )
    if choices.weights is not None and kind not in ("torchgeo", "timm"):
        raise InputError(f"{name} takes no --weights", "leave it out")
    if choices.device not in DEVICES:
        raise InputError(f"there is no device {choices.device!r}", f"one of {', '.join(DEVICES)}")
    if name == "stats" and choices.device == "cuda":
        raise InputError("stats runs on the CPU alone", "leave --device out")


def _open(kind: str, rest: str, images: Images, choices: Choices) -> Encoder:
    from hfaef.encoders.floors import open_rcf, open_stats

    if kind == "stats":
        return open_stats()
    if kind == "onnx":  # ONNX Runtime has devices of its own
        from hfaef.encoders.onnx import open_onnx

        return open_onnx(Path(rest), images, choices.device)
    device = _device(choices.device)
    match kind:
        case "rcf":
            return open_rcf(images, device)
        case "rcf-empirical":
            return open_rcf(images, device, choices.train)
        case "torchgeo":
            from hfaef.encoders.torchgeo import open_torchgeo

            return open_torchgeo(rest, images, choices.weights, device)
    from hfaef.encoders.timm import open_timm

    return open_timm(rest, images, choices.weights, device)


def _device(name: str) -> str:
    """``cpu`` or ``cuda``."""
    import torch

    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise InputError("PyTorch finds no CUDA device", "give --device cpu")
    return "cuda" if there and name != "cpu" else "cpu"


def read_images(recipe: Recipe) -> Images:
    """What the images of a recipe hold.

    Raises:
        InputError: if it has none, nobody says it, or the first file contradicts it.
        CatalogError: if its patches cannot be read.
    """
    return describe_images(recipe.patches, image_files(_catalog(recipe)))


def embed_recipe(
    recipe: Recipe,
    model: str,
    out: Path,
    *,
    choices: Choices | None = None,
    batch: int = 64,
    limit: int | None = None,
) -> Embedded:
    """Run a model over the images of a recipe, and write the table of its vectors.

    Args:
        recipe: names the patches.
        model: one of `KINDS`.
        out: the table; see `embed_images`.
        choices: of the user; `train` is found here.
        batch: images at a time.
        limit: only so many patches a year, those of a build with this limit.

    Raises:
        HfaefError: of the kind that says what is wrong.
    """
    choices = choices or Choices()
    require_model(model, choices)
    catalog = _catalog(recipe)
    every = image_files(catalog)
    files = image_files(catalog.first(limit))
    # Before weights are fetched; the name as the table has it.
    kind, _, rest = model.partition(":")
    tabled = f"{kind}:{Path(rest).name}" if kind == "onnx" else model
    require_replaceable(out, recipe.name, tabled, None if limit is None else len(files))
    images = describe_images(recipe.patches, every)
    choices = replace(choices, train=training_files(catalog, every))
    encoder, channels = open_encoder(model, images, choices)
    if model == "rcf-empirical" and not catalog.schemes:
        told = encoder.provenance
        note = "filters drawn from all images: the recipe has no split scheme"
        told = told.model_copy(update={"notes": (*told.notes, note)})
        encoder = replace(encoder, provenance=told)
    done = embed_images(encoder, channels, images, files, out, recipe=recipe.name, batch=batch)
    notes = (*catalog.notes, *order_notes(recipe.patches, every), *encoder.provenance.notes)
    return replace(done, notes=(*notes, *done.notes))


def _catalog(recipe: Recipe) -> Catalog:
    if recipe.demo is not None:
        from hfaef.sources.demo import write_world

        write_world(recipe.demo)
    return open_catalog(recipe)


@dataclass(frozen=True)
class Listed:
    """A model that can be named."""

    name: str
    bands: str
    size: str
    license: str
    fault: str
    """Why it does not run over the images; empty if it does."""


def list_encoders(images: Images | None) -> tuple[list[Listed], str]:
    """All models that have names of their own, and what is missing for more; for some images."""
    found = [Listed(name, "any", "any", "", "") for name in FLOORS]
    try:
        from hfaef.encoders.torchgeo import list_torchgeo

        for one in list_torchgeo(images):
            bands = " ".join(one.bands)
            fault = one.fault.removeprefix(f"{one.name} ")  # it stands in a row of that name
            found.append(Listed(one.name, bands, str(one.size or ""), one.license, fault))
    except ImportError as error:
        missing = missing_package("the list of TorchGeo's weights", error, EXTRA)
        return found, str(missing)
    return found, ""


def _known() -> list[str]:
    """Names of models, and members by themselves."""
    return [one.name for one in list_encoders(None)[0]]
