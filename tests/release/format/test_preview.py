from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from hfaef.core.quantize import NODATA, signed_squares
from hfaef.release.format.preview import MAX_SIDE, fit_basis, render
from hfaef.sources.demo.field import Field


@pytest.fixture
def codes() -> np.ndarray:
    lon, lat = np.meshgrid(np.linspace(11, 11.05, 40), np.linspace(48, 48.03, 30))
    return Field(2).codes(lon, lat, 2018)


def squares(codes: np.ndarray) -> np.ndarray:
    return signed_squares(codes).reshape(64, -1).astype(np.float64)


def picture(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image)


def test_components_are_scikit_learns(codes: np.ndarray) -> None:
    sklearn = pytest.importorskip("sklearn.decomposition")
    basis = fit_basis(squares(codes))
    expected = sklearn.PCA(3).fit(squares(codes).T).components_
    ours = np.array(basis.components)
    cosine = np.abs((ours * expected).sum(axis=1)) / np.linalg.norm(ours, axis=1)
    assert (cosine > 0.9999).all()


def test_the_order_of_pixels_does_not_matter(codes: np.ndarray) -> None:
    shuffled = np.random.default_rng(0).permutation(squares(codes), axis=1)
    assert fit_basis(shuffled) == fit_basis(squares(codes))


def test_a_preview_is_a_small_colour_picture(codes: np.ndarray) -> None:
    shown = picture(render(codes, fit_basis(squares(codes))))
    assert shown.shape == (30, 40, 3)
    assert shown.std(axis=(0, 1)).min() > 20


def test_no_data_is_grey(codes: np.ndarray) -> None:
    basis = fit_basis(squares(codes))
    codes[:, :16, :16] = NODATA
    assert np.abs(picture(render(codes, basis))[:14, :14].astype(int) - 128).max() <= 4


def test_a_large_patch_has_a_small_preview() -> None:
    codes = np.ones((64, 300, 10), np.int8)
    assert max(picture(render(codes, fit_basis(squares(codes)))).shape) <= MAX_SIDE


def test_a_sample_without_variation_still_has_a_basis() -> None:
    codes = np.full((64, 4, 4), 7, np.int8)
    assert render(codes, fit_basis(squares(codes)))
