"""Split schemes that are made here: at random within each label, or by blocks of the ground.

The order of patches and blocks is that of SHA-256 over the seed and their names, so it is the same
everywhere, and a patch that is added moves few others.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from hfaef.catalog.patch import Catalog, Patch
from hfaef.errors import CatalogError
from hfaef.recipe.columns import SPLITS
from hfaef.recipe.patches import MakeSplits, RandomSplits, SpatialSplits

_KM_A_DEGREE = 111.195
"""Of latitude, on a sphere of 6,371 km."""


def make_splits(catalog: Catalog, section: MakeSplits) -> Catalog:
    """The same catalog with the schemes that a recipe asks for, and notes on them.

    Raises:
        CatalogError: if a split of a scheme would be empty, or a scheme is there already.
    """
    for scheme, wanted in (("random", section.random), ("spatial", section.spatial)):
        if wanted is None:
            continue
        if scheme in (*catalog.schemes, *catalog.folds):
            raise CatalogError(
                f"there is a scheme {scheme!r} already", f"leave out `patches.make_splits.{scheme}`"
            )
        if isinstance(wanted, SpatialSplits):
            split_of, words = _spatial(catalog.patches, wanted)
        else:
            split_of, words = _random(catalog.patches, wanted)
        counts = Counter(split_of.values())
        for split, share in zip(SPLITS, wanted.shares, strict=True):
            if share and not counts[split]:
                raise CatalogError(
                    f"the scheme {scheme!r} ({words}) leaves {split} empty",
                    "make the blocks smaller: patches.make_splits.spatial.km"
                    if isinstance(wanted, SpatialSplits)
                    else "change patches.make_splits.random.shares",
                )
        told = ", ".join(f"{split} {counts[split]:,}" for split in SPLITS if counts[split])
        catalog = replace(
            catalog,
            patches=tuple(
                replace(patch, splits={**patch.splits, scheme: split_of[patch.id]})
                for patch in catalog.patches
            ),
            schemes=(*catalog.schemes, scheme),
            notes=(*catalog.notes, f"scheme {scheme!r} made here: {words}; {told}"),
        )
    return catalog


def _random(patches: Sequence[Patch], section: RandomSplits) -> tuple[dict[str, str], str]:
    """The split of each id: each label's patches in the same shares."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for identity, patch in {patch.id: patch for patch in patches}.items():
        groups[None if isinstance(patch.label, float) else patch.label].append(identity)
    split_of: dict[str, str] = {}
    # What one group has too much of a split, the next has less: small groups would all be alike.
    held = dict.fromkeys(SPLITS, 0.0)
    for label in sorted(groups, key=repr):
        for identity in sorted(groups[label], key=lambda one: _digest(section.seed, one)):
            split = _neediest(held, section)
            held[split] += 1
            split_of[identity] = split
    return split_of, f"seed {section.seed}"


def _spatial(patches: Sequence[Patch], section: SpatialSplits) -> tuple[dict[str, str], str]:
    """The split of each id: that of the block in which its middle lies."""
    blocks: dict[tuple[int, int], list[str]] = defaultdict(list)
    for identity, patch in {patch.id: patch for patch in patches}.items():
        blocks[_block(patch, section.km)].append(identity)
    split_of: dict[str, str] = {}
    held = dict.fromkeys(SPLITS, 0.0)
    for block in sorted(blocks, key=lambda one: _digest(section.seed, f"{one[0]},{one[1]}")):
        split = _neediest(held, section)
        held[split] += len(blocks[block])
        split_of |= dict.fromkeys(blocks[block], split)
    return split_of, f"{len(blocks):,} blocks of {section.km:g} km, seed {section.seed}"


def _block(patch: Patch, km: float) -> tuple[int, int]:
    """Row and column of a patch's block; blocks of a row are as wide as they are tall."""
    west, south, east, north = patch.grid.bounds()
    row = math.floor((south + north) / 2 * _KM_A_DEGREE / km)
    middle = math.radians(min(max((row + 0.5) * km / _KM_A_DEGREE, -89.9), 89.9))
    return row, math.floor((west + east) / 2 * _KM_A_DEGREE * math.cos(middle) / km)


def _neediest(held: Mapping[str, float], section: RandomSplits) -> str:
    """The split that is furthest below its share, the first of several."""
    total = sum(held.values()) + 1
    lacks = [
        share * total - held[split] for split, share in zip(SPLITS, section.shares, strict=True)
    ]
    return SPLITS[lacks.index(max(lacks))]


def _digest(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}:{text}".encode()).digest()
