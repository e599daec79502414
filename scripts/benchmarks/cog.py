"""The COGs: this project's source beside the ways people read them, on one loopback server.

    uv run --with virtualizarr --with virtual-tiff --with async-geotiff --with obstore \
        python scripts/benchmarks/cog.py [--patches 500] [--blocks 50] [--sample 60]

All ways meet the same server, in a process of its own, that answers after 30 ms; each runs in a
process of its own, too, so that peak memory is its own. The tiles have the published layout and
compress like real ones. Patches come in the order of a catalog, which knows nothing of tiles.

windows     each patch by itself: rasterio's WarpedVRT on the patch's grid, 8 threads
xarray      each patch by itself: virtualizarr and dask, as aef-loader does it, 8 threads
geotiff     each internal tile once: async-geotiff over obstore, patches cut from it
ours        hfaef's source
urllib3     only the bytes: the requests of hfaef's source by its transport, nothing decoded
obstore     only the bytes: the same requests by obstore

What is not installed is left out; none but rasterio is needed. The first two may be measured on the
first patches of the catalog only, as they take each patch by itself: `--sample`. Beside all, what
the source does without the network is set against zstd alone, on the same chunks in memory.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cog_decode import decode
from cog_peers import FETCHES, IMPORTS, WAYS
from cog_world import needed, scatter, write_world, wrong

ROOT = Path(__file__).parents[2]

SINGLE = ("windows", "xarray")
"""Ways that read each patch by itself."""


def run_way(name: str, url: str, world: Path, sample: int) -> dict[str, float]:
    """Run one way in this process, on so many patches; gives what it took."""
    # Imports are no part of what is measured.
    for module in IMPORTS[name]:
        importlib.import_module(module)
    content = json.loads(world.read_text())
    patches = [tuple(patch) for patch in content["patches"]][:sample]
    before = time.process_time()
    started = time.perf_counter()
    if name in FETCHES:
        FETCHES[name](url, patches, world.parent)
    else:
        read = WAYS[name](url, patches)
    seconds = time.perf_counter() - started
    cpu = time.process_time() - before
    # Not getrusage's, which a process inherits from the one that starts it.
    status = Path("/proc/self/status").read_text()
    peak = 1024 * int(status.partition("VmHWM:")[2].split()[0])
    # Checked after the clock stopped.
    missed = 0 if name in FETCHES else wrong(patches, read, content["places"])
    return {
        "seconds": seconds,
        "cpu": cpu,
        "wrong": missed,
        "memory": peak,
        "patches": len(patches),
    }


def ask(url: str, what: str) -> dict[str, int]:
    """A number from the server."""
    with urllib.request.urlopen(f"{url}/_{what}") as answer:  # noqa: S310 - loopback
        return dict(json.load(answer))


def measure(name: str, *words: str, cache: Path) -> dict[str, float] | None:
    """One way, in a process of its own."""
    command = [sys.executable, __file__, "--way", name, *words]
    env = {**os.environ, "HFAEF_CACHE": str(cache / name), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if not done.stdout:
        print(f"{name:8} not run: {(done.stderr.strip() or '?').splitlines()[-1][:120]}")
        return None
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(title: str, folder: Path, world: Path, options: Any) -> None:
    """All ways side by side on the same patches."""
    from hfaef.sources.cog.remote.blocks import plan_runs

    patches = [tuple(patch) for patch in json.loads(world.read_text())["patches"]]
    chunks = needed(folder, patches)
    count = sum(map(len, chunks.values()))
    size = sum(chunk.count for found in chunks.values() for chunk in found)
    fewest = sum(len(plan_runs(found)) for found in chunks.values())
    print(f"\n{title}: {len(patches)} patches, {count:,} chunks, {size / 1e6:,.0f} MB needed")
    results = {}
    with serve(folder, options.latency) as url, tempfile.TemporaryDirectory() as cache:
        for name in options.ways.split(","):
            sample = min(options.sample, len(patches)) if name in SINGLE else len(patches)
            ask(url, "forget")
            words = ("--url", url, "--world", str(world), "--sample", str(sample))
            if result := measure(name, *words, cache=Path(cache)):
                results[name] = {**result, **ask(url, "counts")}
    print(
        f"{'way':8} {'patches':>7} {'seconds':>8} {'CPU':>7} {'MB':>8} {'requests':>8} "
        f"{'at once':>7} {'peak MB':>7} {'wrong':>5}"
    )
    for name, result in results.items():
        print(
            f"{name:8} {result['patches']:7} {result['seconds']:8.2f} {result['cpu']:7.2f} "
            f"{result['sent'] / 1e6:8,.0f} {result['requests']:8,} {result['peak']:7} "
            f"{result['memory'] / 1e6:7,.0f} {result['wrong'] if name in WAYS else '-':>5}"
        )
    if "ours" not in results:
        return
    mine = results["ours"]
    print(f"bytes fetched / needed: {mine['sent'] / size:.4f}, target <= 1.02")
    print(
        f"chunks a request: {count / mine['requests']:.1f} with the index and headers; "
        f"{count / fewest:.1f} is the most where chunks lie side by side"
    )
    for name, result in results.items():
        if name in WAYS and name != "ours":
            share = result["patches"] / len(patches)
            print(
                f"{name} / ours, a patch: {result['sent'] / mine['sent'] / share:.1f} times the "
                f"bytes, {result['seconds'] / mine['seconds'] / share:.2f} times the time"
                + (f" (measured on {result['patches']} patches)" if share < 1 else "")
            )


@contextmanager
def serve(folder: Path, latency: float) -> Iterator[str]:
    """The address of a server in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "servers.files", str(folder), "--latency", str(latency)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    ) as server:
        if server.stdout is None or server.stdin is None:
            raise SystemExit("no server")
        yield server.stdout.readline().strip()
        server.stdin.close()


def main() -> None:
    """Write the worlds, run the ways, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--patches", type=int, default=500)
    parser.add_argument("--blocks", type=int, default=50)
    parser.add_argument("--sample", type=int, default=10**6)
    parser.add_argument("--order", default="bands", choices=["bands", "blocks"])
    parser.add_argument("--latency", type=float, default=0.03)
    parser.add_argument("--ways", default=",".join([*WAYS, *FETCHES]))
    parser.add_argument("--way")
    parser.add_argument("--url")
    parser.add_argument("--world", type=Path)
    options = parser.parse_args()
    if options.way == "decode":
        patches = [tuple(patch) for patch in json.loads(options.world.read_text())["patches"]]
        print(json.dumps(decode(options.world.parent, patches)))
        return
    if options.way:
        taken = run_way(options.way, options.url, options.world, options.sample)
        # At once: a library may bring the process down as it ends.
        print(json.dumps(taken), flush=True)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = write_world(folder, options.blocks, options.order)
        for title, patches in (
            ("scattered", scatter(places[::2], len(places[::2]))),
            ("clustered", scatter(places, options.patches)),
        ):
            world = folder / f"{title}.json"
            world.write_text(json.dumps({"patches": patches, "places": places}))
            compare(title, folder, world, options)
        taken = measure("decode", "--world", str(world), cache=folder / "cache")
    if taken:
        both = taken["decode"] + taken["look up"]
        print(
            f"decode and cut: {taken['bytes'] / taken['decode'] / 1e6:,.0f} MB/s of pixels; zstd "
            f"alone: {taken['bytes'] / taken['alone'] / 1e6:,.0f} MB/s; ratio "
            f"{taken['alone'] / taken['decode']:.2f}, target >= 0.70; with the look-up of "
            f"the other patches {taken['alone'] / both:.2f}"
        )


if __name__ == "__main__":
    main()
