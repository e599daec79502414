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
        self._failing_since: float | None = None
        """When the first of them failed."""
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
        self._failing_since = None
        self.given_up = self._failed_probes = 0
        self._next_probe = -math.inf

    def record_failure(self, patch: Hashable, error: Throttled | Transient, now: float) -> None:
        """Count a patch that failed and will be tried again."""
        self._failing.add(patch)
        if self._failing_since is None:
            self._failing_since = now
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

    def exhausted(self, error: Throttled | Transient, now: float) -> bool:
        """Whether a source is to be given up, as it has been down for too long.

        Few patches never show that it is down. What fails is then given up patch by patch; but
        refusals count against no patch, so for them the time alone decides.

        Args:
            error: what the last read failed with.
            now: the time.
        """
        policy = self._policy
        longest = policy.outage_seconds if self._ever_succeeded else policy.first_outage_seconds
        if self.down:
            return self.silence(now) >= longest
        since = self._failing_since
        return isinstance(error, Throttled) and since is not None and now - since >= longest
