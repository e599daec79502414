"""Patches that are read together: as many requests as needed, the same pixels, and checks."""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.build.batches.count import count_batches
from hfaef.build.batches.queue import BatchQueue, kinds_of
from hfaef.build.batches.trust import CHECK_EVERY, FIRST_CHECKS, Trust
from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import Asked, Batch, BatchRead, Check, Read, read_asked, read_batch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.staging.ledger import Outcome
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.core.grid import Grid
from hfaef.errors import (
    BatchRefused,
    CredentialsError,
    NoDataError,
    PermanentError,
    QuotaExhausted,
    SourceError,
    Throttled,
    TooBig,
    Transient,
)
from hfaef.sources.base import Batching, BatchKind, Pixels
from support.fakes import BatchSource, Clock, FieldSource, SimulatedExecutor, patches, wrong

QUICK = Policy(first_wait=0.001, longest_wait=0.01)


def run(
    store: Store,
    wanted: list[Patch],
    source: BatchSource,
    *,
    together: bool = True,
    policy: Policy = QUICK,
    threads: int = 4,
) -> tuple[str, ...]:
    executor = ThreadExecutor(partial(read_asked, source, store.pixels, policy), threads)
    kind_of = kinds_of(source) if together else None
    return fetch(wanted, executor, store, kind_of=kind_of, policy=policy)


def place(patch: Patch) -> str:
    return str(patch.grid.transform)


def alone(source: BatchSource) -> int:
    """Reads of patches alone."""
    return sum(source.reads.values())


def test_patches_come_together_and_the_first_batch_is_checked_one_by_one(store: Store) -> None:
    wanted, source = patches(200), BatchSource()
    assert isinstance(source, Batching)
    assert run(store, wanted, source) == ()
    assert not wrong(store, wanted)
    assert Counter(source.batches) == {16: 12, 8: 1}
    outcomes = store.outcomes().values()
    assert {outcome.together for outcome in outcomes} == {16, 8}
    assert sum(outcome.checks for outcome in outcomes) == alone(source) in (16, 17)
    assert sum(outcome.requests for outcome in outcomes) == 13 + alone(source)
    assert not any(outcome.unchecked for outcome in outcomes)


def test_one_patch_of_every_500_is_checked_after_that(store: Store) -> None:
    wanted, source = patches(1200), BatchSource()
    run(store, wanted, source)
    assert not wrong(store, wanted)
    assert len(source.batches) == 75
    assert 16 + 2 <= alone(source) <= 16 + 2 + 1
    assert max(source.reads.values()) == 1


def test_without_kinds_patches_are_read_one_by_one(store: Store) -> None:
    wanted, source = patches(30), BatchSource()
    run(store, wanted, source, together=False)
    assert not source.batches
    assert alone(source) == 30
    assert {outcome.together for outcome in store.outcomes().values()} == {1}


def test_a_lie_is_caught_in_the_first_batch_and_nothing_of_it_stays(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "hfaef")
    wanted, source = patches(100), BatchSource(off=1)
    (note,) = run(store, wanted, source)
    assert not wrong(store, wanted)
    assert "read one by one: P00" in note
    assert "is another than it is alone; " in note
    assert "that came together were read again" in note
    assert sum("one by one from now on" in record.message for record in caplog.records) == 1
    outcomes = store.outcomes().values()
    assert {(outcome.together, outcome.unchecked) for outcome in outcomes} == {(1, False)}


def test_a_lie_that_begins_later_costs_what_came_since_the_last_good_check(store: Store) -> None:
    wanted, source = patches(1200), BatchSource(off=1, lies_after=40)
    (note,) = run(store, wanted, source, threads=2)
    assert not wrong(store, wanted)
    together = [o for o in store.outcomes().values() if o.together > 1]
    assert 500 < len(together) <= 40 * 16
    assert "were read again" in note


