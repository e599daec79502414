"""When a read that failed is tried again, by the kind of its error: the one owner of retries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from tenacity import (
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception_type,
    stop_after_attempt,
)
from tenacity.wait import wait_base, wait_random_exponential

from hfaef.errors import Throttled, Transient

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """How patient a build is with its source."""

    attempts: int = 8
    """Tries of one patch that may fail for reasons that pass; being throttled is not a failure."""
    first_wait: float = 0.5
    """Seconds: the longest wait before the second try; it doubles with each further one."""
    longest_wait: float = 30.0
    """Seconds that a wait may grow to."""
    longest_delay: float = 600.0
    """Seconds of a server's own delay that are honoured."""
    patience: float = 1.0
    """Seconds before which no read is doubtful. One that is, while others are answered, is begun
    once more in its place, and the first answer of the two counts."""
    late_factor: float = 3.0
    """A read is not doubtful before it took this many times what nine of ten others took."""
    late_margin: float = 1.5
    """Nor before it took this many times what the longest of all took, as sources have patches that
    are merely slow; the memory of it fades."""
    deadline: float = 330.0
    """Seconds after which a read is given up; Earth Engine gives a request 300:
    https://developers.google.com/earth-engine/guides/computation_overview"""
    outage_patches: int = 20
    """Patches that fail one after another, without one good answer between, that mean: the source
    is down. From then on it is asked now and then, and no patch is given up for it."""
    outage_seconds: float = 600.0
    """Seconds without a good answer after which a source that is down is given up."""
    first_outage_seconds: float = 60.0
    """The same for a source that never gave one."""

    @cached_property
    def _backoff(self) -> wait_base:
        return wait_random_exponential(multiplier=self.first_wait, max=self.longest_wait)

    def wait(self, error: Throttled | Transient, tries: int) -> float:
        """Seconds to wait before a patch is tried again.

        Args:
            error: what its last try ended with.
            tries: how many ended with the like.
        """
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = tries
        delay = error.delay if isinstance(error, Throttled) and error.delay else 0.0
        # Later than the delay by some: those refused together do not come back together.
        return min(delay, self.longest_delay) + self._backoff(state)

    def retrying(self, sleep: Callable[[float], None] = time.sleep) -> Retrying:
        """Tries a function again in place; for the parts of a patch, which are read in a row."""
        return Retrying(
            retry=retry_if_exception_type((Throttled, Transient)),
            stop=stop_after_attempt(self.attempts),
            wait=self._backoff,
            sleep=sleep,
            before_sleep=before_sleep_log(_LOG, logging.INFO),
            reraise=True,
        )
