"""What a patch costs to store and to pack: ours, the peer's, and the limit, in one run.

    uv run --all-extras --group dev scripts/benchmarks/pack.py

Needs the real AEF rasters that the tests use too (HFAEF_SHARED names their folder).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import rasterio
from rasterio.io import MemoryFile
from units import as_units

from hfaef.build.pack.rows import pack
from hfaef.build.staging.ledger import Outcome
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Catalog, Patch, sort_patches
from hfaef.core import sheet
from hfaef.core.grid import Grid
from hfaef.core.quantize import to_stored
from hfaef.core.workers import core_count, ordered_map
from hfaef.sources.base import Pixels

SHARED = Path(os.environ.get("HFAEF_SHARED", Path(__file__).parents[3] / "shared")) / "data/aef"
SIZE = 64


def wide_patches(count: int) -> list[np.ndarray]:
    """Patches of the 10 km raster: its 16 bands four times, each time from another place."""
    with rasterio.open(SHARED / "wisconsin_2024_utm16n_16band_10km.tif") as dataset:
        bands = dataset.read()
    random = np.random.default_rng(0)
    limit = np.array(bands.shape[1:]) - SIZE
    patches = []
    for _ in range(count):
        row, column = random.integers(0, limit)
        places = [
            ((row + 211 * turn) % limit[0], (column + 307 * turn) % limit[1]) for turn in range(4)
        ]
        parts = [bands[:, y : y + SIZE, x : x + SIZE] for y, x in places]
        patches.append(np.ascontiguousarray(np.concatenate(parts)))
    return patches


def true_patches() -> list[np.ndarray]:
    """Patches of the 64-band raster, whole in rows and columns 2 to 100."""
    with rasterio.open(SHARED / "wisconsin_2024_utm16n_64band.tif") as dataset:
        bands = dataset.read()
    places = [(row, column) for row in (2, 19, 36) for column in (2, 19, 36)]
    return [np.ascontiguousarray(bands[:, y : y + SIZE, x : x + SIZE]) for y, x in places]


def geotiff_bytes(codes: np.ndarray) -> int:
    """Size of a patch as the first release had it: deflate, uint8."""
    affine = rasterio.Affine(10, 0, 3e5, 0, -10, 5e6)
    settings = {
        "transform": affine,
        "driver": "GTiff",
        "count": 64,
        "height": SIZE,
        "width": SIZE,
        "dtype": "uint8",
    }
    with MemoryFile() as file:
        with file.open(**settings, compress="deflate", interleave="band") as dataset:
            dataset.write(to_stored(codes))
        return len(file.getbuffer())


def print_sizes() -> None:
    """Bytes of a patch of real codes."""
    for name, patches, target in (
        ("10 km raster, 16 bands four times", wide_patches(200), 2.6),
        ("64-band raster", true_patches(), 2.35),
    ):
        raw = sum(codes.size for codes in patches)
        ours = sum(len(sheet.encode(to_stored(codes))) for codes in patches)
        peer = sum(geotiff_bytes(codes) for codes in patches)
        print(f"bytes a patch, {name} ({len(patches)} patches)")
        print(f"  PNG sheet        1/{raw / ours:.2f} of raw    target 1/{target} or better")
        print(f"  deflate GeoTIFF  1/{raw / peer:.2f} of raw")


def print_speed(count: int) -> None:
    """Rows a second, beside the encoder's alone."""
    patches = [as_units(codes) for codes in wide_patches(100)]
    threads = core_count()
    grid = Grid("EPSG:32616", (10.0, 0.0, 3e5, 0.0, -10.0, 5e6), SIZE, SIZE)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "out") as store:
        listed = [Patch(f"p{number}", grid, "x", {}, 2024) for number in range(count)]
        for number, patch in enumerate(listed):
            store.pixels.write(patch, Pixels(patches[number % 100], (), resampled=False))
            store.record(Outcome(2024, patch.id, fetched=True))
        catalog = Catalog(sort_patches(listed), ("x",), ())
        stored = [to_stored(codes) for codes in patches]

        def encode_all() -> float:
            started = time.perf_counter()
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda number: len(sheet.encode(stored[number % 100])), range(count)))
            return time.perf_counter() - started

        def pack_all(turn: int) -> float:
            target = Path(folder) / f"packed-{turn}"
            target.mkdir()
            started = time.perf_counter()
            pack(
                catalog,
                store,
                target,
                shard_bytes=256_000_000,
                parallel_map=partial(ordered_map, threads=threads),
                advance=lambda _: None,
            )
            return time.perf_counter() - started

        # Turn about, and the best of each, so that neither meets a busier machine.
        pairs = [(encode_all(), pack_all(turn)) for turn in range(3)]
    limit, ours = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    print(f"packing {count} patches on {threads} cores")
    print(f"  PNG encoder alone  {count / limit:.0f} rows/s")
    print(
        f"  pack               {count / ours:.0f} rows/s = {limit / ours:.0%} of it    target 80 %"
    )


RECIPE = """
name = "memory"
years = [2018]
[demo]
root = "data/demo"
[patches]
kind = "table"
path = "points.csv"
[source]
kind = "cog"
root = "data/demo/aef"
"""


def print_memory(counts: list[int]) -> None:
    """Peak memory of whole builds, of the process and all its children."""
    from hfaef.catalog.geotiffs import read_grid
    from hfaef.recipe.model import Demo
    from hfaef.sources.demo import write_world

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(Demo(root=folder / "data/demo"))
        grids = [read_grid(path) for path in (folder / "data/demo/patches").rglob("*.tif")]
        random = np.random.default_rng(0)
        print("peak memory of a build")
        for count in counts:
            lines = ["id,label,lon,lat"]
            for number in range(count):
                west, south, east, north = grids[number % len(grids)].bounds()
                lon, lat = random.uniform((west, south), (east, north))
                lines.append(f"p{number},{'ab'[number % 2]},{lon},{lat}")
            (folder / "points.csv").write_text("\n".join(lines))
            (folder / "hfaef.toml").write_text(RECIPE)
            command = [sys.executable, "-c", "from hfaef.cli.main import main; main()", "build"]
            command += ["--out", f"out-{count}"]
            started = time.perf_counter()
            process = psutil.Popen(
                command, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            peak = 0
            while process.poll() is None:
                try:
                    family = [process, *process.children(recursive=True)]
                    peak = max(peak, sum(member.memory_info().rss for member in family))
                except psutil.NoSuchProcess:
                    pass
                time.sleep(0.02)
            seconds = time.perf_counter() - started
            print(
                f"  {count:>5} patches  {peak / 1e6:.0f} MB in {seconds:.0f} s "
                f"(exit code {process.returncode})    target under 600 MB"
            )


def print_start() -> None:
    """Seconds until the help is there."""
    command = [sys.executable, "-c", "from hfaef.cli.main import main; main()", "--help"]
    bare = [sys.executable, "-c", "pass"]

    def seconds(words: list[str]) -> float:
        started = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        return time.perf_counter() - started

    ours, limit = (min(seconds(words) for _ in range(7)) for words in (command, bare))
    print(f"hfaef --help: {ours:.2f} s, Python alone {limit:.2f} s    target under 0.5 s")


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1500, help="patches to pack")
    parser.add_argument(
        "--builds", type=int, nargs="*", default=[300, 3000], help="patches a build"
    )
    arguments = parser.parse_args()
    print_sizes()
    print_speed(arguments.rows)
    print_start()
    print_memory(arguments.builds)


if __name__ == "__main__":
    main()
