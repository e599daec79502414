"""The demo world: labelled patches with EuroSAT's quirks, split lists, and AEF tiles below them.

The patches lie on both sides of a border of UTM zones and of tiles. As in EuroSAT their pixels
are never exactly 10 m and their origins never on AEF's lattice; some carry the other zone's CRS,
some lie across tiles, and some reach beyond the data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import rasterio

from hfaef.core.files import atomic_folder, atomic_write, folder_errors
from hfaef.core.grid import WGS84, Grid, project, utm_crs
from hfaef.errors import FolderError
from hfaef.recipe.model import Demo
from hfaef.sources.demo.field import Field
from hfaef.sources.demo.tiles import write_store

_Item = TypeVar("_Item")

LABELS = ("Dune", "Forest", "Heath", "Meadow", "Rock", "Town")

YEAR = 2018
"""Of the pictures of the ground."""

_SIZE = 64
_PATCH_METRES = 640.0

_CENTRES = (
    (11.30, 48.30),
    (11.52, 48.04),
    (11.80, 48.30),
    (12.00, 48.20),
    (12.30, 48.30),
    (12.62, 48.15),
)
"""Degrees. The second lies on a border of tiles, the fourth on the border of two zones."""

_RADIUS = 0.055
"""Degrees from a centre that patches may lie."""

_APART = 0.0085
"""Degrees between patches, so that no two overlap."""

_SHARES = (("train", 0.6), ("val", 0.8), ("test", 1.0))
"""Splits, and where each ends in a row of all patches."""

_COVER = 0.1
"""Share of a patch that a label must cover to be one of several."""

_SURVEYED = 300
"""Points with years of their own."""

_FIRST_SURVEY = 2018
_SURVEYS = 7
"""Years in which points were seen, from the first on."""

_FOLDS = 5

_WRONG_ZONE = 4
_BEYOND_DATA = 3
"""Patches with such a quirk."""


@dataclass(frozen=True)
class _DemoPatch:
    """A labelled patch of the world."""

    name: str
    label: str
    longitude: float
    grid: Grid


def write_world(settings: Demo) -> None:
    """Write the world, unless it is there.

    Raises:
        FolderError: if its folder holds something else, or cannot be written.
    """
    root = settings.root
    made_from = settings.model_dump(mode="json", exclude={"root"})
    marker = root / "world.json"
    if marker.is_file():
        if json.loads(marker.read_text()) != made_from:
            raise FolderError(
                f"{root} holds a demo world of other settings", f"remove {root}, or set demo.root"
            )
        _add_tables(settings)
        return
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FolderError(f"{root} holds something else", "choose another demo.root")
    with folder_errors(root), atomic_folder(root) as partial:
        field = Field(settings.seed, len(LABELS))
        random = np.random.default_rng(settings.seed)
        patches = _scatter(field, random, settings.patches)
        _write_patches(partial / "patches", patches, field)
        _write_lists(partial / "lists", patches, random)
        for name, text in _TABLES.items():
            (partial / name).write_text(text(patches, field))
        write_store(partial / "aef", field, dict.fromkeys(settings.years, _covered(patches)))
        (partial / "world.json").write_text(json.dumps(made_from))


def _add_tables(settings: Demo) -> None:
    """Write the tables that a world of an earlier version lacks."""
    lacking = [name for name in _TABLES if not (settings.root / name).is_file()]
    if not lacking:
        return
    field = Field(settings.seed, len(LABELS))
    patches = _scatter(field, np.random.default_rng(settings.seed), settings.patches)
    with folder_errors(settings.root):
        for name in lacking:
            atomic_write(settings.root / name, _TABLES[name](patches, field).encode())


def _scatter(field: Field, random: np.random.Generator, count: int) -> list[_DemoPatch]:
    """Patches at random round the centres, about as many of each label."""
    centres = np.array(_CENTRES)
    kept = np.empty((0, 2))
    taken: Counter[int] = Counter()
    patches: list[_DemoPatch] = []
    most = -(-count // len(LABELS))
    while len(patches) < count:
        point = random.uniform(-_RADIUS, _RADIUS, 2) * (1.5, 1)
        point += centres[random.integers(len(centres))]
        number = int(field.classes(*point))
        near = (np.abs(kept - point) < (1.5 * _APART, _APART)).all(axis=1).any()
        if taken[number] >= most or near:
            continue
        taken[number] += 1
        kept = np.vstack([kept, point])
        label, wrong = LABELS[number], len(patches) < _WRONG_ZONE
        grid = _grid(point, random, other_zone=wrong)
        patches.append(_DemoPatch(f"{label}_{taken[number]}", label, float(point[0]), grid))
    return patches


def _grid(point: npt.NDArray[np.float64], random: np.random.Generator, *, other_zone: bool) -> Grid:
    """A grid like EuroSAT's: odd pixel sizes, and an origin that is on no lattice."""
    longitude, latitude = map(float, point)
    crs = utm_crs(longitude, latitude)
    if other_zone:
        crs = utm_crs(24.0 - longitude, latitude)
    x, y = project(np.array([longitude]), np.array([latitude]), WGS84, crs)
    width, height = random.uniform(9.94, 10.06, 2)
    left, top = float(x[0]) - _PATCH_METRES / 2, float(y[0]) + _PATCH_METRES / 2
    return Grid(crs, (width, 0.0, left, 0.0, -height, top), _SIZE, _SIZE)


