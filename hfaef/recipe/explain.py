"""What is wrong with a recipe, in one line: the key, what is allowed, the nearest right word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hfaef.core.names import printable
from hfaef.recipe.model import FIRST_YEAR, KINDS, Recipe
from hfaef.recipe.patches import Described


def explain(error: ValidationError) -> str:
    """Everything that is wrong, with dotted keys."""
    # A misspelt key first: another one may be missing for that alone.
    errors = sorted(error.errors(include_url=False), key=lambda one: one["type"] not in _FIRST)
    first, *others = dict.fromkeys(_explain_one(one) for one in errors)
    if not others:
        return first
    listed = "; ".join(others[:_SHOWN]) + ("; ..." if len(others) > _SHOWN else "")
    return f"{first} (and {len(others)} more: {listed})"


def _explain_one(error: Mapping[str, Any]) -> str:
    location = error["loc"]
    key = [str(part) for part in location]
    if len(key) > 1 and key[0] in ("patches", "source") and key[1] in KINDS:
        del key[1]  # pydantic names the kind it chose, which is no key of the file
    if error["type"] == "union_tag_invalid":
        key.append("kind")
    dotted = ".".join(part[:_LONGEST_KEY] for part in key)
    message = _message(error, location, dotted)
    return f"{dotted}: {message}" if key else message


def nearest(word: object, known: Iterable[str]) -> str:
    """A question that names the word that was meant, perhaps; empty if none is near."""
    near = get_close_matches(str(word).lower(), list(known), n=1)
    return f", did you mean `{near[0]}`?" if near else ""


_SHOWN = 10
"""Faults that are named beside the first."""

_LONGEST_KEY = 80
"""Characters of a key that are shown."""

_FIRST = ("extra_forbidden", "union_tag_invalid")


def _message(error: Mapping[str, Any], location: Sequence[str | int], key: str) -> str:
    match error["type"]:
        case "greater_than_equal" | "less_than_equal" if "years" in location:
            said = f"there is no {str(error['input'])[:20]}, only {_years()}"
        case "list_type" if "years" in location:
            said = f"a list of years, of which there are {_years()}, as in `--set {key}=[2018]`"
        case "list_type":
            said = f'a list, as in `--set {key}=["..."]`'
        case "dict_type" | "model_type" | "model_attributes_type":
            said = f"a table of keys, as in `[{key}]`"
        case "extra_forbidden":
            said = _unknown(location)
        case "missing":
            said = "missing"
        case "union_tag_not_found":
            kinds = kinds_of(_sections(Recipe.model_fields[str(location[0])].annotation))
            said = f"`kind` is missing (one of {', '.join(kinds)})"
        case "union_tag_invalid":
            said = _choice(error["ctx"]["tag"], error["ctx"]["expected_tags"])
        case "literal_error":
            said = _choice(error["input"], error["ctx"]["expected"])
        case _:
            said = _other(error)
    return said


_WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
}
"""What may stand there, by the kind of an error of types."""


def _other(error: Mapping[str, Any]) -> str:
    """What to say of a value of another type, or of anything that pydantic or a section names."""
    if wanted := _WANTED.get(error["type"]):
        return f"{wanted}, not {_shown(error['input'])}"
    return str(error["msg"].removeprefix("Value error, "))


def _shown(value: object) -> str:
    """A value that has the wrong type, and its type, as TOML calls it."""
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case str():
            return f"the text {printable(value)[:40]!r}"
        case int() | float():
            return f"the {'float' if isinstance(value, float) else 'integer'} {str(value)[:40]}"
    return _TYPES.get(type(value), "a date or time")


_TYPES: Mapping[type, str] = {list: "a list", dict: "a table"}
"""Of TOML, those whose values are long."""


def _unknown(location: Sequence[str | int]) -> str:
    """What to say of a key that no section has."""
    known = keys_beside(location)
    said = f"unknown key{nearest(location[-1], known)}"
    if "torchgeo" in location and location[-1] in Described.model_fields:
        said = "TorchGeo's data sets have their own labels and splits"
    return f"{said} (known here: {', '.join(known)})"


def _years() -> str:
    """Years of AEF; one's embedding is made when it is over."""
    return f"{FIRST_YEAR} to {datetime.now(tz=UTC).year - 1}"


def _choice(given: object, expected: str) -> str:
    """What may stand there, and which of these is near."""
    known = expected.replace(" or ", ", ").replace("'", "").split(", ")
    return f"one of {', '.join(known)}{nearest(given, known)}"


def keys_beside(location: Sequence[str | int]) -> list[str]:
    """Keys that the table may hold in which the location's last key stands."""
    sections: list[type[BaseModel]] = [Recipe]
    for number, part in enumerate(location[:-1]):
        if number == 1 and part in KINDS:
            sections = [one for one in sections if part in kinds_of([one])]
        else:
            fields = [one.model_fields[str(part)] for one in sections if part in one.model_fields]
            sections = [one for field in fields for one in _sections(field.annotation)]
    return sorted({key for section in sections for key in section.model_fields})


def kinds_of(sections: Iterable[type[BaseModel]]) -> list[str]:
    """Kinds of these sections."""
    fields = [one.model_fields["kind"] for one in sections if "kind" in one.model_fields]
    return [kind for field in fields for kind in get_args(field.annotation)]


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections in an annotation such as ``Cog | EarthEngine``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]
