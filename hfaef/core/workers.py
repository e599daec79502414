"""The same function over many items, in order, on threads: for work that releases Python's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

AHEAD = 32
"""Results a thread that may wait to be taken, so that threads work on while one is used."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class ParallelMap(Protocol):
    """The same function over many items, in order, on threads or on many machines."""

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Results in the order of the items; only a few are ahead of the one that is taken."""


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread_each() -> AbstractContextManager[Any]:
    """Inside, BLAS uses one thread a call: its own spin while they wait, on cores that ours need."""
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:  # who only reads releases has none, and calls no BLAS
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int = AHEAD
) -> Iterator[Result]:
    """Results in the order of the items; `ahead` a thread are ahead of the one that is taken.

    An error of the function is raised where its result would come; the rest is dropped.
    """
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    with one_thread_each():
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > ahead * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
