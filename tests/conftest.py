"""Fixtures: real data where it is there, and small worlds in which every pixel is known."""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest

from hfaef.build.batches.queue import kinds_of
from hfaef.build.fetch.read import read_asked
from hfaef.build.fetch.retry import Policy
from hfaef.build.staging.store import Store
from hfaef.core.aef import LATTICE, ZONE_OVERLAP
from hfaef.core.grid import WGS84, Grid, project, utm_crs
from hfaef.core.workers import core_count
from hfaef.recipe.model import Demo
from hfaef.recipe.read import read_recipe
from hfaef.sources.demo.field import Field
from hfaef.sources.demo.tiles import write_store
from support.fakes import BatchSource, Clock, Simulate, SimulatedExecutor
from support.forks import ForkServer
from support.kinds import write_points
from support.once import made_once
from support.releases import make_release

pytest_plugins = ("servers.hub.fixtures", "support.tile_stores")

# The first example of a test pays for imports; no test here is about time.
hypothesis.settings.register_profile("hfaef", deadline=None)
hypothesis.settings.load_profile("hfaef")

SHARED = Path(os.environ.get("HFAEF_SHARED", Path(__file__).parents[2] / "shared")) / "data"


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait meanwhile, for servers and for pauses."""
    return core_count() + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: the last one to begin holds up the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@dataclass(frozen=True)
class World:
    """A store of AEF tiles and the field it was filled from."""

    root: Path
    field: Field
    year: int

    def expected(self, grid: Grid) -> npt.NDArray[np.int8]:
        """Codes (64, H, W) of a grid, straight from the field at AEF's pixel centres.

        A pixel is looked up in the grid's own zone as far as that zone's data reach, else in the
        zone that it lies in.
        """
        x, y = grid.centres()
        lon, lat = project(x, y, grid.crs, WGS84)
        own = grid.crs
        if own.startswith("EPSG:326"):
            middle = int(own[-2:]) * 6 - 183
            near = np.abs(lon - middle).max() <= 3 + ZONE_OVERLAP - 0.001
        else:
            near = False
        crs = own if near else utm_crs(float(lon.mean()), float(lat.mean()))
        east, north = project(x, y, own, crs)
        middle_x = np.floor(east / LATTICE) * LATTICE + LATTICE / 2
        middle_y = np.floor(north / LATTICE) * LATTICE + LATTICE / 2
        return self.field.codes(*project(middle_x, middle_y, crs, WGS84), self.year)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data that is not part of the project."""
    if not SHARED.is_dir():
        pytest.skip(f"real data is not at {SHARED}; HFAEF_SHARED names another place")
    return SHARED


@pytest.fixture(scope="session")
def eurosat_images(shared: Path) -> Path:
    """EuroSAT100's GeoTIFFs, one folder a class."""
    return shared / "eurosat/ds/images/remote_sensing/otherDatasets/sentinel_2/tif"


@pytest.fixture(scope="session")
def eurosat_grids(shared: Path) -> dict[str, Grid]:
    """Grids of EuroSAT100 as somebody else read them."""
    with (shared / "eurosat/eurosat100_bounds.csv").open() as file:
        return {
            row["name"]: Grid(
                f"EPSG:{row['epsg']}",
                tuple(float(row[key]) for key in "abcdef"),  # type: ignore[arg-type]
                64,
                64,
            )
            for row in csv.DictReader(file)
        }


@pytest.fixture(scope="session")
def eurosat_world(
    eurosat_grids: dict[str, Grid], tmp_path_factory: pytest.TempPathFactory
) -> World:
    """AEF tiles below all of EuroSAT100."""
    field = Field(seed=5)

    def make(root: Path) -> None:
        write_store(root, field, {2018: eurosat_grids.values()})

    return World(made_once(tmp_path_factory, "eurosat-world", make), field, 2018)


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a small demo world in ``data/demo``; do not write there."""
    from hfaef.sources.demo import write_world

    def make(root: Path) -> None:
        write_world(Demo(root=root / "data/demo", patches=40))

    return made_once(tmp_path_factory, "demo", make)


@pytest.fixture(scope="session")
def demo_release(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small release in a folder of its own name; do not write there."""
    from hfaef.build.pipeline import build

    world = demo_root / "data/demo"
    changes = [f"demo.root={world}", "demo.patches=40", f"patches.root={world / 'patches'}"]
    changes += [f"source.root={world / 'aef'}"]
    for scheme in ("random", "spatial"):
        for split in ("train", "val", "test"):
            lists = world / "lists" / f"{scheme}-{split}.txt"
            changes.append(f"patches.splits.{scheme}.{split}={lists}")

    def make(root: Path) -> None:
        build(read_recipe("demo", changes), root / "AlphaEarth-Demo")

    return made_once(tmp_path_factory, "demo-release", make) / "AlphaEarth-Demo"


@pytest.fixture(scope="session")
def patches_release(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`make_release` as it is by default; do not write there."""

    def make(folder: Path) -> None:
        make_release(demo_root, folder)

    return made_once(tmp_path_factory, "patches-24", make) / "release"


@pytest.fixture(scope="session")
def fewer_patches_release(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of 20 patches; do not write there."""

    def make(folder: Path) -> None:
        make_release(demo_root, folder, patches=20)

    return made_once(tmp_path_factory, "patches-20", make) / "release"


@pytest.fixture(scope="session")
def kinds_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world of `support.kinds`; do not write there."""
    return made_once(tmp_path_factory, "kinds", write_points) / "world"


@pytest.fixture
def own_release(demo_release: Path, tmp_path: Path) -> Path:
    """The small release, to write to."""
    return Path(shutil.copytree(demo_release, tmp_path / demo_release.name))


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    """Starts processes that have imported libraries already."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets what another one, or a user, left in the cache."""
    monkeypatch.setenv("HFAEF_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def utm_grid() -> Grid:
    """A patch on no lattice, in the middle of a zone."""
    return Grid("EPSG:32632", (9.98, 0.0, 500_003.3, 0.0, -10.03, 5_400_007.7), 64, 48)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty one."""
    with Store(tmp_path / "out") as store:
        yield store


@pytest.fixture
def simulate(store: Store) -> Simulate:
    """An executor in made-up time over a source without faults, to be run with its own clock."""

    def make(size: int = 40, batch: int = 1, **service: object) -> SimulatedExecutor:
        source = BatchSource(most=batch)
        read = partial(read_asked, source, store.pixels, Policy())
        return SimulatedExecutor(read, size, Clock(), kinds_of(source), **service)  # type: ignore[arg-type]

    return make
