"""Commands that build a release, or prepare for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfaef.cli.options import (
    FolderArgument,
    LimitOption,
    RecipeArgument,
    ReplaceCardOption,
    SetOption,
)
from hfaef.cli.output import Report
from hfaef.cli.process import set_up_hub


def build(
    recipe: RecipeArgument = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the release goes.", show_default="build/NAME"),
    ] = None,
    changes: SetOption = None,
    limit: LimitOption = None,
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
    replace_card: ReplaceCardOption = False,
) -> Report:
    """Make a release: fetch what is missing, pack it, write the card.

    Run it again after an interruption or a failure: it goes on where it stopped.
    """
    from hfaef.build.pipeline import build as run
    from hfaef.hub.open import read_previous
    from hfaef.recipe.read import read_recipe

    if previous:
        set_up_hub()
    built = run(
        read_recipe(recipe, changes or ()),
        out,
        limit=limit,
        threads=workers,
        scheduler=scheduler,
        staging=staging,
        allow_missing=allow_missing,
        placement=read_previous(previous) if previous else None,
        replace_card=replace_card,
    )
    summary = built.summary()
    missing = f", {summary['missing']:,} patches missing" if summary["missing"] else ""
    return Report(
        summary,
        lines=[
            (
                f"{summary['name']}: {summary['rows']:,} rows, {summary['bytes'] / 1e6:,.1f} MB in "
                f"{summary['folder']}{missing}"
            ),
            f"read it:    datasets.load_dataset({str(built.folder)!r})",
            f"check it:   hfaef check {built.folder}",
        ],
        values=[str(built.folder)],
        notes=built.notes,
        hung_reads=built.hung_reads,
    )


def plan(
    recipe: RecipeArgument = None,
    changes: SetOption = None,
    limit: LimitOption = None,
) -> Report:
    """Show what a build would cost: requests, bytes, time and disk, from either source."""
    from hfaef.build.plan import plan as run
    from hfaef.recipe.read import read_recipe

    found = run(read_recipe(recipe, changes or ()), limit=limit)
    years = ", ".join(map(str, found.years))
    lines = [
        (
            f"{found.name}: {found.patches:,} patches ({years}), {found.disk_bytes / 1e9:,.2f} GB of "
            f"disk ({found.staged_bytes / 1e9:,.2f} staged, {found.release_bytes / 1e9:,.2f} released)"
        )
    ]
    for cost in found.costs:
        mark = "this recipe" if cost is found.costs[0] else "instead"
        minutes = cost.seconds / 60
        time = f"{minutes:,.1f} min" if minutes >= 1 else f"{cost.seconds:,.1f} s"
        lines += [
            (
                f"{cost.source} ({mark}): {cost.units:,} units, {cost.requests:,} requests, "
                f"{cost.bytes / 1e9:,.2f} GB, {time} or more"
            ),
            f"  {cost.rests_on}",
        ]
    return Report(found.summary(), lines, values=[str(found.costs[0].requests)])


def status(folder: FolderArgument) -> Report:
    """Show what is done and what is missing, with reasons, and what to type next."""
    from hfaef.build.status import read_status

    found = read_status(folder)
    released = found.released_rows
    return Report(
        found.summary(),
        lines=[
            (
                f"{folder}: {found.fetched:,} of {found.patches:,} patches fetched, "
                f"{len(found.missing):,} missing"
            ),
            *(f"  {outcome.year} {outcome.id}: {outcome.reason}" for outcome in found.missing),
            "no release yet" if released is None else f"release: {released:,} rows",
            f"next: {found.next_command}",
        ],
        values=[found.next_command],
    )


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the data set.")],
) -> Report:
    """Write NAME.toml: a commented recipe that builds as it is, to make your own."""
    from hfaef.recipe.read import write_commented

    path = str(write_commented(name))
    lines = [f"wrote {path}", f"build it:   hfaef build {path}"]
    return Report({"path": path}, lines, values=[path])


def doctor(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            help="Whose source to check; Earth Engine by default.",
            show_default=False,
        ),
    ] = None,
    changes: SetOption = None,
) -> Report:
    """Check versions, credentials and endpoints; say what is wrong and how to fix it."""
    from dataclasses import asdict

    from hfaef.cli.doctor import examine
    from hfaef.recipe.read import read_recipe

    findings = examine(read_recipe(recipe, changes or ()) if recipe else None)
    lines = []
    for finding in findings:
        mark = "ok" if finding.fine else "!!"
        hint = f"; {finding.hint}" if finding.hint and not finding.fine else ""
        lines.append(f"{mark} {finding.topic}: {finding.message}{hint}")
    return Report(
        {"findings": [asdict(finding) for finding in findings]},
        lines,
        values=[line for line, finding in zip(lines, findings, strict=True) if not finding.fine],
        exit_code=int(not all(finding.fine for finding in findings if finding.topic != "hub")),
    )
