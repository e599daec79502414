"""The gate that keeps quotas: never more at once, never more a minute."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfaef.sources.earthengine.quota import RequestQuota
from hfaef.sources.rate_limiter import MINUTE


class Clock:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(
    per_minute=st.integers(1, 7),
    steps=st.lists(st.sampled_from([0.0, 0.5, 9.0, 61.0]), max_size=40),
)
@settings(deadline=None)
def test_no_minute_has_more_starts_than_allowed(per_minute: int, steps: list[float]) -> None:
    clock = Clock()
    quota = RequestQuota(3, per_minute, clock=clock, sleep=clock.sleep)
    starts = []
    for step in steps:
        clock.now += step
        with quota:
            starts.append(clock.now)
    for start in starts:
        assert sum(start <= other < start + MINUTE for other in starts) <= per_minute


def test_the_rate_is_used_to_the_full() -> None:
    clock = Clock()
    quota = RequestQuota(1, 10, clock=clock, sleep=clock.sleep)
    for _ in range(31):
        with quota:
            pass
    assert clock.now == 100 + 3 * MINUTE


def test_never_more_at_once_than_allowed() -> None:
    quota = RequestQuota(3, 1000)
    inside, peak, lock = 0, 0, threading.Lock()
    together = threading.Barrier(3, timeout=5)

    def work(number: int) -> None:
        nonlocal inside, peak
        with quota:
            with lock:
                inside += 1
                peak = max(peak, inside)
            if number < 3:
                together.wait()
            with lock:
                inside -= 1

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(100)))
    assert peak == 3


def test_a_failure_or_an_interrupt_gives_the_place_back() -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    quota = RequestQuota(1, 1, sleep=interrupted)
    with pytest.raises(OSError, match="broken"), quota:
        raise OSError("broken")
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt), quota:
            pass


@pytest.mark.parametrize("numbers", [(0, 10), (10, 0), (-1, 1)])
def test_a_quota_lets_somebody_in(numbers: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="lets none in"):
        RequestQuota(*numbers)


def test_closing_wakes_those_who_wait_for_the_minute_to_pass() -> None:
    quota = RequestQuota(4, 1)
    with quota:
        pass
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(quota.__enter__) for _ in range(2)]
        quota.close()
        for each in waiting:
            with pytest.raises(ConnectionAbortedError, match="closed"):
                each.result(timeout=5)
    with pytest.raises(ConnectionAbortedError), quota:
        pass
