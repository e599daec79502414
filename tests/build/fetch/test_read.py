"""A patch that is too big for its source is read in parts, whichever source it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.build.fetch.read import in_parts, read_grid
from hfaef.build.fetch.retry import Policy
from hfaef.core.grid import Grid
from hfaef.core.quantize import NODATA
from hfaef.errors import CredentialsError, PermanentError, Throttled, TooBig, Transient
from hfaef.sources.base import Pixels
from servers.earthengine import Conduct, Service, World, tiles_around
from servers.earthengine.client import TOKEN, expected, isolate, source_of
from support.fakes import FieldSource, patches, truth

GRID = Grid("EPSG:32632", (10.0, 0.0, 513_000.0, 0.0, -10.0, 5_549_600.0), 40, 24)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(17**2, 2000))
def test_parts_are_within_the_limit_and_cover_the_grid_once(
    height: int, width: int, limit: int
) -> None:
    def columns_and_rows(part: Grid) -> np.ndarray:
        if part.height * part.width > limit:
            raise TooBig("over the limit")
        x, y = part.centres()
        return np.stack([x, y])

    grid = Grid("EPSG:32632", (8.0, 6.0, 512_345.6, 6.0, -8.0, 5_543_210.9), height, width)
    found = in_parts(grid, columns_and_rows, lambda a, b, axis: np.concatenate([a, b], axis=axis))
    np.testing.assert_allclose(found, np.stack(grid.centres()), rtol=1e-15)


def test_each_part_is_tried_again_by_itself() -> None:
    source = FieldSource(max_pixels=300, share=0.4)
    waits: list[float] = []
    grid = patches(1, side=45)[0].grid
    pixels = read_grid(source, grid, 2018, Policy(), waits.append)
    assert (pixels.codes == truth(grid, 2018)).all()
    assert pixels.requests == 8
    assert len(waits) > 0


def test_the_whole_patch_is_not_tried_again_here() -> None:
    source = FieldSource(share=1.0)
    with pytest.raises((Throttled, Transient)):
        read_grid(source, GRID, 2018, Policy(), pytest.fail)
    assert sum(source.reads.values()) == 1


def test_a_source_that_gives_another_grid_is_named() -> None:
    class Wrong(FieldSource):
        def read(self, grid: Grid, year: int) -> Pixels:
            return super().read(Grid(grid.crs, grid.transform, grid.height, grid.width + 1), year)

    with pytest.raises(PermanentError, match="another grid"):
        read_grid(Wrong(), GRID, 2018, Policy())


@pytest.mark.parametrize("empty", ["first half", "everything"])
def test_a_patch_without_data_in_one_part_is_had_and_one_without_any_is_not(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)
    south = 5_549_400.0 if empty == "first half" else 5_549_000.0
    hole = ("32N", (512_000.0, south, 514_000.0, 5_550_000.0))
    conduct = Conduct(max_bytes=20 * 24 * 64 * 2)
    with (
        Service(World(tiles_around([GRID], (2018,), [hole])), conduct) as service,
        source_of(service) as source,
    ):
        if empty == "everything":
            with pytest.raises(PermanentError, match=r"^no data there in 2018"):
                read_grid(source, GRID, 2018, Policy())
            return
        pixels = read_grid(source, GRID, 2018, Policy())
        assert (pixels.codes == expected(service.world, GRID, 2018)).all()
        assert (pixels.codes[:, :20] == NODATA).all()
        assert (pixels.codes[:, 20:] != NODATA).any()
        assert service.conduct.tally.requests["pixels"] == 3


class TestRetry:
    """Steps that are tried again in place."""

    @pytest.mark.parametrize("failures", [0, 1, 7])
    def test_what_passes_in_time_is_had(self, failures: int) -> None:
        errors: list[Exception] = [Transient("503"), Throttled("429")] * 4
        waits: list[float] = []

        def call() -> int:
            if len(waits) < failures:
                raise errors[len(waits)]
            return 42

        assert Policy().retry(call, waits.append) == 42
        assert len(waits) == failures

    def test_the_last_error_is_raised(self) -> None:
        waits: list[float] = []

        def call() -> int:
            raise Transient(f"failure {len(waits) + 1}")

        with pytest.raises(Transient, match="failure 8"):
            Policy().retry(call, waits.append)

    def test_what_does_not_pass_is_not_tried_again(self) -> None:
        def call() -> int:
            raise CredentialsError("expired")

        with pytest.raises(CredentialsError):
            Policy().retry(call, pytest.fail)


@given(st.integers(1, 10_000))
def test_waits_grow_up_to_a_limit_and_are_jittered(tries: int) -> None:
    policy = Policy(first_wait=0.5, longest_wait=30.0)
    waits = {policy.backoff(tries) for _ in range(50)}
    assert all(0 <= wait <= min(30.0, 0.5 * 2.0 ** min(tries - 1, 10)) for wait in waits)
    assert len(waits) > 1


def test_nothing_is_asked_again_before_the_servers_delay_up_to_a_limit() -> None:
    policy = Policy(longest_delay=600.0)
    assert policy.wait(Throttled("429", delay=40.0), 1) >= 40.0
    assert policy.delay(Throttled("429", delay=3e7)) == 600.0
    assert policy.delay(Throttled("429")) == policy.delay(Transient("503")) == 0.0
