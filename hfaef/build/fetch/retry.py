"""How patient a build is with its source: how many tries, and how long it waits before each."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hfaef.errors import Throttled, Transient

Result = TypeVar("Result")

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """Limits on retries, hedged requests and outages, and how long is waited."""

    attempts: int = 8
    """Reads of one patch that may fail for reasons that pass; being throttled does not count."""
    first_wait: float = 0.5
    """Seconds: the longest wait before the second try; it doubles with each further one."""
    longest_wait: float = 30.0
    """Seconds that a wait may grow to."""
    longest_delay: float = 600.0
    """Seconds of a server's own delay that are honoured."""
    min_hedge_delay: float = 1.0
    """Seconds before which no read is hedged: started once more, so that the first answer of the
    two counts."""
    hedge_factor: float = 3.0
    """Nor is it before it took this many times what nine of ten others took."""
    hedge_margin: float = 1.5
    """Nor before it took this many times what the longest of all took, as sources have patches that
    are merely slow; the memory of it fades."""
    deadline: float = 330.0
    """Seconds after which a read is abandoned; Earth Engine gives a request 300:
    https://developers.google.com/earth-engine/guides/computation_overview"""
    outage_patches: int = 20
    """Patches that fail one after another, without one good answer between, that mean: the source
    is down. From then on it is asked now and then, and no patch is given up for it."""
    outage_seconds: float = 600.0
    """Seconds without a good answer after which a source that is down is given up."""
    first_outage_seconds: float = 60.0
    """The same for a source that never gave one."""

    def backoff(self, tries: int) -> float:
        """Seconds to wait after so many failures, exponential with full jitter.

        Those that failed together do not come back together:
        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        longest = self.first_wait * 2.0 ** min(tries - 1, 100)
        return random.uniform(0, min(longest, self.longest_wait))  # noqa: S311 - guards nothing

    def delay(self, error: Throttled | Transient) -> float:
        """Seconds that a server asks to wait; 0 if it does not."""
        delay = error.delay if isinstance(error, Throttled) else None
        return min(delay or 0.0, self.longest_delay)

    def wait(self, error: Throttled | Transient, tries: int) -> float:
        """Seconds to wait before a patch is tried again, after so many failures of this kind."""
        return self.delay(error) + self.backoff(tries)

    def retry(
        self, call: Callable[[], Result], sleep: Callable[[float], None] = time.sleep
    ) -> Result:
        """What a call gives, tried again in place; for steps within the read of one patch.

        Being throttled counts as a try here, as nobody else sees it.
        """
        for tries in range(1, self.attempts):
            try:
                return call()
            except (Throttled, Transient) as error:
                wait = self.wait(error, tries)
                _LOG.info("a step is tried again in %.1f s: %s", wait, error.message)
                sleep(wait)
        return call()
