"""Commands that look at a release, add to it, or bring it to others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfaef.cli.options import FolderArgument, JsonOption, SetOption, print_json


def check(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="A release folder, or OWNER/NAME[@VERSION] on the Hub."
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE", help="Fetch some patches again from this recipe's source, too."
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(metavar="N", min=1, help="With --against: so many, by chance.")
    ] = 10,
    changes: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that a release is whole and loads: hashes, columns, labels, splits, card.

    With --against, compare some rows with what the source gives now.
    """
    from hfaef.hub.published import check_published
    from hfaef.hub.target import parse_target
    from hfaef.release.check import check_folder

    parsed = parse_target(target)
    findings = check_folder(parsed) if isinstance(parsed, Path) else check_published(parsed)
    compared = 0
    if against and not findings:
        from hfaef.build.source_check import check_sample
        from hfaef.recipe.read import read_recipe

        compared, findings = check_sample(target, read_recipe(against, changes or ()), sample)
    if as_json:
        rows = [{"path": finding.path, "problem": finding.problem} for finding in findings]
        print_json({"target": target, "findings": rows, "compared": compared})
    else:
        for finding in findings:
            typer.echo(str(finding))
        typer.echo(
            f"{target}: not fit to publish, findings: {len(findings)}"
            if findings
            else f"{target}: all is well"
            + (f", and {compared:,} rows are what the source gives" if compared else "")
        )
    if findings:
        raise typer.Exit(1)


def diff(
    before: Annotated[
        str, typer.Argument(metavar="A", help="A release folder, or OWNER/NAME[@VERSION].")
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two releases: rows, labels, splits, files, bytes to send."""
    from hfaef.hub.open import open_release
    from hfaef.release.diff import compare

    found = compare(open_release(before), open_release(after))
    if as_json:
        print_json(found.summary())
        return
    for line in found.lines():
        typer.echo(line)
    files = found.files
    typer.echo(
        f"files: {len(files.added)} new, {len(files.changed)} changed, {len(files.deleted)} gone, "
        f"{len(files.unchanged)} the same; {files.bytes_to_send / 1e6:,.1f} MB to send at the most"
    )
    if not found.same:
        typer.echo(f"the version after {before} would be a {found.bump.level} one")


def push(
    folder: FolderArgument,
    repo_id: Annotated[str, typer.Argument(metavar="REPO_ID", help="OWNER/NAME on the Hub.")],
    version: Annotated[
        str | None,
        typer.Option(
            metavar="X.Y.Z", help="Publish as this version.", show_default="by what changed"
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent, and as what.")
    ] = False,
    message: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Title of the commit.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a release as an immutable version: one commit, checked, then tagged.

    Run it again after an interruption or a failure: it goes on where it stopped.
    """
    from hfaef.hub.push import push as run

    pushed = run(
        folder, repo_id, version=version, private=private, dry_run=dry_run, message=message
    )
    if as_json:
        print_json(pushed.summary())
        return
    for note in pushed.notes:
        typer.echo(f"note: {note}", err=True)
    if pushed.plan:
        for line in pushed.plan.lines():
            typer.echo(line)
    typer.echo(f"{pushed.outcome}: {repo_id} v{pushed.version}, {pushed.url}")
    if not dry_run:
        typer.echo(
            f"read it:    datasets.load_dataset({repo_id!r}, revision={'v' + pushed.version!r})"
        )


def card(folder: FolderArgument) -> None:
    """Write README.md again from release.json."""
    from hfaef.release.card.render import write_card

    typer.echo(write_card(folder))


def evaluate(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="A release folder, or `REPO_ID[@VERSION]` on the Hub."
        ),
    ],
    poolings: Annotated[
        list[str] | None,
        typer.Option("--pooling", metavar="NAME", help="One of the poolings; all by default."),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            metavar="WHAT", help="Pool dequantized `values`, or stored `codes` as published."
        ),
    ] = "values",
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Other vectors to compare with: a Parquet or CSV table with `id`. Repeat for more.",
        ),
    ] = None,
    probes: Annotated[
        list[str] | None,
        typer.Option("--probe", metavar="NAME", help="`knn` or `linear`; both by default."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write there instead of into the release.",
            show_default="evaluation.json, for a release on the Hub",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a release: neighbours and a linear probe in every split scheme.

    Writes evaluation.json and the figures into the release, and its card again.
    """
    from hfaef.evaluation.evaluate import evaluate as run
    from hfaef.evaluation.evaluate import summary

    found = run(
        target,
        poolings=poolings or (),
        on=on,
        features=features or (),
        probes=probes or ("knn", "linear"),
        out=out,
    )
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    for line in summary(found):
        typer.echo(line)


def show(
    folder: FolderArgument,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="One PNG of all; the release stays as it is."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw a release: previews by label, map, balance. Adds them to it and its card."""
    from hfaef.release.card.additions import write_figures

    paths = write_figures(folder, out)
    if as_json:
        print_json({"paths": [str(path) for path in paths]})
        return
    for path in paths:
        typer.echo(path)


def export(
    folder: FolderArgument,
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="A new or empty folder.")],
    compression: Annotated[
        str, typer.Option(metavar="NAME", help="`deflate`, which everything reads, or `zstd`.")
    ] = "deflate",
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Encoders at work at once.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a release for GIS: a cloud-optimised GeoTIFF a patch, pooled vectors as GeoParquet."""
    from hfaef.release.export import export as run

    exported = run(folder, to, compression=compression, threads=workers)
    if as_json:
        print_json(exported.summary())
        return
    typer.echo(
        f"{exported.folder}: {exported.patches:,} GeoTIFFs and a table, "
        f"{exported.bytes / 1e6:,.1f} MB"
    )
    typer.echo(f"look at it: gdalinfo FILE, or open {exported.folder / 'pooled.parquet'} in QGIS")
