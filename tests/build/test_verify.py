"""`build --verify` finds answers that are plausible and another patch's, and publishes none."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources.cog.test_remote_blocks import patch, write
from sources.cog.test_remote_damage import header_of, tile_path

from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import read_patch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.pipeline import build
from hfaef.build.staging.store import Store
from hfaef.build.verify import draw, verify
from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Patch
from hfaef.core.aef import BLOCK
from hfaef.core.grid import Grid
from hfaef.core.quantize import NODATA, from_stored
from hfaef.errors import NoDataError, SourceError
from hfaef.load import load
from hfaef.recipe.model import Recipe
from hfaef.recipe.read import read_recipe
from hfaef.release.format.manifest import read_manifest
from hfaef.sources.base import Pixels
from hfaef.sources.demo.bigtiff import CELL
from servers.earthengine import Fault, Service, World, tiles_around
from servers.earthengine.client import PROJECT, TOKEN, expected, isolate
from servers.files import Fault as FileFault
from servers.files import FileServer, Request
from support.fakes import FieldSource, patches, truth
from support.tile_stores import remote_source, tiles
from support.unit_codes import filled

pytestmark = pytest.mark.usefixtures("sources")

QUICK = Policy(first_wait=0.01, longest_wait=0.02)
YEAR = 2018
SWAP = Fault("swap")


@given(st.integers(0, 300), st.integers(0, 320), st.integers(0, 5))
def test_patches_are_drawn_evenly_and_the_same_each_time(total: int, count: int, seed: int) -> None:
    listed = patches(total, side=1)
    drawn = draw(listed, count, seed)
    assert drawn == draw(listed, count, seed)
    numbers = [listed.index(one) for one in drawn]
    assert len(set(numbers)) == min(count, total)
    assert numbers == sorted(numbers)
    part = total / max(len(drawn), 1)
    assert all(after - before < 2 * part + 1 for before, after in pairwise(numbers))


# --- from Earth Engine: a whole build


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recipe:
    """Eight points, to be read from a service whose address is set later."""
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)
    lines = [f"p{number},L{number % 2},{9 + number / 50},50.1" for number in range(8)]
    (tmp_path / "points.csv").write_text("\n".join(["id,label,lon,lat", *lines]))
    text = f"""
name = "Points"
years = [{YEAR}]
[patches]
kind = "table"
path = "points.csv"
size = 16
[source]
kind = "earthengine"
project = "{PROJECT}"
url = "http://127.0.0.1:1"
batch = 1
[pack]
codec = "raw"
[card]
description = "Points."
"""
    (tmp_path / "points.toml").write_text(text)
    return read_recipe(str(tmp_path / "points.toml"))


def serve(recipe: Recipe) -> tuple[Service, Recipe, World]:
    world = World(tiles_around([one.grid for one in open_catalog(recipe).patches], (YEAR,)))
    service = Service(world)
    source = recipe.source.model_copy(update={"url": service.url})
    return service, recipe.model_copy(update={"source": source}), world


def right(folder: Path, recipe: Recipe, world: World) -> bool:
    """Whether all rows of a release are the closed form."""
    grids = {one.id: one.grid for one in open_catalog(recipe).patches}
    rows = list(load(folder, "train"))
    assert len(rows) == len(grids)
    return all(
        np.array_equal(from_stored(row["embedding"]), expected(world, grids[row["id"]], YEAR))
        for row in rows
    )


def test_two_answers_that_were_swapped_end_the_build(recipe: Recipe, tmp_path: Path) -> None:
    service, recipe, world = serve(recipe)
    out = tmp_path / "out"
    with service:
        service.conduct.plan([None, SWAP, SWAP])
        with pytest.raises(SourceError) as caught:
            build(recipe, out, threads=4, verify_count=8)
        assert service.conduct.tally.requests["pixels"] == 8 + 8 + 2
        error = caught.value
        assert error.exit_code == 1
        assert error.message.startswith(
            "2 of 8 patches that were read twice from GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL differ: p"
        )
        assert error.message.count("(256 of 256 pixels; a third answer is like the second)") == 2
        assert "\n" not in str(error)
        assert {path.name for path in out.iterdir()} == {".staging"}
        # The same command fetches what differed anew, and is right.
        built = build(recipe, out, verify_count=3)
        assert service.conduct.tally.requests["pixels"] == 18 + 2 + 3
    assert "3 of 8 patches were read twice: they are the same" in built.notes
    assert right(out, recipe, world)


def test_swapped_answers_stay_unseen_without_it(recipe: Recipe, tmp_path: Path) -> None:
    """What it is for: nothing in the bytes tells."""
    service, recipe, world = serve(recipe)
    with service:
        service.conduct.plan([SWAP, SWAP])
        built = build(recipe, tmp_path / "out", threads=4)
    assert read_manifest(built.folder).rows == 8
    assert not right(built.folder, recipe, world)


def test_half_an_answer_of_zeros_is_found_without_it(recipe: Recipe, tmp_path: Path) -> None:
    service, recipe, world = serve(recipe)
    with service:
        service.conduct.plan([Fault("zero"), None, Fault("zero")])
        build(recipe, tmp_path / "out", threads=4)
        assert service.conduct.tally.requests["pixels"] == 8 + 2
    assert right(tmp_path / "out", recipe, world)


def test_what_was_staged_wrongly_before_is_found_and_the_release_stays(
    recipe: Recipe, tmp_path: Path
) -> None:
    service, recipe, _ = serve(recipe)
    out = tmp_path / "out"
    with service:
        build(recipe, out, threads=4)
        before = (out / "release.json").read_bytes()
        _, lost, *_ = open_catalog(recipe).patches
        with Store(out) as store:
            upside_down = store.pixels.read(lost)[:, ::-1]
            store.pixels.write(lost, Pixels(upside_down, (), resampled=False))
        with pytest.raises(SourceError, match=f"1 of 8 .* differ: {lost.id} of 2018 "):
            build(recipe, out, verify_count=100)
    assert (out / "release.json").read_bytes() == before, "the release that was there stays"


# --- from tiles behind HTTP


ALTERNATING = np.broadcast_to(np.resize([44, 46], (64, 1, 1)), (64, CELL, CELL)).astype(np.int8)
ON_BLOCK = {0: filled(0, CELL, CELL), 3: ALTERNATING}
"""By the column of a block; they compress to as many bytes."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file with blocks apart from one another, each with a cell of data."""
    step = BLOCK // CELL
    cells = {(0, column * step): codes for column, codes in ON_BLOCK.items()}
    write(tmp_path, {"xa": cells}, "blocks")
    return tmp_path


