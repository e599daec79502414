"""Reading: what the engine asks for, who does it, and how a patch or batch too big is split."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

from hfaef.build.fetch.retry import Policy
from hfaef.build.staging.pixels import StagedPixels
from hfaef.catalog.patch import Patch
from hfaef.core.grid import Grid
from hfaef.core.quantize import NODATA
from hfaef.errors import (
    BatchRefused,
    CredentialsError,
    FolderError,
    NoDataError,
    PermanentError,
    QuotaExhausted,
    SourceError,
    TooBig,
    Transient,
)
from hfaef.sources.base import Batching, Pixels, Source

Part = TypeVar("Part")

SMALLEST = 16
"""Pixels a side below which a grid that is said to be too big is not split further."""


@dataclass(frozen=True)
class Read:
    """What reading a patch came to, for its `Outcome`; its pixels are staged."""

    requests: int
    bytes: int
    origins: tuple[str, ...]
    resampled: bool


@dataclass(frozen=True)
class Batch:
    """Patches that are read together."""

    patches: tuple[Patch, ...]
    """Of one kind and year."""


@dataclass(frozen=True)
class Check:
    """A patch that came together with others, to be read alone and compared with what is staged."""

    patch: Patch
    fetched: bool
    """Whether its pixels are staged; if not, the source said that it has nothing there."""


Asked = Patch | Batch | Check
"""What a read is for; a patch is read and staged alone."""


@dataclass(frozen=True)
class BatchRead:
    """What reading a batch came to; the pixels of its patches are staged."""

    results: tuple[Read | SourceError, ...]
    """Of the patches, in their order; what an error says of a patch holds for the batch alone,
    unless it is a NoDataError."""
    largest: int
    """Patches of the largest request that was answered."""


@dataclass(frozen=True)
class Checked:
    """What a check came to."""

    same: bool
    requests: int = 0
    bytes: int = 0


Result = Read | BatchRead | Checked


@dataclass(frozen=True)
class Completed:
    """A read that ended."""

    read_id: int
    result: Result | Exception


class ReadExecutor(Protocol):
    """Runs `read_patch` or `read_asked` for many patches at once; used by one thread."""

    size: int
    """Reads that it can have under way at once, beside as many that were hedged."""

    @property
    def hung(self) -> int:
        """Abandoned reads that still hang in threads of this process."""

    def start(self, read_id: int, asked: Asked) -> None:
        """Start a read; no other read has the same id."""

    def next(self, timeout: float) -> Completed | None:
        """The next read that ended; None if none does within so many seconds.

        Raises:
            HfaefError: if there is nobody left to read.
        """

    def free_slot(self, read_id: int) -> None:
        """Let another read take the place of one that is hedged; it may still complete."""

    def abandon(self, read_id: int) -> None:
        """Stop waiting for a read; `next` does not give it any more."""

    def close(self) -> None:
        """Abandon all reads and let go of threads or workers."""


def read_asked(
    source: Source,
    staged: StagedPixels,
    policy: Policy,
    asked: Asked,
    wanted: Callable[[], bool] = lambda: True,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Read a patch, a batch or for a check; arguments and errors are those of `read_patch`.

    Raises:
        BatchRefused: if the source reads no batches.
    """
    match asked:
        case Batch():
            return read_batch(source, staged, policy, asked, wanted, sleep=sleep)
        case Check():
            return check_patch(source, staged, policy, asked, sleep=sleep)
    return read_patch(source, staged, policy, asked, wanted, sleep=sleep)


