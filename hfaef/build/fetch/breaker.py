"""Whether the source, rather than this or that patch, is what fails, and for how long."""

from __future__ import annotations

import math

from hfaef.build.fetch.retry import Policy
from hfaef.errors import Throttled, Transient


class CircuitBreaker:
    """Failures since the last good answer: pixels, or a plain no.

    Times are seconds of one clock that never goes back.

    Args:
        policy: how many failures mean that the source is down, and how long that is borne.
        open_most: patches that may be open at once; more than these cannot fail.
        now: when the run began.
    """

    def __init__(self, policy: Policy, open_most: int, now: float) -> None:
        self._policy = policy
        self._enough = min(policy.outage_patches, open_most)
        self._good = now
        self._ever_good = False
        self._failing: set[int] = set()
        """Patches that failed since the last good answer, each by a number of its own."""
        self._probes = 0
        """Reads that failed since it is clear that the source is down."""
        self._next_probe = -math.inf
        self.given_up = 0
        """Patches given up since the last good answer."""

    @property
    def down(self) -> bool:
        """Whether it is clear that the source is what fails."""
        return len(self._failing) >= self._enough

    def over(self, now: float) -> None:
        """Take note of a good answer."""
        self._good, self._ever_good = now, True
        self._failing.clear()
        self.given_up = self._probes = 0
        self._next_probe = -math.inf

    def failed(self, patch: int, error: Throttled | Transient, now: float) -> None:
        """Take note of a patch that will be tried again."""
        self._failing.add(patch)
        if self.down:
            self._probes += 1
            self._next_probe = now + self._policy.wait(error, self._probes)

    def lost(self, patch: int) -> None:
        """Take note of a patch that was given up without a plain no."""
        self._failing.discard(patch)
        self.given_up += 1

    def pause(self, now: float) -> float:
        """Seconds until a source that is down may be asked again; 0 if it is not down."""
        return max(0.0, self._next_probe - now)

    def seconds(self, now: float) -> float:
        """Seconds since the last good answer."""
        return now - self._good

    def too_long(self, now: float) -> bool:
        """Whether a source that is down is to be given up."""
        policy = self._policy
        patience = policy.outage_seconds if self._ever_good else policy.first_outage_seconds
        return self.down and self.seconds(now) >= patience

    def forgive(self, seconds: float) -> None:
        """Do not count seconds in which the machine slept."""
        self._good += seconds
