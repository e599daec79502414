"""Leakage between splits: patches of two splits that overlap, or lie near each other.

Embeddings of neighbouring places are alike (0.67 is the mean cosine of two pixels within 1 km), so
a test patch beside a training patch says little of places that no patch is near.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from hfaef.recipe.columns import UNASSIGNED

NEAR = 1000.0
"""Metres between the outlines of two patches that count as near."""

OVERLAP = 100.0
"""Square metres, one AEF pixel, that two overlapping patches share at least."""

OTHER_FOLDS = "the other folds"
"""On which a model is trained that is asked about one fold."""

_PAIRS = 50_000
"""Pairs that are measured at a time."""

_EQUATOR = 6_378_137.0
_ECCENTRICITY2 = 0.006_694_379_990_141
"""WGS 84: semi-major axis in metres, and first eccentricity squared."""

_METRES_A_DEGREE = 110_500.0
"""A little less than the shortest degree of latitude, so that no pair is lost."""

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Leak:
    """How near two splits of a scheme come to each other."""

    scheme: str
    first: str
    second: str
    """Names of the splits; of folds, `OTHER_FOLDS` and one of them."""
    patches: int
    """In the second split."""
    overlapping: int
    """Patches of the second split that overlap one of the first."""
    near: int
    """Patches of the second split within 1 km of one of the first, overlapping ones too."""
    overlapping_pairs: int
    near_pairs: int


def audit(
    rings: Float64,
    splits: Mapping[str, Sequence[str]],
    names: Sequence[str],
    folds: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Leak, ...]:
    """Leaks between every two splits of every scheme, and between each fold and all others.

    Args:
        rings: outlines of the patches, lon/lat in degrees (patches, 5, 2), closed. Outlines on
            both sides of the antimeridian are not compared.
        splits: by scheme, the split of each patch.
        names: of splits, in the order in which they are compared; patches of others are not.
        folds: by scheme of folds, the fold of each patch.
    """
    pairs, shared = near_pairs(rings)
    overlaps = shared >= OVERLAP
    leaks = []
    for scheme, of_patch in splits.items():
        split = np.array(of_patch)
        for first, second in combinations(names, 2):
            sides = (split == first, split == second)
            leaks += _leaks(scheme, (first, second), sides, pairs, overlaps)
    for scheme, of_patch in (folds or {}).items():
        fold = np.array(of_patch)
        for one in sorted({*of_patch} - {UNASSIGNED}):
            sides = ((fold != one) & (fold != UNASSIGNED), fold == one)
            leaks += _leaks(scheme, (OTHER_FOLDS, one), sides, pairs, overlaps)
    return tuple(leaks)


def _leaks(
    scheme: str,
    names: tuple[str, str],
    sides: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
    pairs: Int64,
    overlaps: npt.NDArray[np.bool_],
) -> list[Leak]:
    """The leak between two disjoint sets of patches; none if one is empty."""
    first, second = sides
    if not first.any() or not second.any():
        return []
    left, right = pairs.T
    crossing = (first[left] & second[right]) | (second[left] & first[right])
    of_second = np.where(second[right], right, left)
    return [
        Leak(
            scheme=scheme,
            first=names[0],
            second=names[1],
            patches=int(second.sum()),
            overlapping=len(np.unique(of_second[crossing & overlaps])),
            near=len(np.unique(of_second[crossing])),
            overlapping_pairs=int((crossing & overlaps).sum()),
            near_pairs=int(crossing.sum()),
        )
    ]


def near_pairs(rings: Float64) -> tuple[Int64, Float64]:
    """Pairs of outlines (pairs, 2) within 1 km, and the square metres (pairs,) they share."""
    import shapely

    west, south = rings.min(axis=1).T
    east, north = rings.max(axis=1).T
    boxes = shapely.box(west, south, east, north)
    high = np.deg2rad(np.minimum(np.abs(rings[..., 1]).max(axis=1), 89))
    tall = NEAR / _METRES_A_DEGREE
    wide = tall / np.cos(high + np.deg2rad(tall))
    reach = shapely.box(west - wide, south - tall, east + wide, north + tall)
    candidates = shapely.STRtree(boxes).query(reach).T
    candidates = candidates[candidates[:, 0] < candidates[:, 1]]
    found, shared = [np.empty((0, 2), np.int64)], [np.empty(0)]
    for start in range(0, len(candidates), _PAIRS):
        pairs = candidates[start : start + _PAIRS]
        first, second = (shapely.polygons(part) for part in _metres(rings[pairs]))
        kept = shapely.distance(first, second) <= NEAR
        found.append(pairs[kept])
        shared.append(shapely.area(shapely.intersection(first[kept], second[kept])))
    return np.concatenate(found), np.concatenate(shared)


def _metres(pairs: Float64) -> Float64:
    """Outlines (2, pairs, 5, 2) in metres east and north of the middle of each pair.

    On the plane that touches the ellipsoid there: right to a millimetre a kilometre.
    """
    middle = pairs.mean(axis=(1, 2), keepdims=True)
    latitude = np.deg2rad(middle[..., 1])
    root = np.sqrt(1 - _ECCENTRICITY2 * np.sin(latitude) ** 2)
    wide = _EQUATOR / root * np.cos(latitude)
    tall = _EQUATOR * (1 - _ECCENTRICITY2) / root**3
    scaled = np.deg2rad(pairs - middle) * np.stack([wide, tall], axis=-1)
    return np.asarray(scaled.swapaxes(0, 1))
