"""Spaces: what a new one holds, and what the Hub says of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from servers.hub.card import SDKS
from servers.hub.history import Repo
from servers.hub.refusal import Refusal


def template(asked: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a new Space, by what is asked for.

    Raises:
        Refusal: 400 without an SDK that there is.
    """
    sdk = asked.get("sdk")
    if sdk not in SDKS:
        raise Refusal(400, '"sdk" must be one of [gradio, docker, static]')
    title = str(asked["name"]).replace("-", " ").title()
    head = f"---\ntitle: {title}\nemoji: 🏆\ncolorFrom: red\ncolorTo: red\nsdk: {sdk}\npinned: false\n---\n"
    files = {"README.md": head.encode()}
    if sdk == "static":
        files |= {"index.html": b"<!doctype html>\n<h1>Welcome</h1>\n", "style.css": b"h1 {}\n"}
    return files


def details(repo: Repo, card: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the Hub says of a Space besides what it says of every repository."""
    return {
        "sdk": (card or {}).get("sdk"),
        "subdomain": repo.name.replace("/", "-").lower(),
        "datasets": (card or {}).get("datasets", []),
    }
