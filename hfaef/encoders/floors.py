"""What a model must beat: statistics of the bands, and random convolutional features.

Neither has weights. Published tables set both beside their models.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hfaef.encoders.base import Channels, Encoder, Float32, Images, Needs, match
from hfaef.encoders.images import ImageFile, read_image
from hfaef.errors import InputError
from hfaef.release.format.manifest import package_versions
from hfaef.release.format.scores import Provenance

FEATURES = 512
"""As the floor of torchgeo-bench has them: half as many filters, each read above and below zero."""

KERNEL = 3
BIAS = -1.0
"""TorchGeo's defaults:
https://torchgeo.readthedocs.io/en/stable/api/models.html#torchgeo.models.RCF"""

SEED = 1
"""TorchGeo takes 0 for none."""

_CONVOLVED_BYTES = 64 << 20
"""Of what filters give, at a time."""


def open_stats() -> Encoder:
    """Mean, standard deviation, minimum and maximum of each band; all means first."""
    provenance = Provenance(
        model="stats",
        transform="numbers as the files hold them",
        pooling="mean, standard deviation, minimum and maximum of each band",
        packages=package_versions(("hfaef", "numpy", "rasterio")),
        device="cpu",
    )
    return Encoder(Needs(), provenance, _stats)


def _stats(images: Float32) -> Float32:
    vectors = np.empty((len(images), 4 * images.shape[1]), np.float32)
    for vector, image in zip(vectors, images, strict=True):
        bands = image.reshape(len(image), -1).astype(np.float64)
        found = bands.mean(1), bands.std(1), bands.min(1), bands.max(1)
        vector[:] = np.concatenate(found)
    return vectors


def open_rcf(images: Images, device: str, train: Sequence[ImageFile] | None = None) -> Encoder:
    """TorchGeo's random convolutional features, with filters drawn from a Gaussian or from images.

    Args:
        images: what the files hold.
        device: ``cpu`` or ``cuda``.
        train: images that filters are drawn from; None for a Gaussian.

    Raises:
        InputError: if there is no image to draw from.
    """
    import torch
    from torchgeo.models import RCF

    needs = Needs(
        units=("uint8" if images.unit == "uint8" else "reflectance",) * len(images.bands),
        source="https://torchgeo.readthedocs.io/en/stable/api/models.html#torchgeo.models.RCF",
    )
    notes: tuple[str, ...] = ()
    drawn: dict[str, Any] = {}
    name, how = "rcf", "a Gaussian"
    if train is not None:
        name = "rcf-empirical"
        samples = _samples(images, match(images, needs, name), train)
        drawn = {"mode": "empirical", "dataset": samples}
        how = f"{len(samples):,} images, whitened"
        if others := len(train) - len(samples):
            notes = (f"images of another size, from which no filter is drawn: {others:,}",)
    model = RCF(len(images.bands), FEATURES, KERNEL, BIAS, SEED, **drawn).to(device).eval()
    filters = model.weights.cpu().numpy()
    sha256 = hashlib.sha256(np.ascontiguousarray(filters).tobytes()).hexdigest()
    unit = "bytes by 255" if images.unit == "uint8" else "reflectance"

    def encode(batch: Float32) -> Float32:
        height, width = batch.shape[2:]
        if min(height, width) < KERNEL:
            raise InputError(
                f"{name} has filters of {KERNEL} x {KERNEL} pixels, and an image is "
                f"{height} x {width}",
                "run `stats`, which takes any size",
            )
        step = max(1, _CONVOLVED_BYTES // (4 * len(filters) * height * width))
        found = [
            model(torch.from_numpy(_scaled(batch[start : start + step], images)).to(device))
            for start in range(0, len(batch), step)
        ]
        vectors: Float32 = torch.cat(found).cpu().numpy()
        return vectors

    provenance = Provenance(
        model=name,
        transform=f"{unit}; {len(filters)} filters of {KERNEL} x {KERNEL} pixels drawn from {how}, "
        f"seed {SEED}, bias {BIAS:g}; SHA-256 of the filters {sha256}",
        pooling="mean above zero and below zero of each filter",
        packages=package_versions(("hfaef", "numpy", "torch", "torchgeo")),
        device=device,
        notes=notes,
    )
    return Encoder(needs, provenance, encode)


def _scaled(channels: Float32, images: Images) -> Float32:
    return channels / np.float32(255) if images.unit == "uint8" else channels


@dataclass(frozen=True)
class _Samples:
    """Images as TorchGeo's RCF takes them from a data set; one without a number gives way."""

    files: Sequence[ImageFile]
    """Of one size."""
    images: Images
    channels: Channels

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The image of a number (bands, height, width), or the next that has all its pixels."""
        import torch

        for more in range(len(self)):
            image = read_image(self.files[(index + more) % len(self)], self.images)
            if image is not None:
                scaled = _scaled(self.channels.take(image), self.images)
                return {"image": torch.from_numpy(scaled)}
        raise InputError(
            "no image for training has a number in every pixel", "mend the files' nodata tags"
        )


def _samples(images: Images, channels: Channels, train: Sequence[ImageFile]) -> _Samples:
    """The training images of the commonest size that is large enough for a filter."""
    sizes = Counter((file.height, file.width) for file in train)
    fitting = {size: count for size, count in sizes.items() if min(size) > KERNEL}
    if not fitting:
        raise InputError(
            "rcf-empirical draws filters from images that are for training in every split scheme, "
            f"and there is none of over {KERNEL} pixels a side",
            "run `rcf`, which draws them from a Gaussian",
        )
    size = max(sorted(fitting), key=lambda one: fitting[one])
    files = [file for file in train if (file.height, file.width) == size]
    return _Samples(files, images, channels)
