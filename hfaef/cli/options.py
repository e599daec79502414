"""What several commands have in common: arguments, options, and how they print JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

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


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    typer.echo(json.dumps(content, indent=1))
