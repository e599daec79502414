"""Retries of the Hub client: which errors, how often, how long after."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hfaef.errors import HubError
from hfaef.hub.retry import RetryPolicy, TransientHubError
from servers.hub import Fault, Hub
from servers.hub.fixtures import Client

NAME = "ada/patches"


def waits_of(request: Callable[[], object]) -> tuple[list[float], object]:
    """How long a request was waited for, and what it gave or raised in the end."""
    waits: list[float] = []
    try:
        return waits, RetryPolicy(sleep=waits.append).call(request)
    except HubError as error:
        return waits, error


def failing(*errors: HubError) -> Callable[[], str]:
    """A request that raises these, one a call, and then answers."""
    left = list(errors)

    def request() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return request


def test_waits_double_and_attempts_are_bounded() -> None:
    waits, error = waits_of(failing(*[TransientHubError("down", "wait")] * 6))
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert (type(error), str(error)) == (HubError, "down; wait")
    assert waits_of(failing(*[TransientHubError("down")] * 5)) == (waits, "answer")


@pytest.mark.parametrize(
    ("found", "given", "looks"),
    [(["made"], "made", 1), ([None, "made"], "made", 2), ([None, None], "answer", 2)],
)
def test_what_writes_is_repeated_only_where_it_is_seen_that_it_wrote_nothing(
    found: list[str | None], given: str, looks: int
) -> None:
    left = list(found)
    request = failing(*[TransientHubError("down")] * 2)
    policy = RetryPolicy(sleep=lambda _: None)
    assert policy.call_once(request, lambda: left.pop(0), hint="look") == given
    assert len(found) - len(left) == looks


def test_what_is_refused_is_not_looked_for() -> None:
    def find() -> str:
        raise AssertionError

    with pytest.raises(HubError, match="refused"):
        RetryPolicy().call_once(failing(HubError("refused")), find, hint="look")


def test_what_cannot_be_looked_for_is_not_repeated() -> None:
    asked = []

    def request() -> str:
        asked.append(1)
        raise TransientHubError("down")

    def find() -> str:
        raise HubError("gone")

    with pytest.raises(HubError, match="gone"):
        RetryPolicy(sleep=lambda _: None).call_once(request, find, hint="look")
    assert asked == [1]


def test_a_servers_delay_is_waited_before_the_backoff() -> None:
    errors = [TransientHubError("busy", delay=7), TransientHubError("busy", delay=300)]
    assert waits_of(failing(*errors)) == ([7.5, 301.0], "answer")


def test_who_is_told_to_wait_for_long_is_told_so_at_once() -> None:
    waits, error = waits_of(failing(TransientHubError("busy", delay=301)))
    assert waits == []
    assert str(error) == "busy"


def test_what_will_not_pass_is_not_tried_again() -> None:
    waits, error = waits_of(failing(HubError("no"), HubError("not reached")))
    assert waits == []
    assert str(error) == "no"


def test_retries_do_not_nest() -> None:
    def request() -> object:
        return RetryPolicy(sleep=lambda _: None).call(failing(*[TransientHubError("down")] * 6))

    waits, error = waits_of(request)
    assert waits == []
    assert str(error) == "down"


LIST_VERSIONS = """
from hfaef.errors import HubError
from hfaef.hub.repo import Repo
from hfaef.hub.retry import RetryPolicy
waits = []
try:
    Repo(arguments[0], RetryPolicy(sleep=waits.append)).versions()
    answer = [waits, None]
except HubError as error:
    answer = [waits, error.message]
"""

WINDOW = {"RateLimit": '"api";r=0;t=55'}


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        (Fault("refs", "status", status=503), [0.5]),
        (Fault("refs", "lost"), [0.5]),
        (Fault("refs", "status", status=429, headers={"Retry-After": "7"}), [7.5]),
        (Fault("refs", "status", status=503, headers={"Retry-After": "7"}), [7.5]),
        (Fault("refs", "status", status=429, headers=WINDOW), [55.5]),
        (Fault("refs", "status", status=429, headers={"Retry-After": "tomorrow"}), [0.5]),
    ],
    ids=lambda value: f"{value.kind}-{value.status}" if isinstance(value, Fault) else str(value[0]),
)
def test_a_read_is_repeated_as_the_hub_asks(
    hub: Hub, client: Client, fault: Fault, waits: list[float]
) -> None:
    hub.create(NAME)
    hub.fail(fault)
    assert client.run(LIST_VERSIONS, NAME) == [waits, None]


def test_a_long_delay_is_named_in_the_error(hub: Hub, client: Client) -> None:
    hub.create(NAME)
    hub.fail(Fault("refs", "status", status=429, headers={"Retry-After": "3600"}))
    waits, message = client.run(LIST_VERSIONS, NAME)
    assert waits == []
    assert "the Hub answers 429" in message
    assert "asks to wait 3,600 s" in message
    assert len(hub.calls("refs")) == 1
