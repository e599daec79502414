"""Card: what the Hub has against the YAML of a data set's card, and how it says so.

It asks by the rules and in the words of Joi, as https://huggingface.co/api/validate-yaml does; the
real one has more of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from hfaef.recipe.licenses import LICENSES
from servers.hub.refusal import Refusal
from servers.hub.state import State
from servers.hub.wire import Answer, Request, json_answer

LISTS = ("tags", "size_categories", "task_categories", "language", "configs")
TASKS = frozenset({"image-classification", "tabular-regression", "image-feature-extraction"})
"""Of the official list, those that concern us; another one is a warning."""


def validate(state: State, request: Request) -> Answer:
    """Whether a card's YAML will do: errors with 400, warnings with 200."""
    state.caller(request)
    asked = request.json
    match asked.get("repoType"):
        case "dataset":
            errors, warnings = card_errors(asked["content"]), card_warnings(asked["content"])
        case "space":
            errors, warnings = space_errors(asked["content"]), []
        case _:
            raise Refusal(501, "only cards of data sets and Spaces are read here")
    status = 400 if errors else 200
    if "text/plain" in request.headers.get("accept", ""):
        text = "\n".join(errors or warnings)
        return Answer(status, text.encode(), headers={"Content-Type": "text/plain; charset=utf-8"})
    said = {
        "errors": [{"message": message} for message in errors],
        "warnings": [{"message": message} for message in warnings],
    }
    return json_answer(said, status)


def card_errors(content: str) -> list[str]:
    """What is wrong with a card, so that the Hub does not take it."""
    try:
        card = _read(content)
    except yaml.YAMLError as error:
        return [f"bad YAML: {error}"]
    if card is None:
        return []
    if not isinstance(card, dict):
        return ["YAML metadata must be a mapping"]
    found = [f'"{key}" must be an array' for key in LISTS if not _is_list(key, card.get(key, []))]
    found += [fault for key in ("tags", "task_categories") for fault in _faults_of(key, card)]
    if not isinstance(card.get("pretty_name", ""), str):
        found.append('"pretty_name" must be a string')
    licences = card.get("license", "other")
    if not set(licences if isinstance(licences, list) else [licences]) <= LICENSES:
        found.append(f'"license" must be one of [{", ".join(sorted(LICENSES))}, array]')
    return found or [
        f'"configs[{number}].config_name" is required'
        for number, config in enumerate(card.get("configs", []))
        if not isinstance(config, dict) or not isinstance(config.get("config_name"), str)
    ]


def _faults_of(key: str, card: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the texts of a list."""
    for number, value in enumerate(card[key] if isinstance(card.get(key), list) else ()):
        if not isinstance(value, str):
            yield f'"{key}[{number}]" must be a string'
        elif not value:
            yield f'"{key}[{number}]" is not allowed to be empty'


def card_warnings(content: str) -> list[str]:
    """What the Hub would rather have otherwise."""
    try:
        card = _read(content)
    except yaml.YAMLError:
        return []
    if not isinstance(card, dict):
        return ["empty or missing yaml metadata in repo card"]
    tasks = card.get("task_categories") or ()
    return [
        f'The task_categories "{task}" is not in the official list'
        for task in tasks
        if task not in TASKS
    ]


SDKS = ("gradio", "docker", "static")
COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
"""https://huggingface.co/docs/hub/spaces-config-reference"""


def space_errors(content: str) -> list[str]:
    """What is wrong with the README of a Space, so that the Hub does not take it."""
    try:
        card = _read(content)
    except yaml.YAMLError as error:
        return [f"bad YAML: {error}"]
    if not isinstance(card, dict):
        return ["Missing configuration in README"]
    found = [
        f'"{key}" must be one of [{", ".join(allowed)}]'
        for key, allowed in (("sdk", SDKS), ("colorFrom", COLORS), ("colorTo", COLORS))
        if card.get(key) not in allowed
    ]
    if not isinstance(card.get("title", ""), str):
        found.append('"title" must be a string')
    if len(card.get("short_description", "")) > 60:
        found.append('"short_description" length must be less than or equal to 60 characters long')
    if not _is_list("datasets", card.get("datasets", [])):
        found.append('"datasets" must be an array')
    return found


def _read(content: str) -> Any:
    if not content.startswith("---"):
        return None
    return yaml.safe_load(content.split("\n---", 1)[0].removeprefix("---"))


def _is_list(key: str, value: object) -> bool:
    return isinstance(value, list) or (key != "configs" and isinstance(value, str))
