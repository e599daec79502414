from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfaef.errors import retry_after


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("7", 7, 7),
        ("0.5", 0.5, 0.5),
        ("-3", 0, 0),
        ("Wed, 01 Jan 2199 00:00:00 GMT", 1e9, 1e10),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 0, 0),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(header: str, low: float, high: float) -> None:
    seconds = retry_after(header)
    assert seconds is not None
    assert low <= seconds <= high


@pytest.mark.parametrize("header", [None, "", "soon", "Wed, 99 Jan 2020 00:00:00 GMT"])
def test_a_header_that_is_neither_asks_for_no_delay(header: str | None) -> None:
    assert retry_after(header) is None


@given(st.text(max_size=40) | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [+-]?\w*"))
@example("nan")
@example("inf")
@example("Wed, 01 Jan 2020 00:00:00 -0000")
@example("Wed, 01 Jan 99999999999 00:00:00 GMT")
@example("Wed, 01 Jan 2020 00:00:00 +999999")
def test_no_header_does_more_than_ask_for_no_delay(header: str) -> None:
    seconds = retry_after(header)
    assert seconds is None or seconds >= 0
