"""Whether the source, rather than this or that patch, is what fails, and for how long."""

from __future__ import annotations

import math
from collections.abc import Hashable

from hfaef.build.fetch.retry import Policy
from hfaef.errors import Throttled, Transient


class CircuitBreaker:
    """Counts failures since the last good answer: pixels, or a plain no.

    Times are seconds of one clock that never goes back.

    Args:
        policy: how many failures mean that the source is down, and how long that is borne.
        max_open: patches that may be open at once; more than these cannot fail.
        now: when the run began.
    """

    def __init__(self, policy: Policy, max_open: int, now: float) -> None:
        self._policy = policy
        self._threshold = min(policy.outage_patches, max_open)
        self._last_success = now
        self._ever_succeeded = False
        self._failing: set[Hashable] = set()
        """Patches that failed since the last good answer."""
        self._failed_probes = 0
        """Reads that failed since it is clear that the source is down."""
        self._next_probe = -math.inf
        self.given_up = 0
        """Patches given up since the last good answer."""

    @property
    def down(self) -> bool:
        """Whether it is clear that the source is what fails."""
        return len(self._failing) >= self._threshold

    def record_success(self, now: float) -> None:
        """Count a good answer: the source is not down."""
        self._last_success, self._ever_succeeded = now, True
        self._failing.clear()
        self.given_up = self._failed_probes = 0
        self._next_probe = -math.inf

    def record_failure(self, patch: Hashable, error: Throttled | Transient, now: float) -> None:
        """Count a patch that failed and will be tried again."""
        self._failing.add(patch)
        if self.down:
            self._failed_probes += 1
            self._next_probe = now + self._policy.wait(error, self._failed_probes)

    def record_given_up(self, patch: Hashable) -> None:
        """Count a patch that was given up without a plain no."""
        self._failing.discard(patch)
        self.given_up += 1

    def pause(self, now: float) -> float:
        """Seconds until a source that is down may be asked again; 0 if it is not down."""
        return max(0.0, self._next_probe - now)

    def silence(self, now: float) -> float:
        """Seconds since the last good answer."""
        return now - self._last_success

    def exhausted(self, now: float) -> bool:
        """Whether a source has been down for so long that it is to be given up."""
        policy = self._policy
        longest = policy.outage_seconds if self._ever_succeeded else policy.first_outage_seconds
        return self.down and self.silence(now) >= longest
