from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fakes import Clock, FieldSource, SimulatedCrew, patches, truth

from hfaef.catalog import Patch
from hfaef.crew import ThreadCrew
from hfaef.errors import CredentialsError, FolderError, Hopeless, SourceError, Throttled, Transient
from hfaef.fetch import fetch
from hfaef.read import read_patch
from hfaef.retry import Policy
from hfaef.store import Store

Simulate = Callable[..., SimulatedCrew]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "out") as store:
        yield store


@pytest.fixture
def simulate(store: Store) -> Simulate:
    """A crew in made-up time over a source without faults, to be run with its own clock."""

    def make(size: int = 40, source: FieldSource | None = None, **service: object) -> SimulatedCrew:
        read = partial(read_patch, source or FieldSource(), store.pixels, Policy())
        return SimulatedCrew(read, size, Clock(), **service)  # type: ignore[arg-type]

    return make


def run(
    wanted: list[Patch], crew: SimulatedCrew, store: Store, policy: Policy | None = None
) -> None:
    fetch(wanted, crew, store, policy=policy, clock=crew.clock)


def wrong(store: Store, wanted: list[Patch]) -> list[str]:
    """Ids of patches that are not staged as the field has them."""
    return [p.id for p in wanted if not np.array_equal(store.pixels.read(p), truth(p.grid, p.year))]


def some_faults(share: float, seed: int = 3) -> Callable[[Patch, int, float], Exception | None]:
    random = np.random.default_rng(seed)
    kinds = (Throttled("429"), Transient("503"), Transient("reset"), Transient("cut off"))
    return lambda _patch, _try, _now: kinds[random.integers(4)] if random.random() < share else None


def test_a_fifth_of_answers_may_fail_and_nothing_is_lost(store: Store, simulate: Simulate) -> None:
    wanted = patches(600)
    crew = simulate(fault=some_faults(0.2))
    started = crew.clock.now
    run(wanted, crew, store)
    assert not wrong(store, wanted)
    ideal = 600 * 0.3 / 40
    assert crew.clock.now - started < 1.6 * ideal + 5


def test_no_more_reads_at_once_than_the_crew_bears(store: Store, simulate: Simulate) -> None:
    crew = simulate(size=7)
    run(patches(200), crew, store)
    assert crew.peak == 7


def test_a_quota_that_drops_in_the_middle_loses_nothing(store: Store, simulate: Simulate) -> None:
    wanted = patches(3000)
    crew = simulate(quota=lambda now: 40 if now < 1010 else 10)
    run(wanted, crew, store)
    assert all(outcome.fetched for outcome in store.outcomes().values())
    settled = [now for now in crew.starts if now > 1020]
    refused = [now for now in crew.refused if now > 1020]
    assert len(settled) > 1000
    assert len(refused) < 0.05 * len(settled)


def test_after_several_refusals_nothing_starts_before_the_servers_delay(
    store: Store, simulate: Simulate
) -> None:
    crew = simulate(
        size=8,
        quota=lambda now: 0 if now < 1001 else 8,
        refusal=lambda: Throttled("429", delay=30.0),
    )
    run(patches(50), crew, store)
    first = min(crew.refused)
    assert not [now for now in crew.starts if first + 1 < now < first + 30]
    assert all(outcome.fetched for outcome in store.outcomes().values())


def test_reads_start_no_faster_than_the_rate(store: Store, simulate: Simulate) -> None:
    crew = simulate()
    fetch(patches(500), crew, store, per_minute=120, clock=crew.clock)
    for first, last in zip(crew.starts, crew.starts[120:], strict=False):
        assert last - first >= 60 - 1e-6


def test_credentials_that_are_not_accepted_stop_the_build(store: Store, simulate: Simulate) -> None:
    refuse = CredentialsError("expired", "sign in")
    crew = simulate(fault=lambda patch, *_: refuse if patch.id > "P000100" else None)
    with pytest.raises(CredentialsError, match="expired"):
        run(patches(5000), crew, store)
    assert sum(crew.tries.values()) < 300
    assert len(store.outcomes()) >= 90
    assert crew.closed


def test_a_plain_no_goes_to_the_ledger_at_once(store: Store, simulate: Simulate) -> None:
    crew = simulate(fault=lambda patch, *_: Hopeless("no data") if patch.id == "P000003" else None)
    run(patches(30), crew, store)
    outcome = store.outcomes()[2018, "P000003"]
    assert (outcome.fetched, outcome.attempts, outcome.reason) == (False, 1, "no data")


