from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.build.fetch.concurrency_limit import ConcurrencyLimit


def test_starts_low_and_reaches_the_ceiling_while_all_goes_well() -> None:
    concurrency = ConcurrencyLimit(40)
    assert concurrency.limit == 10
    for _ in range(200):
        concurrency.record_success(full=True)
    assert concurrency.limit == 40


def test_a_limit_that_was_not_reached_is_not_raised() -> None:
    concurrency = ConcurrencyLimit(40)
    for _ in range(500):
        concurrency.record_success(full=False)
    assert concurrency.limit == 10


def test_several_refusals_halve_the_limit_once() -> None:
    concurrency = ConcurrencyLimit(40)
    for _ in range(100):
        concurrency.record_success(full=True)
    for _ in range(30):
        concurrency.record_refusal(started=1.0, now=2.0)
    assert concurrency.limit == 20
    assert concurrency.cuts == 1


def test_reads_from_after_the_cut_halve_it_again() -> None:
    concurrency = ConcurrencyLimit(8)
    limits = []
    for now in range(10):
        for _ in range(9):
            concurrency.record_refusal(started=now, now=now + 0.5)
        limits.append(concurrency.limit)
    assert limits[-1] == 1


def test_one_refusal_among_many_answers_is_noise() -> None:
    concurrency = ConcurrencyLimit(40)
    for _ in range(100):
        for _ in range(24):
            concurrency.record_success(full=True)
        concurrency.record_refusal(started=1.0, now=1.0)
    assert concurrency.limit == 40
    assert concurrency.cuts == 0


def test_slow_refusals_just_over_a_quota_take_the_limit_back_a_little() -> None:
    concurrency = ConcurrencyLimit(11)
    while concurrency.limit < 11:
        concurrency.record_success(full=True)
    for _ in range(40):
        concurrency.record_refusal(started=1.0, now=1.0)
        for _ in range(10):
            concurrency.record_success(full=True)
    assert concurrency.limit in (9, 10)


def test_after_a_cut_the_limit_rises_by_one_a_round_and_carefully_near_the_last_one() -> None:
    concurrency = ConcurrencyLimit(40)
    while concurrency.limit < 20:
        concurrency.record_success(full=True)
    for _ in range(9):
        concurrency.record_refusal(started=1.0, now=2.0)
    assert concurrency.limit == 10
    for _ in range(10):
        concurrency.record_success(full=True)
    assert concurrency.limit == 11
    while concurrency.limit < 15:
        concurrency.record_success(full=True)
    for _ in range(16 * 15 - 1):
        concurrency.record_success(full=True)
    assert concurrency.limit == 15
    concurrency.record_success(full=True)
    assert concurrency.limit == 16


def test_a_servers_delay_holds_up_all_reads() -> None:
    concurrency = ConcurrencyLimit(40)
    concurrency.record_refusal(started=0.0, now=10.0, delay=7.0)
    assert concurrency.pause(10.0) == 0.0
    concurrency.record_refusal(started=0.0, now=10.0, delay=7.0)
    assert concurrency.pause(10.0) == 7.0
    assert concurrency.pause(18.0) == 0.0


def test_a_limit_that_lets_none_in_is_refused() -> None:
    with pytest.raises(ValueError, match="lets none in"):
        ConcurrencyLimit(0)


@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.booleans(), st.floats(0, 50), st.floats(0, 5)), max_size=300),
)
def test_the_limit_stays_within_one_and_the_ceiling(
    ceiling: int, answers: list[tuple[bool, float, float]]
) -> None:
    concurrency = ConcurrencyLimit(ceiling)
    now = 0.0
    for good, age, step in answers:
        now += step
        if good:
            concurrency.record_success(full=True)
        else:
            concurrency.record_refusal(now - age, now)
        assert 1 <= concurrency.limit <= ceiling
