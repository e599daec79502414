"""How many things may start in any minute."""

from __future__ import annotations

from collections import deque

MINUTE = 60.0
"""Seconds over which starts are counted."""


class RateLimiter:
    """A sliding window over the last starts; told the time by its caller, it never waits itself.

    Args:
        per_minute: starts in any span of 60 seconds, 1 or more; None for any number.
    """

    def __init__(self, per_minute: int | None) -> None:
        if per_minute is not None and per_minute < 1:
            raise ValueError(f"a rate of {per_minute} a minute lets none in")
        self._starts: deque[float] = deque(maxlen=per_minute or 0)

    def next_start(self, now: float) -> float:
        """The earliest time, from now on, at which the next start is allowed."""
        if not self._starts or len(self._starts) < (self._starts.maxlen or 0):
            return now
        return max(now, self._starts[0] + MINUTE)

    def reserve(self, now: float) -> float:
        """Take the next start that is allowed; gives its time."""
        start = self.next_start(now)
        self._starts.append(start)
        return start