def read_patch(
    source: Source,
    staged: StagedPixels,
    policy: Policy,
    patch: Patch,
    wanted: Callable[[], bool] = lambda: True,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Read:
    """Read a patch once and stage it.

    Args:
        source: where pixels come from.
        staged: where they go.
        policy: for the parts of a patch that is too big as a whole, and for staging.
        patch: what to read.
        wanted: asked before the pixels are staged; nothing is written if it says no.
        sleep: waits for so many seconds, between tries of a part and of staging.

    Raises:
        SourceError: of the kind that says what to do about it; never TooBig.
        FolderError: if the pixels cannot be written.
    """
    pixels = read_grid(source, patch.grid, patch.year, policy, sleep)
    return _stage(staged, policy, patch, pixels, wanted, sleep)


def _stage(
    staged: StagedPixels,
    policy: Policy,
    patch: Patch,
    pixels: Pixels,
    wanted: Callable[[], bool],
    sleep: Callable[[float], None],
) -> Read:
    if wanted():
        try:
            policy.retry(partial(staged.write, patch, pixels), sleep)
        except Transient as error:
            # The source is not to blame, and no other patch will fare better.
            raise FolderError(error.message, error.hint) from error
    return Read(pixels.requests, pixels.received, pixels.origins, pixels.resampled)


def read_batch(
    source: Source,
    staged: StagedPixels,
    policy: Policy,
    batch: Batch,
    wanted: Callable[[], bool] = lambda: True,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> BatchRead:
    """Read patches together and stage them, in halves if they are too big together.

    Halves are read one after another, each tried again by itself, as are parts of a patch.
    Arguments and errors are those of `read_patch`.

    Raises:
        BatchRefused: if the source reads no batches.
    """
    if not isinstance(source, Batching):
        raise BatchRefused("the source reads patches one by one")
    found, largest = _read_together(source, batch.patches, policy, sleep, whole=True)
    results: list[Read | SourceError] = []
    for patch, pixels in zip(batch.patches, found, strict=True):
        if isinstance(pixels, SourceError):
            results.append(pixels)
        elif (pixels.codes[0] == NODATA).all():
            results.append(NoDataError(f"no data there in {patch.year}"))
        else:
            pixels.require(patch.grid)
            results.append(_stage(staged, policy, patch, pixels, wanted, sleep))
    return BatchRead(tuple(results), largest)


def _read_together(
    source: Batching,
    patches: Sequence[Patch],
    policy: Policy,
    sleep: Callable[[float], None],
    *,
    whole: bool = False,
) -> tuple[list[Pixels | SourceError], int]:
    """The pixels of patches, or an error in place of them, and the size of the largest request.

    Raises:
        SourceError: of all kinds but TooBig, if these are the whole batch; else those that no
            other part would escape.
    """
    call = partial(source.read_batch, [patch.grid for patch in patches], patches[0].year)
    try:
        # When a whole batch is tried again is for the engine to say.
        return (call() if whole else policy.retry(call, sleep)), len(patches)
    except TooBig as error:
        if len(patches) == 1:
            return [error], 1
    except (BatchRefused, CredentialsError, QuotaExhausted):
        raise
    except SourceError as error:
        if whole:
            raise
        return [error] * len(patches), 1  # the other half is not to be lost
    middle = len(patches) // 2
    first, one = _read_together(source, patches[:middle], policy, sleep)
    second, other = _read_together(source, patches[middle:], policy, sleep)
    return first + second, max(one, other)


def check_patch(
    source: Source,
    staged: StagedPixels,
    policy: Policy,
    check: Check,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Checked:
    """Read a patch alone and compare it, byte for byte, with what came together with others.

    Raises as `read_patch`, but for NoDataError.
    """
    patch = check.patch
    try:
        pixels = read_grid(source, patch.grid, patch.year, policy, sleep)
    except NoDataError:
        return Checked(same=not check.fetched)
    same = check.fetched and np.array_equal(staged.read(patch), pixels.codes)
    return Checked(same, pixels.requests, pixels.received)


def read_grid(
    source: Source,
    grid: Grid,
    year: int,
    policy: Policy,
    sleep: Callable[[float], None] = time.sleep,
) -> Pixels:
    """The pixels of a grid, read in parts if it is too big for the source.

    Parts are read one after another in the place of their patch, so no limit is exceeded, and each
    is tried again by itself: with many parts the whole would hardly ever succeed.

    Raises:
        SourceError: of the kind that says what to do about it; never TooBig.
    """

    def read(part: Grid) -> Pixels:
        call = partial(source.read, part, year)
        # When a whole patch is tried again is for the engine to say.
        pixels = call() if part is grid else policy.retry(call, sleep)
        try:
            pixels.require(part)
        except ValueError as error:
            raise PermanentError(f"the source gave another grid: {error}") from error
        return pixels

    pixels = in_parts(grid, read, stitch)
    if (pixels.codes[0] == NODATA).all():
        raise NoDataError(f"no data there in {year}")
    return pixels


def in_parts(
    grid: Grid, read: Callable[[Grid], Part], join: Callable[[Part, Part, int], Part]
) -> Part:
    """What is read of a grid, joined from its halves wherever one read is TooBig.

    Args:
        grid: halved along its longer side, and its halves again.
        read: reads a grid whole, or raises TooBig.
        join: joins what two halves gave, along an axis of codes (64, H, W).

    Raises:
        PermanentError: if a part of `SMALLEST` pixels a side is still too big.
    """
    try:
        return read(grid)
    except TooBig as error:
        if max(grid.height, grid.width) <= SMALLEST:
            raise PermanentError(
                f"{grid.height} x {grid.width} pixels are too many: {error}"
            ) from error
    first, second, axis = grid.halves()
    return join(in_parts(first, read, join), in_parts(second, read, join), axis)


def stitch(first: Pixels, second: Pixels, axis: int) -> Pixels:
    """The pixels of a grid from those of its halves, as `Grid.halves` makes them."""
    return Pixels(
        codes=np.concatenate([first.codes, second.codes], axis=axis),
        origins=tuple(dict.fromkeys(first.origins + second.origins)),
        resampled=first.resampled or second.resampled,
        requests=first.requests + second.requests,
        received=first.received + second.received,
        means=first.means or second.means,
    )