def test_a_place_that_is_said_to_be_empty_together_is_asked_for_alone(store: Store) -> None:
    wanted = patches(16)
    source = BatchSource(blank=frozenset({place(wanted[3])}))
    (note,) = run(store, wanted, source)
    assert "P000003 came together with others, and is another than it is alone" in note
    assert not wrong(store, wanted)


def test_a_place_without_data_is_the_patchs_own(store: Store) -> None:
    wanted = patches(20)
    nothing: dict[str, Callable[[], Exception]] = {
        place(wanted[3]): lambda: NoDataError("no data there in 2018")
    }
    assert run(store, wanted, BatchSource(always=nothing)) == ()
    outcomes = store.outcomes()
    missing = [outcome for outcome in outcomes.values() if not outcome.fetched]
    assert [(o.id, o.reason, o.permanent) for o in missing] == [
        ("P000003", "no data there in 2018", True)
    ]
    assert not missing[0].unchecked
    assert not wrong(store, [patch for patch in wanted if patch.id != "P000003"])


def test_one_bad_patch_does_not_take_its_fellows_along(store: Store) -> None:
    wanted = patches(40)
    source = BatchSource(always={place(wanted[5]): lambda: Transient("not AEF's")})
    assert run(store, wanted, source) == ()
    assert not wrong(store, [patch for patch in wanted if patch.id != "P000005"])
    outcomes = store.outcomes()
    assert outcomes[2018, "P000005"].reason == "not AEF's (8 tries)"
    assert sum(outcome.together == 16 for outcome in outcomes.values()) == 15 + 16


def test_a_batch_that_fails_is_read_again_as_one(store: Store) -> None:
    wanted, source = patches(640), BatchSource(share=0.2)
    assert run(store, wanted, source) == ()
    assert not wrong(store, wanted)
    assert 40 < len(source.batches) < 70
    assert {outcome.together for outcome in store.outcomes().values()} == {16}


@pytest.mark.parametrize("error", [Transient("503"), Throttled("429", delay=0.0)])
def test_a_batch_that_never_comes_is_read_one_by_one(store: Store, error: SourceError) -> None:
    wanted, source = patches(20), BatchSource(refusal=lambda: error)
    patience = replace(QUICK, first_outage_seconds=0.2)
    if isinstance(error, Throttled):
        # Being throttled counts against nobody, so this is an outage.
        run(store, wanted, source, policy=patience)
        assert not any(outcome.fetched for outcome in store.outcomes().values())
        return
    run(store, wanted, source, policy=patience)
    assert not wrong(store, wanted)


def test_too_many_for_the_memory_are_halved_and_the_size_is_remembered(store: Store) -> None:
    wanted, source = patches(320), BatchSource(memory=5)
    assert run(store, wanted, source, threads=1) == ()
    assert not wrong(store, wanted)
    assert source.batches[:3] == [16, 8, 4]
    assert set(source.batches[-40:]) == {4}
    assert source.batches.count(16) == 1


def test_a_source_with_memory_for_one_reads_one_by_one(store: Store) -> None:
    wanted, source = patches(60), BatchSource(memory=0)
    run(store, wanted, source, threads=1)
    assert not wrong(store, wanted)
    assert source.batches.count(16) == 1


def test_a_source_that_refuses_batches_is_asked_for_few(store: Store) -> None:
    wanted = patches(400)
    source = BatchSource(refusal=lambda: BatchRefused("no changeProj here"))
    (note,) = run(store, wanted, source)
    assert not wrong(store, wanted)
    assert note == (
        "patches were read one by one: the source does not give several at once: no changeProj here"
    )
    assert len(source.batches) <= 4
    assert alone(source) == 400


def test_a_refusal_that_says_nothing_of_batches_ends_them_if_alone_all_is_fine(
    store: Store,
) -> None:
    wanted = patches(400)
    source = BatchSource(refusal=lambda: PermanentError("400 invalid argument"))
    (note,) = run(store, wanted, source)
    assert not wrong(store, wanted)
    assert "gives alone what it refuses together (400 invalid argument)" in note
    assert len(source.batches) <= 12


