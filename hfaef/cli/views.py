"""Commands that make something else of a finished release: its card, pictures, files for GIS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfaef.cli.terminal.options import (
    ReplaceCardOption,
    TargetArgument,
)
from hfaef.cli.terminal.output import Report
from hfaef.cli.terminal.process import set_up_hub
from hfaef.errors import FolderError, InputError, count_of

if TYPE_CHECKING:
    from hfaef.hub.open import PublishedRelease


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
            f"{made.folder}: a STAC collection of {count_of(made.items, 'item')}, {made.bytes / 1e6:,.1f} MB",
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
                f"{exported.folder}: {count_of(exported.patches, 'GeoTIFF')} and a table, "
                f"{exported.bytes / 1e6:,.1f} MB"
            ),
            *(f"mosaic:     {path}" for path in exported.mosaics),
            f"look at it: gdalinfo FILE, or open {exported.folder / 'pooled.parquet'} in QGIS",
        ],
        values=[str(exported.folder)],
    )