def _points(patches: Sequence[_DemoPatch], field: Field) -> str:
    """The middles of the patches with a number to predict: the share of the commonest label."""
    lines = ["id,label,lon,lat,split"]
    order = sorted(range(len(patches)), key=lambda number: patches[number].longitude)
    splits = {number: split for split, part in _by_split(order) for number in part}
    for number, patch in enumerate(patches):
        west, south, east, north = patch.grid.bounds()
        x, y = patch.grid.centres()
        classes = field.classes(*project(x, y, patch.grid.crs, WGS84))
        share = np.bincount(np.ravel(classes)).max() / classes.size
        middle = f"{(west + east) / 2:.6f},{(south + north) / 2:.6f}"
        lines.append(f"{patch.name},{share:.4f},{middle},{splits[number]}")
    return "\n".join(lines) + "\n"


def _several(patches: Sequence[_DemoPatch], field: Field) -> str:
    """The patches' files with all labels that cover more than a tenth of each."""
    lines = ["id,label"]
    for patch in patches:
        x, y = patch.grid.centres()
        classes = field.classes(*project(x, y, patch.grid.crs, WGS84))
        counts = np.bincount(np.ravel(classes), minlength=len(LABELS))
        names = [LABELS[number] for number in np.flatnonzero(counts > _COVER * classes.size)]
        lines.append(f"{patch.name},{';'.join(names)}")
    return "\n".join(lines) + "\n"


def _surveys(patches: Sequence[_DemoPatch], field: Field) -> str:
    """Points in the patches, each seen in a year of its own; those of a patch share a fold."""
    random = np.random.default_rng((field.seed, _SURVEYED))
    features = []
    for number in range(_SURVEYED):
        chosen = int(random.integers(len(patches) - _BEYOND_DATA))
        grid = patches[chosen].grid
        x, y = grid.at(random.uniform(8, _SIZE - 8, 1), random.uniform(8, _SIZE - 8, 1))
        lon, lat = (float(found[0]) for found in project(x, y, grid.crs, WGS84))
        properties = {
            "id": f"s{number:03}",
            "label": LABELS[int(field.classes(lon, lat))],
            "year": _FIRST_SURVEY + number % _SURVEYS,
            "fold": chosen % _FOLDS,
            "region": "West" if lon < _CENTRES[3][0] else "East",
            "confidence": round(float(random.uniform(0.5, 1)), 2),
        }
        geometry = {"type": "Point", "coordinates": [round(lon, 6), round(lat, 6)]}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return json.dumps({"type": "FeatureCollection", "features": features}) + "\n"


_TABLES: dict[str, Callable[[Sequence[_DemoPatch], Field], str]] = {
    "points.csv": _points,
    "several.csv": _several,
    "surveys.geojson": _surveys,
}
"""Tables of the world beside its GeoTIFFs, and the text of each."""


def _covered(patches: Sequence[_DemoPatch]) -> list[Grid]:
    """What the tiles hold: all patches, but only the upper half of a few."""
    whole = [patch.grid for patch in patches[:-_BEYOND_DATA]]
    halves = [
        Grid(patch.grid.crs, patch.grid.transform, _SIZE // 2, _SIZE)
        for patch in patches[-_BEYOND_DATA:]
    ]
    return whole + halves


def _write_patches(folder: Path, patches: Sequence[_DemoPatch], field: Field) -> None:
    """Three bands that show the ground, as EuroSAT's files hold thirteen."""
    for patch in patches:
        x, y = patch.grid.centres()
        embedding = field.embedding(*project(x, y, patch.grid.crs, WGS84), YEAR)
        picture = np.clip(embedding[:3] * 300 + 128, 0, 255).astype(np.uint8)
        path = folder / patch.label / f"{patch.name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=_SIZE,
            height=_SIZE,
            count=3,
            dtype="uint8",
            crs=patch.grid.crs,
            transform=rasterio.Affine(*patch.grid.transform),
            compress="deflate",
        ) as dataset:
            dataset.write(picture)


def _write_lists(folder: Path, patches: Sequence[_DemoPatch], random: np.random.Generator) -> None:
    """Split lists as EuroSAT's: one scheme at random within each label, one by longitude."""
    folder.mkdir()
    order = random.permutation(len(patches))
    schemes = {
        "random": sorted((patches[number] for number in order), key=lambda patch: patch.label),
        "spatial": sorted(patches, key=lambda patch: patch.longitude),
    }
    for scheme, ordered in schemes.items():
        parts = [ordered]
        if scheme == "random":
            parts = [[p for p in ordered if p.label == label] for label in LABELS]
        lines: dict[str, list[str]] = {split: [] for split, _ in _SHARES}
        for split, part in chain.from_iterable(map(_by_split, parts)):
            lines[split] += [f"{patch.name}.jpg" for patch in part]
        for split, names in lines.items():
            (folder / f"{scheme}-{split}.txt").write_text("\n".join(names) + "\n")


def _by_split(items: Sequence[_Item]) -> Iterator[tuple[str, Sequence[_Item]]]:
    """Each split with its share of a row of patches."""
    start = 0
    for split, share in _SHARES:
        end = round(share * len(items))
        yield split, items[start:end]
        start = end
