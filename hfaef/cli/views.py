"""Commands that make something else of a finished release, or of its patches.

Its card, pictures, files for GIS; and vectors of other models over the patches' images.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfaef.cli.terminal.options import (
    LimitOption,
    ReplaceCardOption,
    SetOption,
    TargetArgument,
    read_inputs,
    read_maker,
)
from hfaef.cli.terminal.output import Report, Table
from hfaef.cli.terminal.process import set_up_hub
from hfaef.errors import FolderError, InputError, command_line

if TYPE_CHECKING:
    from hfaef.encoders.embed import Embedded
    from hfaef.hub.open import PublishedRelease
    from hfaef.recipe.model import Recipe


def open_target(target: str) -> Path | PublishedRelease:
    """The folder, without links, or the published version that a text names."""
    from hfaef.hub.open import open_published
    from hfaef.hub.target import parse_target
    from hfaef.release.format.paths import require_no_links

    parsed = parse_target(target)
    if isinstance(parsed, Path):
        require_no_links(parsed)
        return parsed
    set_up_hub()
    return open_published(parsed)


def downloaded(opened: Path | PublishedRelease, *kinds: str) -> Path:
    """A folder with the rows of these kinds."""
    return opened if isinstance(opened, Path) else [opened.download(kind) for kind in kinds][-1]


def own_file(out: Path | None, name: str) -> Path:
    """The file for what nobody can add to a published version; only `out` replaces a file.

    Raises:
        FolderError: if no file is named, and one of this name is in the working folder.
    """
    if out is None and os.path.lexists(name):
        raise FolderError(f"{name} is here already, and stays", "name another file with --out")
    return out or Path(name)


def card(
    target: TargetArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write there instead of into the release.",
            show_default="README.md, for a release on the Hub, if there is none",
        ),
    ] = None,
    replace_card: ReplaceCardOption = False,
) -> Report:
    """Write README.md again from release.json; the notes in it stay.

    The card of a version on the Hub is written to a file, as this hfaef makes it.
    """
    from hfaef.release.card.render import CARD, copy_card, write_card
    from hfaef.release.format.manifest import read_manifest
    from hfaef.release.format.paths import locked_release, require_outside
    from hfaef.release.handle import open_folder

    opened = open_target(target)
    if isinstance(opened, Path) and out is None:
        read_manifest(opened)  # before a lock is made in a folder that holds no release
        with locked_release(opened):
            path = str(write_card(opened, replace=replace_card))
    else:
        if isinstance(opened, Path) and out is not None:
            require_outside(out, opened, "--out")
        release = open_folder(opened) if isinstance(opened, Path) else opened.release
        path = str(copy_card(release, own_file(out, CARD)))
    return Report({"path": path}, lines=[path], values=[path])


def _given(*given: bool) -> str:
    """The options of GeoTIFFs that were given, by whether each was."""
    names = ("--compression", "--values", "--mosaic", "--workers")
    return ", ".join(name for name, there in zip(names, given, strict=True) if there)


def _export_stac(opened: Path | PublishedRelease, to: Path) -> Report:
    from hfaef.release.format.paths import require_outside
    from hfaef.release.handle import open_folder
    from hfaef.release.stac.export import export_stac, path_to

    if isinstance(opened, Path):
        release, up = open_folder(opened), path_to(opened, to)
        require_outside(to, opened, "--to")
    else:
        release, up = opened.release, f"{opened.repo.url}/resolve/v{opened.version}/"
    made = export_stac(release, to, up=up, rows=lambda: downloaded(opened, "data"))
    return Report(
        made.summary(),
        lines=[
            f"{made.folder}: a STAC collection of {made.items:,} items, {made.bytes / 1e6:,.1f} MB",
            f"addresses:  {up}",
        ],
        values=[str(made.folder)],
    )


def export(
    target: TargetArgument,
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="A new or empty folder.")],
    compression: Annotated[
        str, typer.Option(metavar="NAME", help="`deflate`, which everything reads, or `zstd`.")
    ] = "deflate",
    values: Annotated[
        bool,
        typer.Option(
            "--values",
            help="float32 values, NaN for no data, for statistics and sums; the stored uint8 by default, "
            "a quarter of the size, exact, but of no use to a calculator.",
        ),
    ] = False,
    mosaic: Annotated[
        bool,
        typer.Option(
            "--mosaic", help="A VRT over all patches of a year and CRS, too: one layer in QGIS."
        ),
    ] = False,
    stac: Annotated[
        bool,
        typer.Option(
            "--stac",
            help="Instead of GeoTIFFs a STAC collection and its items (collection.json, "
            "items.parquet), whose addresses lead to the release, for a catalogue elsewhere.",
        ),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Encoders at work at once.")
    ] = None,
) -> Report:
    """Write a release for GIS: a cloud-optimised GeoTIFF a patch, pooled vectors as GeoParquet."""
    from hfaef.release.gis.export import export as run
    from hfaef.release.gis.export import require_place

    if stac and (unused := _given(compression != "deflate", values, mosaic, workers is not None)):
        raise InputError(
            f"--stac writes no GeoTIFFs, so {unused} says nothing", "leave one of them out"
        )
    opened = open_target(target)
    require_place(to)  # said before anything is downloaded
    if stac:
        return _export_stac(opened, to)
    exported = run(
        downloaded(opened, "data", "pooled"),
        to,
        compression=compression,
        values=values,
        mosaic=mosaic,
        threads=workers,
    )
    return Report(
        exported.summary(),
        lines=[
            (
                f"{exported.folder}: {exported.patches:,} GeoTIFFs and a table, "
                f"{exported.bytes / 1e6:,.1f} MB"
            ),
            *(f"mosaic:     {path}" for path in exported.mosaics),
            f"look at it: gdalinfo FILE, or open {exported.folder / 'pooled.parquet'} in QGIS",
        ],
        values=[str(exported.folder)],
    )


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
    lines = [f"{done.vectors:,} vectors of {done.dimensions:,} dimensions in {done.path}"]
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
