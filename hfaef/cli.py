"""The command line: it parses, calls one function, and prints."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from hfaef.errors import HfaefError

app = typer.Typer(
    help="Turn labelled, georeferenced patches into versioned AlphaEarth embedding data sets.\n\n"
    "Start with `hfaef build demo`, which needs no account and no network; then write your own "
    "recipe with `hfaef init NAME`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

RecipeArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RECIPE",
        help="A TOML file, or `demo`, `eurosat100`, `eurosat`; `hfaef.toml` by default.",
        show_default=False,
    ),
]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a release.")]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object, and nothing else, on standard output."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe, dotted: `--set source.kind=cog`. Repeat for more.",
    ),
]


_INTERRUPTED = 130


@app.command()
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
    from hfaef.build import build as run
    from hfaef.previous import read_previous
    from hfaef.recipe import read_recipe

    built = run(
        read_recipe(recipe, changes or ()),
        out,
        limit=limit,
        threads=workers,
        scheduler=scheduler,
        allow_missing=allow_missing,
        layout=read_previous(previous) if previous else None,
    )
    summary = built.summary()
    if as_json:
        _print_json(summary)
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


@app.command()
def plan(
    recipe: RecipeArgument = None,
    changes: SetOption = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only N patches a year, for a trial.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a build would cost: requests, bytes, time and disk, from either source."""
    from hfaef.plan import plan as run
    from hfaef.recipe import read_recipe

    found = run(read_recipe(recipe, changes or ()), limit=limit)
    if as_json:
        _print_json(found.summary())
        return
    years = ", ".join(map(str, found.years))
    typer.echo(
        f"{found.name}: {found.patches:,} patches ({years}), {found.disk_bytes / 1e9:,.2f} GB of "
        f"disk ({found.staged_bytes / 1e9:,.2f} staged, {found.release_bytes / 1e9:,.2f} released)"
    )
    for cost in found.costs:
        mark = "this recipe" if cost is found.costs[0] else "instead"
        typer.echo(
            f"{cost.source} ({mark}): {cost.units:,} units, {cost.requests:,} requests, "
            f"{cost.bytes / 1e9:,.2f} GB, {cost.seconds / 60:,.1f} min or more"
        )
        typer.echo(f"  {cost.rests_on}")


