"""Earth Engine: this project's source beside the plain way, on one loopback service.

The plain way is the code with which the first release of AlphaEarth-EuroSAT was made: for each
patch the first image there, quantized, opened with Xee as its documentation shows, written as a
deflate COG, by 32 threads. Both meet the same service, in a process of its own: 300 ms latency,
40 requests at once. It has computed every answer once before the clock starts.

    uv run --all-extras --group dev scripts/benchmarks/earthengine.py [--patches 2000] [--plain-patches 64]

Ideal is the requests of one a patch, 40 at a time: patches x latency / 40. The wall time starts
before the source is opened, and ends when the last pixel is there, or staged.

Then patches in batches beside one by one, through the build's fetching and staging, where the
service takes 40 ms more for each patch in a request, and points in batches:

    ... --patches 0 --xee-patches 0 --plain-patches 0 [--batch-patches 27000] [--points 10000]

Then come the requests, and the peak memory of another process that does nothing but that.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import requests

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from hfaef.build.batches.queue import kinds_of  # noqa: E402
from hfaef.build.fetch.engine import fetch as stage  # noqa: E402
from hfaef.build.fetch.read import read_asked  # noqa: E402
from hfaef.build.fetch.retry import Policy  # noqa: E402
from hfaef.build.fetch.threads import ThreadExecutor  # noqa: E402
from hfaef.build.plan import earth_engine_cost, sort_by_block  # noqa: E402
from hfaef.build.staging.pixels import StagedPixels  # noqa: E402
from hfaef.build.staging.store import Store  # noqa: E402
from hfaef.catalog.patch import Patch  # noqa: E402
from hfaef.core.grid import WGS84, Grid, project, utm_crs  # noqa: E402
from hfaef.core.quantize import NODATA, from_stored  # noqa: E402
from hfaef.recipe.model import EarthEngine  # noqa: E402
from hfaef.sources.earthengine import source as earthengine  # noqa: E402
from servers.earthengine import COLLECTION, World, tiles_around  # noqa: E402
from servers.earthengine.client import expected  # noqa: E402

YEAR = 2018
QUOTA = 40
PLAIN_THREADS = 32
MEMORY_PATCHES = 3200


@dataclass(frozen=True)
class Run:
    """What one way of fetching took."""

    name: str
    patches: int
    seconds: float
    """Wall time from before the first request to the last pixel."""
    client_seconds: float
    """CPU time of this process."""
    requests: dict[str, int]
    peak: int
    wrong: int
    """Patches' pixels that are not the closed form at their place."""
    pixels: int
    odd: int
    """Patches that are not of the shape asked for."""

    def line(self, latency: float) -> str:
        """One row of the table."""
        ideal = self.patches * latency / QUOTA
        asked = sum(self.requests.values()) / self.patches
        return (
            f"{self.name:<14} {self.patches:>7} {self.seconds:>8.2f} s {ideal:>7.2f} s "
            f"{self.seconds / ideal:>8.2f} {asked:>10.2f} {self.peak:>5} "
            f"{self.wrong:>9} of {self.pixels:<9} {self.odd:>4} "
            f"{1000 * self.client_seconds / self.patches:>8.1f} ms"
        )


HEADER = (
    "way            patches     wall     ideal  / ideal  requests/p  peak    "
    "wrong pixels       odd   client CPU/p"
)


def eurosat_like(count: int, seed: int = 0) -> list[Grid]:
    """Grids with EuroSAT's quirks, over central Europe: odd pixel sizes, no origin on a lattice."""
    random = np.random.default_rng(seed)
    grids = []
    for _ in range(count):
        longitude, latitude = random.uniform(4.0, 20.0), random.uniform(44.0, 54.0)
        crs = utm_crs(longitude, latitude)
        x, y = project(np.array(longitude), np.array(latitude), WGS84, crs)
        across, down = random.uniform(9.94, 10.06), random.uniform(9.93, 10.05)
        grids.append(Grid(crs, (across, 0.0, float(x), 0.0, -down, float(y)), 64, 64))
    return grids


@contextmanager
def service(grids: Sequence[Grid], folder: Path) -> Iterator[str]:
    """The address of a service in a process of its own."""
    path = folder / "grids.json"
    path.write_text(json.dumps([[g.crs, g.transform, g.height, g.width] for g in grids]))
    paths = [str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, "-m", "servers.earthengine", str(path), str(YEAR)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        text=True,
    )
    with process:
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            # It serves until its standard input ends.
            process.communicate(timeout=20)


def conduct(url: str, **values: Any) -> None:
    """Set the service's latency and quotas; its counts start anew."""
    requests.post(f"{url}/conduct", json=values, timeout=10).raise_for_status()


def stats(url: str) -> dict[str, Any]:
    """What the service counted."""
    return dict(requests.get(f"{url}/stats", timeout=10).json())


Answers = Iterable[tuple[Grid, npt.NDArray[np.int8]]]
Fetch = Callable[[Sequence[Grid]], Answers]


