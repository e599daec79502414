"""How long reads take of late, and so when one has probably come to nothing."""

from __future__ import annotations

from collections import deque

from hfaef.build.fetch.retry import Policy

_RECENT = 100
"""Reads of late that tell how long a read takes."""

_ENOUGH = 20
"""Reads that tell it well; while there are fewer, patience is longer by what is lacking."""

_FADING = 0.999
"""What is left, with each answer, of the longest time that a read took."""

_USUAL_PIXELS = 512 * 512
"""A patch up to this size is one request to any source."""


class LatencyTracker:
    """Learns from reads that were answered.

    Args:
        policy: what makes a read late.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._took: deque[float] = deque(maxlen=_RECENT)
        self._pixels: deque[int] = deque(maxlen=_RECENT)
        self._usual: float | None = None
        """Seconds that nine of ten reads of late took; None before the first was answered."""
        self._longest = 0.0

    def answered(self, seconds: float, pixels: int) -> None:
        """Take note of a read that brought its patch, of so many pixels."""
        self._took.append(seconds)
        self._pixels.append(pixels)
        self._longest = max(seconds, self._longest * _FADING)
        self._usual = sorted(self._took)[9 * len(self._took) // 10]

    def doubtful_after(self, pixels: int, doubts: int) -> float:
        """Seconds after which a read is doubtful, while others are answered.

        Args:
            pixels: of the patch; one that is larger than others may take longer, by as much.
            doubts: how many reads of the same patch were doubtful before.
        """
        policy = self._policy
        if self._usual is None:
            return self.hopeless_after(pixels)
        seconds = max(
            policy.patience, policy.late_factor * self._usual, policy.late_margin * self._longest
        )
        seconds *= max(1.0, _ENOUGH / len(self._took))
        seconds *= max(1.0, pixels * len(self._pixels) / sum(self._pixels))
        # A patch that is merely slow is not asked for again and again.
        return min(seconds * 2.0**doubts, self.hopeless_after(pixels))

    def hopeless_after(self, pixels: int) -> float:
        """Seconds after which a read is given up."""
        return self._policy.deadline * max(1.0, pixels / _USUAL_PIXELS)
