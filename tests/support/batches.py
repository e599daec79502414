"""Builds that read patches together, from a source whose every request is counted."""

from __future__ import annotations

from functools import partial

from hfaef.build.batches.queue import kinds_of
from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import read_asked
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from support.fakes import BatchSource

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
    """Fetch, with threads; gives what the user should know."""
    executor = ThreadExecutor(partial(read_asked, source, store.pixels, policy), threads)
    kind_of = kinds_of(source) if together else None
    return fetch(wanted, executor, store, kind_of=kind_of, policy=policy)


def place(patch: Patch) -> str:
    """What the source knows a patch by."""
    return str(patch.grid.transform)


def alone(source: BatchSource) -> int:
    """Reads of patches alone."""
    return sum(source.reads.values())
