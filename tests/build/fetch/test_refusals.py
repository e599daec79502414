"""A source that refuses for ever ends, with its own words, however few patches are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import read_patch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.staging.store import Store
from hfaef.errors import QuotaExhausted, SourceError, Throttled, Transient
from servers.earthengine import Fault, Service, Tile, World
from servers.earthengine.client import TOKEN, isolate, source_of
from support.fakes import BATCHES, Simulate, patches, run

MONTH = (
    "Quota exceeded for quota metric 'EECU usage' and limit 'EECU-seconds per month' of service "
    "'earthengine.googleapis.com' for consumer 'project_number:1'."
)


@BATCHES
@pytest.mark.parametrize("count", [1, 2, 7, 19, 20])
def test_refusals_for_ever_end_after_the_outage_time(
    store: Store, simulate: Simulate, count: int, batch: int
) -> None:
    executor = simulate(
        batch=batch, quota=lambda _: 0, refusal=lambda: Throttled("503 SlowDown says S3")
    )
    started = executor.clock.now
    run(patches(count), executor, store)
    assert 60 <= executor.clock.now - started < 120
    assert sum(executor.tries.values()) < 20 * count + 20
    outcomes = store.outcomes().values()
    assert len(outcomes) == count
    assert all("503 SlowDown says S3" in outcome.reason for outcome in outcomes)


@pytest.mark.parametrize("left", [1, 5, 19])
def test_a_source_that_gave_pixels_before_is_borne_longer(
    store: Store, simulate: Simulate, left: int
) -> None:
    wanted = patches(100)
    last = {patch.id for patch in wanted[-left:]}
    executor = simulate(fault=lambda patch, *_: Throttled("429") if patch.id in last else None)
    started = executor.clock.now
    run(wanted, executor, store)
    assert 600 <= executor.clock.now - started < 700
    outcomes = store.outcomes()
    assert {name for (_, name), found in outcomes.items() if not found.fetched} == last


@BATCHES
@pytest.mark.parametrize("count", [1, 5])
def test_refusals_that_end_within_the_outage_time_lose_nothing(
    store: Store, simulate: Simulate, count: int, batch: int
) -> None:
    executor = simulate(batch=batch, quota=lambda now: 0 if now < 1050 else 40)
    run(patches(count), executor, store)
    assert all(outcome.fetched for outcome in store.outcomes().values())


def test_refusals_and_failures_by_turns_end(store: Store, simulate: Simulate) -> None:
    executor = simulate(
        fault=lambda _, tried, __: Throttled("429") if tried % 2 else Transient("503")
    )
    started = executor.clock.now
    run(patches(3), executor, store)
    assert executor.clock.now - started < 200
    assert not any(outcome.fetched for outcome in store.outcomes().values())


@BATCHES
@pytest.mark.parametrize("count", [1, 5, 500])
def test_a_quota_of_the_month_ends_the_run_at_once(
    store: Store, simulate: Simulate, count: int, batch: int
) -> None:
    executor = simulate(batch=batch, fault=lambda *_: QuotaExhausted(MONTH, "next month"))
    started = executor.clock.now
    with pytest.raises(QuotaExhausted, match="EECU-seconds per month"):
        run(patches(count), executor, store)
    assert executor.clock.now - started < 1
    assert sum(executor.tries.values()) <= 10
    assert not store.outcomes()  # nothing is held against a patch


def test_those_who_watch_see_the_last_words(
    store: Store, simulate: Simulate, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "503 come back\x1b[2J later, [/bold] " + "x" * 500
    executor = simulate(quota=lambda _: 0, refusal=lambda: Throttled(words))
    with pytest.raises(SourceError, match="the source is down"):
        run(patches(500), executor, store)
    shown = capsys.readouterr().err
    assert "last answer: 503 come back [2J later, [/bold] xxx" in shown
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) < 200


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)
    world = World((Tile("xa", "32N", 400_000.0, 5_290_000.0, (2018,)),))
    with Service(world) as running:
        yield running


QUICK = Policy(first_wait=0.05, longest_wait=0.2, first_outage_seconds=1.5, outage_seconds=1.5)


def fetch_from(service: Service, store: Store, count: int) -> None:
    with source_of(service) as source:
        read = partial(read_patch, source, store.pixels, QUICK)
        fetch(patches(count), ThreadExecutor(read, 4), store, policy=QUICK)


def test_earth_engine_refusing_for_ever_ends_over_the_wire(service: Service, store: Store) -> None:
    service.conduct.faults_elsewhere["pixels"] = Fault(
        "status", 429, "Too many concurrent requests"
    )
    fetch_from(service, store, 3)
    reasons = [outcome.reason for outcome in store.outcomes().values()]
    assert len(reasons) == 3
    assert all("answered 429: Too many concurrent requests" in reason for reason in reasons)


@pytest.mark.parametrize("status", [429, 403])
def test_earth_engines_quota_of_the_month_ends_over_the_wire_at_once(
    service: Service, store: Store, status: int
) -> None:
    service.conduct.faults_elsewhere["pixels"] = Fault("status", status, MONTH)
    with pytest.raises(QuotaExhausted, match="EECU-seconds per month") as caught:
        fetch_from(service, store, 19)
    assert "source.project" in caught.value.hint
    assert service.conduct.tally.requests["pixels"] <= 4
