"""What files hold and what a model wants meet by name and unit, or not at all."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.encoders.base import Images, Needs, match, named_bands
from hfaef.errors import InputError
from hfaef.recipe.bands import SENTINEL2

EUROSAT = (*SENTINEL2[:8], *SENTINEL2[9:], "B8A")
"""As its files hold them."""


@given(st.permutations(SENTINEL2), st.lists(st.sampled_from(SENTINEL2), min_size=1, unique=True))
def test_a_channel_is_the_band_of_its_name_whatever_the_order(
    held: list[str], wanted: list[str]
) -> None:
    image = np.stack([np.full((2, 3), SENTINEL2.index(name)) for name in held])
    channels = match(Images(tuple(held), "DN"), Needs(tuple(wanted), ("DN",) * len(wanted)), "m")
    taken = channels.take(image)
    assert taken.dtype == np.float32
    np.testing.assert_array_equal(taken[:, 0, 0], [SENTINEL2.index(name) for name in wanted])


def test_b8a_comes_from_the_end_of_eurosats_files() -> None:
    channels = match(Images(EUROSAT, "DN", "L1C"), Needs(SENTINEL2), "m")
    assert channels.indices == (0, 1, 2, 3, 4, 5, 6, 7, 12, 8, 9, 10, 11)
    assert not channels.notes


def test_a_model_without_wishes_gets_what_there_is() -> None:
    channels = match(Images(("B04", "B03"), "uint8"), Needs(), "m")
    assert channels.indices == (0, 1)
    assert channels.units == ("uint8", "uint8")


def test_a_missing_band_is_refused_with_both_lists() -> None:
    images = Images(("B04", "B03", "B02"), "DN")
    words = (
        "m wants bands B02 B03 B04 B08 B8A, and the images hold B04 B03 B02: B08 B8A are missing"
    )
    with pytest.raises(InputError, match=re.escape(words)):
        match(images, Needs(("B02", "B03", "B04", "B08", "B8A")), "m")
    with pytest.raises(InputError, match="B08 is missing"):
        match(images, Needs(("B08",)), "m")


def test_a_model_of_two_dates_is_refused() -> None:
    with pytest.raises(InputError, match="some of them twice"):
        match(Images(("B04",), "DN"), Needs(("B04", "B04")), "m")


UNITS = ("DN", "reflectance", "uint8")


@pytest.mark.parametrize("held", UNITS)
@pytest.mark.parametrize("wanted", UNITS)
def test_units_lead_to_others_only_without_a_guess(held: str, wanted: str) -> None:
    images, needs = Images(("B04",), held), Needs(("B04",), (wanted,))  # type: ignore[arg-type]
    if held == "uint8" != wanted:
        with pytest.raises(InputError, match=f"B04 in {wanted}, and the images hold uint8"):
            match(images, needs, "m")
        return
    number = {"DN": 1500.0, "reflectance": 0.15, "uint8": 107.0}
    channels = match(images, needs, "m")
    taken = channels.take(np.full((1, 1, 1), number[held]))
    if held != "uint8" == wanted:
        assert 0 < taken.item() < 255
        assert taken.item() == round(taken.item())
    else:
        assert taken.item() == pytest.approx(number[wanted], rel=1e-6)


def test_each_channel_has_a_unit_of_its_own() -> None:
    needs = Needs(("B03", "B04"), ("reflectance", "DN"))
    channels = match(Images(("B04", "B03"), "DN"), needs, "m")
    taken = channels.take(np.array([[[2000]], [[1000]]], np.uint16))
    np.testing.assert_allclose(taken.ravel(), [0.1, 2000], rtol=1e-6)


def test_bytes_end_at_black_and_white_and_a_note_says_what_they_are_made_of() -> None:
    channels = match(Images(("B04",), "reflectance"), Needs(("B04",), ("uint8",)), "m")
    taken = channels.take(np.array([[[-0.1, 0.0, 5.0]]]))
    np.testing.assert_array_equal(taken.ravel(), [0, 0, 255])
    assert any(note.startswith("bytes made of reflectance") for note in channels.notes)


@pytest.mark.parametrize(
    ("level", "note"),
    [
        ("L1C", None),
        ("L2A", "trained on L1C; the images are L2A"),
        (None, "trained on L1C; the images are of a level that nobody says"),
    ],
)
def test_another_level_is_said_in_a_note(level: str | None, note: str | None) -> None:
    images = Images(("B04",), "DN", level)  # type: ignore[arg-type]
    found = match(images, Needs(("B04",), levels=frozenset({"L1C"})), "m").notes
    assert found == (() if note is None else (note,))


def test_bands_that_are_not_used_are_named() -> None:
    assert match(Images(("B04", "B08"), "DN"), Needs(("B04",)), "m").notes == (
        "without B08 of the images",
    )


def test_names_are_read_in_one_writing() -> None:
    assert named_bands(["B8a", "red", "B1"]) == ("B8A", "B04", "B01")
    with pytest.raises(ValueError, match="'VV' is no band"):
        named_bands(["B1", "VV"])
