"""The demo world: labelled patches with EuroSAT's quirks, split lists, and AEF tiles below them.

The patches lie on both sides of a border of UTM zones and of tiles. As in EuroSAT their pixels
are never exactly 10 m and their origins never on AEF's lattice; some carry the other zone's CRS,
some lie across tiles, and some reach beyond the data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio

from hfaef.core.files import atomic_folder, folder_errors
from hfaef.core.grid import WGS84, Grid, project, utm_crs
from hfaef.demo.field import Field
from hfaef.demo.tiles import write_store
from hfaef.errors import FolderError
from hfaef.recipe.model import Demo

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
"""Degrees from a centre that patches are strewn over."""

_APART = 0.0085
"""Degrees between patches, so that no two overlap."""

_SHARES = (("train", 0.6), ("val", 0.8), ("test", 1.0))
"""Splits, and where each ends in a row of all patches."""

_WRONG_ZONE = 4
_BEYOND_DATA = 3
"""Patches with such a quirk."""


@dataclass(frozen=True)
class _Place:
    """A patch of the world."""

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
        return
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FolderError(f"{root} holds something else", "choose another demo.root")
    with folder_errors(root), atomic_folder(root) as partial:
        field = Field(settings.seed, len(LABELS))
        random = np.random.default_rng(settings.seed)
        places = _places(field, random, settings.patches)
        _write_patches(partial / "patches", places, field)
        _write_lists(partial / "lists", places, random)
        _write_points(partial / "points.csv", places, field)
        covered = _covered(places)
        write_store(partial / "aef", field, dict.fromkeys(settings.years, covered))
        (partial / "world.json").write_text(json.dumps(made_from))


def _places(field: Field, random: np.random.Generator, count: int) -> list[_Place]:
    """Patches strewn over the world, about as many of each label."""
    centres = np.array(_CENTRES)
    kept = np.empty((0, 2))
    taken: Counter[int] = Counter()
    places: list[_Place] = []
    most = -(-count // len(LABELS))
    while len(places) < count:
        place = (
            random.uniform(-_RADIUS, _RADIUS, 2) * (1.5, 1) + centres[random.integers(len(centres))]
        )
        label = int(field.classes(*place))
        if (
            taken[label] >= most
            or (np.abs(kept - place) < (1.5 * _APART, _APART)).all(axis=1).any()
        ):
            continue
        taken[label] += 1
        kept = np.vstack([kept, place])
        wrong = len(places) < _WRONG_ZONE
        places.append(
            _Place(
                name=f"{LABELS[label]}_{taken[label]}",
                label=LABELS[label],
                longitude=float(place[0]),
                grid=_grid(place, random, other_zone=wrong),
            )
        )
    return places


def _grid(place: Sequence[float], random: np.random.Generator, *, other_zone: bool) -> Grid:
    """A grid like EuroSAT's: odd pixel sizes, and an origin that is on no lattice."""
    longitude, latitude = place
    crs = utm_crs(longitude, latitude)
    if other_zone:
        crs = utm_crs(24.0 - longitude, latitude)
    x, y = project(np.array([longitude]), np.array([latitude]), WGS84, crs)
    width, height = random.uniform(9.94, 10.06, 2)
    left, top = float(x[0]) - _PATCH_METRES / 2, float(y[0]) + _PATCH_METRES / 2
    return Grid(crs, (width, 0.0, left, 0.0, -height, top), _SIZE, _SIZE)


def _write_points(path: Path, places: Sequence[_Place], field: Field) -> None:
    """The middles of the patches with a number to predict: the share of the commonest label."""
    lines = ["id,label,lon,lat,split"]
    ends = dict.fromkeys(range(len(places)), "test")
    order = sorted(range(len(places)), key=lambda number: places[number].longitude)
    start = 0
    for split, share in _SHARES:
        end = round(share * len(places))
        ends |= dict.fromkeys(order[start:end], split)
        start = end
    for number, place in enumerate(places):
        west, south, east, north = place.grid.bounds()
        x, y = place.grid.centres()
        classes = field.classes(*project(x, y, place.grid.crs, WGS84))
        share = np.bincount(np.ravel(classes)).max() / classes.size
        middle = f"{(west + east) / 2:.6f},{(south + north) / 2:.6f}"
        lines.append(f"{place.name},{share:.4f},{middle},{ends[number]}")
    path.write_text("\n".join(lines) + "\n")


def _covered(places: Sequence[_Place]) -> list[Grid]:
    """What the tiles hold: all patches, but only the upper half of a few."""
    whole = [place.grid for place in places[:-_BEYOND_DATA]]
    halves = [
        Grid(place.grid.crs, place.grid.transform, _SIZE // 2, _SIZE)
        for place in places[-_BEYOND_DATA:]
    ]
    return whole + halves


def _write_patches(folder: Path, places: Sequence[_Place], field: Field) -> None:
    """Three bands that show the ground, as EuroSAT's files hold thirteen."""
    for place in places:
        x, y = place.grid.centres()
        embedding = field.embedding(*project(x, y, place.grid.crs, WGS84), YEAR)
        picture = np.clip(embedding[:3] * 300 + 128, 0, 255).astype(np.uint8)
        path = folder / place.label / f"{place.name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=_SIZE,
            height=_SIZE,
            count=3,
            dtype="uint8",
            crs=place.grid.crs,
            transform=rasterio.Affine(*place.grid.transform),
            compress="deflate",
        ) as dataset:
            dataset.write(picture)


def _write_lists(folder: Path, places: Sequence[_Place], random: np.random.Generator) -> None:
    """Split lists as EuroSAT's: one scheme at random within each label, one by longitude."""
    folder.mkdir()
    order = random.permutation(len(places))
    schemes = {
        "random": sorted((places[number] for number in order), key=lambda place: place.label),
        "spatial": sorted(places, key=lambda place: place.longitude),
    }
    for scheme, ordered in schemes.items():
        names: dict[str, list[str]] = {split: [] for split, _ in _SHARES}
        parts = [ordered]
        if scheme == "random":
            parts = [[p for p in ordered if p.label == label] for label in LABELS]
        for part in parts:
            start = 0
            for split, share in _SHARES:
                end = round(share * len(part))
                names[split] += [f"{place.name}.jpg" for place in part[start:end]]
                start = end
        for split, lines in names.items():
            (folder / f"{scheme}-{split}.txt").write_text("\n".join(lines) + "\n")
