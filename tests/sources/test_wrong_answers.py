"""Answers that are whole and cannot be right are asked for again a few times, then given up."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sources.cog.test_remote_blocks import patch, write
from sources.cog.test_source import YEAR

from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import read_patch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.errors import PermanentError, Transient
from hfaef.recipe.model import Cog
from hfaef.sources import open_source
from hfaef.sources.answers import TRIES
from hfaef.sources.base import Source
from hfaef.sources.demo.bigtiff import CELL
from servers.earthengine import Fault, Service, World, tiles_around
from servers.earthengine.client import TOKEN, expected, isolate, source_of
from servers.files import FileServer
from support.fakes import patches
from support.tile_stores import remote_source, tiles
from support.unit_codes import filled

pytestmark = pytest.mark.usefixtures("sources")

QUICK = Policy(first_wait=0.01, longest_wait=0.02)
ZERO = Fault("zero")


def fetch_all(source: Source, wanted: list[Patch], store: Store) -> None:
    read = partial(read_patch, source, store.pixels, QUICK)
    fetch(wanted, ThreadExecutor(read, 4), store, policy=QUICK)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)


@pytest.mark.usefixtures("token")
def test_half_an_answer_of_zeros_is_asked_for_again(store: Store) -> None:
    wanted = patches(12)
    world = World(tiles_around([one.grid for one in wanted], (YEAR,)))
    with Service(world) as service, source_of(service) as source:
        service.conduct.plan([ZERO, None, ZERO, ZERO])
        fetch_all(source, wanted, store)
        assert service.conduct.tally.requests["pixels"] == len(wanted) + 3
    outcomes = store.outcomes()
    assert sum(outcomes[YEAR, one.id].attempts for one in wanted) == len(wanted) + 3
    for one in wanted:
        assert np.array_equal(store.pixels.read(one), expected(world, one.grid, YEAR))


@pytest.mark.usefixtures("token")
def test_a_service_that_always_gives_zeros_is_asked_three_times(store: Store) -> None:
    wanted = patches(1)
    world = World(tiles_around([one.grid for one in wanted], (YEAR,)))
    with Service(world) as service, source_of(service) as source:
        service.conduct.plan([ZERO] * 10)
        fetch_all(source, wanted, store)
        assert service.conduct.tally.requests["pixels"] == TRIES == 3
    outcome = store.outcomes()[YEAR, wanted[0].id]
    assert not outcome.fetched
    assert not outcome.permanent, "the next build asks again"
    assert outcome.reason == (
        "Earth Engine gave pixels that are not AEF's: 8 of 16 pixels are no unit vectors; that in "
        "row 2, column 0 has the length 0.000 (3 answers)"
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three blocks: the middle one's pixels are no unit vectors."""
    cells = {
        (0, 0): filled(1, CELL, CELL),
        (0, 16): np.full((64, CELL, CELL), 3, np.int8),
        (0, 32): filled(2, CELL, CELL),
    }
    write(tmp_path, {"xa": cells}, "blocks")
    return tmp_path


def on_block(column: int) -> Patch:
    return Patch(f"B{column}", patch(0, column), "x", {}, YEAR)


@pytest.mark.parametrize("announced", [True, False])
def test_a_tile_without_unit_vectors_costs_the_patches_on_them_alone(
    root: Path, store: Store, announced: bool
) -> None:
    wanted = [on_block(column) for column in range(3)]
    with FileServer(root) as server:
        source = remote_source(server)
        if announced:
            source.prefetch([(one.grid, YEAR) for one in wanted])
        fetch_all(source, wanted, store)
        asked = [r for r in server.requests if tiles(r) and r.range and r.range[0]]
    outcomes = store.outcomes()
    assert [outcomes[YEAR, one.id].fetched for one in wanted] == [True, False, True]
    bad = outcomes[YEAR, "B1"]
    assert bad.attempts == 3, "each with the bytes asked for anew"
    assert "xa.tiff" in bad.reason
    assert "4,096 of 4,096 pixels are no unit vectors" in bad.reason
    assert bad.reason.endswith("has the length 0.004 (3 answers)")
    assert len(asked) >= 3
    for value, column in ((1, 0), (2, 2)):
        assert np.array_equal(store.pixels.read(wanted[column]), filled(value, CELL, CELL))


def test_a_tile_in_a_folder_without_unit_vectors_is_named(root: Path) -> None:
    source = open_source(Cog(kind="cog", root=str(root)))
    for kind in (Transient, Transient, PermanentError):
        with pytest.raises(kind, match=r"xa.tiff: 4,096 of 4,096 pixels are no unit vectors"):
            source.read(patch(0, 1), YEAR)
    source.close()
