"""How many requests reading patches takes, if nothing fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hfaef.build.batches.queue import KindOf
from hfaef.build.batches.trust import CHECK_EVERY, FIRST_CHECKS
from hfaef.build.fetch.read import in_parts
from hfaef.catalog.patch import Patch
from hfaef.core.grid import Grid
from hfaef.errors import TooBig
from hfaef.sources.earthengine.limits import REQUESTS_A_READ, Reader, fits


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
    # The last batches end after the last of those checks.
    checks = sum(firsts.values()) + together // CHECK_EVERY + (batches > 1)
    return Count(batches, checks, tuple(alone))


def request_count(height: int, width: int, reader: Reader) -> int:
    """Requests of Earth Engine for a patch of this shape, split as the build splits it."""

    def count(part: Grid) -> int:
        if not fits(part, reader):
            raise TooBig("more than one request may hold")
        return REQUESTS_A_READ[reader]

    grid = Grid("", (1, 0, 0, 0, -1, 0), height, width)
    requests: int = in_parts(grid, count, lambda first, second, _: first + second)
    return requests
