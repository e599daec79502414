"""Retries of requests to the Hub: which errors, how often, how long after."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hfaef.errors import HubError

Result = TypeVar("Result")

_LOG = logging.getLogger(__name__)


class TransientHubError(HubError):
    """The same request may succeed later; of one that writes, it is not known whether it did.

    Args:
        message: what the Hub said.
        delay: seconds the Hub asks to wait, if it said so.
    """

    def __init__(self, message: str, hint: str = "", *, delay: float | None = None) -> None:
        super().__init__(message, hint)
        self.delay = delay


@dataclass(frozen=True)
class RetryPolicy:
    """How patient hfaef is with the Hub.

    Retried is what ends with a TransientHubError: a broken connection, the statuses 408, 429, 500,
    502, 503 and 504, and the conflicts 409 and 412. Reads are repeated as they are; a commit or a
    tag only after a look at the repository shows that it was not made. Uploads and pages of
    listings are left to huggingface_hub, which asks for each up to six times itself.

    Attempts are bounded because a person waits, and the next push goes on where one stopped: the
    last attempt starts 15.5 s after the first failure. The Hub's delays are bounded by the five
    minutes over which it counts requests, https://huggingface.co/docs/hub/rate-limits.
    """

    attempts: int = 6
    """Of one request, the first one too."""
    first_wait: float = 0.5
    """Seconds before the second attempt; they double with each further one."""
    longest_wait: float = 8.0
    """Seconds that a wait may grow to."""
    longest_delay: float = 300.0
    """Seconds that the Hub may ask to wait, which come before the wait above; if it asks for more,
    there is no further attempt."""
    sleep: Callable[[float], None] = time.sleep

    def call(self, request: Callable[[], Result], *, hint: str | None = None) -> Result:
        """What a request gives, tried again while it raises a TransientHubError.

        Args:
            request: that is safe to repeat when it raised one.
            hint: for the error after the last attempt; the request's own by default.

        Raises:
            HubError: of the last attempt; never a TransientHubError, so that retries do not nest.
        """
        for attempt in itertools.count(1):
            try:
                return request()
            except TransientHubError as error:
                delay = error.delay or 0.0
                if attempt >= self.attempts or delay > self.longest_delay:
                    raise HubError(error.message, hint or error.hint) from error
                wait = delay + min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)
                _LOG.info("the Hub is asked again in %.1f s: %s", wait, error.message)
                self.sleep(wait)
        raise AssertionError("unreachable")
