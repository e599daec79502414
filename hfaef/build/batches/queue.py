"""Patches that are to be read, and which of them are read together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hfaef.build.fetch.read import Asked, Batch, Check
from hfaef.build.staging.identity import Key
from hfaef.build.staging.ledger import Outcome
from hfaef.catalog.patch import Patch
from hfaef.core.grid import Grid
from hfaef.sources.base import Batching, BatchKind, Source

KindOf = Callable[[Grid, int], BatchKind | None]
"""`Batching.batch_kind`."""


ALONE = BatchKind(None, 1, "alone")


def kinds_of(source: Source) -> KindOf | None:
    """What a source's patches have in common that it reads together; None if it reads none so."""
    return source.batch_kind if isinstance(source, Batching) else None


@dataclass(frozen=True)
class Remaining:
    """What a build has to do."""

    untried: tuple[Patch, ...]
    failed: tuple[Patch, ...]
    """In an earlier build."""
    unchecked: tuple[Check, ...]
    """Came together in an earlier build, which made no check since."""

    def __bool__(self) -> bool:
        return bool(self.untried or self.failed or self.unchecked)


def remaining(patches: Sequence[Patch], tried: Mapping[Key, Outcome]) -> Remaining:
    """What earlier builds left to do; what is staged, or nowhere, is done."""
    known = [(patch, tried.get((patch.year, patch.id))) for patch in patches]
    return Remaining(
        tuple(p for p, outcome in known if outcome is None),
        tuple(p for p, outcome in known if outcome and not (outcome.fetched or outcome.permanent)),
        tuple(Check(p, outcome.fetched) for p, outcome in known if outcome and outcome.unchecked),
    )


class BatchQueue:
    """Patches in their order, as far as those that are read together allow; used by one thread.

    Args:
        kind_of: what patches have in common that are read together; by default none are.
    """

    def __init__(self, kind_of: KindOf | None = None) -> None:
        self._kind_of = kind_of
        self._waiting: dict[BatchKind, deque[Patch]] = {}
        self._last: deque[Patch] = deque()
        self._sizes: dict[BatchKind, int] = {}
        """What one request could hold, of kinds of which it could not hold all that it may."""

    def __len__(self) -> int:
        return self.untried + len(self._last)

    @property
    def untried(self) -> int:
        """Patches that wait and did not fail in an earlier build."""
        return sum(map(len, self._waiting.values()))

    def kind(self, patch: Patch) -> BatchKind:
        """What a patch has in common with others; `ALONE` if it is read alone."""
        return (self._kind_of and self._kind_of(patch.grid, patch.year)) or ALONE

    def add(self, patches: Iterable[Patch]) -> None:
        """Let patches be read."""
        for patch in patches:
            self._waiting.setdefault(self.kind(patch), deque()).append(patch)

    def add_last(self, patches: Iterable[Patch]) -> None:
        """Let patches that failed in an earlier build be read one by one, after all others."""
        self._last.extend(patches)

    def take(self) -> Asked:
        """The next ones to read; there must be some."""
        waiting = (item for item in self._waiting.items() if item[1])
        kind, queue = next(waiting, (ALONE, self._last))
        count = min(len(queue), kind.most, self._sizes.get(kind, kind.most))
        patches = tuple(queue.popleft() for _ in range(count))
        return Batch(patches) if count > 1 else patches[0]

    def shrink(self, kind: BatchKind, size: int) -> None:
        """Read no more patches of a kind together than so many."""
        self._sizes[kind] = max(1, min(size, self._sizes.get(kind, size)))

    def split(self) -> None:
        """Read patches one by one from now on."""
        self._kind_of = None
        self._waiting = {ALONE: deque(p for queue in self._waiting.values() for p in queue)}

    def clear(self) -> None:
        """Let nothing more be read."""
        self._waiting.clear()
        self._last.clear()