def swapped(root: Path) -> dict[int, int]:
    """By the first byte of a block, how far away the other one is."""
    level = header_of(tile_path(root)).levels[0]
    assert np.array_equal(level.counts[:, 0, 0], level.counts[:, 0, 3]), "so both decode"
    (one, other) = (int(level.starts[:, 0, column].min()) for column in (0, 3))
    return {one: other - one, other: one - other}


def test_two_answers_of_tiles_that_were_swapped_are_found(root: Path, store: Store) -> None:
    wanted = [Patch(f"B{column}", patch(0, column), "x", {}, YEAR) for column in (0, 3)]
    left = swapped(root)

    def fail(request: Request) -> FileFault | None:
        shift = left.pop(request.range[0], None) if tiles(request) and request.range else None
        return FileFault(shift=shift) if shift else None

    with FileServer(root, fail=fail) as server:
        source = remote_source(server)
        source.prefetch([(one.grid, YEAR) for one in wanted])
        read = partial(read_patch, source, store.pixels, QUICK)
        fetch(wanted, ThreadExecutor(read, 2), store, policy=QUICK)
        assert not left
        assert np.array_equal(store.pixels.read(wanted[0]), ON_BLOCK[3])
        open_alone = partial(remote_source, server)
        with pytest.raises(SourceError) as caught:
            verify(wanted, 2, store, open_alone, QUICK, server.url)
        assert caught.value.message == (
            f"2 of 2 patches that were read twice from {server.url} differ: B0 of 2018 (4,096 of "
            "4,096 pixels; a third answer is like the second); B3 of 2018 (4,096 of 4,096 pixels; "
            "a third answer is like the second)"
        )
        assert not store.outcomes(), "so they are fetched anew"
        fetch(wanted, ThreadExecutor(read, 2), store, policy=QUICK)
        note = verify(wanted, 2, store, open_alone, QUICK, server.url)
    assert note == "2 of 2 patches were read twice: they are the same"


