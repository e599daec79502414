"""Paths in a recipe: which keys hold them, and which folder relative ones count from.

Those in a file count from the file's folder, wherever hfaef is run; those of a built-in recipe
and of ``--set`` from the working folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hfaef.errors import RecipeError
from hfaef.recipe.builtin import built_in
from hfaef.recipe.model import Recipe
from hfaef.recipe.patches import TorchGeo

PATHS = (
    "patches.root",
    "patches.path",
    "patches.table",
    "patches.splits",
    "source.root",
    "source.index",
    "demo.root",
    "card.notes",
)
"""Keys that hold a path; below ``patches.splits`` all values do."""

INPUTS = ("patches.root", "patches.path", "patches.table", "patches.splits", "card.notes")
"""Those that must be there before anything is read; sources look for theirs themselves."""


def count_from(content: dict[str, Any], folder: Path) -> None:
    """Let the relative paths in a recipe's tables count from a folder; URLs stay."""
    for key in PATHS:
        *above, last = key.split(".")
        table: Any = content
        for part in above:
            table = table.get(part) if isinstance(table, dict) else None
        if isinstance(table, dict) and last in table:
            table[last] = _joined(table[last], folder)


def _joined(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _joined(entry, folder) for key, entry in value.items()}
    # The working folder itself is left out, so that messages show paths as they were written.
    local = isinstance(value, str) and value and "://" not in value and folder != Path()
    return str(folder / value) if local else value


def require_inputs(recipe: Recipe, name: str | None) -> None:
    """Raise unless the files and folders that a recipe names are there.

    Args:
        recipe: as it was read; a made-up world is written later, so its paths are not looked for.
        name: as it was given to `read_recipe`.

    Raises:
        RecipeError: naming the key, the path, and the folder that it counts from.
    """
    if recipe.demo is not None or (
        isinstance(recipe.patches, TorchGeo) and recipe.patches.download
    ):
        return
    here = Path.cwd()
    hint = f"relative paths count from {here}"
    if name not in built_in():
        origin = Path(name or "hfaef.toml")
        hint = (
            f"relative paths in {origin} count from its folder, {here / origin.parent}, "
            f"those of --set from {here}"
        )
    for key in INPUTS:
        section, _, field = key.partition(".")
        for named, path in _paths(key, getattr(getattr(recipe, section), field, None)):
            try:
                there = path.exists()
            except OSError as error:  # a name that is too long, or a folder that is closed to us
                raise RecipeError(f"{named}: {path}: {error.strerror}", hint) from error
            if not there:
                raise RecipeError(f"{named}: {path} is not there", hint)


def _paths(key: str, value: Any) -> Iterator[tuple[str, Path]]:
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from _paths(f"{key}.{name}", entry)
    elif value is not None:
        yield key, Path(value)
