"""How long it takes to catalogue as many GeoTIFFs as EuroSAT has: ours, rioxarray, rasterio.

    uv run --all-extras --group dev scripts/benchmarks/catalog.py

Needs the real patches that the tests use too (HFAEF_SHARED names their folder).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import rasterio
import rioxarray

from hfaef.catalog.geotiffs import read
from hfaef.recipe.patches import Geotiffs

SHARED = Path(os.environ.get("HFAEF_SHARED", Path(__file__).parents[3] / "shared")) / "data"


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=27_000)
    count = parser.parse_args().patches
    originals = sorted((SHARED / "eurosat").rglob("*.tif"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
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
