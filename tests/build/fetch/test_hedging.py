"""Reads that hang or are merely slow: when they are hedged, and when they are abandoned."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import Read, read_patch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.errors import SourceError, Transient
from support.fakes import BATCHES, FieldSource, Simulate, patches, run, wrong


@BATCHES
def test_a_read_that_hangs_is_tried_again(store: Store, simulate: Simulate, batch: int) -> None:
    executor = simulate(
        batch=batch, hangs=lambda patch, tries: tries == 1 and patch.id == "P000048"
    )
    wanted = patches(3000)
    run(wanted, executor, store)
    assert store.outcomes()[2018, "P000048"].attempts == 2
    assert not wrong(store, wanted[40:70])


@BATCHES
def test_a_patch_that_always_hangs_is_missing(store: Store, simulate: Simulate, batch: int) -> None:
    executor = simulate(batch=batch, hangs=lambda patch, _: patch.id == "P000048")
    run(patches(100), executor, store)
    outcomes = store.outcomes()
    assert len(outcomes) == 100
    missing = [(outcome.id, outcome.reason) for outcome in outcomes.values() if outcome.reason]
    assert missing == [("P000048", missing[0][1])]
    assert "no answer in" in missing[0][1]


def test_a_stall_is_recognised_soon_after_what_others_take(
    store: Store, simulate: Simulate
) -> None:
    stalls = {f"P{number:06d}" for number in range(40, 600, 20)}
    executor = simulate(hangs=lambda patch, tries: tries == 1 and patch.id in stalls)
    started = executor.clock.now
    run(patches(600), executor, store)
    outcomes = store.outcomes()
    assert {patch for (_, patch), outcome in outcomes.items() if outcome.attempts == 2} == stalls
    assert all(outcome.seconds < 2 for outcome in outcomes.values())
    assert executor.clock.now - started < 1.6 * 600 * 0.3 / 40 + 2


def test_patches_that_are_merely_slow_are_hardly_ever_asked_for_twice(
    store: Store, simulate: Simulate
) -> None:
    """One in thirty takes a hundred times as long as the others, as some of Earth Engine's do."""
    executor = simulate(slow=lambda patch, _: 30.0 if int(patch.id[1:]) % 30 == 29 else 0.0)
    run(patches(3000), executor, store)
    assert all(outcome.fetched for outcome in store.outcomes().values())
    assert sum(executor.tries.values()) < 1.02 * 3000


def test_under_load_reads_of_all_lengths_are_awaited(store: Store, simulate: Simulate) -> None:
    random = np.random.default_rng(1)
    executor = simulate(slow=lambda *_: random.lognormal(1.0, 1.0))
    run(patches(3000), executor, store)
    assert all(outcome.fetched for outcome in store.outcomes().values())
    assert sum(executor.tries.values()) < 1.02 * 3000


def test_the_first_answer_of_two_counts(store: Store, simulate: Simulate) -> None:
    """The read that was hedged brings its patch, long before the one that was started beside it."""
    executor = simulate(
        slow=lambda patch, tries: 100.0 * tries if patch.id == "P000050" else 0.0,
        fault=lambda patch, tries, _: (
            KeyError("gone") if patch.id == "P000050" and tries == 3 else None
        ),
    )
    run(patches(3000), executor, store)
    outcome = store.outcomes()[2018, "P000050"]
    assert outcome.fetched
    assert outcome.attempts == 4
    assert executor.clock.now < 1000 + 110


def test_a_failure_of_the_later_read_waits_for_the_earlier(
    store: Store, simulate: Simulate
) -> None:
    executor = simulate(
        slow=lambda patch, tries: 60.0 if patch.id == "P000050" and tries == 1 else 0.0,
        fault=lambda patch, tries, _: (
            KeyError("gone") if patch.id == "P000050" and tries > 1 else None
        ),
    )
    run(patches(3000), executor, store)
    assert store.outcomes()[2018, "P000050"].fetched


def test_another_try_follows_when_the_later_read_fails(store: Store, simulate: Simulate) -> None:
    executor = simulate(
        hangs=lambda patch, tries: patch.id == "P000050" and tries == 1,
        fault=lambda patch, tries, _: (
            Transient("503") if patch.id == "P000050" and tries == 2 else None
        ),
    )
    run(patches(300), executor, store)
    assert store.outcomes()[2018, "P000050"].attempts == 3
    assert executor.clock.now < 1000 + 30


def test_the_last_patches_may_hang_more_than_once(store: Store, simulate: Simulate) -> None:
    """By then nobody else is answered who could tell that the source is well."""
    executor = simulate(hangs=lambda patch, tries: patch.id >= "P000297" and tries <= 3)
    run(patches(300), executor, store)
    assert {outcome.attempts for outcome in store.outcomes().values()} == {1, 4}
    assert executor.clock.now < 1000 + 30


def test_hedged_reads_are_bounded_too(store: Store, simulate: Simulate) -> None:
    executor = simulate(size=10, hangs=lambda patch, _: int(patch.id[1:]) % 2 == 1)
    with pytest.raises(SourceError):
        run(patches(3000), executor, store)
    assert executor.peak <= 20


@BATCHES
def test_a_source_that_hangs_for_ever_ends_the_run_and_keeps_what_is_staged(
    store: Store, simulate: Simulate, batch: int
) -> None:
    executor = simulate(batch=batch, hangs=lambda patch, _: patch.id >= "P000100")
    started = executor.clock.now
    with pytest.raises(SourceError, match=r"the source hangs: no answer for 3.. s"):
        run(patches(27_000), executor, store)
    assert executor.clock.now - started < 400
    assert len(store.outcomes()) == batch * -(-100 // batch)


def test_a_machine_that_slept_does_not_blame_the_source(store: Store, simulate: Simulate) -> None:
    executor = simulate()
    real_next = executor.next

    def next_after_a_nap(timeout: float) -> object:
        completed = real_next(timeout)
        if 1000.5 < executor.clock.now < 5000:
            executor.clock.now += 86_400
        return completed

    executor.next = next_after_a_nap  # type: ignore[method-assign, assignment]
    run(patches(300), executor, store)
    assert {outcome.attempts for outcome in store.outcomes().values()} == {1}


def test_threads_that_hang_do_not_hold_up_the_end(store: Store) -> None:
    source = FieldSource(stall_share=1.0)
    policy = Policy(deadline=0.3)
    executor = ThreadExecutor(partial(read_patch, source, store.pixels, policy), 4)
    started = time.monotonic()
    with pytest.raises(SourceError, match="hangs"):
        fetch(patches(100), executor, store, policy=policy)
    assert time.monotonic() - started < 3
    assert executor.hung == 4
    source.close()


def test_a_read_that_was_left_behind_stages_nothing(store: Store) -> None:
    source = FieldSource()
    go, done = threading.Event(), threading.Event()

    def read(patch: Patch, wanted: Callable[[], bool]) -> Read:
        go.wait()
        result = read_patch(source, store.pixels, Policy(), patch, wanted)
        done.set()
        return result

    [patch] = patches(1)
    executor = ThreadExecutor(read, 1)
    executor.start(0, patch)
    executor.abandon(0)
    assert executor.hung == 1
    go.set()
    assert done.wait(5)
    executor.close()
    assert not store.pixels.keys()
