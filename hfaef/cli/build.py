"""Commands that make a release, or get ready for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hfaef.cli.options import FolderArgument, JsonOption, RecipeArgument, SetOption, print_json


def build(
    recipe: RecipeArgument = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the release goes.", show_default="build/NAME"),
    ] = None,
    changes: SetOption = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only N patches a year, for a trial.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Reads and encoders at work at once.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help="Read and encode on a Dask cluster: `tcp://HOST:PORT`, or `local`.",
        ),
    ] = None,
    staging: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Where pixels lie between fetching and packing: a path that all workers see, or "
            "an object store (`s3://...`, `gs://...`); `DIR/.staging` by default.",
        ),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Release without the patches that cannot be had."),
    ] = False,
    previous: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RELEASE",
            help="The release before, a folder or OWNER/NAME[@VERSION]: its rows stay in their "
            "shards, so that a push sends little more than what is new.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a release: fetch what is missing, pack it, write the card.

    Run it again after an interruption or a failure: it goes on where it stopped.
    """
    if scheduler is not None:
        # What is wrong is said in one line; Dask would say it in fifty. Its workers inherit this.
        os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")

    from hfaef.build.pipeline import build as run
    from hfaef.hub.open import read_previous
    from hfaef.recipe.read import read_recipe

    built = run(
        read_recipe(recipe, changes or ()),
        out,
        limit=limit,
        threads=workers,
        scheduler=scheduler,
        staging=staging,
        allow_missing=allow_missing,
        placement=read_previous(previous) if previous else None,
    )
    summary = built.summary()
    if as_json:
        print_json(summary)
        return
    for note in built.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(
        f"{summary['name']}: {summary['rows']:,} rows, {summary['bytes'] / 1e6:,.1f} MB in "
        f"{summary['folder']}"
        + (f", {summary['missing']:,} patches missing" if summary["missing"] else "")
    )
    typer.echo(f"read it:    datasets.load_dataset({str(built.folder)!r})")
    typer.echo(f"check it:   hfaef check {built.folder}")


def plan(
    recipe: RecipeArgument = None,
    changes: SetOption = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only N patches a year, for a trial.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a build would cost: requests, bytes, time and disk, from either source."""
    from hfaef.build.plan import plan as run
    from hfaef.recipe.read import read_recipe

    found = run(read_recipe(recipe, changes or ()), limit=limit)
    if as_json:
        print_json(found.summary())
        return
    years = ", ".join(map(str, found.years))
    typer.echo(
        f"{found.name}: {found.patches:,} patches ({years}), {found.disk_bytes / 1e9:,.2f} GB of "
        f"disk ({found.staged_bytes / 1e9:,.2f} staged, {found.release_bytes / 1e9:,.2f} released)"
    )
    for cost in found.costs:
        mark = "this recipe" if cost is found.costs[0] else "instead"
        minutes = cost.seconds / 60
        time = f"{minutes:,.1f} min" if minutes >= 1 else f"{cost.seconds:,.1f} s"
        typer.echo(
            f"{cost.source} ({mark}): {cost.units:,} units, {cost.requests:,} requests, "
            f"{cost.bytes / 1e9:,.2f} GB, {time} or more"
        )
        typer.echo(f"  {cost.rests_on}")


def status(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Show what is done and what is missing, with reasons, and what to type next."""
    from hfaef.build.status import read_status

    found = read_status(folder)
    if as_json:
        print_json(found.summary())
        return
    typer.echo(
        f"{folder}: {found.fetched:,} of {found.patches:,} patches fetched, {len(found.missing):,} missing"
    )
    for outcome in found.missing:
        typer.echo(f"  {outcome.year} {outcome.id}: {outcome.reason}")
    released = found.released_rows
    typer.echo("no release yet" if released is None else f"release: {released:,} rows")
    typer.echo(f"next: {found.next_command}")


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the data set.")],
    as_json: JsonOption = False,
) -> None:
    """Write NAME.toml: a commented recipe that builds as it is, to make your own."""
    from hfaef.recipe.read import write_commented

    path = write_commented(name)
    if as_json:
        print_json({"path": str(path)})
        return
    typer.echo(f"wrote {path}")
    typer.echo(f"build it:   hfaef build {path}")


def doctor(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            help="Whose source to look at; Earth Engine by default.",
            show_default=False,
        ),
    ] = None,
    changes: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at versions, credentials and endpoints; say what is wrong and how to mend it."""
    from dataclasses import asdict

    from hfaef.cli.doctor import examine
    from hfaef.recipe.read import read_recipe

    findings = examine(read_recipe(recipe, changes or ()) if recipe else None)
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            mark = "ok" if finding.fine else "!!"
            hint = f"; {finding.hint}" if finding.hint and not finding.fine else ""
            typer.echo(f"{mark} {finding.topic}: {finding.message}{hint}")
    if not all(finding.fine for finding in findings if finding.topic != "hub"):
        raise typer.Exit(1)
