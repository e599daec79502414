"""How long cataloguing takes: as many GeoTIFFs as EuroSAT has, beside rioxarray and rasterio; points.

    uv run --all-extras --group dev scripts/benchmarks/catalog.py
    uv run --all-extras --group dev scripts/benchmarks/catalog.py --points 100000

The first needs the real patches that the tests use too (HFAEF_SHARED names their folder). The second
makes a CSV and a Parquet file of points with own years and kept columns, and splits them by blocks.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

SHARED = Path(os.environ.get("HFAEF_SHARED", Path(__file__).parents[3] / "shared")) / "data"


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=27_000, help="GeoTIFFs to catalogue")
    parser.add_argument("--points", type=int, help="rows of a table to catalogue instead")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if wanted.points:
            time_points(Path(folder), wanted.points)
        else:
            time_geotiffs(Path(folder), wanted.patches)


def time_points(folder: Path, count: int) -> None:
    """Print seconds and peak memory of a table's catalog, each format in a process of its own."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)
    days = np.datetime64("2018-01-01") + random.integers(0, 7 * 365, count)
    points = pa.table(
        {
            "id": [f"p{number:07d}" for number in range(count)],
            "label": random.choice(["Wheat", "Maize", "Grass", "Forest", "Water"], count),
            "lon": random.uniform(-179.9, 179.9, count).round(6),
            "lat": random.uniform(-60, 75, count).round(6),
            "year": days.astype("datetime64[Y]").astype(int) + 1970,
            "date": days,
            "country": random.choice(["DE", "FR", "ES"], count),
            "weight": random.uniform(0, 1, count).round(4),
        }
    )
    pa.csv.write_csv(points, folder / "points.csv")
    pq.write_table(points, folder / "points.parquet")
    print(f"{count:,} points catalogued    target for 100,000: under 10 s and 1 GB")
    for name in ("points.csv", "points.parquet"):
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn) as process:
            seconds, busy, peak = process.submit(catalogue_points, folder / name).result()
        print(f"  {name:<22} {seconds:6.1f} s ({busy:.1f} s of one core)   {peak / 1e9:.2f} GB")


def catalogue_points(path: Path) -> tuple[float, float, float]:
    """Seconds that a table takes, those of the processor, and the peak of this process in bytes."""
    from hfaef.catalog import open_catalog
    from hfaef.recipe.model import Recipe

    patches = {
        "kind": "table",
        "path": path,
        "size": 1,
        "year": "year",
        "keep": ["country", "date", "weight"],
        "make_splits": {"spatial": {"km": 20}},
    }
    content = {"name": "points", "patches": patches, "source": {"kind": "cog", "root": "aef"}}
    recipe = Recipe.model_validate(content)
    started, begun = time.perf_counter(), time.process_time()
    open_catalog(recipe, range(2017, 2025))
    seconds, busy = time.perf_counter() - started, time.process_time() - begun
    return seconds, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def time_geotiffs(root: Path, count: int) -> None:
    """Print seconds of a folder's catalog, and of others that read as many headers."""
    import rasterio
    import rioxarray

    from hfaef.catalog.geotiffs import read
    from hfaef.recipe.patches import Geotiffs

    originals = sorted((SHARED / "eurosat").rglob("*.tif"))
    paths = []
    for number in range(count):
        original = originals[number % len(originals)]
        path = root / original.parent.name / f"{original.stem}_{number}.tif"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(original.read_bytes())
        paths.append(path)

    def by_rioxarray() -> None:
        for path in paths[: count // 10]:
            with rioxarray.open_rasterio(path) as data:
                _ = data.rio.crs, data.rio.transform(), data.shape

    def by_rasterio() -> None:
        for path in paths[: count // 10]:
            with rasterio.open(path, driver="GTiff") as data:
                _ = data.crs, data.transform, data.shape

    def ours() -> None:
        read(Geotiffs(kind="geotiffs", root=root), 2018)

    seconds: dict[str, float] = {}
    jobs: tuple[tuple[str, Callable[[], None], int], ...] = (
        ("hfaef", ours, 1),
        ("rasterio, one thread", by_rasterio, 10),
        ("rioxarray, one thread", by_rioxarray, 10),
    )
    for name, job, scale in jobs:
        started = time.perf_counter()
        job()
        seconds[name] = (time.perf_counter() - started) * scale
    print(
        f"{count} GeoTIFFs catalogued (the last two: a tenth of them, times ten)    target under 60 s"
    )
    for name, taken in seconds.items():
        print(
            f"  {name:<22} {taken:6.1f} s   {taken / seconds['rasterio, one thread']:.2f} of rasterio's"
        )


if __name__ == "__main__":
    main()
