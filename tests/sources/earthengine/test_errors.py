"""What goes wrong with Earth Engine becomes one kind of error, once, and tells no secret."""

from __future__ import annotations

import logging
import socket
import time
import traceback
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hfaef.build.fetch.read import read_grid
from hfaef.build.fetch.retry import Policy
from hfaef.core.grid import Grid
from hfaef.errors import (
    CredentialsError,
    PermanentError,
    RecipeError,
    SourceError,
    Throttled,
    Transient,
)
from hfaef.sources.earthengine import source as earthengine
from hfaef.sources.earthengine.quota import RequestQuota
from hfaef.sources.earthengine.session import connect
from servers.earthengine import Conduct, Fault, Service, Tile, World
from servers.earthengine.client import PROJECT, TOKEN, isolate, section, source_of

YEAR = 2018
GRID = Grid("EPSG:32632", (10.0, 0, 512_000.0, 0, -10.0, 5_549_510.0), 12, 12)
WORLD = World((Tile("xa", "32N", 500_000.0, 5_540_000.0, (YEAR,)),))


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(WORLD) as running:
        yield running


def refused(status: int, message: str, **headers: str) -> Fault:
    return Fault("status", status, message, tuple(headers.items()))


TABLE = {
    "429": (refused(429, "Too many concurrent requests."), Throttled, "Too many concurrent"),
    "quota as 403": (refused(403, "Quota exceeded for quota metric 'x'."), Throttled, "Quota"),
    "aggregations": (refused(400, "Too many concurrent aggregations."), Throttled, "Too many"),
    "500": (refused(500, "An internal error has occurred"), Transient, "500"),
    "502": (refused(502, "Bad gateway"), Transient, "502"),
    "503": (Fault("status"), Transient, "unavailable"),
    "reset": (Fault("reset"), Transient, "broke the connection"),
    "truncated": (Fault("truncate"), Transient, "cut off"),
    "stalled": (Fault("stall", seconds=1.5), Transient, "in time"),
    "html": (Fault("html"), Transient, "no pixels"),
    "garbage": (Fault("garbage"), Transient, "no pixels"),
    "expired": (Fault("expire"), CredentialsError, "HFAEF_EE_TOKEN is expired"),
    "403": (refused(403, "Caller does not have permission."), CredentialsError, "permission"),
    "400": (refused(400, "Image.select: no band"), PermanentError, "Image.select: no band"),
    "404": (refused(404, "Not here."), PermanentError, "Not here"),
}


@pytest.mark.parametrize("reader", ["pixels", "xee"])
@pytest.mark.parametrize("name", TABLE)
def test_a_fault_is_one_kind_of_error_after_one_request(
    service: Service, name: str, reader: str
) -> None:
    fault, kind, words = TABLE[name]
    # A busy machine may need a second for an answer that comes.
    with source_of(service, timeout=1 if name == "stalled" else 30, reader=reader) as source:
        service.conduct.tally.requests.clear()
        service.conduct.plan([fault])
        with pytest.raises(kind, match=words) as caught:
            source.read(GRID, YEAR)
        assert type(caught.value) is kind
        assert service.conduct.tally.requests["pixels"] == 1
        # The next read is as if nothing had happened.
        assert source.read(GRID, YEAR).codes.shape == (64, 12, 12)


@pytest.mark.parametrize(
    ("headers", "message", "low", "high"),
    [
        ({"Retry-After": "7"}, "x", 7, 7),
        ({"Retry-After": "Wed, 01 Jan 2199 00:00:00 GMT"}, "x", 1e9, 1e10),
        ({"Retry-After": "soon"}, "x", None, None),
        ({}, "x", None, None),
    ],
)
def test_the_servers_delay_is_kept(
    service: Service, headers: dict[str, str], message: str, low: float | None, high: float | None
) -> None:
    with source_of(service) as source:
        service.conduct.plan([refused(429, message, **headers)])
        with pytest.raises(Throttled) as caught:
            source.read(GRID, YEAR)
    delay = caught.value.delay
    assert delay is None if low is None else low <= delay <= high


def test_what_is_too_big_for_memory_is_split_until_it_passes(service: Service) -> None:
    too_big = refused(400, "User memory limit exceeded.")
    with source_of(service) as source:
        grid = Grid(GRID.crs, GRID.transform, 40, 24)
        service.conduct.plan([too_big, None, too_big])
        codes = read_grid(source, grid, YEAR, Policy()).codes
        service.conduct.faults.clear()
        assert (codes == source.read(grid, YEAR).codes).all()
        assert service.conduct.tally.requests["pixels"] == 1 + 1 + 1 + 2 + 1
        service.conduct.faults = deque([too_big] * 100)
        with pytest.raises(PermanentError, match="memory limit"):
            read_grid(source, GRID, YEAR, Policy())
    assert len(service.conduct.faults) == 99


def test_an_operation_that_the_service_lacks_is_named(service: Service) -> None:
    import ee

    with source_of(service), pytest.raises(ee.EEException, match=r"operation Image\.entropy"):
        ee.Image(1).entropy(ee.Kernel.square(1)).getInfo()


