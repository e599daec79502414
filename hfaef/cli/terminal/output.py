"""The one place that prints: what a command found, and what went wrong.

A command returns a `Report`; how it is shown is the user's choice, and not the command's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import typer


class Mode(Enum):
    """How a report is shown."""

    HUMAN = "human"
    """Lines on standard output, notes on standard error."""
    JSON = "json"
    """One JSON object on standard output, of errors too."""
    QUIET = "quiet"
    """What a script takes up next on standard output, a value a line; no notes, no progress."""


@dataclass(frozen=True)
class Table:
    """Cells in columns, each as wide as its longest cell; a cell of digits lies to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def lines(self) -> list[str]:
        """Aligned text, for what is no terminal."""
        from rich.cells import cell_len  # a letter may be two columns wide

        table = [self.columns, *self.rows]
        widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
        right = self.of_numbers()
        lines = []
        for row in table:
            cells = []
            for cell, width, flush in zip(row, widths, right, strict=True):
                gap = " " * (width - cell_len(cell))
                cells.append(gap + cell if flush else cell + gap)
            lines.append("  ".join(cells).rstrip())
        return lines

    def of_numbers(self) -> list[bool]:
        """For each column whether all of its cells begin with a digit."""
        return [
            all(row[number][:1].isdigit() for row in self.rows)
            for number in range(len(self.columns))
        ]


@dataclass(frozen=True)
class Report:
    """What a command found."""

    summary: Mapping[str, Any]
    """The object that ``--json`` prints."""
    lines: Sequence[str | Table] = ()
    """For people."""
    values: Sequence[str] = ()
    """What ``--quiet`` prints: a path, a version, a command."""
    notes: Sequence[str] = ()
    """For people, beside the lines: what was done otherwise than one may expect."""
    exit_code: int = 0
    hung_reads: int = 0
    """Reads left behind, which the process must not wait for."""
    then: Callable[[], None] | None = None
    """What goes on once the report is shown, until the user ends it."""


@dataclass
class Output:
    """Standard output and standard error of one command."""

    mode: Mode = Mode.HUMAN
    hung_reads: int = 0
    """`Report.hung_reads` of what was shown."""

    def report(self, report: Report) -> int:
        """Show what a command found; gives its exit code."""
        self.hung_reads = report.hung_reads
        match self.mode:
            case Mode.JSON:
                self._json(report.summary)
            case Mode.QUIET:
                for value in report.values:
                    typer.echo(value)
            case Mode.HUMAN:
                for note in report.notes:
                    typer.echo(f"note: {note}", err=True)
                for line in report.lines:
                    if isinstance(line, str):
                        typer.echo(line)
                    else:
                        self._table(line)
        if report.then is not None:
            sys.stdout.flush()  # whoever reads it through a pipe waits for it
            report.then()
        return report.exit_code

    def error(self, message: str, hint: str, exit_code: int, details: Sequence[str] = ()) -> int:
        """Say what is wrong in one line, on standard error whatever the mode; gives the code.

        Details, if there are some, stand in lines of their own before it.
        """
        if self.mode is Mode.JSON:
            more = {"details": list(details)} if details else {}
            self._json({"error": message, "hint": hint, "exit_code": exit_code, **more})
        for line in details:
            typer.echo(line, err=True)
        typer.echo(f"error: {message}" + (f"; {hint}" if hint else ""), err=True)
        return exit_code

    def _table(self, table: Table) -> None:
        if not sys.stdout.isatty():
            for line in table.lines():
                typer.echo(line)
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        drawn = RichTable(box=box.SIMPLE_HEAD)
        for column, flush in zip(table.columns, table.of_numbers(), strict=True):
            drawn.add_column(column, justify="right" if flush else "left")
        for row in table.rows:
            drawn.add_row(*map(Text, row))  # as they are: brackets are no markup
        Console().print(drawn)

    def _json(self, content: Mapping[str, Any]) -> None:
        typer.echo(json.dumps(content, indent=1))
