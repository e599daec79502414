from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.sources.rate_limiter import MINUTE, RateLimiter


@given(st.integers(1, 30), st.lists(st.floats(0, 20), min_size=1, max_size=200))
def test_no_span_of_a_minute_has_more_starts_than_the_rate(
    per_minute: int, pauses: list[float]
) -> None:
    rate = RateLimiter(per_minute)
    now, starts = 0.0, []
    for pause in pauses:
        now = rate.reserve(now + pause)
        starts.append(now)
    for first, last in zip(starts, starts[per_minute:], strict=False):
        assert last >= first + MINUTE


def test_starts_may_be_reserved_ahead_of_time() -> None:
    rate = RateLimiter(2)
    assert [rate.reserve(5.0) for _ in range(6)] == [5.0, 5.0, 65.0, 65.0, 125.0, 125.0]


def test_without_a_rate_everything_starts_at_once() -> None:
    rate = RateLimiter(None)
    assert [rate.reserve(5.0) for _ in range(1000)] == [5.0] * 1000


def test_a_rate_that_lets_none_in_is_refused() -> None:
    with pytest.raises(ValueError, match="lets none in"):
        RateLimiter(0)