def test_a_patch_that_never_heals_ends_in_the_ledger_in_words(
    store: Store, simulate: Simulate
) -> None:
    bad = {"P000003", "P000004"}
    crew = simulate(fault=lambda patch, *_: Transient("500 oh no") if patch.id in bad else None)
    run(patches(300), crew, store)
    outcomes = store.outcomes()
    assert {name for (_, name), outcome in outcomes.items() if not outcome.fetched} == bad
    assert outcomes[2018, "P000003"].reason == "500 oh no (8 tries)"
    assert outcomes[2018, "P000003"].attempts == 8


def test_a_mistake_over_one_patch_does_not_end_the_run(store: Store, simulate: Simulate) -> None:
    crew = simulate(fault=lambda patch, *_: KeyError("x") if patch.id == "P000003" else None)
    run(patches(30), crew, store)
    assert store.outcomes()[2018, "P000003"].reason == "KeyError: 'x'"
    assert len(store.outcomes()) == 30


def test_a_source_that_is_down_is_not_asked_for_every_patch(
    store: Store, simulate: Simulate
) -> None:
    crew = simulate(fault=lambda *_: Transient("connection refused"))
    started = crew.clock.now
    with pytest.raises(SourceError, match=r"is down: no good answer for .* connection refused"):
        run(patches(27_000), crew, store)
    assert sum(crew.tries.values()) < 200
    assert crew.clock.now - started < 150


def test_a_few_patches_that_all_fail_end_in_the_ledger(store: Store, simulate: Simulate) -> None:
    crew = simulate(fault=lambda *_: Transient("500"))
    run(patches(15), crew, store)
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


def test_five_minutes_of_darkness_lose_nothing(store: Store, simulate: Simulate) -> None:
    crew = simulate(fault=lambda _patch, _try, now: Transient("503") if 1005 < now < 1305 else None)
    wanted = patches(2000)
    run(wanted, crew, store)
    assert all(outcome.fetched for outcome in store.outcomes().values())
    asked = [now for now in crew.starts if 1020 < now < 1305]
    assert len(asked) < 60


def test_a_read_that_hangs_is_tried_again(store: Store, simulate: Simulate) -> None:
    crew = simulate(hangs=lambda patch, tries: tries == 1 and patch.id == "P000050")
    wanted = patches(3000)
    run(wanted, crew, store)
    assert store.outcomes()[2018, "P000050"].attempts == 2
    assert not wrong(store, wanted[40:60])


def test_a_patch_that_always_hangs_is_missing(store: Store, simulate: Simulate) -> None:
    crew = simulate(hangs=lambda patch, _: patch.id == "P000050")
    run(patches(100), crew, store)
    assert "no answer in" in store.outcomes()[2018, "P000050"].reason
    assert len(store.outcomes()) == 100


def test_a_stall_is_recognised_soon_after_what_others_take(
    store: Store, simulate: Simulate
) -> None:
    stalls = {f"P{number:06d}" for number in range(40, 600, 20)}
    crew = simulate(hangs=lambda patch, tries: tries == 1 and patch.id in stalls)
    started = crew.clock.now
    run(patches(600), crew, store)
    outcomes = store.outcomes()
    assert {patch for (_, patch), outcome in outcomes.items() if outcome.attempts == 2} == stalls
    assert all(outcome.seconds < 2 for outcome in outcomes.values())
    assert crew.clock.now - started < 1.6 * 600 * 0.3 / 40 + 2


def test_patches_that_are_merely_slow_are_hardly_ever_asked_for_twice(
    store: Store, simulate: Simulate
) -> None:
    """One in thirty takes a hundred times as long as the others, as some of Earth Engine's do."""
    crew = simulate(slow=lambda patch, _: 30.0 if int(patch.id[1:]) % 30 == 29 else 0.0)
    run(patches(3000), crew, store)
    assert all(outcome.fetched for outcome in store.outcomes().values())
    assert sum(crew.tries.values()) < 1.02 * 3000


def test_under_load_reads_of_all_lengths_are_awaited(store: Store, simulate: Simulate) -> None:
    random = np.random.default_rng(1)
    crew = simulate(slow=lambda *_: random.lognormal(1.0, 1.0))
    run(patches(3000), crew, store)
    assert all(outcome.fetched for outcome in store.outcomes().values())
    assert sum(crew.tries.values()) < 1.02 * 3000


