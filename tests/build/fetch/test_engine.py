from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import read_patch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.errors import (
    CredentialsError,
    FolderError,
    PermanentError,
    SourceError,
    Throttled,
    Transient,
)
from support.fakes import BATCHES, FieldSource, Simulate, patches, run, wrong


def some_faults(share: float, seed: int = 3) -> Callable[[Patch, int, float], Exception | None]:
    random = np.random.default_rng(seed)
    kinds = (Throttled("429"), Transient("503"), Transient("reset"), Transient("cut off"))
    return lambda _patch, _try, _now: kinds[random.integers(4)] if random.random() < share else None


@BATCHES
def test_a_fifth_of_answers_may_fail_and_nothing_is_lost(
    store: Store, simulate: Simulate, batch: int
) -> None:
    wanted = patches(600)
    executor = simulate(batch=batch, fault=some_faults(0.2))
    started = executor.clock.now
    run(wanted, executor, store)
    assert not wrong(store, wanted)
    ideal = 600 * 0.3 / 40
    assert executor.clock.now - started < 1.6 * ideal + 5


def test_no_more_reads_at_once_than_the_executor_bears(store: Store, simulate: Simulate) -> None:
    executor = simulate(size=7)
    run(patches(200), executor, store)
    assert executor.peak == 7


@pytest.mark.parametrize("batch", [1, 2])
def test_a_quota_that_drops_in_the_middle_loses_nothing(
    store: Store, simulate: Simulate, batch: int
) -> None:
    wanted = patches(3000)
    executor = simulate(batch=batch, quota=lambda now: 40 if now < 1000 + 10 / batch else 10)
    run(wanted, executor, store)
    assert all(outcome.fetched for outcome in store.outcomes().values())
    settled = [now for now in executor.starts if now > 1000 + 20 / batch]
    refused = [now for now in executor.refused if now > 1000 + 20 / batch]
    assert len(settled) > 1000 / batch
    assert len(refused) < 0.05 * len(settled)


@BATCHES
def test_after_several_refusals_nothing_starts_before_the_servers_delay(
    store: Store, simulate: Simulate, batch: int
) -> None:
    executor = simulate(
        size=8,
        batch=batch,
        quota=lambda now: 0 if now < 1001 else 8,
        refusal=lambda: Throttled("429", delay=30.0),
    )
    run(patches(50), executor, store)
    first = min(executor.refused)
    assert not [now for now in executor.starts if first + 1 < now < first + 30]
    assert all(outcome.fetched for outcome in store.outcomes().values())


def test_a_delay_of_a_year_is_not_waited_for(store: Store, simulate: Simulate) -> None:
    executor = simulate(
        size=8,
        quota=lambda now: 0 if now < 1001 else 8,
        refusal=lambda: Throttled("429", delay=3e7),
    )
    run(patches(50), executor, store)
    assert 1600 < min(now for now in executor.starts if now > 1001) < 1610
    assert all(outcome.fetched for outcome in store.outcomes().values())


@pytest.mark.parametrize("batch", [1, 2])
def test_reads_start_no_faster_than_the_rate(store: Store, simulate: Simulate, batch: int) -> None:
    executor = simulate(batch=batch)
    run(patches(500), executor, store, per_minute=120)
    assert len(executor.starts) >= 250
    for first, last in zip(executor.starts, executor.starts[120:], strict=False):
        assert last - first >= 60 - 1e-6


def test_credentials_that_are_not_accepted_stop_the_build(store: Store, simulate: Simulate) -> None:
    refuse = CredentialsError("expired", "sign in")
    executor = simulate(fault=lambda patch, *_: refuse if patch.id > "P000100" else None)
    with pytest.raises(CredentialsError, match="expired"):
        run(patches(5000), executor, store)
    assert sum(executor.tries.values()) < 300
    assert len(store.outcomes()) >= 90
    assert executor.closed


def test_a_plain_no_goes_to_the_ledger_at_once(store: Store, simulate: Simulate) -> None:
    executor = simulate(
        fault=lambda patch, *_: PermanentError("no data") if patch.id == "P000003" else None
    )
    run(patches(30), executor, store)
    outcome = store.outcomes()[2018, "P000003"]
    assert (outcome.fetched, outcome.attempts, outcome.reason) == (False, 1, "no data")


def test_a_patch_that_never_heals_ends_in_the_ledger_in_words(
    store: Store, simulate: Simulate
) -> None:
    bad = {"P000003", "P000004"}
    executor = simulate(fault=lambda patch, *_: Transient("500 oh no") if patch.id in bad else None)
    run(patches(300), executor, store)
    outcomes = store.outcomes()
    assert {name for (_, name), outcome in outcomes.items() if not outcome.fetched} == bad
    assert outcomes[2018, "P000003"].reason == "500 oh no (8 tries)"
    assert outcomes[2018, "P000003"].attempts == 8


def test_a_mistake_over_one_patch_does_not_end_the_run(store: Store, simulate: Simulate) -> None:
    executor = simulate(fault=lambda patch, *_: KeyError("x") if patch.id == "P000003" else None)
    run(patches(30), executor, store)
    assert store.outcomes()[2018, "P000003"].reason == "KeyError: 'x'"
    assert len(store.outcomes()) == 30


@BATCHES
def test_a_source_that_is_down_is_not_asked_for_every_patch(
    store: Store, simulate: Simulate, batch: int
) -> None:
    executor = simulate(batch=batch, fault=lambda *_: Transient("connection refused"))
    started = executor.clock.now
    with pytest.raises(SourceError, match=r"is down: no good answer for .* connection refused"):
        run(patches(27_000), executor, store)
    assert sum(executor.tries.values()) < 200
    assert executor.clock.now - started < 150


