"""From a source into the store: threads that read patches, and what becomes of each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from hfaef.catalog import Patch
from hfaef.errors import CredentialsError, SourceError
from hfaef.progress import progress
from hfaef.sources import Source
from hfaef.store import Outcome, Store
from hfaef.workers import core_count


def fetch(patches: Iterable[Patch], source: Source, store: Store, threads: int | None) -> None:
    """Stage the pixels of all patches that are not staged yet, and write down what happened.

    Args:
        patches: what the build needs; those staged before are passed over.
        source: where pixels come from.
        store: gets pixels and outcomes.
        threads: reads under way at once; as many as the source suggests by default.

    Raises:
        CredentialsError: if the source lets nobody in; all else is an outcome.
        FolderError: if the store cannot be written.
    """
    staged = {key for key, outcome in store.outcomes().items() if outcome.fetched}
    wanted = [patch for patch in patches if (patch.year, patch.id) not in staged]
    if not wanted:
        return
    limit = min(threads or 2 * core_count(), source.max_requests)
    missing = 0
    with progress("fetch", len(wanted)) as advance:
        for outcome in _outcomes(wanted, source, store, limit):
            store.record(outcome)
            missing += not outcome.fetched
            advance(f"{missing:,} missing" if missing else "")


def _outcomes(wanted: list[Patch], source: Source, store: Store, limit: int) -> Iterator[Outcome]:
    """Outcomes as they come, with at most `limit` reads under way."""
    pool = ThreadPoolExecutor(limit)
    pending: set[Future[Outcome]] = set()
    try:
        for patch in wanted:
            pending.add(pool.submit(_stage, patch, source, store))
            if len(pending) >= limit:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _stage(patch: Patch, source: Source, store: Store) -> Outcome:
    """Read and stage one patch. Retries belong here, decided by the kind of the error."""
    started = time.monotonic()
    try:
        pixels = source.read(patch.grid, patch.year)
        pixels.require(patch.grid)
    except CredentialsError:
        raise
    except SourceError as error:
        seconds = time.monotonic() - started
        return Outcome(patch.year, patch.id, fetched=False, reason=str(error), seconds=seconds)
    store.stage(patch, pixels)
    return Outcome(
        patch.year,
        patch.id,
        fetched=True,
        seconds=time.monotonic() - started,
        origins=pixels.origins,
        resampled=pixels.resampled,
    )
