"""Some patches are read once more, alone, and compared: an answer that is another patch's is
plausible, so nothing in its own bytes tells.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hfaef.build.fetch.read import read_grid
from hfaef.build.fetch.retry import Policy
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.core.progress import progress
from hfaef.errors import PermanentError, SourceError, command_line, count_of
from hfaef.sources.base import Caching, Source

_NAMED = 10
"""Patches that a message names."""

Codes = npt.NDArray[np.int8]


def verify(
    patches: Sequence[Patch],
    count: int,
    store: Store,
    open_source: Callable[[], Source],
    policy: Policy,
    name: str,
) -> str:
    """Read some staged patches a second time, one after another, and compare them byte for byte.

    What differs is read a third time and taken out of the staging, so the next build fetches it.

    Args:
        patches: of the build, in the order in which they were read.
        count: patches to read, of those that the source gave.
        store: has their pixels.
        open_source: opens the source anew.
        policy: of retries.
        name: of the source.

    Returns:
        A note of how many were compared.

    Raises:
        SourceError: naming the patches that differ; or as the source does.
    """
    outcomes = store.outcomes()
    known = ((patch, outcomes.get((patch.year, patch.id))) for patch in patches)
    given = [p for p, outcome in known if outcome and outcome.fetched and not outcome.taken_from]
    chosen = draw(given, count)
    if not chosen:
        return "no patch of this build was read from the source, so none was read twice"
    differing: list[tuple[Patch, str]] = []
    with closing(open_source()) as source, progress("verify", len(chosen)) as advance:
        for patch in chosen:
            read = partial(_read_alone, source, patch, policy)
            if fault := _difference(store.pixels.read(patch), read):
                differing.append((patch, fault))
            advance(f"{len(differing):,} differ" if differing else "")
    if not differing:
        same = count_of(
            len(given), "patch was read twice: it is", "patches were read twice: they are"
        )
        return f"{len(chosen):,} of {same} the same"
    for patch, _ in differing:
        store.pixels.remove((patch.year, patch.id))
    named = "; ".join(f"{patch.id} of {patch.year} {fault}" for patch, fault in differing[:_NAMED])
    more = f"; and {len(differing) - _NAMED:,} more" if len(differing) > _NAMED else ""
    raise SourceError(
        f"{len(differing):,} of {len(chosen):,} patches that were read twice from {name} differ: "
        f"{named}{more}",
        "run the same command again: it fetches these anew; to fetch all anew: "
        f"{command_line('rm', '-r', store.staging)}",
    )


def draw(patches: Sequence[Patch], count: int, seed: int = 0) -> list[Patch]:
    """So many patches, one by chance of each of as many even parts; all if there are no more."""
    count = min(count, len(patches))
    chance = random.Random(seed)  # noqa: S311 - chooses patches, guards nothing
    edges = [len(patches) * part // count for part in range(count + 1)] if count else []
    return [patches[chance.randrange(*edge)] for edge in pairwise(edges)]


def _read_alone(source: Source, patch: Patch, policy: Policy) -> Codes | None:
    """What the source gives of a patch; None if it says that it has nothing there."""
    if isinstance(source, Caching):
        source.drop_cache()
    try:
        return policy.retry(partial(read_grid, source, patch.grid, patch.year, policy)).codes
    except PermanentError:
        return None


def _difference(held: Codes, read: Callable[[], Codes | None]) -> str:
    """How another answer differs, and which of the two a third one is like; empty if it does not."""
    second = read()
    if _same(held, second):
        return ""
    third = read()
    like = "first" if _same(third, held) else "second" if _same(third, second) else ""
    verdict = f"a third answer is like the {like}" if like else "a third answer is like neither"
    if second is None:
        return f"(the second answer had no data; {verdict})"
    pixels = np.count_nonzero((held != second).any(axis=0))
    return f"({pixels:,} of {held[0].size:,} pixels; {verdict})"


def _same(one: Codes | None, other: Codes | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)