def test_the_first_answer_of_two_counts(store: Store, simulate: Simulate) -> None:
    """The read that was doubted brings its patch, long before the one that took its place."""
    crew = simulate(
        slow=lambda patch, tries: 100.0 * tries if patch.id == "P000050" else 0.0,
        fault=lambda patch, tries, _: (
            KeyError("gone") if patch.id == "P000050" and tries == 3 else None
        ),
    )
    run(patches(3000), crew, store)
    outcome = store.outcomes()[2018, "P000050"]
    assert outcome.fetched
    assert outcome.attempts == 4
    assert crew.clock.now < 1000 + 110


def test_a_failure_of_the_later_read_waits_for_the_earlier(
    store: Store, simulate: Simulate
) -> None:
    crew = simulate(
        slow=lambda patch, tries: 60.0 if patch.id == "P000050" and tries == 1 else 0.0,
        fault=lambda patch, tries, _: (
            KeyError("gone") if patch.id == "P000050" and tries > 1 else None
        ),
    )
    run(patches(3000), crew, store)
    assert store.outcomes()[2018, "P000050"].fetched


def test_another_try_follows_when_the_later_read_fails(store: Store, simulate: Simulate) -> None:
    crew = simulate(
        hangs=lambda patch, tries: patch.id == "P000050" and tries == 1,
        fault=lambda patch, tries, _: (
            Transient("503") if patch.id == "P000050" and tries == 2 else None
        ),
    )
    run(patches(300), crew, store)
    assert store.outcomes()[2018, "P000050"].attempts == 3
    assert crew.clock.now < 1000 + 30


def test_the_last_patches_may_hang_more_than_once(store: Store, simulate: Simulate) -> None:
    """By then nobody else is answered who could tell that the source is well."""
    crew = simulate(hangs=lambda patch, tries: patch.id >= "P000297" and tries <= 3)
    run(patches(300), crew, store)
    assert {outcome.attempts for outcome in store.outcomes().values()} == {1, 4}
    assert crew.clock.now < 1000 + 30


def test_doubtful_reads_are_bounded_too(store: Store, simulate: Simulate) -> None:
    crew = simulate(size=10, hangs=lambda patch, _: int(patch.id[1:]) % 2 == 1)
    with pytest.raises(SourceError):
        run(patches(3000), crew, store)
    assert crew.peak <= 20


def test_a_source_that_hangs_for_ever_ends_the_run_and_keeps_what_is_staged(
    store: Store, simulate: Simulate
) -> None:
    crew = simulate(hangs=lambda patch, _: patch.id >= "P000100")
    started = crew.clock.now
    with pytest.raises(SourceError, match=r"the source hangs: no answer for 3.. s"):
        run(patches(27_000), crew, store)
    assert crew.clock.now - started < 400
    assert len(store.outcomes()) == 100


def test_a_machine_that_slept_does_not_blame_the_source(store: Store, simulate: Simulate) -> None:
    crew = simulate()
    real_next = crew.next

    def next_after_a_nap(timeout: float) -> object:
        answer = real_next(timeout)
        if 1000.5 < crew.clock.now < 5000:
            crew.clock.now += 86_400
        return answer

    crew.next = next_after_a_nap  # type: ignore[method-assign, assignment]
    run(patches(300), crew, store)
    assert {outcome.attempts for outcome in store.outcomes().values()} == {1}


def test_what_is_staged_is_not_read_again(store: Store, simulate: Simulate) -> None:
    wanted = patches(60)
    run(wanted[:40], simulate(), store)
    crew = simulate()
    run(wanted, crew, store)
    assert set(crew.tries) == {patch.id for patch in wanted[40:]}


def test_what_is_missing_is_tried_again_by_the_next_build(store: Store, simulate: Simulate) -> None:
    run(patches(30), simulate(fault=lambda *_: Hopeless("not today")), store)
    crew = simulate()
    run(patches(30), crew, store)
    assert len(crew.tries) == 30
    assert all(outcome.fetched for outcome in store.outcomes().values())


