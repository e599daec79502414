"""The command that runs other models over the images of patches, and what `eval` takes of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfaef.cli.terminal.options import LimitOption, SetOption, read_inputs, read_maker
from hfaef.cli.terminal.output import Report, Table
from hfaef.errors import InputError, command_line, count_of

if TYPE_CHECKING:
    from hfaef.encoders.embed import Embedded
    from hfaef.recipe.model import Recipe


def embed(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="`stats`, `rcf`, `rcf-empirical`, `torchgeo:MEMBER`, `timm:NAME` or `onnx:FILE`.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE|DIR",
            help="A recipe, as `build` takes it, or the folder of a release whose recipe is here; "
            "`hfaef.toml` by default.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The table.", show_default="RECIPE-MODEL.parquet"),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights of the model, .pth or .safetensors, in the place of the published ones.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Images at a time.")] = 64,
    device: Annotated[
        str,
        typer.Option(
            metavar="DEVICE", help="`cpu`, `cuda`, or `auto`: a GPU if PyTorch finds one."
        ),
    ] = "auto",
    limit: LimitOption = None,
    changes: SetOption = None,
    list_models: Annotated[
        bool,
        typer.Option(
            "--list",
            help="List the models; with a recipe, say which do not fit its images, and why.",
        ),
    ] = False,
) -> Report:
    """Run another model over the images of the same patches, and write a table of its vectors.

    Bands are found by their names, and what does not fit is refused. Run it again after an
    interruption: it goes on where it stopped.
    """
    from hfaef.encoders import Choices, embed_recipe

    if list_models:
        return _models(target or model, changes)
    if model is None:
        raise InputError("no model is named", "`hfaef embed --list` lists them")
    recipe, folder = _images_recipe(target, changes)
    path = out or table_of(recipe.name, model, limit)
    choices = Choices(weights, device)
    done = embed_recipe(recipe, model, path, choices=choices, batch=batch, limit=limit)
    features = f"{short_name(model)}={path}"
    build = command_line("hfaef", "build", target or "hfaef.toml", *_as_options(changes))
    lines = [
        *embedded_lines(done),
        *([] if _is_release(folder) else [f"build it:   {build}"]),
        f"compare it: {command_line('hfaef', 'eval', folder, '--features', features)}",
    ]
    summary = {
        "model": model,
        "path": str(path),
        "vectors": done.vectors,
        "dimensions": done.dimensions,
        "left_out": list(done.left_out),
        "computed": done.computed,
        "seconds": round(done.seconds, 2),
        "waited_seconds": round(done.waited, 2),
        "provenance": done.provenance.model_dump(mode="json"),
        "notes": list(done.notes),
    }
    notes = [note for note in done.notes if note not in done.said]
    return Report(summary, lines, values=[str(path)], notes=notes)


def embed_release(target: str, model: str) -> tuple[str, Embedded]:
    """A model's vectors of a release's patches, as an argument of ``--features``, and how many.

    Raises:
        InputError: if it is no folder, or its recipe is not here.
    """
    from hfaef.encoders import embed_recipe
    from hfaef.hub.target import parse_target

    if not isinstance(parse_target(target), Path):
        raise InputError(
            f"--embed {model}: the images of {target} are not on the Hub",
            "build it here, and give its folder",
        )
    recipe = read_maker(target, None)
    done = embed_recipe(recipe, model, table_of(recipe.name, model))
    return f"{short_name(model)}={done.path}", done


def embedded_lines(done: Embedded) -> list[str]:
    """What a run made, how fast, and what it left out."""
    length = count_of(done.dimensions, "dimension")
    lines = [f"{count_of(done.vectors, 'vector')} of {length} in {done.path}"]
    if done.computed:
        rate, waited = done.computed / done.seconds, done.waited / done.seconds
        lines.append(f"{rate:,.1f} images/s, {waited:.0%} of the time waiting for images")
    if done.left_out:
        more = ", ..." if len(done.left_out) > _SHOWN else ""
        shown = ", ".join(done.left_out[:_SHOWN]) + more
        lines.append(f"left out, with pixels that have no number: {len(done.left_out):,} ({shown})")
    return lines


_SHOWN = 10
"""Patches left out that are named; ``--json`` names all."""


def table_of(recipe: str, model: str, limit: int | None = None) -> Path:
    """Where a model's vectors go by default; those of a trial lie beside those of all."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{recipe}-{model}")
    return Path(f"{name}.parquet" if limit is None else f"{name}-{limit}.parquet")


def short_name(model: str) -> str:
    """What a model's vectors are called among others; `stats` is a pooling of embeddings."""
    from hfaef.evaluation.pooling import POOLINGS

    kind, _, rest = model.partition(":")
    name = Path(rest).stem if kind == "onnx" else rest.replace("_Weights.", ".")
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", name or kind)[:60]
    return f"image-{name}" if name in POOLINGS else name


def _images_recipe(target: str | None, changes: list[str] | None) -> tuple[Recipe, Path]:
    """The recipe that names the images, and the folder of its release."""
    if target is not None and _is_release(Path(target)):
        return read_maker(target, changes), Path(target)
    recipe = read_inputs(target, changes, skip_bad=False)
    return recipe, Path("build") / recipe.name


def _is_release(folder: Path) -> bool:
    return (folder / "release.json").is_file()


def _as_options(changes: list[str] | None) -> list[str]:
    """Changes of a recipe, as they are typed."""
    return [word for change in changes or () for word in ("--set", change)]


def _models(target: str | None, changes: list[str] | None) -> Report:
    """The models, and why some do not fit the images of a recipe."""
    from dataclasses import asdict

    from hfaef.encoders import FLOORS, list_encoders, read_images

    images = read_images(_images_recipe(target, changes)[0]) if target else None
    found, lacking = list_encoders(images)
    found.sort(key=lambda one: bool(one.fault))
    rows = [
        (
            one.name,
            one.bands,
            one.size,
            one.license or ("no weights" if one.name in FLOORS else "not stated"),
            one.fault,
        )
        for one in found
    ]
    lines: list[str | Table] = [
        Table(("model", "bands", "size", "licence", "does not fit"), rows),
        "timm:NAME and onnx:FILE run any other model",
        *([lacking] if lacking else []),
    ]
    summary = {"models": [asdict(one) for one in found], "lacking": lacking}
    return Report(summary, lines, values=[one.name for one in found if not one.fault])