def test_each_patch_is_read_alone_and_from_the_server(root: Path, store: Store) -> None:
    """Two patches on one block: the block is asked for twice, and its header."""
    a, b, c, d, e, f = patch(0, 0).transform
    grids = [Grid("EPSG:32632", (a, b, c + 80 * n, d, e, f), 8, 8) for n in range(2)]
    wanted = [Patch(f"P{number}", grid, "x", {}, YEAR) for number, grid in enumerate(grids)]
    with FileServer(root) as server:
        source = remote_source(server)
        source.prefetch([(one.grid, YEAR) for one in wanted])
        read = partial(read_patch, source, store.pixels, QUICK)
        fetch(wanted, ThreadExecutor(read, 2), store, policy=QUICK)

        def asked() -> int:
            return sum(map(tiles, server.requests))

        once = asked()
        verify(wanted, 1, store, partial(remote_source, server), QUICK, "x")
        assert asked() == 2 * once
        verify(wanted, 2, store, partial(remote_source, server), QUICK, "x")
        assert asked() == 4 * once


# --- from a source whose answers follow a script


def stage(store: Store, wanted: list[Patch]) -> None:
    read = partial(read_patch, FieldSource(), store.pixels, QUICK)
    fetch(wanted, ThreadExecutor(read, 4), store, policy=QUICK)


def test_a_third_answer_may_be_like_the_first_or_like_neither(store: Store) -> None:
    class Unsteady(FieldSource):
        """One pixel of each answer's first one is another; of some places all are."""

        def read(self, grid: Grid, year: int) -> Pixels:
            found = super().read(grid, year)
            tries = self.reads[str(grid.transform)]
            codes = found.codes.copy()
            if tries == 1 or str(grid.transform) == neither:
                codes[:, 0, tries % 4] = codes[::-1, 0, tries % 4]
            return Pixels(codes, found.origins, resampled=False)

    wanted = patches(2)
    neither = str(wanted[1].grid.transform)
    stage(store, wanted)
    with pytest.raises(SourceError) as caught:
        verify(wanted, 5, store, Unsteady, QUICK, "x")
    assert caught.value.message.endswith(
        "P000000 of 2018 (1 of 16 pixels; a third answer is like the first); "
        "P000001 of 2018 (1 of 16 pixels; a third answer is like neither)"
    )


def test_a_patch_that_has_no_data_the_second_time_differs(store: Store) -> None:
    wanted = patches(3)
    stage(store, wanted)
    places = {str(wanted[1].grid.transform): lambda: NoDataError("nothing there")}
    source = partial(FieldSource, always=places)
    with pytest.raises(SourceError, match=r"1 of 3 .* P000001 .*had no data; .* like the second"):
        verify(wanted, 3, store, source, QUICK, "x")
    assert set(store.outcomes()) == {(YEAR, "P000000"), (YEAR, "P000002")}


def test_many_that_differ_are_ten_and_a_count(store: Store) -> None:
    wanted = patches(14)
    stage(store, wanted)
    for one in wanted:
        other = truth(one.grid, YEAR)[::-1]
        store.pixels.write(one, Pixels(other, (), resampled=False))
    with pytest.raises(SourceError, match=r"14 of 14 .* P000009 .*; and 4 more"):
        verify(wanted, 14, store, FieldSource, QUICK, "x")


def test_faults_that_pass_are_tried_again(store: Store) -> None:
    wanted = patches(30)
    stage(store, wanted)
    note = verify(wanted, 30, store, partial(FieldSource, share=0.3), QUICK, "x")
    assert note == "30 of 30 patches were read twice: they are the same"


def test_pixels_of_a_release_are_not_read_twice(store: Store) -> None:
    from dataclasses import replace

    wanted = patches(4)
    stage(store, wanted)
    for outcome in list(store.outcomes().values())[:3]:
        store.record(replace(outcome, taken_from="before"))
    note = verify(wanted, 4, store, FieldSource, QUICK, "x")
    assert note == "1 of 1 patch was read twice: it is the same"
    for outcome in store.outcomes().values():
        store.record(replace(outcome, taken_from="before"))
    note = verify(wanted, 4, store, FieldSource, QUICK, "x")
    assert note == "no patch of this build was read from the source, so none was read twice"


def test_no_data_is_the_same_as_no_data(store: Store) -> None:
    (one,) = patches(1)
    codes = truth(one.grid, YEAR)
    codes[:, 0] = NODATA

    class Half(FieldSource):
        def read(self, grid: Grid, year: int) -> Pixels:
            super().read(grid, year)
            return Pixels(codes, (), resampled=False)

    read = partial(read_patch, Half(), store.pixels, QUICK)
    fetch([one], ThreadExecutor(read, 1), store, policy=QUICK)
    assert "same" in verify([one], 1, store, Half, QUICK, "x")