def test_the_ledger_counts_tries_and_bytes(store: Store, simulate: Simulate) -> None:
    crew = simulate(fault=lambda _patch, tries, _now: Transient("503") if tries < 3 else None)
    run(patches(5), crew, store)
    outcome = store.outcomes()[2018, "P000001"]
    assert (outcome.attempts, outcome.requests, outcome.bytes) == (3, 1, 64 * 16)
    assert outcome.seconds == pytest.approx(0.9)


def test_only_a_bounded_number_of_patches_is_open(store: Store, simulate: Simulate) -> None:
    crew = simulate(
        size=5, fault=lambda _patch, tries, _now: Transient("503") if tries < 4 else None
    )
    most = 0
    real_start = crew.start

    def start(ticket: int, patch: Patch) -> None:
        nonlocal most
        real_start(ticket, patch)
        most = max(most, len(crew.tries) - len(store.outcomes()))

    crew.start = start  # type: ignore[method-assign]
    run(patches(200), crew, store)
    assert most <= 4 * 5


def test_memory_does_not_grow_with_the_catalog(tmp_path: Path) -> None:
    """Beyond a note of each patch, which is far less than its pixels."""
    source = FieldSource(share=0.1)
    policy = Policy(first_wait=0.001)

    def peak(count: int) -> int:
        wanted = patches(count)
        with Store(tmp_path / str(count)) as store:
            read = partial(read_patch, source, store.pixels, policy)
            tracemalloc.start()
            try:
                fetch(wanted, ThreadCrew(read, 4), store, policy=policy)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    few = peak(300)
    assert peak(3000) - few < 2700 * 256


def test_a_patch_that_is_too_big_is_read_in_parts(store: Store) -> None:
    wanted = patches(2, side=45)
    source = FieldSource(max_pixels=300, share=0.2)
    policy = Policy(first_wait=0.001)
    crew = ThreadCrew(partial(read_patch, source, store.pixels, policy), 2)
    fetch(wanted, crew, store, policy=policy)
    assert not wrong(store, wanted)
    assert {outcome.requests for outcome in store.outcomes().values()} == {8}


def test_a_source_that_finds_every_part_too_big_is_hopeless(store: Store) -> None:
    with pytest.raises(Hopeless, match="are too many"):
        read_patch(FieldSource(max_pixels=0), store.pixels, Policy(), patches(1, side=45)[0])


def test_threads_give_what_the_source_gives(store: Store) -> None:
    wanted = patches(200)
    source = FieldSource(latency=0.002, share=0.2, max_requests=12)
    policy = Policy(first_wait=0.002)
    crew = ThreadCrew(partial(read_patch, source, store.pixels, policy), 12)
    fetch(wanted, crew, store, policy=policy)
    assert not wrong(store, wanted)
    assert source.peak <= 12


def test_threads_that_hang_do_not_hold_up_the_end(store: Store) -> None:
    source = FieldSource(stall_share=1.0)
    policy = Policy(deadline=0.3)
    crew = ThreadCrew(partial(read_patch, source, store.pixels, policy), 4)
    started = time.monotonic()
    with pytest.raises(SourceError, match="hangs"):
        fetch(patches(100), crew, store, policy=policy)
    assert time.monotonic() - started < 3
    source.close()


def test_a_read_that_was_left_behind_stages_nothing(store: Store) -> None:
    source = FieldSource()
    go, done = threading.Event(), threading.Event()

    def read(patch: Patch, *, wanted: Callable[[], bool]) -> object:
        go.wait()
        result = read_patch(source, store.pixels, Policy(), patch, wanted=wanted)
        done.set()
        return result

    [patch] = patches(1)
    crew = ThreadCrew(read, 1)  # type: ignore[arg-type]
    crew.start(0, patch)
    crew.abandon(0)
    go.set()
    assert done.wait(5)
    crew.close()
    assert not store.pixels.keys()


def test_a_disk_that_is_full_stops_the_build(store: Store, simulate: Simulate) -> None:
    full = FolderError("cannot write x: No space left on device", "make room")
    crew = simulate(fault=lambda patch, *_: full if patch.id > "P000030" else None)
    with pytest.raises(FolderError, match="No space"):
        run(patches(500), crew, store)
    assert len(store.outcomes()) >= 20


def test_a_file_in_the_way_of_the_pixels_is_named(store: Store, simulate: Simulate) -> None:
    (store.staging / "pixels/2018").write_text("in the way")
    with pytest.raises(FolderError, match="pixels/2018"):
        run(patches(3), simulate(), store)
