"""Reading a recipe: TOML, and changes from the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hfaef.errors import RecipeError
from hfaef.recipe.builtin import built_in
from hfaef.recipe.explain import explain, nearest
from hfaef.recipe.model import Recipe
from hfaef.recipe.paths import count_from


def read_recipe(name: str | None, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a file or a built-in name, with ``KEY=VALUE`` changes applied in order.

    Relative paths in a file count from its folder, those of ``KEY=VALUE`` from the working folder.

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
        except (OSError, ValueError) as error:  # ValueError: not UTF-8, or no name of a file
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise RecipeError(
                f"cannot read the recipe {origin}{nearest(origin, known)}: {reason}",
                f"give a TOML file or one of {', '.join(known)}; `hfaef init NAME` writes one",
            ) from error
    try:
        content = _parse(text)
    except ValueError as error:
        raise RecipeError(f"{origin} is not TOML: {error}", "correct that line") from error
    if name not in known:
        count_from(content, Path(origin).parent)
    for change in changes:
        _apply(content, change)
    _require_texts(origin, content)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(
            f"{origin}: {explain(error)}", "`hfaef recipe schema` lists all keys"
        ) from error


_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def _parse(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        ValueError: if it is none.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("its lists are nested too deep") from error


def _require_texts(origin: str, content: dict[str, Any]) -> None:
    """Raise RecipeError if a text holds what no file's name or published text can."""
    waiting: list[tuple[str, Any]] = list(content.items())
    for key, value in waiting:
        if isinstance(value, dict):
            waiting += [(f"{key}.{name}", entry) for name, entry in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{key}.{number}", entry) for number, entry in enumerate(value)]
        elif isinstance(value, str) and (found := _NO_TEXT.search(value)):
            fault = "holds the control character U+0000" if found[0] == "\0" else "is not UTF-8"
            raise RecipeError(f"{origin}: {key}: {fault}", "take it out")


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
        parsed = _parse(f"value = {value}")["value"]
    except ValueError:
        parsed = value
    if parts[1:] == ["kind"] and table.get("kind") != parsed:
        table.clear()
    table[parts[-1]] = parsed
