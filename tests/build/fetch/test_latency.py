from __future__ import annotations

import pytest

from hfaef.build.fetch.latency import LatencyTracker
from hfaef.build.fetch.retry import Policy

POLICY = Policy()
SIDE = 64 * 64


def pace_of(*seconds: float, pixels: int = SIDE) -> LatencyTracker:
    pace = LatencyTracker(POLICY)
    for took in seconds:
        pace.answered(took, pixels)
    return pace


def test_before_the_first_answer_nothing_is_doubtful_before_the_deadline() -> None:
    assert LatencyTracker(POLICY).doubtful_after(SIDE, 0) == POLICY.deadline


def test_a_read_is_doubtful_after_several_times_what_others_take() -> None:
    assert pace_of(*[0.5] * 100).doubtful_after(SIDE, 0) == pytest.approx(1.5)
    assert pace_of(*[8.0] * 100).doubtful_after(SIDE, 0) == pytest.approx(24.0)


def test_quick_reads_are_given_a_second() -> None:
    assert pace_of(*[0.01] * 100).doubtful_after(SIDE, 0) == POLICY.patience


def test_few_answers_tell_little() -> None:
    assert pace_of(0.5, 0.5).doubtful_after(SIDE, 0) == pytest.approx(15.0)


def test_the_longest_read_is_remembered_for_long_but_not_for_ever() -> None:
    pace = pace_of(*[0.5] * 50, 60.0, *[0.5] * 200)
    assert 60 < pace.doubtful_after(SIDE, 0) < 90
    for _ in range(5000):
        pace.answered(0.5, SIDE)
    assert pace.doubtful_after(SIDE, 0) == pytest.approx(1.5)


def test_each_doubt_doubles_the_patience_up_to_the_deadline() -> None:
    pace = pace_of(*[0.5] * 100)
    assert [pace.doubtful_after(SIDE, n) for n in range(3)] == pytest.approx([1.5, 3.0, 6.0])
    assert pace.doubtful_after(SIDE, 20) == POLICY.deadline


def test_a_patch_larger_than_others_may_take_longer() -> None:
    pace = pace_of(*[0.5] * 100)
    assert pace.doubtful_after(10 * SIDE, 0) == pytest.approx(15.0)
    assert pace.hopeless_after(1024 * 1024) == 4 * POLICY.deadline