def test_a_refusal_because_of_one_patch_ends_no_batches(store: Store) -> None:
    wanted = patches(64)
    bad = place(wanted[20])

    class Strict(BatchSource):
        def read_batch(self, grids: Sequence[Grid], year: int) -> list[Pixels | SourceError]:
            found = super().read_batch(grids, year)
            if bad in map(str, (grid.transform for grid in grids)):
                raise PermanentError("400 that place cannot be")
            return found

    source = Strict(always={bad: lambda: PermanentError("400 that place cannot be")})
    assert run(store, wanted, source) == ()
    outcomes = store.outcomes()
    assert [o.id for o in outcomes.values() if not o.fetched] == ["P000020"]
    assert sum(outcome.together == 16 for outcome in outcomes.values()) == 48


@pytest.mark.parametrize("error", [CredentialsError("no"), QuotaExhausted("no more")])
def test_what_stops_a_build_stops_it_in_a_batch_too(store: Store, error: SourceError) -> None:
    with pytest.raises(type(error)):
        run(store, patches(40), BatchSource(refusal=lambda: error))


def test_three_batches_without_a_usable_patch_end_them(store: Store) -> None:
    class Spoilt(BatchSource):
        def read_batch(self, grids: Sequence[Grid], year: int) -> list[Pixels | SourceError]:
            return [Transient("garbage") for _ in super().read_batch(grids, year)]

    wanted, source = patches(200), Spoilt()
    (note,) = run(store, wanted, source, threads=1)
    assert not wrong(store, wanted)
    assert "3 batches in a row had no usable patch" in note


def test_what_was_not_checked_when_a_build_ended_is_checked_by_the_next(tmp_path: Path) -> None:
    """A lie is found though all of it was staged, and the source reads one by one now."""
    wanted, source = patches(48), BatchSource(off=1)

    def never(*_: object) -> None:
        raise CredentialsError("expired")

    source.read = never  # type: ignore[assignment, method-assign]
    with Store(tmp_path / "out") as store, pytest.raises(CredentialsError):
        run(store, wanted, source, threads=1)
    honest = BatchSource()
    with Store(tmp_path / "out") as store:
        before = store.outcomes()
        assert before
        assert all(outcome.unchecked for outcome in before.values())
        (note,) = run(store, wanted, honest, together=False)
        assert not wrong(store, wanted)
        assert f"{len(before)} that came together were read again" in note
        assert not honest.batches


def test_what_was_right_and_not_checked_stays(tmp_path: Path) -> None:
    wanted, source = patches(48), BatchSource()

    def never(*_: object) -> None:
        raise CredentialsError("expired")

    source.read = never  # type: ignore[assignment, method-assign]
    with Store(tmp_path / "out") as store, pytest.raises(CredentialsError):
        run(store, wanted, source, threads=1)
    with Store(tmp_path / "out") as store:
        kept = len(store.outcomes())
        again = BatchSource()
        assert run(store, wanted, again, together=False) == ()
        assert not wrong(store, wanted)
        assert alone(again) == 48 - kept + 1


def test_a_check_that_cannot_be_had_ends_the_build_and_keeps_what_came(tmp_path: Path) -> None:
    wanted, source = patches(16), BatchSource()

    def down(*_: object) -> None:
        raise Transient("503")

    source.read = down  # type: ignore[assignment, method-assign]
    with Store(tmp_path / "out") as store:
        with pytest.raises(SourceError, match="503"):
            run(store, wanted, source, policy=replace(QUICK, outage_seconds=0.2))
        assert sum(outcome.unchecked for outcome in store.outcomes().values()) == 16