def measure(
    name: str,
    url: str,
    grids: Sequence[Grid],
    latency: float,
    fetch: Fetch,
    latency_a_patch: float = 0.0,
) -> Run:
    """One undisturbed run after one that fills the service's memory."""
    conduct(url, latency=0.0, latency_a_patch=0.0, at_once=1000, per_minute=10**9)
    for _ in fetch(grids):
        continue
    conduct(url, latency=latency, latency_a_patch=latency_a_patch, at_once=QUOTA, per_minute=10**9)
    start, start_cpu = time.perf_counter(), time.process_time()
    answers = fetch(grids)
    seconds, client = time.perf_counter() - start, time.process_time() - start_cpu
    seen = stats(url)
    if set(seen["statuses"]) != {"200"}:
        print(f"{name}: statuses {seen['statuses']}")
    computed = {key: seen["requests"].get(key, 0) for key in ("value", "pixels", "features")}
    world = World(tiles_around(grids, (YEAR,)))
    shape = grids[0].height, grids[0].width
    wrong = odd = pixels = 0
    for grid, codes in answers:
        wrong += int((codes != expected(world, grid, YEAR)).any(axis=0).sum())
        odd += (grid.height, grid.width) != shape
        pixels += grid.height * grid.width
    return Run(name, len(grids), seconds, client, computed, seen["peak"], wrong, pixels, odd)


def ours(url: str, reader: str) -> Fetch:
    """This project's source, driven by as many threads as the quota lets in."""

    def fetch(grids: Sequence[Grid]) -> Answers:
        section = EarthEngine(
            kind="earthengine", project="bench", url=url, reader=reader, requests_per_minute=10**9
        )
        source = earthengine.open(section, [YEAR])
        try:
            with ThreadPoolExecutor(QUOTA) as pool:
                found = list(pool.map(lambda grid: source.read(grid, YEAR).codes, grids))
        finally:
            source.close()
        return list(zip(grids, found, strict=True))

    return fetch


def stage_all(url: str, patches: Sequence[Patch], store: Store, batch: int | str) -> None:
    """This project's build, up to staged pixels; checks of batches are part of it."""
    section = EarthEngine(
        kind="earthengine", project="bench", url=url, batch=batch, requests_per_minute=10**9
    )
    with closing(earthengine.open(section, [YEAR])) as source:
        read = partial(read_asked, source, store.pixels, Policy())
        executor = ThreadExecutor(read, source.max_reads)
        wanted = sort_by_block(patches)
        for note in stage(wanted, executor, store, kind_of=kinds_of(source)):
            print(note)


def patches_of(grids: Sequence[Grid]) -> list[Patch]:
    """A patch a grid."""
    return [Patch(f"P{n:06d}", grid, "Land", {}, YEAR) for n, grid in enumerate(grids)]


def built(url: str, folder: Path, batch: int | str) -> Fetch:
    """What a build stages."""
    count = itertools.count()

    def fetch(grids: Sequence[Grid]) -> Answers:
        patches = patches_of(grids)
        place = folder / f"{batch}-{next(count)}"
        with Store(place) as store:
            stage_all(url, patches, store, batch)
        return read(patches, store.pixels, place)

    def read(patches: Sequence[Patch], staged: StagedPixels, place: Path) -> Answers:
        for patch in patches:
            yield patch.grid, staged.read(patch)
        shutil.rmtree(place)

    return fetch


def peak_memory(url: str, folder: Path, batch: int | str, grids: Sequence[Grid]) -> int:
    """Peak memory in MB of a process of its own that stages as many patches and does nothing else.

    Those are the first ones again and again, twice, so that the service answers at once, and no
    more than `MEMORY_PATCHES`: they are staged as they come.
    """
    count = min(len(grids), MEMORY_PATCHES)
    grids = list(itertools.islice(itertools.cycle(grids[:16]), count))
    peaks = []
    for _ in range(2):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            job = pool.submit(_peak_memory, url, folder / "memory", batch, grids)
            peaks.append(job.result())
    return max(peaks)


def _peak_memory(url: str, place: Path, batch: int | str, grids: Sequence[Grid]) -> int:
    with Store(place) as store:
        stage_all(url, patches_of(grids), store, batch)
    shutil.rmtree(place)
    # What `resource.getrusage` gives begins with the memory of the process that started this one.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) // 1024 if found else 0


