"""How long reads take of late, and so when one is hedged and when it is abandoned."""

from __future__ import annotations

from collections import deque

from hfaef.build.fetch.attempts import ReadAttempt
from hfaef.build.fetch.retry import Policy

_RECENT = 100
"""Reads of late that tell how long a read takes."""

_ENOUGH = 20
"""Reads that tell it well; while there are fewer, the delay is longer by what is lacking."""

_FADING = 0.999
"""What is left, with each answer, of the longest time that a read took."""

_MAX_HEDGES = 3
"""Reads of a patch that are hedged; the next one is waited for."""

_ONE_REQUEST_PIXELS = 512 * 512
"""A patch up to this size is one request to any source."""


class LatencyTracker:
    """Learns from reads that brought their patch.

    Args:
        policy: the least and the longest delays.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._seconds: deque[float] = deque(maxlen=_RECENT)
        self._pixels: deque[int] = deque(maxlen=_RECENT)
        self._p90: float | None = None
        """Seconds that nine of ten reads of late took; None before the first completed."""
        self._longest = 0.0

    def record(self, seconds: float, pixels: int) -> None:
        """Count a read of a patch of so many pixels."""
        self._seconds.append(seconds)
        self._pixels.append(pixels)
        self._longest = max(seconds, self._longest * _FADING)
        self._p90 = sorted(self._seconds)[9 * len(self._seconds) // 10]

    def hedge_delay(self, pixels: int, hedges: int) -> float:
        """Seconds after which a read is hedged, while others complete.

        Args:
            pixels: of the patch; one that is larger than others may take longer, by as much.
            hedges: how many reads of the same patch were hedged before.
        """
        policy = self._policy
        if self._p90 is None:
            return self.deadline(pixels)
        seconds = max(
            policy.min_hedge_delay,
            policy.hedge_factor * self._p90,
            policy.hedge_margin * self._longest,
        )
        seconds *= max(1.0, _ENOUGH / len(self._seconds))
        seconds *= max(1.0, pixels * len(self._pixels) / sum(self._pixels))
        # A patch that is merely slow is not asked for again and again.
        return min(seconds * 2.0**hedges, self.deadline(pixels))

    def deadline(self, pixels: int) -> float:
        """Seconds after which a read is abandoned."""
        return self._policy.deadline * max(1.0, pixels / _ONE_REQUEST_PIXELS)

    def decide_at(self, read: ReadAttempt, *, hedge: bool) -> float:
        """When a read is hedged, or abandoned if it is not hedged before.

        Args:
            read: that is under way.
            hedge: whether it may be hedged, as far as other reads go.
        """
        state = read.state
        if not hedge or read.hedged or state.hedges >= _MAX_HEDGES:
            return read.started + self.deadline(state.pixels)
        return read.started + self.hedge_delay(state.pixels, state.hedges)