def test_what_a_batch_brings_late_comes_before_what_is_read_again(store: Store) -> None:
    """A batch that is under way when a lie is found ends before its patches are read alone."""
    held, first = threading.Event(), threading.Event()

    class Slow(BatchSource):
        def read_batch(self, grids: Sequence[Grid], year: int) -> list[Pixels | SourceError]:
            found = super().read_batch(grids, year)
            if not first.is_set():
                first.set()
            else:
                held.wait(3)
            return found

        def read(self, grid: Grid, year: int) -> Pixels:
            held.set()
            return super().read(grid, year)

    wanted, source = patches(64), Slow(off=1)
    run(store, wanted, source)
    assert not wrong(store, wanted)


def test_a_batch_is_staged_patch_by_patch_and_one_alone_is_split_as_ever(store: Store) -> None:
    wanted = patches(4, side=40)
    source = BatchSource(memory=0, max_pixels=800)
    found = read_batch(source, store.pixels, QUICK, Batch(tuple(wanted)))
    assert all(isinstance(result, TooBig) for result in found.results)
    assert found.largest == 1
    run(store, wanted, source)
    assert not wrong(store, wanted)


def test_the_other_half_is_not_lost_when_one_fails(store: Store) -> None:
    wanted = patches(8)
    source = BatchSource(memory=4)
    batch = source.read_batch

    def half(grids: Sequence[Grid], year: int) -> list[Pixels | SourceError]:
        if len(grids) == 4 and grids[0] == wanted[4].grid:
            raise PermanentError("400")
        return batch(grids, year)

    source.read_batch = half  # type: ignore[method-assign]
    found = read_batch(source, store.pixels, QUICK, Batch(tuple(wanted)))
    assert [isinstance(result, Read) for result in found.results] == [True] * 4 + [False] * 4
    assert not wrong(store, wanted[:4])


def test_a_source_that_reads_no_batches_says_so(store: Store) -> None:
    assert kinds_of(FieldSource()) is None
    with pytest.raises(BatchRefused):
        read_batch(FieldSource(), store.pixels, QUICK, Batch(tuple(patches(2))))


def test_nothing_is_staged_of_a_batch_that_is_not_wanted_any_more(store: Store) -> None:
    batch = Batch(tuple(patches(4)))
    found = read_batch(BatchSource(), store.pixels, QUICK, batch, lambda: False)
    assert isinstance(found, BatchRead)
    assert not store.pixels.keys()


@dataclass
class Paced(SimulatedExecutor):
    """In made-up time: 300 ms a request, and 40 ms more a patch in it."""

    def start(self, read_id: int, asked: Asked) -> None:
        patches = asked.patches if isinstance(asked, Batch) else (asked,)
        self.starts.append(self.clock.now)
        self._active.add(read_id)
        end = self.clock.now + 0.3 + 0.04 * len(patches)
        heapq.heappush(self._events, (end, next(self._order), read_id, asked, None))


def test_batches_save_time_though_a_request_for_more_takes_longer(tmp_path: Path) -> None:
    """Of 27,000 patches, 230 s become 42 s; the fewer, the more the slow start counts."""
    took = []
    for together in (False, True):
        source = BatchSource()
        with Store(tmp_path / str(together)) as store:
            read = partial(read_asked, source, store.pixels, QUICK)
            executor = Paced(read, 40, Clock())
            kind_of = kinds_of(source) if together else None
            start = executor.clock.now
            wanted = patches(1600, side=1)
            fetch(wanted, executor, store, kind_of=kind_of, clock=executor.clock)
            took.append(executor.clock.now - start)
            assert not wrong(store, wanted)
    assert took[0] > 3 * took[1]


# The queue and the trust by themselves.


def by_side(grid: Grid, year: int) -> BatchKind | None:
    return BatchKind((year, grid.height), 3, "a") if grid.height < 6 else None


