"""Which patches are read together, and how many requests a plan counts for them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hfaef.build.batches.count import count_batches
from hfaef.build.batches.queue import BatchQueue
from hfaef.build.fetch.read import Batch
from hfaef.catalog.patch import Patch
from hfaef.core.grid import Grid
from hfaef.sources.base import BatchKind
from support.fakes import BatchSource, patches


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


def test_a_plan_counts_batches_checks_and_what_is_left_alone() -> None:
    source = BatchSource()
    count = count_batches(patches(27_000), source.batch_kind)
    assert (count.batches, count.checks, len(count.alone)) == (1688, 71, 0)
    count = count_batches(patches(17), source.batch_kind)
    assert (count.batches, count.checks, len(count.alone)) == (1, 16, 1)
    assert count_batches([], source.batch_kind).checks == 0
