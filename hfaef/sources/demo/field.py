"""A closed form of embeddings: for any place and year a unit vector of 64 dimensions.

It behaves like AEF where that matters here: neighbours are alike, classes differ, years differ a
little, and values are those of the quantized codes. Being a function of longitude and latitude,
it is the same from whichever UTM zone one looks at a place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hfaef.core.quantize import BANDS, quantize

_KILOMETRES_A_DEGREE = 111.32
_WAVES = 4
_TEXTURES = 6
_SHARPNESS = 4.0
_TEXTURE_WEIGHT = 0.12
_RADIANS_A_YEAR = 0.35


@dataclass(frozen=True)
class Field:
    """Embeddings and classes of all places on Earth."""

    seed: int = 0
    """Another seed is another world."""
    class_count: int = 10
    """Kinds of land."""

    @cached_property
    def _constants(self) -> dict[str, npt.NDArray[np.float64]]:
        random = np.random.default_rng(self.seed)

        def waves(count: int, low: float, high: float) -> npt.NDArray[np.float64]:
            """Wave vectors in radians a kilometre and phases, (count, 3)."""
            length = random.uniform(low, high, count)
            angle, phase = random.uniform(0, 2 * np.pi, (2, count))
            turn = 2 * np.pi / length
            return np.stack([turn * np.cos(angle), turn * np.sin(angle), phase], axis=1)

        def unit(count: int) -> npt.NDArray[np.float64]:
            vectors = random.normal(size=(count, BANDS))
            return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

        return {
            "class_waves": waves(self.class_count * _WAVES, 3.0, 12.0),
            "class_vectors": unit(self.class_count),
            "texture_waves": waves(_TEXTURES, 0.15, 0.8),
            "texture_vectors": unit(_TEXTURES),
        }

    def embedding(
        self, longitude: npt.ArrayLike, latitude: npt.ArrayLike, year: int
    ) -> npt.NDArray[np.float64]:
        """Unit vectors, float64 (64, ...), at places in degrees."""
        east, north = _kilometres(longitude, latitude)
        suits = self._suitability(east, north)
        weights = np.exp(_SHARPNESS * (suits - suits.max(axis=0)))
        weights /= weights.sum(axis=0)
        textures = _cosines(self._constants["texture_waves"], east, north, year * _RADIANS_A_YEAR)
        vectors = np.einsum("kb,k...->b...", self._constants["class_vectors"], weights)
        vectors += _TEXTURE_WEIGHT * np.einsum(
            "kb,k...->b...", self._constants["texture_vectors"], textures
        )
        return np.asarray(vectors / np.sqrt((vectors**2).sum(axis=0)))

    def codes(
        self, longitude: npt.ArrayLike, latitude: npt.ArrayLike, year: int
    ) -> npt.NDArray[np.int8]:
        """AEF codes, int8 (64, ...), at places in degrees; never nodata."""
        return quantize(self.embedding(longitude, latitude, year))

    def classes(self, longitude: npt.ArrayLike, latitude: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Number of the class that prevails at places in degrees."""
        return np.asarray(self._suitability(*_kilometres(longitude, latitude)).argmax(axis=0))

    def _suitability(
        self, east: npt.NDArray[np.float64], north: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """How well each class suits each place, (classes, ...)."""
        waves = _cosines(self._constants["class_waves"], east, north, 0.0)
        return np.asarray(waves.reshape(self.class_count, _WAVES, *east.shape).mean(axis=1))


def _kilometres(
    longitude: npt.ArrayLike, latitude: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Places on a plate carrée plane; distances need not be true for a made-up world."""
    return (
        np.asarray(longitude, np.float64) * _KILOMETRES_A_DEGREE,
        np.asarray(latitude, np.float64) * _KILOMETRES_A_DEGREE,
    )


def _cosines(
    waves: npt.NDArray[np.float64],
    east: npt.NDArray[np.float64],
    north: npt.NDArray[np.float64],
    shift: float,
) -> npt.NDArray[np.float64]:
    """Plane waves (waves, ...) at places in kilometres."""
    x, y, phase = (
        column.reshape(-1, *(1 for _ in east.shape))
        for column in (waves.T[0], waves.T[1], waves.T[2])
    )
    return np.asarray(np.cos(x * east + y * north + phase + shift))
