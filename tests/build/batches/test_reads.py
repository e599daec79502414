"""Patches that are read together: as many requests as needed, the same pixels, whatever fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hfaef.build.batches.queue import kinds_of
from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import Batch, BatchRead, Read, read_asked, read_batch
from hfaef.build.fetch.retry import Policy
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
from hfaef.sources.base import Batching, Pixels
from support.batches import QUICK, alone, place, run
from support.fakes import BatchSource, Clock, FieldSource, SimulatedExecutor, patches, wrong
from support.fakes import run as simulated


def in_made_up_time(
    store: Store, wanted: list[Patch], source: BatchSource, **service: Any
) -> tuple[tuple[str, ...], int]:
    """Fetch from a service of up to 40 reads at once; gives what the user should know, and how many
    reads were started.
    """
    read = partial(read_asked, source, store.pixels, Policy())
    executor = SimulatedExecutor(read, 40, Clock(), kinds_of(source), **service)
    notes = fetch(wanted, executor, store, kind_of=executor.kind_of, clock=executor.clock)
    return notes, len(executor.starts)


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


def test_without_kinds_patches_are_read_one_by_one(store: Store) -> None:
    wanted, source = patches(30), BatchSource()
    run(store, wanted, source, together=False)
    assert not source.batches
    assert alone(source) == 30
    assert {outcome.together for outcome in store.outcomes().values()} == {1}


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


@pytest.mark.parametrize("count", [60, 1500])
@pytest.mark.parametrize("most", [2, 16])
def test_a_source_that_fails_at_every_batch_gives_all_patches_alone_and_a_note_says_so(
    store: Store, count: int, most: int
) -> None:
    wanted = patches(count, side=1)
    source = BatchSource(most=most, refusal=lambda: Transient("503 unavailable"))
    notes, asked = in_made_up_time(store, wanted, source)
    assert not wrong(store, wanted)
    (note,) = notes
    reason = "3 batches in a row could not be had: 503 unavailable (3 tries)"
    assert note == f"patches were read one by one: {reason}"
    assert asked < count + 500


def test_batches_that_fail_from_some_time_on_end_batches(store: Store) -> None:
    class Tiring(BatchSource):
        def read_batch(self, grids: Sequence[Grid], year: int) -> list[Pixels | SourceError]:
            found = super().read_batch(grids, year)
            if len(self.batches) > 50:
                raise Transient("503 unavailable")
            return found

    wanted = patches(1500, side=1)
    notes, _ = in_made_up_time(store, wanted, Tiring())
    assert not wrong(store, wanted)
    assert "3 batches in a row could not be had: 503 unavailable (3 tries)" in notes[0]


def test_batches_that_fail_after_longer_than_an_outage_are_read_one_by_one(store: Store) -> None:
    wanted = patches(800, side=1)
    source = BatchSource(refusal=lambda: Transient("504 took too long"))
    notes, _ = in_made_up_time(store, wanted, source, latency_a_patch=5.0)
    assert not wrong(store, wanted)
    assert "could not be had: 504 took too long" in notes[0]


@pytest.mark.parametrize("most", [2, 16])
def test_an_outage_in_which_patches_alone_fail_too_is_called_one(store: Store, most: int) -> None:
    source = BatchSource(most=most)
    with pytest.raises(SourceError, match=r"the source is down: no good answer for .* 503"):
        in_made_up_time(
            store, patches(1500, side=1), source, fault=lambda *_: Transient("503 unavailable")
        )
    assert not any(outcome.fetched for outcome in store.outcomes().values())


def test_a_short_outage_does_not_end_batches(store: Store) -> None:
    wanted = patches(5000, side=1)
    notes, _ = in_made_up_time(
        store,
        wanted,
        BatchSource(),
        fault=lambda _patch, _try, now: Transient("503") if 1001 < now < 1120 else None,
    )
    assert not wrong(store, wanted)
    assert notes == ()


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


def test_batches_save_time_though_a_request_for_more_takes_longer(tmp_path: Path) -> None:
    """Of 27,000 patches, 230 s become 42 s; the fewer, the more the slow start and the check after
    the last batch count.
    """
    took = []
    for together in (False, True):
        source = BatchSource()
        with Store(tmp_path / str(together)) as store:
            read = partial(read_asked, source, store.pixels, QUICK)
            kind_of = kinds_of(source) if together else None
            executor = SimulatedExecutor(read, 40, Clock(), kind_of, latency_a_patch=0.04)
            start = executor.clock.now
            wanted = patches(2400, side=1)
            simulated(wanted, executor, store)
            took.append(executor.clock.now - start)
            assert not wrong(store, wanted)
    assert took[0] > 3 * took[1]


def test_ledgers_of_earlier_versions_were_read_one_by_one() -> None:
    row = Outcome(2018, "a", fetched=True)
    assert (row.together, row.unchecked, row.checks) == (1, False, 0)
