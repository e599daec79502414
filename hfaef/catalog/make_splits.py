"""Split schemes that are made here: at random within each label, or by blocks of the ground.

Patches and blocks stand in the order of SHA-256 over the seed and their names, and each split is a
share of that line. So it is the same everywhere, and rows that are added move few others.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hfaef.catalog.patch import Catalog, Label, Patch
from hfaef.core.grid import WGS84, points_on, project
from hfaef.errors import CatalogError, count_of
from hfaef.recipe.columns import SPLITS
from hfaef.recipe.patches import MakeSplits, RandomSplits, Shares, SpatialSplits

_KM_A_DEGREE = 111.195
"""Of latitude, on a sphere of 6,371 km."""

Block = tuple[int, int]
"""Row and column."""


def make_splits(catalog: Catalog, section: MakeSplits) -> Catalog:
    """The same catalog with the schemes that a recipe asks for, and notes on them.

    Patches of one id are in one split, whatever their years.

    Raises:
        CatalogError: if a split of a scheme would be empty, or a scheme is there already.
    """
    made: dict[str, dict[str, str]] = {}
    notes = []
    for scheme, wanted in (("random", section.random), ("spatial", section.spatial)):
        if wanted is None:
            continue
        if scheme in (*catalog.schemes, *catalog.folds):
            raise CatalogError(
                f"there is a scheme {scheme!r} already", f"leave out `patches.make_splits.{scheme}`"
            )
        if isinstance(wanted, SpatialSplits):
            made[scheme], words = _spatial(catalog.patches, wanted)
            hint = "make the blocks smaller: patches.make_splits.spatial.km"
        else:
            made[scheme], words = _random(catalog.patches, wanted)
            hint = "change patches.make_splits.random.seed or .shares"
        counts = Counter(made[scheme][patch.id] for patch in catalog.patches)
        for split, share in zip(SPLITS, wanted.shares, strict=True):
            if share and not counts[split]:
                raise CatalogError(f"the scheme {scheme!r} ({words}) leaves {split} empty", hint)
        told = ", ".join(f"{split} {counts[split]:,}" for split in SPLITS if counts[split])
        # Of the catalog: a release may lack some of them.
        told += f" of the catalog's {count_of(len(catalog.patches), 'patch')}"
        largest = max(SPLITS, key=lambda split: counts[split])
        if counts[SPLITS[0]] < counts[largest] and wanted.shares[0] == max(wanted.shares):
            told += f"; train is smaller than {largest}: {hint}"
        notes.append(f"scheme {scheme!r} made here: {words}; {told}")
    if not made:
        return catalog
    return replace(
        catalog,
        patches=tuple(
            replace(
                patch,
                splits={**patch.splits, **{scheme: of[patch.id] for scheme, of in made.items()}},
            )
            for patch in catalog.patches
        ),
        schemes=(*catalog.schemes, *made),
        notes=(*catalog.notes, *notes),
    )


def _random(patches: Sequence[Patch], section: RandomSplits) -> tuple[dict[str, str], str]:
    """The split of each id: each label's patches in the same shares."""
    labels = {patch.id: patch.label for patch in patches}
    counts = Counter(labels.values())
    groups: dict[Label, list[str]] = defaultdict(list)
    for identity, label in labels.items():
        # Numbers are one group, and so are labels of a single patch, whose shares none can have.
        alone = isinstance(label, float) or counts[label] == 1
        groups["" if alone else label].append(identity)
    split_of: dict[str, str] = {}
    for label, ids in groups.items():
        # Each group begins elsewhere: of many small ones not all leave out the same split.
        start = int.from_bytes(_digest(section.seed, repr(label))[:4]) / 2**32
        order = sorted(ids, key=lambda one: _digest(section.seed, one))
        places = (np.arange(len(order)) + start) / len(order)
        split_of |= dict(zip(order, _splits_at(places, section.shares), strict=True))
    return split_of, f"seed {section.seed}"


def _spatial(patches: Sequence[Patch], section: SpatialSplits) -> tuple[dict[str, str], str]:
    """The split of each id: that of the block in which its middle lies."""
    block_of, count = _joined(patches, _blocks(patches, section.km))
    sizes = Counter(block_of.values())
    order = sorted(sizes, key=lambda one: _digest(section.seed, f"{one[0]},{one[1]}"))
    held = np.array([sizes[block] for block in order])
    places = (np.cumsum(held) - held / 2) / held.sum()
    splits = _splits_at(places, section.shares)
    _fill_empty(splits, places, section.shares)
    split_of_block = dict(zip(order, splits, strict=True))
    words = f"{count_of(count, 'block')} of {section.km:g} km, seed {section.seed}"
    return {identity: split_of_block[block] for identity, block in block_of.items()}, words


def _blocks(patches: Sequence[Patch], km: float) -> list[Block]:
    """The block of each patch's middle; blocks of a row are as wide as they are tall."""
    lat, lon = np.empty(len(patches)), np.empty(len(patches))
    of_crs: dict[str, list[int]] = defaultdict(list)
    for number, patch in enumerate(patches):
        of_crs[patch.grid.crs].append(number)
    for crs, own in of_crs.items():
        x, y = points_on([patches[number].grid for number in own], [0.5], [0.5])
        x, y = project(x, y, crs, WGS84)
        lon[own], lat[own] = x[:, 0], y[:, 0]
    rows = np.floor(lat * _KM_A_DEGREE / km)
    # No narrower than near the pole, where a row's middle may lie beyond it.
    middles = np.radians(np.clip((rows + 0.5) * km / _KM_A_DEGREE, -89.9, 89.9))
    columns = np.floor(lon * _KM_A_DEGREE * np.cos(middles) / km)
    return list(zip(rows.astype(int).tolist(), columns.astype(int).tolist(), strict=True))


def _joined(patches: Sequence[Patch], blocks: Sequence[Block]) -> tuple[dict[str, Block], int]:
    """The block of each id, and the number of blocks; those that share an id count as one."""
    first: dict[Block, Block] = {}

    def root(block: Block) -> Block:
        while (above := first.get(block, block)) != block:
            block = above
        return block

    block_of: dict[str, Block] = {}
    for patch, block in zip(patches, blocks, strict=True):
        first.setdefault(block, block)
        one, other = sorted((root(block), root(block_of.setdefault(patch.id, block))))
        first[other] = one
    return {identity: root(block) for identity, block in block_of.items()}, len(first)


def _splits_at(places: npt.NDArray[np.float64], shares: Shares) -> list[str]:
    """The split of each place, from 0 to 1, in the line of which each split has its share."""
    return [SPLITS[number] for number in np.searchsorted(np.cumsum(shares[:2]), places, "right")]


def _fill_empty(splits: list[str], places: npt.NDArray[np.float64], shares: Shares) -> None:
    """Give a split without a block, in place, the nearest one that another can do without."""
    ends = np.cumsum(shares)
    for split, share, end in zip(SPLITS, shares, ends, strict=True):
        counts = Counter(splits)
        if not share or counts[split]:
            continue
        free: Iterable[int] = (n for n, held in enumerate(splits) if counts[held] > 1)
        nearest = min(free, key=lambda n: abs(places[n] - (end - share / 2)), default=None)
        if nearest is not None:
            splits[nearest] = split


def _digest(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}:{text}".encode()).digest()
