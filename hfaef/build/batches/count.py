"""What reading patches together takes, if nothing fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hfaef.build.batches.queue import KindOf
from hfaef.build.batches.trust import CHECK_EVERY, FIRST_CHECKS
from hfaef.catalog.patch import Patch


@dataclass(frozen=True)
class Count:
    """Requests for patches that are read together."""

    batches: int
    checks: int
    """Patches that are read once more, alone."""
    alone: tuple[Patch, ...]
    """Patches that are read alone only."""


def count_batches(patches: Iterable[Patch], kind_of: KindOf) -> Count:
    """How a build reads patches together."""
    kinds = [(patch, kind_of(patch.grid, patch.year)) for patch in patches]
    alone = [patch for patch, kind in kinds if kind is None]
    last = {kind: patch for patch, kind in kinds if kind is not None}
    batches = together = 0
    firsts: dict[str, int] = {}
    for kind, count in Counter(kind for _, kind in kinds if kind is not None).items():
        full, rest = divmod(count, kind.most)
        if rest == 1:
            alone.append(last[kind])
            rest = 0
        if several := full * kind.most + rest:
            firsts.setdefault(kind.way, min(FIRST_CHECKS, kind.most, several))
            batches += full + bool(rest)
            together += several
    return Count(batches, sum(firsts.values()) + together // CHECK_EVERY, tuple(alone))