@app.command()
def status(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Show what is done and what is missing, with reasons, and what to type next."""
    from hfaef.status import read_status

    found = read_status(folder)
    if as_json:
        _print_json(found.summary())
        return
    typer.echo(
        f"{folder}: {found.fetched:,} of {found.patches:,} patches fetched, {len(found.missing):,} missing"
    )
    for outcome in found.missing:
        typer.echo(f"  {outcome.year} {outcome.id}: {outcome.reason}")
    released = found.released_rows
    typer.echo("no release yet" if released is None else f"release: {released:,} rows")
    typer.echo(f"next: {found.next_command}")


@app.command()
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
    from hfaef.check import check_folder
    from hfaef.published import check_published, is_published

    findings = check_published(target) if is_published(target) else check_folder(Path(target))
    compared = 0
    if against and not findings:
        from hfaef.recipe import read_recipe
        from hfaef.sample import check_sample

        compared, findings = check_sample(target, read_recipe(against, changes or ()), sample)
    if as_json:
        rows = [{"path": finding.path, "problem": finding.problem} for finding in findings]
        _print_json({"target": target, "findings": rows, "compared": compared})
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


@app.command()
def diff(
    before: Annotated[
        str, typer.Argument(metavar="A", help="A release folder, or OWNER/NAME[@VERSION].")
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two releases: rows, labels, splits, files, bytes to send."""
    from hfaef.diff import compare
    from hfaef.published import open_release

    found = compare(open_release(before), open_release(after))
    if as_json:
        _print_json(found.summary())
        return
    for line in found.lines():
        typer.echo(line)
    files = found.files
    typer.echo(
        f"files: {len(files.added)} new, {len(files.changed)} changed, {len(files.deleted)} gone, "
        f"{len(files.unchanged)} the same; {files.bytes_to_send / 1e6:,.1f} MB to send at the most"
    )
    if not found.same:
        typer.echo(f"the version after {before} would be a {found.verdict.level} one")


@app.command()
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
    from hfaef.push import push as run

    pushed = run(
        folder, repo_id, version=version, private=private, dry_run=dry_run, message=message
    )
    if as_json:
        _print_json(pushed.summary())
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


@app.command()
def card(folder: FolderArgument) -> None:
    """Write README.md again from release.json."""
    from hfaef.card import write_card

    typer.echo(write_card(folder))


@app.command("eval")
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
    from hfaef.evaluate import evaluate as run
    from hfaef.evaluate import summary

    found = run(
        target,
        poolings=poolings or (),
        on=on,
        features=features or (),
        probes=probes or ("knn", "linear"),
        out=out,
    )
    if as_json:
        _print_json(found.model_dump(mode="json"))
        return
    for line in summary(found):
        typer.echo(line)


@app.command()
def show(
    folder: FolderArgument,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="One PNG of all; the release stays as it is."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw a release: previews by label, map, balance. Adds them to it and its card."""
    from hfaef.additions import write_figures

    paths = write_figures(folder, out)
    if as_json:
        _print_json({"paths": [str(path) for path in paths]})
        return
    for path in paths:
        typer.echo(path)


@app.command()
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
    from hfaef.export import export as run

    exported = run(folder, to, compression=compression, threads=workers)
    if as_json:
        _print_json(exported.summary())
        return
    typer.echo(
        f"{exported.folder}: {exported.patches:,} GeoTIFFs and a table, "
        f"{exported.bytes / 1e6:,.1f} MB"
    )
    typer.echo(f"look at it: gdalinfo FILE, or open {exported.folder / 'pooled.parquet'} in QGIS")


@app.command()
def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the data set.")],
    as_json: JsonOption = False,
) -> None:
    """Write NAME.toml: a commented recipe that builds as it is, to make your own."""
    from hfaef.recipe import write_commented

    path = write_commented(name)
    if as_json:
        _print_json({"path": str(path)})
        return
    typer.echo(f"wrote {path}")
    typer.echo(f"build it:   hfaef build {path}")


@app.command()
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

    from hfaef.doctor import examine
    from hfaef.recipe import read_recipe

    findings = examine(read_recipe(recipe, changes or ()) if recipe else None)
    if as_json:
        _print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            mark = "ok" if finding.fine else "!!"
            hint = f"; {finding.hint}" if finding.hint and not finding.fine else ""
            typer.echo(f"{mark} {finding.topic}: {finding.message}{hint}")
    if not all(finding.fine for finding in findings if finding.topic != "hub"):
        raise typer.Exit(1)


def _print_json(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content, indent=1))


def _fail(message: str, hint: str, code: int) -> int:
    """Say what is wrong in one line, on standard error, and as JSON if that was asked for."""
    if "--json" in sys.argv:
        _print_json({"error": message, "hint": hint, "exit_code": code})
    typer.echo(f"error: {message}" + (f"; {hint}" if hint else ""), err=True)
    return code


def _interrupted() -> int:
    return _fail(
        "interrupted; what is staged is kept", "run the same command to go on", _INTERRUPTED
    )


def run() -> int:
    """Run a command; gives its exit code."""
    try:
        code = int(app(standalone_mode=False) or 0)
        # Typer makes a number of an interruption, and says nothing.
        return _interrupted() if code == _INTERRUPTED else code
    except HfaefError as error:
        if os.environ.get("HFAEF_DEBUG") == "1":
            traceback.print_exc()
        return _fail(error.message, error.hint, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except typer.TyperException as error:
        return _fail(error.format_message(), "see `hfaef --help`", 2)
    except Exception as error:
        if os.environ.get("HFAEF_DEBUG") == "1":
            raise
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return _fail(words, "this is a fault in hfaef; HFAEF_DEBUG=1 shows where", 1)


def main() -> None:
    """Entry point of the console script."""
    code = run()
    crew = sys.modules.get("hfaef.crew")
    if code == _INTERRUPTED or (crew is not None and crew.left_behind()):
        # What a build holds is closed by now. A read that hangs in a library cannot be stopped,
        # and Python might wait for it; taking libraries down takes a second.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
