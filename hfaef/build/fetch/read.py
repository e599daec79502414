"""One patch, read from a source and staged: what a thread or another machine does for the engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tenacity import Retrying

from hfaef.build.fetch.retry import Policy
from hfaef.build.staging.pixels import StagedPixels
from hfaef.catalog.patch import Patch
from hfaef.core.grid import Grid
from hfaef.core.quantize import NODATA
from hfaef.errors import FolderError, PermanentError, TooBig, Transient
from hfaef.sources.base import Pixels, Source

SMALLEST = 16
"""Pixels a side below which a grid that is said to be too big is not split further."""


@dataclass(frozen=True)
class Read:
    """What reading a patch came to; its pixels are staged."""

    origins: tuple[str, ...]
    resampled: bool
    requests: int
    received: int


def read_patch(
    source: Source,
    staged: StagedPixels,
    policy: Policy,
    patch: Patch,
    *,
    wanted: Callable[[], bool] = lambda: True,
    sleep: Callable[[float], None] = time.sleep,
) -> Read:
    """Read a patch once and stage it.

    Args:
        source: where pixels come from.
        staged: where they go.
        policy: for the parts of a patch that is too big as a whole.
        patch: what to read.
        wanted: asked before the pixels are staged; nothing is written if it says no.
        sleep: waits for so many seconds, between tries of a part and of staging.

    Raises:
        SourceError: of the kind that says what to do about it; never TooBig.
        FolderError: if the pixels cannot be written.
    """
    pixels = read_grid(source, patch.grid, patch.year, policy, sleep)
    if wanted():
        try:
            policy.retrying(sleep)(staged.write, patch, pixels)
        except Transient as error:
            # The source is not to blame, and no other patch will fare better.
            raise FolderError(error.message, error.hint) from error
    return Read(pixels.origins, pixels.resampled, pixels.requests, pixels.received)


def read_grid(
    source: Source,
    grid: Grid,
    year: int,
    policy: Policy,
    sleep: Callable[[float], None] = time.sleep,
) -> Pixels:
    """The pixels of a grid, read in parts if it is too big for the source.

    Raises:
        SourceError: of the kind that says what to do about it; never TooBig.
    """
    try:
        pixels = source.read(grid, year)
    except TooBig as error:
        pixels = _in_halves(source, grid, year, error, policy.retrying(sleep))
    try:
        pixels.require(grid)
    except ValueError as error:
        raise PermanentError(f"the source gave another grid: {error}") from error
    if (pixels.codes[0] == NODATA).all():
        raise PermanentError(f"no data there in {year}")
    return pixels


def stitch(first: Pixels, second: Pixels, axis: int) -> Pixels:
    """The pixels of a grid from those of its halves, as `Grid.halves` makes them."""
    return Pixels(
        codes=np.concatenate([first.codes, second.codes], axis=axis),
        origins=tuple(dict.fromkeys(first.origins + second.origins)),
        resampled=first.resampled or second.resampled,
        requests=first.requests + second.requests,
        received=first.received + second.received,
    )


def _in_halves(source: Source, grid: Grid, year: int, error: TooBig, retrying: Retrying) -> Pixels:
    """A grid that is too big, read in parts.

    The parts are read one after another in the place of their patch, so no limit is exceeded, and
    each is tried again by itself: with many parts the whole would hardly ever succeed.
    """
    if max(grid.height, grid.width) <= SMALLEST:
        raise PermanentError(
            f"{grid.height} x {grid.width} pixels are too many: {error}"
        ) from error
    first, second, axis = grid.halves()
    halves = []
    for half in (first, second):
        try:
            halves.append(retrying(source.read, half, year))
        except TooBig as refused:
            halves.append(_in_halves(source, half, year, refused, retrying))
    return stitch(halves[0], halves[1], axis)
