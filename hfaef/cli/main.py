"""The command line: its commands in their order, its errors and exit codes."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer

from hfaef.cli import atlas, build, embed, release, views
from hfaef.cli.terminal.options import Command, Group, with_output
from hfaef.cli.terminal.output import Mode, Output, Report
from hfaef.cli.terminal.process import exit_at_once, set_environment
from hfaef.errors import HfaefError, missing_package, one_line

app = typer.Typer(
    help="Turn labelled, georeferenced patches into versioned AlphaEarth embedding data sets.\n\n"
    "Start with `hfaef build demo`, which needs no account and no network; then write your own "
    "recipe with `hfaef init NAME`.",
    cls=Group,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
COMMANDS: dict[str, Callable[..., Report]] = {
    "build": build.build,
    "plan": build.plan,
    "status": build.status,
    "check": release.check,
    "diff": release.diff,
    "push": release.push,
    "card": views.card,
    "eval": release.evaluate,
    "embed": embed.embed,
    "atlas": atlas.atlas,
    "show": atlas.show,
    "export": views.export,
    "init": build.init,
    "doctor": build.doctor,
}
for name, command in COMMANDS.items():
    app.command(name, cls=Command)(with_output(command))

recipes = typer.Typer(cls=Group, help="What a recipe may hold.", no_args_is_help=True)
recipes.command("schema", cls=Command)(with_output(build.schema))
app.add_typer(recipes, name="recipe")


def _show_version(asked: bool) -> None:
    if asked:
        from hfaef import __version__

        typer.echo(f"hfaef {__version__}")
        raise typer.Exit


@app.callback()
def _first(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options of `hfaef` itself."""


_INTERRUPTED = 130

_READER_GONE = 141
"""As a shell tells SIGPIPE: 128 and the signal's number."""


def _interrupted(output: Output) -> int:
    return output.error(
        "interrupted; what is staged is kept", "run the same command to go on", _INTERRUPTED
    )


def run(output: Output) -> int:
    """Run a command; gives its exit code."""
    try:
        code = int(app(prog_name="hfaef", standalone_mode=False, obj=output) or 0)
        # Typer makes a number of an interruption, and says nothing.
        return _interrupted(output) if code == _INTERRUPTED else code
    except HfaefError as error:
        if os.environ.get("HFAEF_DEBUG") == "1":
            traceback.print_exc()
        output.hung_reads = error.hung_reads
        return output.error(error.message, error.hint, error.exit_code, error.details)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(output)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # Typer exports it nowhere
            typer.echo(error.format_message().rstrip())
            return 2
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "hfaef"
        words = error.format_message().rstrip(".").replace(": Value error, ", ": ")  # pydantic's
        return output.error(words, f"see `{command} --help`", 2)
    except Exception as error:
        if os.environ.get("HFAEF_DEBUG") == "1":
            raise
        return _unforeseen(output, error)


_OUTSIDE = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR}
_OUTSIDE |= {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE}
"""What a path or disk of the user's may do wherever it is looked at."""


def _unforeseen(output: Output, error: Exception) -> int:
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("hfaef"):
        missing = missing_package("this command", error)
        return output.error(missing.message, missing.hint, missing.exit_code)
    if isinstance(error, OSError) and error.errno in _OUTSIDE and error.filename:
        what = one_line(f"{error.filename}: {error.strerror}")
        return output.error(what, "mend the path, its rights or its disk, then run again", 2)
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return output.error(words, "this is a fault in hfaef; HFAEF_DEBUG=1 shows where", 1)


def main() -> None:
    """Entry point of the console script."""
    set_environment()
    # Until the options are parsed, which may fail.
    output = Output(Mode.JSON if "--json" in sys.argv else Mode.HUMAN)
    try:
        code = run(output)
    except SystemExit as error:  # so Typer ends when the reader has gone, as `| head` does
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        code = _READER_GONE
    if code == _INTERRUPTED or output.hung_reads:
        exit_at_once(code)
    sys.exit(code)
