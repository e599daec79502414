"""How many reads may be under way: what a source bears is found out, not assumed.

Additive increase, multiplicative decrease, as TCP does it (RFC 5681): the limit starts low, rises
while answers come, and halves when the source refuses. A single refusal among many answers is
noise; several in one round mean us.
"""

from __future__ import annotations

import math
from collections import deque

_START_SHARE = 4
"""The first limit is the ceiling by this."""

_ROUND = 20
"""Answers over which refusals are counted, or the limit if that is more."""

_ROUND_SHARE = 0.2
"""Of refusals in a round, above which the limit is halved."""

_LONG = 200
_LONG_SHARE = 0.075
"""Of refusals among so many answers, above which the limit is taken back a little: it is just over
a quota whose refusals come slowly."""

_CAREFUL = 16
"""How much slower the limit rises where it was refused the last time."""

_PAUSE_AFTER = 2
"""Refusals in a round after which a server's delay is meant for all reads."""


class ConcurrencyLimit:
    """The limit on reads under way; used by one thread, told the time by its caller.

    Args:
        ceiling: never exceeded, 1 or more.
    """

    def __init__(self, ceiling: int) -> None:
        if ceiling < 1:
            raise ValueError(f"a limit of {ceiling} reads at once lets none in")
        self.ceiling = ceiling
        self.limit = max(1, ceiling // _START_SHARE)
        self.cuts = 0
        """Times the limit was lowered."""
        self._refused_at: int | None = None
        """The limit at the last cut."""
        self._cut_time = -math.inf
        self._resume = -math.inf
        self._gained = 0
        self._answers = 0
        self._refusals = 0
        self._recent: deque[bool] = deque(maxlen=_LONG)
        """Whether each of the last answers was a refusal."""

    def pause(self, now: float) -> float:
        """Seconds from now until reads may start again; 0 if they may."""
        return max(0.0, self._resume - now)

    def record_success(self, *, full: bool) -> None:
        """Count an answer; the limit may rise.

        Args:
            full: whether as many reads were under way as the limit allowed; a limit that was not
                reached is not raised.
        """
        self._count()
        if not full or self.limit >= self.ceiling:
            return
        self._gained += 1
        if self._gained >= self._price():
            self._gained = 0
            self.limit += 1

    def record_failure(self) -> None:
        """Count a read that failed for another reason than a refusal."""
        self._count()

    def record_refusal(self, started: float, now: float, delay: float = 0.0) -> None:
        """Count an answer that says: too many; the limit may fall.

        Args:
            started: when the read started; one from before the last cut says nothing new.
            now: the time.
            delay: seconds that the source asks to wait. It holds up all reads when several are
                refused; whoever repeats the one that was refused waits for it in any case.
        """
        if started < self._cut_time:
            return
        self._refusals += 1
        if self._refusals >= min(_PAUSE_AFTER, self.limit):
            self._resume = max(self._resume, now + delay)
        if self._refusals > _ROUND_SHARE * max(_ROUND, self.limit):
            self._cut(self.limit // 2, now)
        elif sum(self._recent) > _LONG_SHARE * _LONG:
            self._cut(self.limit * 9 // 10, now)
        self._count(refused=True)

    def _cut(self, limit: int, now: float) -> None:
        self._refused_at = self.limit
        self.limit = max(1, limit)
        self.cuts += 1
        self._cut_time = now
        self._gained = self._answers = self._refusals = 0
        self._recent.clear()

    def _count(self, *, refused: bool = False) -> None:
        self._recent.append(refused)
        self._answers += 1
        if self._answers >= max(_ROUND, self.limit):
            self._answers = self._refusals = 0

    def _price(self) -> int:
        """Answers for which the limit rises by one."""
        if self._refused_at is None:
            return 1
        if 0.75 * self._refused_at <= self.limit <= self._refused_at:
            return _CAREFUL * self.limit
        return self.limit