@given(st.lists(st.tuples(st.integers(2018, 2019), st.integers(3, 7)), max_size=40))
def test_every_patch_is_taken_once_with_those_of_its_kind(
    shapes: list[tuple[int, int]],
) -> None:
    wanted = []
    for number, (year, side) in enumerate(shapes):
        (one,) = patches(1, side, year)
        wanted.append(replace(one, id=f"p{number}"))
    queue = BatchQueue(by_side)
    queue.add(wanted)
    assert len(queue) == queue.untried == len(wanted)
    taken, batches, singles = [], 0, 0
    while queue:
        match queue.take():
            case Batch(some):
                assert 1 < len(some) <= 3
                assert len({(p.year, p.grid.height) for p in some}) == 1
                assert some[0].grid.height < 6
                taken += some
                batches += 1
            case patch:
                taken.append(patch)
                singles += 1
    assert sorted(p.id for p in taken) == sorted(p.id for p in wanted)
    for shape in set(shapes):
        mine = [p.id for p in wanted if (p.year, p.grid.height) == shape]
        assert [p.id for p in taken if p.id in mine] == mine
    count = count_batches(wanted, by_side)
    assert (count.batches, len(count.alone)) == (batches, singles)


def test_what_was_too_big_together_is_read_alone_when_batches_have_ended() -> None:
    queue = BatchQueue(by_side)
    queue.add(patches(6))
    queue.split()
    queue.shrink(queue.kind(patches(1)[0]), 2)
    assert [isinstance(queue.take(), Patch) for _ in range(6)] == [True] * 6


def test_those_that_failed_before_come_last_and_alone() -> None:
    wanted = patches(6)
    queue = BatchQueue(by_side)
    queue.add(wanted[:4])
    queue.add_last(wanted[4:])
    assert queue.untried == 4
    assert [queue.take() for _ in range(4)] == [
        Batch(tuple(wanted[:3])),
        *wanted[3:],
    ]
    assert not queue


def checks_of(wanted: list[Patch]) -> list[Check]:
    return [Check(patch, fetched=True) for patch in wanted]


def test_a_second_way_of_asking_is_checked_from_its_own_beginning() -> None:
    trust, wanted = Trust(), checks_of(patches(2000))
    assert len(trust.came("images", wanted[:16])) == FIRST_CHECKS
    assert trust.came("images", wanted[16:32]) == ()
    assert len(trust.came("points", wanted[32:1032])) == FIRST_CHECKS
    assert trust.came("points", wanted[1032 : 1031 + CHECK_EVERY]) == ()
    (last,) = trust.came("images", wanted[1600:1616])
    assert last == wanted[1615]
    assert len(trust.came("points", wanted[:1000])) == 1000 // CHECK_EVERY


def test_what_came_is_trusted_once_no_check_is_open() -> None:
    trust, wanted = Trust(), checks_of(patches(20))
    for _ in trust.came("images", wanted)[:-1]:
        assert not trust.passed()
    assert len(trust.unchecked) == 20
    assert trust.passed()
    assert not trust.unchecked
    assert trust.after() == ()


def test_of_earlier_builds_one_patch_of_each_shape_is_checked() -> None:
    trust = Trust()
    wanted = checks_of([*patches(4, 1), *(replace(p, id=f"x{p.id}") for p in patches(4, 64))])
    assert len(trust.before(wanted)) == 2
    assert len(trust.unchecked) == 8


def test_a_plan_counts_batches_checks_and_what_is_left_alone() -> None:
    source = BatchSource()
    count = count_batches(patches(27_000), source.batch_kind)
    assert (count.batches, count.checks, len(count.alone)) == (1688, 71, 0)
    count = count_batches(patches(17), source.batch_kind)
    assert (count.batches, count.checks, len(count.alone)) == (1, 16, 1)
    assert count_batches([], source.batch_kind).checks == 0


def test_ledgers_of_earlier_versions_were_read_one_by_one() -> None:
    row = Outcome(2018, "a", fetched=True)
    assert (row.together, row.unchecked, row.checks) == (1, False, 0)
