"""Arguments and options that several commands have in common, and those that all have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from hfaef.cli.output import Mode, Output, Report
from hfaef.cli.process import hide_progress, show_log
from hfaef.errors import InputError

RecipeArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RECIPE",
        help="A TOML file, or `demo`, `eurosat100`, `eurosat`; `hfaef.toml` by default.",
        show_default=False,
    ),
]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a release.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe, dotted: `--set source.kind=cog`. Repeat for more.",
    ),
]
LimitOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Only N patches a year, for a trial.")
]
ReplaceCardOption = Annotated[
    bool,
    typer.Option(
        "--replace-card",
        help="Write the card anew though somebody edited it outside its notes.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object, and nothing else, on standard output."),
]
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print only what a script takes up next; no progress, no notes."
    ),
]
VerboseOption = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        metavar="",
        show_default=False,
        help="Say what is tried again and why; twice: each request, too.",
    ),
]


def _prepare(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = 0,
) -> Output:
    """Do as the options say that all commands have."""
    if as_json and quiet:
        raise InputError("--json and --quiet both say what to print", "give one of them")
    output = context.ensure_object(Output)
    output.mode = Mode.JSON if as_json else Mode.QUIET if quiet else Mode.HUMAN
    show_log(verbose)
    if quiet:
        hide_progress()
    return output


def with_output(command: Callable[..., Report]) -> Callable[..., int]:
    """A command that takes the options that all have, and shows its report accordingly."""
    shared = inspect.signature(_prepare, eval_str=True).parameters

    @wraps(command)
    def run(**arguments: Any) -> int:
        output = _prepare(**{name: arguments.pop(name) for name in shared})
        return output.report(command(**arguments))

    # Typer reads options off the signature: the command's own first, then those that all have.
    own = inspect.signature(command, eval_str=True).parameters
    vars(run)["__signature__"] = inspect.Signature(
        [
            parameter.replace(kind=parameter.KEYWORD_ONLY)
            for parameter in (*own.values(), *shared.values())
        ]
    )
    return run
