"""Commands that build a release, or prepare for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfaef.cli.terminal.options import (
    FolderArgument,
    LimitOption,
    RecipeArgument,
    ReplaceCardOption,
    SetOption,
    SkipBadOption,
    read_inputs,
)
from hfaef.cli.terminal.output import Report, Table
from hfaef.cli.terminal.process import set_up_hub
from hfaef.errors import command_line, count_of

if TYPE_CHECKING:
    from hfaef.build.status import Status
    from hfaef.release.handle import Release

PreviousOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="RELEASE",
        help="The release before, a folder or OWNER/NAME[@VERSION]: pixels of rows that have not "
        "changed are taken from it, and rows stay in their shards, so that a push sends little "
        "more than what is new.",
    ),
]


def _open_previous(target: str | None) -> Release | None:
    from hfaef.hub.open import open_release

    if target is None:
        return None
    set_up_hub()
    return open_release(target)


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
    skip_bad: SkipBadOption = False,
    refetch: Annotated[
        bool,
        typer.Option(
            "--refetch",
            help="Drop what was staged from another source and fetch it again; ask again for "
            "patches where the source has nothing.",
        ),
    ] = False,
    verify: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Read N patches, drawn evenly, once more and compare; costs N requests more.",
            show_default=False,
        ),
    ] = 0,
    previous: PreviousOption = None,
    replace_card: ReplaceCardOption = False,
) -> Report:
    """Make a release: fetch what is missing, pack it, write the card.

    Run it again after an interruption or a failure: it goes on where it stopped. After rows of
    the catalog were added, moved or dropped, only what is new is fetched.
    """
    from hfaef.build.pipeline import build as run

    words = [recipe] if recipe else []
    for option, values in (
        ("--out", [out]),
        ("--set", changes or []),
        ("--limit", [limit]),
        ("--scheduler", [scheduler]),
        ("--staging", [staging]),
        ("--from", [previous]),
    ):
        words += [word for value in values if value for word in (option, str(value))]
    words += ["--allow-missing"] * allow_missing + ["--skip-bad"] * skip_bad
    built = run(
        read_inputs(recipe, changes, skip_bad=skip_bad),
        out,
        limit=limit,
        threads=workers,
        scheduler=scheduler,
        staging=staging,
        allow_missing=allow_missing,
        refetch=refetch,
        verify_count=verify,
        previous=_open_previous(previous),
        replace_card=replace_card,
        command=words,
    )
    summary = built.summary()
    missing = f", {count_of(summary['missing'], 'patch')} missing" if summary["missing"] else ""
    return Report(
        summary,
        lines=[
            (
                f"{summary['name']}: {count_of(summary['rows'], 'row')}, {summary['bytes'] / 1e6:,.1f} MB in "
                f"{summary['folder']}{missing}"
            ),
            f"read it:    datasets.load_dataset({str(built.folder)!r})",
            f"check it:   {command_line('hfaef', 'check', built.folder)}",
            f"score it:   {command_line('hfaef', 'eval', built.folder)}",
        ],
        values=[str(built.folder)],
        notes=built.notes,
        hung_reads=built.hung_reads,
    )


def plan(
    recipe: RecipeArgument = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the release would go; what is staged there is not counted.",
            show_default="build/NAME",
        ),
    ] = None,
    changes: SetOption = None,
    limit: LimitOption = None,
    skip_bad: SkipBadOption = False,
    previous: PreviousOption = None,
) -> Report:
    """Show what a build would cost: requests, bytes, time and disk, from either source."""
    from hfaef.build.plan import plan as run

    wanted = read_inputs(recipe, changes, skip_bad=skip_bad)
    found = run(wanted, out, limit=limit, previous=_open_previous(previous))
    years = ", ".join(map(str, found.years))
    lines: list[str | Table] = [
        (
            f"{found.name}: {count_of(found.patches, 'patch')} ({years}), {found.disk_bytes / 1e9:,.2f} GB of "
            f"disk ({found.staged_bytes / 1e9:,.2f} staged, {found.release_bytes / 1e9:,.2f} released)"
        )
    ]
    rows = [
        (
            f"{cost.source} ({'this recipe' if cost is found.costs[0] else 'instead'})",
            f"{cost.units:,}",
            f"{cost.requests:,}",
            f"{cost.bytes / 1e9:,.2f} GB",
            _duration(cost.seconds),
        )
        for cost in found.costs
    ]
    lines.append(Table(("source", "units", "requests", "to read", "time, at least"), rows))
    lines += [f"{cost.source}: {cost.rests_on}" for cost in found.costs]
    lines += [
        (
            f"{cost.source}: {cost.pixels / 1e6:,.1f} million pixels; in batches, with "
            f"{count_of(cost.checks, 'request that checks', 'requests that check')} them; one by one "
            f"{count_of(cost.requests_one_by_one, 'request')}, {_duration(cost.seconds_one_by_one)}, "
            "as with --scheduler"
        )
        for cost in found.costs
        if cost.checks
    ]
    return Report(found.summary(), lines, values=[str(found.costs[0].requests)], notes=found.notes)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:,.1f} min" if seconds >= 60 else f"{seconds:,.1f} s"


def status(folder: FolderArgument) -> Report:
    """Show what is done and what is missing, with reasons, and what to type next."""
    from hfaef.build.status import read_status
    from hfaef.release.card.additions import again

    found = read_status(folder)
    released = found.released_rows
    fetched = f"{found.fetched:,} of {count_of(found.patches, 'patch')} fetched"
    lines: list[str | Table] = [f"{folder}: {fetched}, {len(found.missing):,} missing"]
    if found.together:
        left = f"; for {found.unchecked:,} of them a check is still to come"
        unchecked = left if found.unchecked else ""
        once_more = "read once more, alone, and"
        same = count_of(found.checks, f"was {once_more} was", f"were {once_more} were")
        batches = count_of(found.batches, "batch")
        lines.append(f"{found.together:,} of them in {batches}; {same} the same{unchecked}")
    if found.missing:
        lines.append(_missing(found))
    lines.append("no release yet" if released is None else f"release: {count_of(released, 'row')}")
    if found.stale:
        lines.append(again(folder, found.stale))
    if found.published:
        lines.append(f"published as {found.published}")
    lines += found.edits
    lines.append(f"next: {found.next_command}")
    if found.is_stuck:
        lines.append(_WAYS_OUT)
    return Report(found.summary(), lines, values=[found.next_command])


_WAYS_OUT = (
    "the same build again would ask for none of the missing patches: --allow-missing releases "
    "without them, --refetch asks again, or mend their places in the catalog"
)


def _missing(found: Status) -> Table:
    """Missing patches, with reasons."""
    rows = [
        (
            str(outcome.year),
            outcome.id,
            outcome.reason
            + (" (not asked for again without --refetch)" if outcome.permanent else ""),
        )
        for outcome in found.missing
    ]
    return Table(("year", "missing", "why"), rows)


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the data set.")],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE_OR_FOLDER",
            help="A table of patches (.csv, .parquet, .geojson, .gpkg, .fgb, .shp) or a folder of "
            "GeoTIFFs: the recipe fits what is found there, and says what is unclear.",
            show_default=False,
        ),
    ] = None,
) -> Report:
    """Write NAME.toml: a commented recipe that builds as it is, or one that fits your patches."""
    from hfaef.recipe.write import path_of, write_commented, write_draft

    if source is None:
        path = str(write_commented(name))
        wrote, notes = _write_schema(path)
        lines = [f"wrote {path}", *wrote, f"build it:   {command_line('hfaef', 'build', path)}"]
        return Report({"path": path}, lines, values=[path], notes=notes)

    from hfaef.catalog.inspect import inspect

    path_of(name)  # before the patches are read, which may take long
    draft = inspect(source)
    path = str(write_draft(name, draft))
    unclear = [line.key for line in (draft.years, *draft.patches) if line and line.unclear]
    width = max(len(what) for what, _ in draft.found)
    lines = [f"{what:<{width}}  {words}" for what, words in draft.found]
    lines.append(f"wrote {path}" + (f"; unclear in it: {', '.join(unclear)}" if unclear else ""))
    wrote, notes = _write_schema(path)
    lines += wrote
    lines += [f"before it builds: {words}" for words in draft.to_do]
    then = "then:      " if not draft.to_do else "when that is done:"
    lines.append(f"{then} {command_line('hfaef', 'plan', path)}")
    summary = {
        "path": path,
        "found": dict(draft.found),
        "unclear": unclear,
        "to_do": list(draft.to_do),
    }
    return Report(summary, lines, values=[path], notes=notes)


def _write_schema(recipe: str) -> tuple[list[str], list[str]]:
    """Write the schema that a new recipe names; a line of that, or a note of one that is there."""
    from hfaef.recipe.write import SCHEMA_FILE, write_schema

    new = not Path(recipe).with_name(SCHEMA_FILE).exists()
    other = write_schema(Path(recipe))
    if other is None:
        return [f"wrote {SCHEMA_FILE}, by which editors know the keys of recipes"] * new, []
    return [], [f"{other} is not of this hfaef; `hfaef recipe schema > {other}` renews it"]


def schema() -> Report:
    """Print the JSON Schema of recipes: all keys with their types, for editors."""
    from hfaef.recipe.write import schema_text

    text = schema_text().rstrip()
    return Report(json.loads(text), [text], values=[text])


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