def test_a_few_patches_that_all_fail_end_in_the_ledger(store: Store, simulate: Simulate) -> None:
    executor = simulate(fault=lambda *_: Transient("500"))
    run(patches(15), executor, store)
    assert [outcome.fetched for outcome in store.outcomes().values()] == [False] * 15
    assert all("500" in outcome.reason for outcome in store.outcomes().values())


def test_many_patches_that_always_fail_end_in_the_ledger_build_by_build(
    store: Store, simulate: Simulate
) -> None:
    wanted = patches(120)

    def fail(patch: Patch, *_: object) -> Exception | None:
        return Transient("500") if patch.id >= "P000050" else None

    ends = 0
    for _ in range(10):
        try:
            run(wanted, simulate(fault=fail), store)
            break
        except SourceError:
            ends += 1
    assert 1 <= ends < 9
    assert sum(not outcome.fetched for outcome in store.outcomes().values()) == 70


@pytest.mark.parametrize("batch", [1, 2])
def test_five_minutes_of_darkness_lose_nothing(
    store: Store, simulate: Simulate, batch: int
) -> None:
    executor = simulate(
        batch=batch,
        fault=lambda _patch, _try, now: Transient("503") if 1005 < now < 1305 else None,
    )
    wanted = patches(2000)
    run(wanted, executor, store)
    assert all(outcome.fetched for outcome in store.outcomes().values())
    asked = [now for now in executor.starts if 1020 < now < 1305]
    assert len(asked) < 60


def test_what_is_staged_is_not_read_again(store: Store, simulate: Simulate) -> None:
    wanted = patches(60)
    run(wanted[:40], simulate(), store)
    executor = simulate()
    run(wanted, executor, store)
    assert set(executor.tries) == {patch.id for patch in wanted[40:]}


def test_what_is_missing_is_tried_again_by_the_next_build(store: Store, simulate: Simulate) -> None:
    run(patches(30), simulate(fault=lambda *_: PermanentError("not today")), store)
    executor = simulate()
    run(patches(30), executor, store)
    assert len(executor.tries) == 30
    assert all(outcome.fetched for outcome in store.outcomes().values())


def test_the_ledger_counts_tries_and_bytes(store: Store, simulate: Simulate) -> None:
    executor = simulate(fault=lambda _patch, tries, _now: Transient("503") if tries < 3 else None)
    run(patches(5), executor, store)
    outcome = store.outcomes()[2018, "P000001"]
    assert (outcome.attempts, outcome.requests, outcome.bytes) == (3, 1, 64 * 16)
    assert outcome.seconds == pytest.approx(0.9)


def test_only_a_bounded_number_of_patches_is_open(store: Store, simulate: Simulate) -> None:
    executor = simulate(
        size=5, fault=lambda _patch, tries, _now: Transient("503") if tries < 4 else None
    )
    most = 0
    real_start = executor.start

    def start(read_id: int, patch: Patch) -> None:
        nonlocal most
        real_start(read_id, patch)
        most = max(most, len(executor.tries) - len(store.outcomes()))

    executor.start = start  # type: ignore[method-assign]
    run(patches(200), executor, store)
    assert most <= 4 * 5


def test_memory_does_not_grow_with_the_catalog(tmp_path: Path) -> None:
    """Beyond a note of each patch, which is far less than its pixels."""
    source = FieldSource(share=0.1)
    policy = Policy(first_wait=0.001)

    def peak(count: int, name: str) -> int:
        wanted = patches(count)
        with Store(tmp_path / name) as store:
            read = partial(read_patch, source, store.pixels, policy)
            tracemalloc.start()
            try:
                fetch(wanted, ThreadExecutor(read, 4), store, policy=policy)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    # pathlib interns names in a table of the process, which grows by leaps: hardly twice in a row.
    few = peak(300, "few")
    assert min(peak(3000, name) for name in ("many", "again")) - few < 2700 * 256


def test_a_patch_that_is_too_big_is_read_in_parts(store: Store) -> None:
    wanted = patches(2, side=45)
    source = FieldSource(max_pixels=300, share=0.2)
    policy = Policy(first_wait=0.001)
    executor = ThreadExecutor(partial(read_patch, source, store.pixels, policy), 2)
    fetch(wanted, executor, store, policy=policy)
    assert not wrong(store, wanted)
    assert {outcome.requests for outcome in store.outcomes().values()} == {8}


def test_a_source_that_finds_every_part_too_big_fails_for_good(store: Store) -> None:
    with pytest.raises(PermanentError, match="are too many"):
        read_patch(FieldSource(max_pixels=0), store.pixels, Policy(), patches(1, side=45)[0])


def test_threads_give_what_the_source_gives(store: Store) -> None:
    wanted = patches(200)
    source = FieldSource(latency=0.002, share=0.2, max_requests=12)
    policy = Policy(first_wait=0.002)
    executor = ThreadExecutor(partial(read_patch, source, store.pixels, policy), 12)
    fetch(wanted, executor, store, policy=policy)
    assert not wrong(store, wanted)
    assert source.peak <= 12


def test_a_disk_that_is_full_stops_the_build(store: Store, simulate: Simulate) -> None:
    full = FolderError("cannot write x: No space left on device", "make room")
    executor = simulate(fault=lambda patch, *_: full if patch.id > "P000030" else None)
    with pytest.raises(FolderError, match="No space"):
        run(patches(500), executor, store)
    assert len(store.outcomes()) >= 20


def test_a_file_in_the_way_of_the_pixels_is_named(store: Store, simulate: Simulate) -> None:
    (store.staging / "pixels/2018").write_text("in the way")
    with pytest.raises(FolderError, match="pixels/2018"):
        run(patches(3), simulate(), store)
