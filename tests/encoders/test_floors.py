"""The floors: statistics as numpy has them by hand, random features as TorchGeo has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hfaef.catalog import open_catalog
from hfaef.encoders import Choices, open_encoder
from hfaef.encoders.base import Images
from hfaef.encoders.floors import BIAS, FEATURES, KERNEL, SEED, open_stats
from hfaef.encoders.images import image_files
from hfaef.errors import InputError
from support.images import images_recipe, noise, write_image, write_images

RGB = ("B04", "B03", "B02")


@settings(max_examples=50)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
        elements=st.floats(0, 65535, width=32),
    )
)
def test_stats_are_numpys_by_hand(batch: np.ndarray) -> None:
    found = open_stats().encode(batch)
    assert found.dtype == np.float32
    for vector, image in zip(found, batch, strict=True):
        bands = [[float(number) for number in band.ravel()] for band in image]
        expected = [
            *(np.mean(band) for band in bands),
            *(np.std(band) for band in bands),
            *(min(band) for band in bands),
            *(max(band) for band in bands),
        ]
        np.testing.assert_allclose(vector, expected, rtol=1e-6, atol=1e-6)


def test_stats_of_large_numbers_lose_no_digits() -> None:
    image = np.full((1, 1, 512, 512), 65535, np.float32)
    image[0, 0, 0, 0] = 65534
    mean, deviation, low, high = open_stats().encode(image)[0]
    assert mean == np.float32(65535 - 1 / 512**2)
    assert deviation == pytest.approx(np.sqrt(1 / 512**2 - 1 / 512**4), rel=1e-4)
    assert (low, high) == (65534, 65535)


def test_stats_are_of_the_files_numbers_and_say_so() -> None:
    encoder, channels = open_encoder("stats", Images(RGB, "DN", "L2A"))
    assert channels.indices == (0, 1, 2)
    told = encoder.provenance
    assert (told.bands, told.level, told.notes) == (RGB, "L2A", ())
    found = encoder.encode(channels.take(noise(0))[None])[0]
    np.testing.assert_allclose(found[:3], noise(0).mean((1, 2)), rtol=1e-6)
    assert found[-3:].tolist() == noise(0).max((1, 2)).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["DN", "reflectance", "uint8"])
def test_rcf_is_torchgeos_over_reflectance(unit: str) -> None:
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchgeo.models")
    kind = {"DN": "uint16", "reflectance": "float32", "uint8": "uint8"}[unit]
    batch = np.stack([noise(number, kind=kind) for number in range(3)])
    encoder, channels = open_encoder("rcf", Images(RGB, unit), Choices(device="cpu"))  # type: ignore[arg-type]
    found = encoder.encode(np.stack([channels.take(image) for image in batch]))
    factor = {"DN": 1e-4, "reflectance": 1.0, "uint8": 1 / 255}[unit]
    model = models.RCF(3, FEATURES, KERNEL, BIAS, SEED)
    expected = model(torch.tensor(batch * factor, dtype=torch.float32)).numpy()
    assert found.shape == (3, 512)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    again = open_encoder("rcf", Images(RGB, unit), Choices(device="cpu"))[0]  # type: ignore[arg-type]
    assert again.provenance == encoder.provenance


@pytest.mark.slow
def test_rcf_with_filters_of_images_is_torchgeos_given_the_same_images(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchgeo.models")
    files = image_files(open_catalog(images_recipe(write_images(tmp_path, 10))))
    scaled = [
        {"image": torch.tensor(noise(int(file.id[1:])).astype(np.float32) * np.float32(1e-4))}
        for file in files
    ]
    choices = Choices(device="cpu", train=files)
    encoder, channels = open_encoder("rcf-empirical", Images(RGB, "DN"), choices)
    model = models.RCF(3, FEATURES, KERNEL, BIAS, SEED, mode="empirical", dataset=scaled)
    batch = torch.stack([one["image"] for one in scaled])
    found = encoder.encode(np.stack([channels.take(noise(int(one.id[1:]))) for one in files]))
    np.testing.assert_allclose(found, model(batch).numpy(), rtol=1e-5, atol=1e-7)
    fewer = Choices(device="cpu", train=files[:5])
    other = open_encoder("rcf-empirical", Images(RGB, "DN"), fewer)[0]
    assert other.provenance.transform != encoder.provenance.transform


@pytest.mark.slow
def test_filters_are_drawn_from_whole_images_of_the_commonest_size(tmp_path: Path) -> None:
    pytest.importorskip("torchgeo")
    write_images(tmp_path, 4)
    write_image(tmp_path / "River/Q0.tif", noise(0, 3, 12), place=8)
    write_image(tmp_path / "River/Q1.tif", np.zeros((3, 8, 8), np.uint16), nodata=0, place=9)
    files = image_files(open_catalog(images_recipe(tmp_path)))
    encoder, _ = open_encoder(
        "rcf-empirical", Images(RGB, "DN"), Choices(device="cpu", train=files)
    )
    assert "drawn from 5 images" in encoder.provenance.transform
    assert encoder.provenance.notes == ("images of another size, from which no filter is drawn: 1",)


@pytest.mark.slow
def test_images_smaller_than_a_filter_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torchgeo")
    encoder, _ = open_encoder("rcf", Images(RGB, "DN"), Choices(device="cpu"))
    with pytest.raises(InputError, match="filters of 3 x 3 pixels, and an image is 2 x 2"):
        encoder.encode(np.zeros((1, 3, 2, 2), np.float32))
    write_images(tmp_path, 4, size=3)
    files = image_files(open_catalog(images_recipe(tmp_path)))
    with pytest.raises(InputError, match="there is none of over 3 pixels a side"):
        open_encoder("rcf-empirical", Images(RGB, "DN"), Choices(device="cpu", train=files))
