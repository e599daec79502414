"""Arguments and options that several commands have in common, and those that all have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from hfaef.cli.terminal.output import Mode, Output, Report
from hfaef.cli.terminal.process import hide_progress, show_log
from hfaef.errors import InputError, RecipeError, command_line
from hfaef.recipe.builtin import built_in

if TYPE_CHECKING:
    from hfaef.recipe.model import Recipe

RecipeArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RECIPE",
        help=f"A TOML file, or one of {', '.join(f'`{name}`' for name in built_in())}; "
        "`hfaef.toml` by default.",
        show_default=False,
    ),
]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a release.")]
TargetArgument = Annotated[
    str,
    typer.Argument(metavar="TARGET", help="A release folder, or OWNER/NAME[@VERSION] on the Hub."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe, dotted: `--set source.kind=cog`. Repeat for more. "
        "Relative paths count from the working folder.",
    ),
]
LimitOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Only N patches a year, for a trial.")
]
SkipBadOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad",
        help="Go on without patches that cannot be read; as `--set patches.skip_bad=true`.",
    ),
]
ReplaceCardOption = Annotated[
    bool,
    typer.Option(
        "--replace-card",
        help="Write the card anew though somebody edited it outside its notes.",
    ),
]
ModelIndexOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model-index",
        metavar="NAME=FILE",
        help="Write the scores of the vectors NAME as YAML for a model's card. Repeat for more.",
    ),
]
EvalResultsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--eval-results",
        metavar="NAME=FILE",
        help="The same for a model's .eval_results folder, if the data set is a benchmark.",
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


TrustOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-endpoint",
        metavar="HOST",
        help="Send credentials to this host, too: by default Google's go to Google, the Hub's to "
        "huggingface.co, and both to this machine. Repeat for more.",
    ),
]


def read_inputs(name: str | None, changes: Sequence[str] | None, *, skip_bad: bool) -> Recipe:
    """The recipe that a command is given; what it names must be there."""
    from hfaef.recipe.paths import require_inputs
    from hfaef.recipe.read import read_recipe

    recipe = read_recipe(name, [*(changes or ()), *["patches.skip_bad=true"] * skip_bad])
    require_inputs(recipe, name)
    return recipe


def read_maker(target: str, changes: Sequence[str] | None) -> Recipe:
    """The recipe that made the release in a folder: one that is here, or a built-in one.

    Raises:
        InputError: if it is neither.
        ReleaseError: if the folder holds no release.
    """
    from hfaef.recipe.read import read_recipe
    from hfaef.release.format.manifest import read_manifest

    made_of = read_manifest(Path(target)).recipe_sha256
    here = sorted(map(str, Path().glob("*.toml")), key=lambda name: (name != "hfaef.toml", name))
    for name in (*here, *built_in()):
        try:
            recipe = read_recipe(name, changes or ())
        except RecipeError:  # another file, or the changes are of another kind
            continue
        if recipe.digest() == made_of:
            return read_inputs(name, changes, skip_bad=False)
    raise InputError(
        f"no recipe here is the one that made {target}, nor is a built-in one",
        f"give it: {command_line('hfaef', 'embed', 'MODEL', 'RECIPE')}, with the `--set` of the build",
    )


class Command(TyperCommand):
    """A command whose help names the types of no flags and no arguments."""

    def get_params(self, ctx: Any) -> list[Any]:
        """As help lists them."""
        return without_types(super().get_params(ctx))


class Group(TyperGroup):
    """Commands, with the same help; in the order in which they are listed."""

    def get_params(self, ctx: Any) -> list[Any]:
        """As help lists them."""
        return without_types(super().get_params(ctx))


def without_types(parameters: Sequence[Any]) -> list[Any]:
    """Parameters of which help names no type: metavars say more than `<str>`, flags have none."""
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda **_: None
        elif parameter.metavar is None and (parameter.is_flag or parameter.count):
            parameter.metavar = ""
    return list(parameters)


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
    trust = inspect.Parameter(
        "trust_endpoint", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=TrustOption
    )

    @wraps(command)
    def run(**arguments: Any) -> int:
        from hfaef.core.net.endpoints import trusting

        output = _prepare(**{name: arguments.pop(name) for name in shared})
        with trusting(arguments.pop(trust.name) or ()):
            return output.report(command(**arguments))

    # Typer reads options off the signature: the command's own first, then those that all have.
    own = inspect.signature(command, eval_str=True).parameters
    vars(run)["__signature__"] = inspect.Signature(
        [
            parameter.replace(kind=parameter.KEYWORD_ONLY)
            for parameter in (*own.values(), *shared.values(), trust)
        ]
    )
    return run
