"""What a person sees of long work: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

_SECONDS_BETWEEN_LINES = 10.0

shown: ContextVar[bool] = ContextVar("shown", default=True)
"""Whether progress is shown."""


class Advance(Protocol):
    """Called once for each thing done, with a note on the whole work or an empty text.

    With ``steps=0`` it brings the note alone up to date.
    """

    def __call__(self, note: str, steps: int = 1) -> None:
        """Show it."""


def say(text: str) -> None:
    """Show one line on standard error, unless `shown` says no."""
    if shown.get():
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """Show work of this many things on standard error, unless `shown` says no."""
    if not shown.get():
        yield _nothing
        return
    try:
        from rich.console import Console
    except ModuleNotFoundError:  # who only reads releases has none
        with _lines(title, total) as advance:
            yield advance
        return
    console = Console(stderr=True)
    with _bar(console, title, total) if console.is_terminal else _lines(title, total) as advance:
        yield advance


def _nothing(note: str, steps: int = 1) -> None:
    """Progress that nobody sees."""


@contextmanager
def _bar(console: Console, title: str, total: int) -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, note="", rate="-/s")

        def advance(note: str, steps: int = 1) -> None:
            bar.update(task, advance=steps, note=note)
            if speed := bar.tasks[0].finished_speed or bar.tasks[0].speed:
                bar.update(task, rate=f"{speed:,.1f}/s")

        yield advance


@contextmanager
def _lines(title: str, total: int) -> Iterator[Advance]:
    started = shown = time.monotonic()
    done, last_note = 0, ""

    def show() -> None:
        rate = done / max(time.monotonic() - started, 1e-9)
        left = f", {(total - done) / rate:,.0f} s left" if 0 < done < total else ""
        note = f", {last_note}" if last_note else ""
        sys.stderr.write(f"{title}: {done:,} of {total:,}, {rate:,.1f}/s{left}{note}\n")
        sys.stderr.flush()

    def advance(note: str, steps: int = 1) -> None:
        nonlocal shown, done, last_note
        done, last_note = done + steps, note
        if time.monotonic() - shown >= _SECONDS_BETWEEN_LINES:
            shown = time.monotonic()
            show()

    try:
        yield advance
    finally:
        show()
