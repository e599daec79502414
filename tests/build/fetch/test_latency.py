from __future__ import annotations

import pytest

from hfaef.build.fetch.latency import LatencyTracker
from hfaef.build.fetch.retry import Policy

POLICY = Policy()
SIDE = 64 * 64


def tracker_of(*seconds: float, pixels: int = SIDE) -> LatencyTracker:
    tracker = LatencyTracker(POLICY)
    for took in seconds:
        tracker.record(took, pixels)
    return tracker


def test_before_the_first_answer_no_read_is_hedged() -> None:
    assert LatencyTracker(POLICY).hedge_delay(SIDE, 0) == POLICY.deadline


def test_a_read_is_hedged_after_several_times_what_others_take() -> None:
    assert tracker_of(*[0.5] * 100).hedge_delay(SIDE, 0) == pytest.approx(1.5)
    assert tracker_of(*[8.0] * 100).hedge_delay(SIDE, 0) == pytest.approx(24.0)


def test_quick_reads_are_not_hedged_within_a_second() -> None:
    assert tracker_of(*[0.01] * 100).hedge_delay(SIDE, 0) == POLICY.min_hedge_delay


def test_few_answers_tell_little() -> None:
    assert tracker_of(0.5, 0.5).hedge_delay(SIDE, 0) == pytest.approx(15.0)


def test_the_longest_read_is_remembered_for_long_but_not_for_ever() -> None:
    tracker = tracker_of(*[0.5] * 50, 60.0, *[0.5] * 200)
    assert 60 < tracker.hedge_delay(SIDE, 0) < 90
    for _ in range(5000):
        tracker.record(0.5, SIDE)
    assert tracker.hedge_delay(SIDE, 0) == pytest.approx(1.5)


def test_each_hedge_doubles_the_delay_up_to_the_deadline() -> None:
    tracker = tracker_of(*[0.5] * 100)
    assert [tracker.hedge_delay(SIDE, n) for n in range(3)] == pytest.approx([1.5, 3.0, 6.0])
    assert tracker.hedge_delay(SIDE, 20) == POLICY.deadline


def test_a_patch_larger_than_others_may_take_longer() -> None:
    tracker = tracker_of(*[0.5] * 100)
    assert tracker.hedge_delay(10 * SIDE, 0) == pytest.approx(15.0)
    assert tracker.deadline(1024 * 1024) == 4 * POLICY.deadline