def points_like(count: int, seed: int = 1) -> list[Grid]:
    """Grids of one pixel on AEF's lattice, over central Europe."""
    grids = eurosat_like(count, seed)
    return [
        Grid(grid.crs, (10.0, 0.0, 10 * (c // 10), 0.0, -10.0, 10 * (f // 10)), 1, 1)
        for grid in grids
        for c, f in ((grid.transform[2], grid.transform[5]),)
    ]


def plain(url: str, folder: Path) -> Fetch:
    """The first release's way."""
    import ee
    import rasterio
    import shapely
    import xarray
    from google.oauth2.credentials import Credentials
    from xee.helpers import fit_geometry

    def one(number: int, grid: Grid) -> tuple[Grid, npt.NDArray[np.int8]]:
        box = shapely.box(*grid.bounds())
        image = (
            ee.ImageCollection(COLLECTION)
            .filterDate(f"{YEAR}-01-01", f"{YEAR + 1}-01-01")
            .filterBounds(ee.Geometry.Rectangle(list(box.bounds), None, False))
            .first()
        )
        root = image.abs().pow(0.5).multiply(image.signum())
        codes = root.multiply(127.5).round().clamp(-127, 127).add(127).toUint8()
        place = fit_geometry(box, grid_crs=grid.crs, grid_scale=(10.0, -10.0))
        data = xarray.open_dataset(
            ee.ImageCollection([codes.set("system:time_start", 1_514_764_800_000)]),
            engine="ee",
            **place,
        )
        values = data.isel(time=0).to_array().values
        stored = np.nan_to_num(values, nan=0).astype(np.uint8)
        _write_cog(rasterio, folder / f"{number}.tif", stored, place)
        own = Grid(place["crs"], tuple(place["crs_transform"]), *stored.shape[1:])
        # Its nodata and its lowest code are one value.
        return own, np.where(stored == 0, np.int8(NODATA), from_stored(stored))

    def fetch(grids: Sequence[Grid]) -> Answers:
        ee.Reset()
        ee.Initialize(credentials=Credentials("bench"), url=url, project="bench")
        with ThreadPoolExecutor(PLAIN_THREADS) as pool:
            return list(pool.map(one, range(len(grids)), grids))

    return fetch


def _write_cog(rasterio: Any, path: Path, stored: npt.NDArray[np.uint8], place: Any) -> None:
    with rasterio.open(
        path,
        "w",
        driver="COG",
        compress="deflate",
        count=stored.shape[0],
        height=stored.shape[1],
        width=stored.shape[2],
        dtype="uint8",
        nodata=0,
        crs=place["crs"],
        transform=rasterio.Affine(*place["crs_transform"]),
    ) as target:
        target.write(stored)


def main() -> None:
    """Measure, and print a table of ratios."""
    parser = argparse.ArgumentParser(description="Earth Engine: this project beside the plain way")
    parser.add_argument("--patches", type=int, default=2000)
    parser.add_argument("--xee-patches", type=int, default=40)
    parser.add_argument("--plain-patches", type=int, default=64)
    parser.add_argument("--batch-patches", type=int, default=2000)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.3)
    parser.add_argument("--latency-a-patch", type=float, default=0.04)
    arguments = parser.parse_args()
    os.environ["HFAEF_EE_TOKEN"] = "bench"  # noqa: S105 - it opens nothing
    # Xee multiplies affines in a manner that affine 3 warns of.
    warnings.filterwarnings("ignore", message="Use `@` matmul")
    counts = (arguments.patches, arguments.xee_patches, arguments.plain_patches)
    grids = eurosat_like(max(*counts, arguments.batch_patches))
    points = points_like(arguments.points)
    print(f"latency {1000 * arguments.latency:.0f} ms, quota {QUOTA} at once\n\n{HEADER}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with service([*grids, *points], folder) as url:
            for label, count, fetch in (
                ("ours", arguments.patches, ours(url, "pixels")),
                ("ours with Xee", arguments.xee_patches, ours(url, "xee")),
                ("plain", arguments.plain_patches, plain(url, folder)),
            ):
                if count:
                    run = measure(label, url, grids[:count], arguments.latency, fetch)
                    print(run.line(arguments.latency), flush=True)
            print(f"\n{1000 * arguments.latency_a_patch:.0f} ms more for each patch of a request")
            seconds = {}
            for label, some, batch in (
                ("one by one", grids[: arguments.batch_patches], 1),
                ("batches", grids[: arguments.batch_patches], "auto"),
                ("points", points, "auto"),
            ):
                if some:
                    fetch = built(url, folder, batch)
                    times = arguments.latency, fetch, arguments.latency_a_patch
                    run = measure(label, url, some, *times)
                    seconds[label] = run.seconds
                    peak = peak_memory(url, folder, batch, some)
                    print(run.line(arguments.latency), run.requests, f"{peak} MB", flush=True)
    if "batches" in seconds:
        ratio = seconds["one by one"] / seconds["batches"]
        print(f"batches are {ratio:.2f} times as fast as one by one (target 5)")
    for label, grids in (("patches", eurosat_like(27_000)), ("points", points_like(10_000))):
        cost = earth_engine_cost(patches_of(grids), EarthEngine(kind="earthengine"))
        print(
            f"{len(grids):,} {label}: {cost.requests:,} requests planned, {cost.checks:,} of them "
            f"checks; one by one {cost.requests_one_by_one:,}"
        )


if __name__ == "__main__":
    main()
