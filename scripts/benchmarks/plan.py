"""Planning 10,000, 30,000 and 100,000 patches: seconds, memory, and whether time grows linearly.

uv run --all-extras --group dev scripts/benchmarks/plan.py
"""

from __future__ import annotations

import subprocess
import sys
import time

SIZES = (10_000, 30_000, 100_000)
SECONDS, MEGABYTES = 20.0, 1000.0


def measure(count: int) -> None:
    """Plan so many patches strewn over Europe; prints seconds and peak megabytes."""
    import resource

    import numpy as np

    from hfaef.build.plan import make_plan
    from hfaef.catalog.patch import Catalog, Patch
    from hfaef.core.grid import WGS84, Grid, project, utm_crs
    from hfaef.recipe.model import Recipe

    random = np.random.default_rng(0)
    lon, lat = random.uniform(-8, 30, count), random.uniform(38, 60, count)
    by_zone = {}
    for zone in sorted({utm_crs(float(place), 1.0) for place in lon}):
        by_zone[zone] = project(lon, lat, WGS84, zone)
    patches = []
    for number in range(count):
        zone = utm_crs(float(lon[number]), 1.0)
        x, y = (float(axis[number]) for axis in by_zone[zone])
        grid = Grid(zone, (9.98, 0.0, x, 0.0, -10.03, y), 64, 64)
        patches.append(Patch(f"P{number:06d}", grid, "Land", {}, 2018))
    recipe = Recipe.model_validate(
        {
            "name": "bench",
            "years": [2018],
            "patches": {"kind": "table", "path": "points.csv"},
            "source": {"kind": "earthengine"},
        }
    )
    catalog = Catalog(tuple(patches), ("Land",), ())
    started = time.perf_counter()
    plan = make_plan(recipe, catalog)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    units = {cost.source: cost.units for cost in plan.costs}
    print(f"{count} {seconds:.3f} {peak:.0f} {units['cog']}")


def main() -> None:
    """Each size in a process of its own, so that its memory is its own."""
    results = []
    for count in SIZES:
        output = subprocess.run(
            [sys.executable, __file__, str(count)], check=True, capture_output=True, text=True
        ).stdout.split()
        results.append((count, float(output[1]), float(output[2])))
        print(
            f"{count:>7,} patches: {results[-1][1]:6.2f} s, peak {results[-1][2]:5.0f} MB, "
            f"{int(output[3]):,} internal tiles"
        )
    (small, quick, _), (large, slow, peak) = results[0], results[-1]
    print(f"seconds for {large:,}: {slow:.2f}, target <= {SECONDS:.0f}: ratio {slow / SECONDS:.2f}")
    print(f"megabytes: {peak:.0f}, target <= {MEGABYTES:.0f}: ratio {peak / MEGABYTES:.2f}")
    growth = slow / quick / (large / small)
    print(f"time by patches, {large:,} against {small:,}: ratio {growth:.2f}, target about 1")


if __name__ == "__main__":
    measure(int(sys.argv[1])) if len(sys.argv) > 1 else main()
