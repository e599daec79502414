"""Pixels are unit vectors wherever there is data, or they are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hfaef.core.aef import is_coarse
from hfaef.core.grid import Grid
from hfaef.core.quantize import BANDS, NODATA, dequantize, squared_lengths
from hfaef.sources.base import LONGEST, SHORTEST, NotUnitError, Pixels
from hfaef.sources.demo.field import Field
from support.unit_codes import filled, noise


def pixels(codes: np.ndarray) -> Pixels:
    return Pixels(codes, ("x",), resampled=False)


@given(hnp.arrays(np.int8, (BANDS, 3, 5), elements=st.integers(-127, 127)))
def test_squared_lengths_are_those_of_the_floats(codes: np.ndarray) -> None:
    wanted = (dequantize(codes).astype(np.float64) ** 2).sum(axis=0)
    np.testing.assert_allclose(squared_lengths(codes), wanted, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (3, 5000), (130, 70)])
def test_squared_lengths_do_not_depend_on_what_is_summed_at_once(shape: tuple[int, int]) -> None:
    codes = noise(1, *shape)
    wanted = (dequantize(codes).astype(np.float64) ** 2).sum(axis=0)
    np.testing.assert_allclose(squared_lengths(codes), wanted, rtol=1e-5)
    north_up = codes[:, ::-1, :]  # not contiguous
    np.testing.assert_allclose(squared_lengths(north_up), wanted[::-1], rtol=1e-5)


def test_unit_vectors_are_pixels_and_so_is_no_data() -> None:
    codes = noise(0, 40, 30)
    codes[:, 3:20, 7] = NODATA
    assert pixels(codes).codes is codes
    assert (pixels(np.full_like(codes, NODATA)).codes == NODATA).all()


@pytest.mark.parametrize("level", [44, 46])
def test_a_pixel_that_is_no_unit_vector_is_named(level: int) -> None:
    # 64 bands of 44 are 0.953 long, of 46 1.041; of 45, as `filled` has them, 0.997.
    codes = filled(0, 9, 8)
    codes[:, 0, 0] = NODATA
    codes[:, 4, 5] = codes[:, 8, 7] = level
    length = np.linalg.norm(dequantize(codes[:, 4, 5]))
    assert not SHORTEST <= length <= LONGEST
    with pytest.raises(NotUnitError) as caught:
        pixels(codes)
    assert str(caught.value) == (
        f"2 of 71 pixels are no unit vectors; that in row 4, column 5 has the length {length:.3f}"
    )


@pytest.mark.parametrize("change", ["zeros", "half of the bands", "bands of another scale"])
def test_codes_that_are_not_aefs_are_refused(change: str) -> None:
    codes = noise(2, 8, 8)
    if change == "zeros":
        codes[:, 4:] = 0
    elif change == "half of the bands":
        codes[32:] = 0
    else:
        codes = np.rint(dequantize(codes) * 127.5).astype(np.int8)
    with pytest.raises(NotUnitError, match="no unit vectors"):
        pixels(codes)


def require_units(codes: np.ndarray) -> int:
    """Raises unless all pixels with data are unit vectors; how many there are."""
    return int((pixels(codes.reshape(BANDS, 1, -1)).codes[0] != NODATA).sum())


@given(st.integers(0, 50), st.integers(1, 30), st.integers(2017, 2025))
def test_made_up_worlds_are_of_unit_vectors(seed: int, classes: int, year: int) -> None:
    longitude, latitude = np.random.default_rng(seed).uniform(-80, 80, (2, 300))
    assert require_units(Field(seed, classes).codes(longitude, latitude, year)) == 300


def test_the_demo_world_and_its_overviews_are_of_unit_vectors(demo_root: Path) -> None:
    found = sorted((demo_root / "data/demo/aef").rglob("*.tiff"))
    assert found
    for path in found:
        seen = 0
        for level in (5, 8):  # of 640 m and 5 km
            with rasterio.open(path, overview_level=level) as tile:
                seen += require_units(tile.read())
        assert seen


def test_real_codes_are_of_unit_vectors(shared: Path) -> None:
    with rasterio.open(shared / "aef/wisconsin_2024_utm16n_64band.tif") as tile:
        assert require_units(tile.read()) == 10_172


def test_bands_in_another_order_are_still_unit_vectors() -> None:
    """What the length cannot tell; `build --verify` reads patches twice for that."""
    assert pixels(noise(3, 4, 4)[::-1])


def test_means_of_unlike_pixels_are_shorter_and_pass_as_means_alone() -> None:
    codes = filled(0, 2, 2)
    short = np.round(codes * 0.8).astype(np.int8)
    with pytest.raises(NotUnitError):
        pixels(short)
    assert Pixels(short, ("x",), resampled=True, means=True).codes is short
    with pytest.raises(NotUnitError):
        Pixels(np.zeros_like(codes), ("x",), resampled=True, means=True)


@pytest.mark.parametrize(
    ("grid", "coarse"),
    [
        (Grid("EPSG:32632", (10.0, 0, 0, 0, -10.0, 0), 1, 1), False),
        (Grid("EPSG:32632", (9.94, 0, 0, 0, -10.06, 0), 1, 1), False),
        (Grid("EPSG:32632", (20.0, 0, 0, 0, -20.0, 0), 1, 1), True),
        (Grid("EPSG:4326", (0.0001, 0, 0, 0, -0.0001, 0), 1, 1), False),
        (Grid("EPSG:4326", (0.001, 0, 0, 0, -0.001, 0), 1, 1), True),
    ],
)
def test_pixels_of_over_fifteen_metres_are_coarse(grid: Grid, coarse: bool) -> None:
    assert is_coarse(grid) is coarse
