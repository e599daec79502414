"""Every pooling equals numpy's own reduction over the valid pixels."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from hfaef.cli.release import evaluate as evaluate_command
from hfaef.core.quantize import dequantize, from_stored, pool
from hfaef.evaluation.pooling import (
    BLOCK,
    DIMENSIONS,
    POOLINGS,
    gaussian,
    join_stats,
    patch_stats,
    pool_stats,
)
from support.poolings import pool_stored


def stored_patch(seed=0, height=7, width=9, *, holes=True):
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 255, (64, height, width), dtype=np.uint8)
    stored[0] = 17
    if holes:
        stored[:, rng.random((height, width)) < 0.3] = 255
    return stored


def by_hand(stored, on):
    """The published definitions, written with numpy over (pixels, 64)."""
    valid = (stored != 255).all(axis=0)
    codes = from_stored(stored).astype(np.float64)
    values = np.sign(codes) * (codes / 127.5) ** 2 if on == "values" else stored.astype(np.float64)
    flat = values[:, valid].T
    height, width = valid.shape
    sigma = min(height, width) / 4
    rows, columns = np.mgrid[:height, :width]
    distance = (rows - (height - 1) / 2) ** 2 + (columns - (width - 1) / 2) ** 2
    weights = np.exp(-distance / (2 * sigma**2))[valid]
    cubes = (np.sign(flat) * np.abs(flat) ** 3).mean(axis=0)
    mean, std, low, high = flat.mean(0), flat.std(0), flat.min(0), flat.max(0)
    q25, q50, q75 = np.percentile(flat, [25, 50, 75], axis=0)
    return {
        "mean": mean,
        "max": high,
        "std": std,
        "stats": np.concatenate([low, high, mean, std]),
        "mean_max": np.concatenate([mean, high]),
        "mean_std": np.concatenate([mean, std]),
        "median_iqr": np.concatenate([q50, q75 - q25]),
        "percentiles": np.percentile(flat, [10, 25, 50, 75, 90], axis=0).ravel(),
        "gem": np.sign(cubes) * np.abs(cubes) ** (1 / 3),
        "center_weighted": (weights[:, None] * flat).sum(0) / weights.sum(),
        "covariance": np.cov(flat, rowvar=False)[np.triu_indices(64)],
    }


@pytest.mark.parametrize("on", ["values", "codes"])
@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize(("height", "holes"), [(7, True), (7, False), (130, True)])
def test_pooling_is_the_published_one(name, on, height, holes) -> None:
    stored = stored_patch(height=height, holes=holes)
    found = pool_stored(stored, [name], on)[name]
    assert found.dtype == np.float32
    assert found.shape == (DIMENSIONS[name],)
    np.testing.assert_allclose(found, by_hand(stored, on)[name], rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("seed", range(10))
def test_stored_vectors_of_a_release_are_the_same_numbers(seed: int) -> None:
    stored = stored_patch(seed, height=7 + 13 * seed, holes=seed % 2 == 0)
    pooled = pool(from_stored(stored))
    vectors = pool_stored(stored, ["mean", "stats"])
    np.testing.assert_array_equal(vectors["mean"], pooled.mean)
    stats = [pooled.low, pooled.high, pooled.mean, pooled.std]
    np.testing.assert_array_equal(vectors["stats"], np.concatenate(stats))


def test_many_patches_at_once_have_the_vectors_of_each() -> None:
    patches = [stored_patch(0, 7), stored_patch(1, 90, 60), stored_patch(2, 60, holes=False)]
    assert patches[1][0].size > BLOCK
    found = pool_stats(join_stats([patch_stats(one) for one in patches]), POOLINGS)
    for number, stored in enumerate(patches):
        alone = pool_stored(stored)
        for name in POOLINGS:
            np.testing.assert_array_equal(found[name][number], alone[name])


@pytest.mark.parametrize("name", POOLINGS)
def test_a_pooling_alone_is_the_same_as_among_others(name) -> None:
    stored = stored_patch(3)
    np.testing.assert_array_equal(pool_stored(stored, [name])[name], pool_stored(stored)[name])


def test_only_what_is_wanted_is_added_up() -> None:
    stats = patch_stats(stored_patch(), paired=False)
    assert stats.products.size == stats.centre.size == 0


def test_extreme_codes_of_a_large_patch_stay_exact() -> None:
    stored = np.full((64, 2048, 2048), 254, np.uint8)
    stored[:, :1024] = 0
    vectors = pool_stored(stored, ["mean", "std", "gem", "median_iqr"])
    assert not vectors["mean"].any()
    assert not vectors["gem"].any()
    np.testing.assert_allclose(vectors["std"], (127 / 127.5) ** 2, rtol=1e-7)


def test_a_single_valid_pixel_has_no_spread() -> None:
    stored = np.full((64, 3, 3), 255, np.uint8)
    stored[:, 1, 2] = 190
    vectors = pool_stored(stored)
    one = dequantize(np.uint8(190))
    for name in ("mean", "max", "gem", "center_weighted"):
        np.testing.assert_allclose(vectors[name], one, rtol=1e-6)
    for name in ("std", "covariance"):
        assert not vectors[name].any()


def test_no_valid_pixel_is_an_error() -> None:
    with pytest.raises(ValueError, match="no valid pixel"):
        pool_stored(np.full((64, 2, 2), 255, np.uint8))


def test_weights_are_symmetric_and_one_at_the_centre() -> None:
    weights = gaussian(5, 7)
    assert weights[2, 3] == 1
    np.testing.assert_array_equal(weights, weights[::-1, ::-1])
    assert weights[0, 3] == pytest.approx(np.exp(-4 / (2 * 1.25**2)))


def test_every_pooling_is_explained_in_the_documentation_and_named_in_help() -> None:
    page = Path(__file__).parents[2].joinpath("docs/evaluate.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| \w.+ \|$", page, re.MULTILINE)
    assert {name: int(length.replace(",", "")) for name, length in rows} == DIMENSIONS
    parameters = inspect.signature(evaluate_command, eval_str=True).parameters
    (option,) = parameters["poolings"].annotation.__metadata__
    assert re.findall(r"`(\w+)`", option.help) == [*POOLINGS]
