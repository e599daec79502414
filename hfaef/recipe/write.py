"""Writing a recipe: the commented one of a made-up world, or a draft that fits what was found."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfaef.core.names import printable
from hfaef.errors import RecipeError
from hfaef.recipe.builtin import commented
from hfaef.recipe.model import NAME_PATTERN, Recipe

SCHEMA_FILE = "hfaef.schema.json"
"""JSON Schema of recipes, beside those that `hfaef init` writes: editors complete and check keys
by it. As a file it works without network, and is of the hfaef that is installed."""

_SCHEMA_LINE = f"#:schema ./{SCHEMA_FILE}\n"
"""How TOML editors (Taplo, Even Better TOML) find it: https://taplo.tamasfe.dev/configuration/directives.html"""

_COMMENTS_FROM = 36
"""Column at which comments begin, where the key before leaves room."""

_TAIL = """
[source]
kind = "cog"                        # AlphaEarth's public GeoTIFF tiles, without an account
# kind = "earthengine"              # or Earth Engine, with one: `hfaef doctor` tells what is missing
# project = "my-project"

[card]
license = "cc-by-4.0"               # of your labels
# pretty_name = "{name}"
# description = "What the patches are, who labelled them, and how."
# homepage = "https://example.org"
"""


@dataclass(frozen=True)
class Line:
    """A key of a recipe, and what is said of it."""

    key: str
    value: Any
    comment: str = ""
    unclear: bool = False
    """Whether the comment asks for a look."""
    is_set: bool = True
    """Whether it holds; a proposal is commented out."""


@dataclass(frozen=True)
class Draft:
    """A recipe's years and ``[patches]`` as they fit a table or folder."""

    patches: tuple[Line, ...]
    """In their order, `kind` first; values that are `Path` count from the working folder."""
    years: Line | None
    """Of all patches; None if each has its own."""
    found: tuple[tuple[str, str], ...]
    """What was recognised, and as what, for people."""
    to_do: tuple[str, ...] = ()
    """What must be changed in the table before the recipe builds."""


def write_commented(name: str) -> Path:
    """Write a commented recipe, ``NAME.toml``, that builds as it is.

    Raises:
        RecipeError: if the name cannot be one, or the file is there.
    """
    path = path_of(name)
    _write(path, _SCHEMA_LINE + commented(path.stem))
    return path


def write_draft(name: str, draft: Draft) -> Path:
    """Write a recipe, ``NAME.toml``, of what was found.

    Raises:
        RecipeError: if the name cannot be one, or the file is there.
    """
    path = path_of(name)
    _write(path, _SCHEMA_LINE + draft_text(path.stem, draft))
    return path


def schema_text() -> str:
    """The JSON Schema of recipes: all keys with their types and meaning."""
    return json.dumps(Recipe.model_json_schema(), indent=1) + "\n"


def write_schema(beside: Path) -> Path | None:
    """Write the schema that a new recipe names; a file of that name stays as it is.

    Returns:
        The file, if it is there already and says something else.

    Raises:
        RecipeError: if it cannot be written.
    """
    path = beside.with_name(SCHEMA_FILE)
    if not path.exists():
        _write(path, schema_text())
        return None
    return None if path.read_bytes() == schema_text().encode() else path


def path_of(name: str) -> Path:
    """The file of a new recipe, in the working folder.

    Raises:
        RecipeError: if the name cannot be that of a data set, or the file is there.
    """
    name = name.removesuffix(".toml")
    if not re.fullmatch(NAME_PATTERN, name):
        raise RecipeError(
            f"{name!r} cannot be a data set's name", "use letters, digits, `.`, `_` and `-`"
        )
    path = Path(f"{name}.toml")
    if path.exists():
        raise RecipeError(
            f"there is a {path} already, and it stays as it is",
            "choose another name, or move it away",
        )
    return path


def draft_text(name: str, draft: Draft) -> str:
    """A draft as TOML."""
    what = "Relative paths count from this file's folder. `hfaef recipe schema` lists all keys."
    lines = [f"# The recipe of {name}, as `hfaef init` found its patches. {what}"]
    lines += [f"# TO DO before it builds: {printable(words)}" for words in draft.to_do]
    lines += ["", f"name = {_toml(name)}"]
    if draft.years is not None:
        lines += _lines(draft.years)
    lines += ["", "[patches]"]
    for line in draft.patches:
        lines += _lines(line)
    return "\n".join(lines) + "\n" + _TAIL.format(name=name)


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RecipeError(
            f"cannot write {path}: {error.strerror}", "choose another name"
        ) from error


def _lines(line: Line) -> list[str]:
    """A key as it stands in the file, its comment beside it, or above where it is long."""
    text = f"{'' if line.is_set else '# '}{line.key} = {_toml(line.value)}"
    if not line.comment:
        return [text]
    comment = f"# {'unclear: ' if line.unclear else ''}{printable(line.comment)}"
    if len(text) < _COMMENTS_FROM and len(comment) < 80:
        return [f"{text:<{_COMMENTS_FROM}}{comment}"]
    return [comment, text]


def _toml(value: Any) -> str:
    """A value in TOML, tables in one line.

    Raises:
        RecipeError: for a text that is not Unicode, as a file's name may be.
    """
    if isinstance(value, Path):
        value = value.as_posix()
    match value:
        case dict():
            return "{" + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + "}"
        case str():
            if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
                raise RecipeError(f"{printable(value)} is not UTF-8", "rename it")
            # JSON's escapes are TOML's, but for DEL: https://toml.io/en/v1.0.0#string
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Sequence():
            return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
