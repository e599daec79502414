"""What is wrong with a recipe, in one line: the key, what is allowed, the nearest right word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hfaef.recipe.model import KINDS, Recipe
from hfaef.recipe.patches import Described


def explain(error: ValidationError) -> str:
    """The first thing that is wrong, with its dotted key."""
    # A misspelt key first: another one may be missing for that alone.
    errors = sorted(error.errors(include_url=False), key=lambda one: one["type"] not in _FIRST)
    first = errors[0]
    location = first["loc"]
    key = [str(part) for part in location]
    if len(key) > 1 and key[0] in ("patches", "source") and key[1] in KINDS:
        del key[1]  # pydantic names the kind it chose, which is no key of the file
    if first["type"] == "union_tag_invalid":
        key.append("kind")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    message = _message(first, location)
    return f"{'.'.join(key)}: {message}{more}" if key else f"{message}{more}"


def nearest(word: object, known: Iterable[str]) -> str:
    """A question that names the word that was meant, perhaps; empty if none is near."""
    near = get_close_matches(str(word).lower(), list(known), n=1)
    return f", did you mean `{near[0]}`?" if near else ""


_FIRST = ("extra_forbidden", "union_tag_invalid")


def _message(error: Mapping[str, Any], location: Sequence[str | int]) -> str:
    match error["type"]:
        case "extra_forbidden":
            known = keys_beside(location)
            what = f"unknown key{nearest(location[-1], known)}"
            if "torchgeo" in location and location[-1] in Described.model_fields:
                what = "TorchGeo's data sets have their own labels and splits"
            return f"{what} (known here: {', '.join(known)})"
        case "missing":
            return "missing"
        case "union_tag_not_found":
            kinds = kinds_of(_sections(Recipe.model_fields[str(location[0])].annotation))
            return f"`kind` is missing (one of {', '.join(kinds)})"
        case "union_tag_invalid":
            return _choice(error["ctx"]["tag"], error["ctx"]["expected_tags"])
        case "literal_error":
            return _choice(error["input"], error["ctx"]["expected"])
        case _:
            return str(error["msg"].removeprefix("Value error, "))


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