def test_never_more_under_way_than_allowed(service: Service) -> None:
    service.conduct.latency = 0.05
    with source_of(service, max_requests=5) as source:
        service.conduct.tally.peak = 0
        with ThreadPoolExecutor(24) as pool:
            list(pool.map(lambda _: source.read(GRID, YEAR), range(60)))
        assert source.max_requests == 5
    assert service.conduct.tally.peak == 5
    assert set(service.conduct.tally.statuses) == {200}


def test_never_more_under_way_than_allowed_with_xee(service: Service) -> None:
    service.conduct.latency = 0.03
    with (
        source_of(service, max_requests=3, reader="xee") as source,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda _: source.read(GRID, YEAR), range(12)))
    assert service.conduct.tally.peak == 3


def test_never_more_a_minute_than_allowed(service: Service) -> None:
    slept = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    limit = RequestQuota(4, 6, clock=lambda: now[0], sleep=sleep)
    source = earthengine.EarthEngine(section(service), connect(section(service), limit=limit))
    try:
        # Four requests of six are spent on the start.
        for _ in range(9):
            source.read(GRID, YEAR)
    finally:
        source.close()
    assert slept == [60.0, 60.0]


def start_failure(service: Service, **keys: Any) -> RecipeError | SourceError:
    with pytest.raises((RecipeError, SourceError)) as caught, source_of(service, **keys):
        pass
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value


def test_without_a_project(service: Service) -> None:
    error = start_failure(service, project=None)
    assert type(error) is RecipeError
    assert str(error).startswith("source.project: no project")
    assert "--set source.project" in error.hint
    assert service.conduct.tally.requests == {}


def test_with_a_project_that_is_not_registered() -> None:
    conduct = Conduct(projects=frozenset({"another"}))
    with Service(WORLD, conduct) as service:
        error = start_failure(service)
    assert type(error) is CredentialsError
    assert f"Project {PROJECT} is not registered" in error.message
    assert f"https://code.earthengine.google.com/register?project={PROJECT}" in error.hint


def test_with_a_collection_that_does_not_exist(service: Service) -> None:
    error = start_failure(service, collection="GOOGLE/NO/SUCH")
    assert type(error) is RecipeError
    assert "source.collection: GOOGLE/NO/SUCH does not exist" in error.message


def test_with_a_year_that_is_not_there(service: Service) -> None:
    with pytest.raises(RecipeError, match=r"has no 2030; choose among 2018"):
        earthengine.open(section(service), [YEAR, 2030])
    assert service.conduct.tally.requests["pixels"] == 0


def test_with_a_token_that_is_not_accepted() -> None:
    with Service(WORLD, Conduct(tokens={"another"})) as service:
        error = start_failure(service)
        assert service.conduct.tally.requests["algorithms"] == 1
    assert type(error) is CredentialsError
    assert "the token in HFAEF_EE_TOKEN is expired or not valid" in error.message
    assert "export HFAEF_EE_TOKEN=" in error.hint


def test_without_credentials(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HFAEF_EE_TOKEN")
    error = start_failure(service)
    assert type(error) is CredentialsError
    assert "no Earth Engine credentials" in error.message
    assert "earthengine authenticate" in error.hint
    assert service.conduct.tally.requests == {}


@pytest.mark.parametrize("asked", ["discovery", "algorithms", "value"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("html"), SourceError),
        (Fault("status"), Transient),
        (refused(429, "Too many requests."), Throttled),
        (Fault("stall", seconds=1.5), SourceError),
        (Fault("reset"), SourceError),
    ],
)
def test_with_an_endpoint_that_answers_wrongly(
    service: Service, asked: str, fault: Fault, kind: type[SourceError]
) -> None:
    service.conduct.faults_elsewhere[asked] = fault
    error = start_failure(service, timeout=0.5)
    assert isinstance(error, kind)
    assert service.conduct.tally.requests[asked] == 1
    if fault.kind == "html":
        assert "does not answer as Earth Engine does" in error.message
        assert "source.url" in error.hint


def test_with_an_endpoint_that_nobody_serves() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        started = time.monotonic()
        with Service(WORLD) as service:
            error = start_failure(service, url=url)
    assert error.message == f"{url} does not answer: connection refused"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("name", TABLE)
def test_no_secret_in_messages_tracebacks_and_logs(
    service: Service, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fault = TABLE[name][0]
    with source_of(service, timeout=0.5) as source:
        if fault.kind == "status":
            fault = refused(fault.status, f"{fault.message} Bearer {TOKEN} and {TOKEN}")
        service.conduct.plan([fault])
        with pytest.raises(SourceError) as caught:
            source.read(GRID, YEAR)
        shown = [str(caught.value), repr(caught.value), repr(source), repr(source.__dict__)]
    assert TOKEN not in " ".join(shown)
    assert TOKEN not in caplog.text
    if fault.kind != "status":
        assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_what_the_service_says_is_shown_without_control_characters(service: Service) -> None:
    with source_of(service) as source:
        service.conduct.plan([refused(400, "no band \x1b[2J\x9b\u202eA00\r\n " + "x" * 9000)])
        with pytest.raises(PermanentError) as caught:
            source.read(GRID, YEAR)
    assert caught.value.message.startswith("Earth Engine answered 400: no band [2J A00 xxx")
    assert len(caught.value.message) < 400
