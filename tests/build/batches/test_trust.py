"""Which of the patches that came together are read alone, too, and what becomes of a lie."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hfaef.build.batches.trust import CHECK_EVERY, FIRST_CHECKS, Trust
from hfaef.build.fetch.read import Check
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.core.grid import Grid
from hfaef.errors import (
    CredentialsError,
    SourceError,
    Transient,
)
from hfaef.sources.base import Pixels
from support.batches import QUICK, alone, place, run
from support.fakes import BatchSource, patches, wrong


def test_one_patch_of_every_500_is_checked_after_that(store: Store) -> None:
    wanted, source = patches(1200), BatchSource()
    run(store, wanted, source)
    assert not wrong(store, wanted)
    assert len(source.batches) == 75
    assert 16 + 2 <= alone(source) <= 16 + 2 + 1
    assert max(source.reads.values()) == 1


def test_a_check_says_nothing_of_what_came_while_it_was_under_way() -> None:
    first, second = (
        [Check(patch, fetched=True) for patch in some]
        for some in (patches(36)[:18], patches(36)[18:])
    )
    trust = Trust()
    asked = trust.came("images", first)
    assert not trust.came("images", second)
    assert not any(trust.passed() for _ in asked[1:])
    assert {check.patch.id for check in trust.passed().values()} == {c.patch.id for c in first}
    (last,) = trust.after()
    assert last in second
    assert {check.patch.id for check in trust.passed().values()} == {c.patch.id for c in second}
    assert not trust.after()


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


def test_a_smaller_build_leaves_unchecked_what_it_does_not_need(tmp_path: Path) -> None:
    """As of a trial with ``--limit``: the others may have come in another way."""
    wanted, source = patches(16), BatchSource()

    def never(*_: object) -> None:
        raise CredentialsError("expired")

    source.read = never  # type: ignore[assignment, method-assign]
    with Store(tmp_path / "out") as store:
        with pytest.raises(CredentialsError):
            run(store, wanted, source, threads=1)
        run(store, wanted[:5], BatchSource())
        unchecked = {outcome.id for outcome in store.outcomes().values() if outcome.unchecked}
        assert unchecked == {patch.id for patch in wanted[5:]}
        run(store, wanted, BatchSource())
        assert not any(outcome.unchecked for outcome in store.outcomes().values())


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
