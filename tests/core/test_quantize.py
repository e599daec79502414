from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hfaef.core.quantize import (
    BANDS,
    NODATA,
    STORED_NODATA,
    dequantize,
    from_stored,
    pool,
    quantize,
    signed_squares,
    to_stored,
    valid_mask,
)

ALL_CODES = np.arange(-128, 128).astype(np.int8)

GOLDEN = {
    -127: -0.9921722414455978,
    -64: -0.25196463,
    -1: -6.151480199923e-05,
    0: 0.0,
    1: 6.151480199923e-05,
    63: 0.24415225,
    127: 0.9921722414455978,
}
"""Codes and floats, worked out by hand: (code / 127.5) squared."""

codes_of_a_patch = st.integers(1, 9).flatmap(
    lambda side: hnp.arrays(np.int8, (BANDS, side, 3), elements=st.integers(-127, 127))
)


@pytest.mark.parametrize(("code", "value"), GOLDEN.items())
def test_golden_vector(code: int, value: float) -> None:
    assert dequantize(np.int8([code]))[0] == pytest.approx(value, rel=1e-6)


def test_all_codes_survive_floats_and_back() -> None:
    assert (quantize(dequantize(ALL_CODES)) == ALL_CODES).all()


def test_all_codes_survive_the_stored_form() -> None:
    stored = to_stored(ALL_CODES)
    assert stored.dtype == np.uint8
    assert (stored.astype(int)[1:] == ALL_CODES.astype(int)[1:] + 127).all()
    assert stored[0] == STORED_NODATA
    assert (from_stored(stored) == ALL_CODES).all()


def test_stored_form_and_codes_mean_the_same_floats() -> None:
    assert np.array_equal(dequantize(to_stored(ALL_CODES)), dequantize(ALL_CODES), equal_nan=True)


def test_nodata_is_nan_and_nothing_else_is() -> None:
    floats = dequantize(ALL_CODES)
    assert np.isnan(floats[0])
    assert np.isfinite(floats[1:]).all()


def test_absolute_value_of_minus_128_does_not_leak() -> None:
    assert signed_squares(ALL_CODES)[0] == 0


@given(hnp.arrays(np.float64, 20, elements=st.floats(-2, 2)))
def test_quantize_rounds_to_the_nearest_code_and_clamps(floats: np.ndarray) -> None:
    exact = np.sign(floats) * np.sqrt(np.abs(floats)) * 127.5
    assert (np.abs(quantize(floats) - np.clip(exact, -127, 127)) <= 0.5).all()


@given(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=3)))
def test_any_stored_value_survives(stored: np.ndarray) -> None:
    assert (to_stored(from_stored(stored)) == stored).all()


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.int64])
def test_dequantize_refuses_a_dtype_whose_meaning_it_would_guess(dtype: type) -> None:
    with pytest.raises(TypeError, match="uint8"):
        dequantize(np.zeros(3, dtype))


def test_real_codes_are_unit_vectors(shared) -> None:
    import rasterio

    with rasterio.open(shared / "aef/wisconsin_2024_utm16n_64band.tif") as dataset:
        codes = dataset.read()
    valid = valid_mask(codes)
    lengths = np.sqrt((dequantize(codes).astype(np.float64)[:, valid] ** 2).sum(axis=0))
    assert valid.sum() == 10_172
    assert lengths.min() >= 0.993
    assert lengths.max() <= 1.008


@given(codes_of_a_patch)
def test_pooling_equals_numpy_over_floats(codes: np.ndarray) -> None:
    pooled = pool(codes)
    floats = np.sign(codes) * (codes.astype(np.float64) / 127.5) ** 2
    flat = floats.reshape(BANDS, -1)
    expected = [flat.min(1), flat.max(1), flat.mean(1), flat.std(1)]
    assert pooled.valid_fraction == 1
    np.testing.assert_allclose(pooled.mean, flat.mean(1), rtol=1e-6, atol=1e-7)
    found = [pooled.low, pooled.high, pooled.mean, pooled.std]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@given(codes_of_a_patch, st.integers(1, 20))
def test_nodata_pixels_have_no_part_in_pooling(codes: np.ndarray, empty: int) -> None:
    padding = np.full((BANDS, empty, 3), NODATA, np.int8)
    pooled, alone = pool(np.concatenate([codes, padding], axis=1)), pool(codes)
    for name in ("low", "high", "mean", "std"):
        assert (getattr(pooled, name) == getattr(alone, name)).all()
    assert pooled.valid_fraction == pytest.approx(codes.shape[1] / (codes.shape[1] + empty))


def test_pooling_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no valid pixel"):
        pool(np.full((BANDS, 2, 2), NODATA, np.int8))
