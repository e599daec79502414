"""Reading a recipe: TOML, changes from the command line, and errors in words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import (
    ValidationError,
)

from hfaef.errors import RecipeError
from hfaef.recipe.model import KINDS, NAME_PATTERN, Recipe


def built_in() -> dict[str, str]:
    """Names and texts of the recipes that come with hfaef."""
    folder = resources.files("hfaef.recipe") / "builtin"
    found = {entry.name: entry.read_text() for entry in folder.iterdir() if entry.is_file()}
    return {
        name.removesuffix(".toml"): text
        for name, text in sorted(found.items())
        if name.endswith(".toml")
    }


def read_recipe(name: str | None, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a file or a built-in name, with ``KEY=VALUE`` changes applied in order.

    Args:
        name: a path to a TOML file, the name of a built-in recipe, or None for ``hfaef.toml``.
        changes: dotted keys with TOML values; a text needs no quotes. Changing a ``kind``
            empties its table first, as the keys of another kind mean nothing there.

    Raises:
        RecipeError: naming the file and the key.
    """
    known = built_in()
    if name in known and name is not None:
        origin, text = name, known[name]
    else:
        path = Path(name or "hfaef.toml")
        origin = str(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise RecipeError(
                f"cannot read the recipe {origin}: {reason}",
                f"give a TOML file or one of {', '.join(known)}; `hfaef init NAME` writes one",
            ) from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not TOML: {error}", "correct that line") from error
    for change in changes:
        _apply(content, change)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {_explain(error)}", "see `hfaef init --help`") from error


def write_commented(name: str) -> Path:
    """Write a commented recipe, ``NAME.toml``, that builds as it is.

    Raises:
        RecipeError: if the name cannot be one, or the file is there.
    """
    name = name.removesuffix(".toml")
    text = (resources.files("hfaef.recipe") / "builtin" / "commented.txt").read_text(
        encoding="utf-8"
    )
    if not re.fullmatch(NAME_PATTERN, name):
        raise RecipeError(
            f"{name!r} cannot be a data set's name", "use letters, digits, `.`, `_` and `-`"
        )
    path = Path(f"{name}.toml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text.replace("NAME", name))
    except OSError as error:
        raise RecipeError(
            f"cannot write {path}: {error.strerror}", "choose another name"
        ) from error
    return path


def _apply(content: dict[str, Any], change: str) -> None:
    key, separator, value = change.partition("=")
    parts = key.split(".")
    if not separator or not all(re.fullmatch(r"[A-Za-z0-9_-]+", part) for part in parts):
        raise RecipeError(f"--set {change}: not KEY=VALUE", "as in `--set source.kind=cog`")
    table = content
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {change}: {part} is not a table", "name another key")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    if parts[-1] == "kind" and table.get("kind") != parsed:
        table.clear()
    table[parts[-1]] = parsed


def _explain(error: ValidationError) -> str:
    """The first thing that is wrong, with its dotted key, in one line."""
    errors = error.errors(include_url=False, include_input=False)
    first = errors[0]
    key = [str(part) for part in first["loc"]]
    if len(key) > 1 and key[0] in ("patches", "source") and key[1] in KINDS:
        del key[1]  # pydantic names the kind it chose, which is no key of the file
    message = {
        "extra_forbidden": "unknown key",
        "missing": "missing",
        "union_tag_not_found": "`kind` is missing",
    }.get(first["type"], first["msg"].removeprefix("Value error, "))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{'.'.join(key)}: {message}{more}" if key else f"{message}{more}"
