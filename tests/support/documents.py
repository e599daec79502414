"""The pages that people read, and the blocks of code on them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from typer.main import get_command

from hfaef.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))

_NOT_RUN = re.compile(r"<!-- not run: (.+) -->")


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    page: str
    line: int
    language: str
    text: str
    not_run: str
    """Why it does not run with its page: the comment above it, ``<!-- not run: REASON -->``."""

    @property
    def runs(self) -> bool:
        """Whether it does something by itself: parts of recipes do not."""
        whole = self.language != "toml" or self.text.startswith("# ")
        return whole and self.language != "text" and not self.not_run

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Blocks of a page in their order."""
    above = ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "fence":
            found = _NOT_RUN.search(above)
            yield Block(
                page.relative_to(ROOT).as_posix(),
                token.map[0] + 1 if token.map else 0,
                token.info.strip(),
                token.content,
                found[1] if found else "",
            )
        above = token.content if token.type == "html_block" else ""


def blocks(language: str, *, below: str = "") -> list[Block]:
    """Blocks of a language on all pages in ``docs/``, or on those whose path begins so."""
    return [
        block
        for page in PAGES
        if page.relative_to(ROOT / "docs").as_posix().startswith(below)
        for block in blocks_of(page)
        if block.language == language
    ]


def typed_commands(text: str) -> list[str]:
    """Lines of a shell block that call hfaef, without what shells do with them."""
    lines = re.findall(r"^(?:uv run )?(hfaef .*)$", text, re.MULTILINE)
    return [re.split(r" [|>#] ?| && ", line)[0].strip() for line in lines]


def wrong_in(line: str) -> str:
    """What is wrong in a call of hfaef: no such command, or option; empty if nothing is."""
    words = shlex.split(line)[1:]
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if hasattr(command, "commands") and not any(word.startswith("-") for word in words):
        return f"{line}: no command"
    options = {name for parameter in command.params for name in parameter.opts}
    given = {word.partition("=")[0] for word in words if word.startswith("-")}
    unknown = sorted(given - options - {"--help", "-h"})
    return f"{line}: no option {unknown[0]}" if unknown else ""
