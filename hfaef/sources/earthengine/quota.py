"""How many requests may be under way at once, and how many may start in a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from hfaef.sources.rate_limiter import RateLimiter


class RequestQuota:
    """A gate for threads, used as ``with quota: ...`` round each request.

    Never more than `at_once` are inside, and in no span of 60 seconds do more than `per_minute`
    enter; a request that comes too early waits.

    Args:
        at_once: requests under way at the same time, 1 or more.
        per_minute: starts in any 60 seconds, 1 or more.
        clock: seconds that never go back.
        sleep: waits for so many seconds; by default until `close` at most.
    """

    def __init__(
        self,
        at_once: int,
        per_minute: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        if at_once < 1:
            raise ValueError(f"a quota of {at_once} at once lets none in")
        self._slots = threading.BoundedSemaphore(at_once)
        self._rate = RateLimiter(per_minute)
        self._lock = threading.Lock()
        self._clock = clock
        self._closed = threading.Event()
        self._sleep = sleep or self._closed.wait

    def close(self) -> None:
        """Let nobody in any more; a request that waits for its start raises ConnectionAbortedError."""
        self._closed.set()

    def __enter__(self) -> None:
        self._slots.acquire()
        try:
            self._wait()
        except BaseException:
            self._slots.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._slots.release()

    def _wait(self) -> None:
        with self._lock:
            start = self._rate.reserve(self._clock())
        while not self._closed.is_set() and (wait := start - self._clock()) > 0:
            self._sleep(wait)
        if self._closed.is_set():
            raise ConnectionAbortedError("closed before it was this request's turn")
