"""Answers that arrive whole and cannot be right: asked for again, then given up."""

from __future__ import annotations

import threading
from collections import Counter

from hfaef.core.grid import Grid
from hfaef.errors import PermanentError, Transient

TRIES = 3
"""Answers for one patch that may be wrong: then the source has it so."""


class WrongAnswers:
    """Counts wrong answers by grid and year; used from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[Grid, int]] = Counter()

    def record(self, grid: Grid, year: int, message: str) -> Transient | PermanentError:
        """Count one; gives the error to raise.

        Args:
            grid: that was asked for.
            year: that was asked for.
            message: what is wrong with the answer.
        """
        with self._lock:
            self._counts[grid, year] += 1
            if self._counts[grid, year] < TRIES:
                return Transient(message)
            del self._counts[grid, year]
        return PermanentError(f"{message} ({TRIES} answers)")
