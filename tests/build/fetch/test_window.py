from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.build.fetch.window import ConcurrencyLimit, Rate


def test_starts_low_and_reaches_the_ceiling_while_all_goes_well() -> None:
    window = ConcurrencyLimit(40)
    assert window.limit == 10
    for _ in range(200):
        window.accepted(full=True)
    assert window.limit == 40


def test_a_limit_that_was_not_reached_is_not_raised() -> None:
    window = ConcurrencyLimit(40)
    for _ in range(500):
        window.accepted(full=False)
    assert window.limit == 10


def test_several_refusals_halve_the_limit_once() -> None:
    window = ConcurrencyLimit(40)
    for _ in range(100):
        window.accepted(full=True)
    for _ in range(30):
        window.refused(started=1.0, now=2.0)
    assert window.limit == 20
    assert window.cuts == 1


def test_reads_from_after_the_cut_halve_it_again() -> None:
    window = ConcurrencyLimit(8)
    limits = []
    for now in range(10):
        for _ in range(9):
            window.refused(started=now, now=now + 0.5)
        limits.append(window.limit)
    assert limits[-1] == 1


def test_one_refusal_among_many_answers_is_noise() -> None:
    window = ConcurrencyLimit(40)
    for _ in range(100):
        for _ in range(24):
            window.accepted(full=True)
        window.refused(started=1.0, now=1.0)
    assert window.limit == 40
    assert window.cuts == 0


def test_slow_refusals_just_over_a_quota_take_the_limit_back_a_little() -> None:
    window = ConcurrencyLimit(11)
    while window.limit < 11:
        window.accepted(full=True)
    for _ in range(40):
        window.refused(started=1.0, now=1.0)
        for _ in range(10):
            window.accepted(full=True)
    assert window.limit in (9, 10)


def test_after_a_cut_the_limit_rises_by_one_a_round_and_carefully_near_the_last_one() -> None:
    window = ConcurrencyLimit(40)
    while window.limit < 20:
        window.accepted(full=True)
    for _ in range(9):
        window.refused(started=1.0, now=2.0)
    assert window.limit == 10
    for _ in range(10):
        window.accepted(full=True)
    assert window.limit == 11
    while window.limit < 15:
        window.accepted(full=True)
    for _ in range(16 * 15 - 1):
        window.accepted(full=True)
    assert window.limit == 15
    window.accepted(full=True)
    assert window.limit == 16


def test_a_servers_delay_holds_up_all_reads() -> None:
    window = ConcurrencyLimit(40)
    window.refused(started=0.0, now=10.0, delay=7.0)
    assert window.pause(10.0) == 0.0
    window.refused(started=0.0, now=10.0, delay=7.0)
    assert window.pause(10.0) == 7.0
    assert window.pause(18.0) == 0.0


def test_a_delay_of_a_year_is_not_waited_for() -> None:
    window = ConcurrencyLimit(1)
    window.refused(started=0.0, now=0.0, delay=3e7)
    assert window.pause(0.0) == 600.0


def test_a_limit_that_lets_none_in_is_refused() -> None:
    with pytest.raises(ValueError, match="lets none in"):
        ConcurrencyLimit(0)
    with pytest.raises(ValueError, match="lets none in"):
        Rate(0)


@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.booleans(), st.floats(0, 50), st.floats(0, 5)), max_size=300),
)
def test_the_limit_stays_within_one_and_the_ceiling(
    ceiling: int, answers: list[tuple[bool, float, float]]
) -> None:
    window = ConcurrencyLimit(ceiling)
    now = 0.0
    for good, age, step in answers:
        now += step
        if good:
            window.accepted(full=True)
        else:
            window.refused(now - age, now)
        assert 1 <= window.limit <= ceiling


@given(st.integers(1, 30), st.lists(st.floats(0, 20), min_size=1, max_size=200))
def test_no_span_of_a_minute_has_more_starts_than_the_rate(
    per_minute: int, pauses: list[float]
) -> None:
    rate = Rate(per_minute)
    now, starts = 0.0, []
    for pause in pauses:
        now += pause
        now += rate.wait(now)
        rate.started(now)
        starts.append(now)
    for first, last in zip(starts, starts[per_minute:], strict=False):
        assert last - first >= 60.0 - 1e-6
