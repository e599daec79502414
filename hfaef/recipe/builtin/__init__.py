"""Recipes that come with hfaef: names and texts, without what reads them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def built_in() -> dict[str, str]:
    """Texts of the built-in recipes by name, in alphabetical order."""
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(
            resources.files(__name__).iterdir(), key=lambda entry: Path(entry.name).stem
        )
        if entry.name.endswith(".toml")
    }


def commented(name: str) -> str:
    """A commented recipe of this name, to start one's own from; it builds as it is."""
    text = (resources.files(__name__) / "commented.txt").read_text(encoding="utf-8")
    return text.replace("{name}", name)
