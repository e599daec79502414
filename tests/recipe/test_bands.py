"""Bands in one writing, however files, models and people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hfaef.recipe.bands import SENTINEL2, canonical_band
from hfaef.recipe.model import Recipe
from support.images import images_recipe


@pytest.mark.parametrize(
    ("written", "band"),
    [
        ("B4", "B04"),
        ("b04", "B04"),
        (" B04 ", "B04"),
        ("red", "B04"),
        ("G", "B03"),
        ("Blue", "B02"),
        ("B8a", "B8A"),
        ("B08A", "B8A"),
        ("B8", "B08"),
        ("b10", "B10"),
    ],
)
def test_a_band_has_one_writing(written: str, band: str) -> None:
    assert canonical_band(written) == band


def test_every_band_of_sentinel_2_is_written_as_it_is() -> None:
    assert [canonical_band(name) for name in SENTINEL2] == list(SENTINEL2)


@pytest.mark.parametrize("text", ["", "B13", "B0", "B00", "B4A", "band 4", "nir", "4", "B1.5"])
def test_what_is_no_band_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is no band of Sentinel-2"):
        canonical_band(text)


def test_a_recipe_holds_bands_in_one_writing(tmp_path: Path) -> None:
    recipe = images_recipe(tmp_path, bands=["red", "B3", "b02"], level="L2A")
    assert recipe.patches.bands == ["B04", "B03", "B02"]
    assert (recipe.patches.unit, recipe.patches.level) == ("DN", "L2A")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("bands", ["B1", "B02", "red", "B04"], r"named twice: B04 \(red is B04\)"),
        ("bands", ["B11", "b11"], "named twice: B11"),
        ("bands", ["B04", "B99"], "'B99' is no band of Sentinel-2"),
        ("unit", "counts", "'DN', 'reflectance' or 'uint8'"),
        ("level", "L3", "'L1C' or 'L2A'"),
    ],
)
def test_a_recipe_refuses_what_images_cannot_hold(
    tmp_path: Path, key: str, value: object, words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        images_recipe(tmp_path, **{key: value})


def test_what_images_hold_says_nothing_of_embeddings(tmp_path: Path) -> None:
    told = images_recipe(tmp_path, level="L1C")
    silent = images_recipe(tmp_path, bands=[], unit=None)
    assert isinstance(told, Recipe)
    assert told.portable() == silent.portable()
    assert told.digest() == silent.digest()
