"""The command line: its commands in their order, its errors and exit codes."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from hfaef.cli import build as making
from hfaef.cli import release
from hfaef.cli.exit import exit_at_once
from hfaef.cli.options import print_json
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
app.command()(making.build)
app.command()(making.plan)
app.command()(making.status)
app.command()(release.check)
app.command()(release.diff)
app.command()(release.push)
app.command()(release.card)
app.command("eval")(release.evaluate)
app.command()(release.show)
app.command()(release.export)
app.command()(making.init)
app.command()(making.doctor)

_INTERRUPTED = 130


def _fail(message: str, hint: str, code: int) -> int:
    """Say what is wrong in one line, on standard error, and as JSON if that was asked for."""
    if "--json" in sys.argv:
        print_json({"error": message, "hint": hint, "exit_code": code})
    typer.echo(f"error: {message}" + (f"; {hint}" if hint else ""), err=True)
    return code


def _interrupted() -> int:
    return _fail(
        "interrupted; what is staged is kept", "run the same command to go on", _INTERRUPTED
    )


def run() -> int:
    """Run a command; gives its exit code."""
    try:
        code = int(app(prog_name="hfaef", standalone_mode=False) or 0)
        # Typer makes a number of an interruption, and says nothing.
        return _interrupted() if code == _INTERRUPTED else code
    except HfaefError as error:
        if os.environ.get("HFAEF_DEBUG") == "1":
            traceback.print_exc()
        code = _fail(error.message, error.hint, error.exit_code)
        if error.hung_reads:
            exit_at_once(code)
        return code
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "hfaef"
        return _fail(error.format_message().rstrip("."), f"see `{command} --help`", 2)
    except Exception as error:
        if os.environ.get("HFAEF_DEBUG") == "1":
            raise
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return _fail(words, "this is a fault in hfaef; HFAEF_DEBUG=1 shows where", 1)


def main() -> None:
    """Entry point of the console script."""
    code = run()
    if code == _INTERRUPTED:
        exit_at_once(code)
    sys.exit(code)
