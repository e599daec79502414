"""The COGs: this project's source beside the ways people read them, on one loopback server.

    uv run python scripts/bench_cog.py [--patches 500] [--blocks 50] [--order bands|blocks]

All ways meet the same server, in a process of its own, that answers after 30 ms; each runs in a
process of its own, too, so that peak memory is its own. The tiles have the published layout and
compress like real ones. Patches come in the order of a catalog, which knows nothing of tiles.

windows     each patch by itself: rasterio's WarpedVRT on the patch's grid, 8 threads
xarray      virtualizarr and dask, as aef-loader does it (where virtual-tiff is installed:
            `uv run --with virtualizarr --with virtual-tiff ...`)
ours        hfaef's source
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROOT = Path(__file__).parents[1]
YEAR = 2018
SIZE = 64
KINDS = 4
"""Blocks that differ; the others repeat them, as the server and the network cannot tell."""

Patch = tuple[float, float]
"""West and north."""


def real_like(seed: int) -> npt.NDArray[np.int8]:
    """A block whose zstd size is that of real ones, some 0.7 of its pixels: int8 (64, y, x)."""
    random = np.random.default_rng(seed)
    walk = np.cumsum(random.normal(size=(64, 1024, 1024)).astype(np.float32), axis=2)
    walk -= walk.mean(axis=2, keepdims=True)
    noise = random.normal(size=walk.shape).astype(np.float32) * 4
    return np.clip(walk + noise, -100, 100).astype(np.int8)


def write_world(folder: Path, blocks: int, order: str) -> list[tuple[float, float, int]]:
    """Tiles with so many blocks; gives the west, south and kind of each."""
    from hfaef.demo.bigtiff import write_chunks
    from hfaef.demo.tiles import TILE, Tile, write_index

    places, entries = [], []
    kinds = []
    for kind in range(KINDS):
        content = real_like(kind)
        codec = pa.Codec("zstd", compression_level=3)
        kinds.append([codec.compress(band, asbytes=True) for band in content])
    per_tile = 16
    for number in range(-(-blocks // per_tile)):
        tile = Tile(32, True, number % 4, 64 + number // 4)
        chunks = {}
        for step in range(min(per_tile, blocks - number * per_tile)):
            # Two rows of neighbours: as dense as the clusters of a catalog are.
            row, column = 3 + step // 8, step % 8
            kind = len(places) % KINDS
            chunks |= {(band, row, column): kinds[kind][band] for band in range(64)}
            places.append((tile.west + column * 10_240, tile.south + row * 10_240, kind))
        path = folder / str(YEAR) / tile.zone_name / tile.name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_chunks(
            path,
            [chunks],
            epsg=32632,
            transform=tile.grid.transform,
            side=TILE,
            order=order,  # type: ignore[arg-type]
        )
        entries.append((YEAR, tile))
    write_index(folder, entries)
    return places


def scatter(places: list[tuple[float, float, int]], patches: int, seed: int = 0) -> list[Patch]:
    """Patches inside the blocks in turn, in no order; one in eight crosses into a neighbour."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    found = []
    for number in range(patches):
        west, south, _ = places[number % len(places)]
        last = number % len(places) % 16 in (7, 15) or number % len(places) == len(places) - 1
        crossing = number % 8 == 0 and not last and patches > len(places)
        across = 1024 - SIZE // 2 if crossing else chance.randrange(1024 - SIZE)
        up = chance.randrange(1024 - SIZE)
        found.append((west + across * 10, south + (up + SIZE) * 10))
    chance.shuffle(found)
    return found


def grid_of(patch: Patch) -> Any:
    """The grid of a patch, on the lattice."""
    from hfaef.grid import Grid

    return Grid("EPSG:32632", (10.0, 0.0, patch[0], 0.0, -10.0, patch[1]), SIZE, SIZE)


def tile_url(url: str, patch: Patch) -> tuple[str, float, float]:
    """The address, west and south of the tile of a patch."""
    from hfaef.demo.tiles import Tile

    side = 81_920
    column, row = int((patch[0] - 500_000) // side), int((patch[1] - SIZE * 10) // side)
    tile = Tile(32, True, column, row)
    return f"{url}/{YEAR}/{tile.zone_name}/{tile.name}", tile.west, tile.south


def windows(url: str, patches: list[Patch]) -> list[bytes]:
    """Each patch by itself."""
    import rasterio
    from rasterio.vrt import WarpedVRT

    def read(patch: Patch) -> bytes:
        address, _, _ = tile_url(url, patch)
        with (
            rasterio.Env(
                GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR",
                GDAL_HTTP_MERGE_CONSECUTIVE_RANGES="YES",
                CPL_VSIL_CURL_USE_HEAD="NO",
            ),
            rasterio.open(address) as tile,
            WarpedVRT(
                tile,
                crs="EPSG:32632",
                transform=rasterio.Affine(10, 0, patch[0], 0, -10, patch[1]),
                width=SIZE,
                height=SIZE,
            ) as warped,
        ):
            return bytes(warped.read().astype(np.int8).tobytes())

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(read, patches))


def xarray(url: str, patches: list[Patch]) -> list[bytes]:
    """Virtual Zarr over each tile, a dask chunk an internal tile and band."""
    import xarray as xr
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import HTTPStore
    from virtual_tiff import VirtualTIFF

    store = HTTPStore(url, client_options={"allow_http": True})
    registry = ObjectStoreRegistry({url: store})
    opened: dict[str, Any] = {}
    read = []
    for patch in patches:
        address, west, south = tile_url(url, patch)
        if address not in opened:
            manifest = VirtualTIFF(ifd=0)(address, registry=registry)
            data = xr.open_zarr(manifest, zarr_format=3, consolidated=False, chunks={})
            opened[address] = next(iter(data.data_vars.values()))
        left, top = round((patch[0] - west) / 10), round((patch[1] - south) / 10)
        part = opened[address][:, top - SIZE : top, left : left + SIZE]
        read.append(np.asarray(part.compute())[:, ::-1].astype(np.int8).tobytes())
    return read


def ours(url: str, patches: list[Patch]) -> list[bytes]:
    """hfaef's source, asked in the catalog's order."""
    from hfaef.recipe import Cog
    from hfaef.sources import open_source

    source = open_source(Cog(kind="cog", root=url))
    grids = [grid_of(patch) for patch in patches]
    source.expect([(grid, YEAR) for grid in grids])  # type: ignore[attr-defined]
    with ThreadPoolExecutor(source.max_requests) as pool:
        read = list(pool.map(lambda grid: source.read(grid, YEAR).codes.tobytes(), grids))
    source.close()
    return read


WAYS: dict[str, Callable[[str, list[Patch]], list[bytes]]] = {
    "windows": windows,
    "xarray": xarray,
    "ours": ours,
}


IMPORTS = {
    "windows": ["rasterio.vrt"],
    "xarray": ["xarray", "virtual_tiff", "dask.array", "obspec_utils.registry"],
    "ours": ["hfaef.sources.served", "hfaef.sources.cog"],
}


def run_way(name: str, url: str, world: Path) -> None:
    """Run one way in this process and print what it took."""
    # Imports are no part of what is measured.
    for module in IMPORTS[name]:
        importlib.import_module(module)
    patches = [tuple(patch) for patch in json.loads(world.read_text())["patches"]]
    before = time.process_time()
    started = time.perf_counter()
    read = WAYS[name](url, patches)
    seconds = time.perf_counter() - started
    cpu = time.process_time() - before
    # Not getrusage's, which a process inherits from the one that starts it.
    status = Path("/proc/self/status").read_text()
    peak = 1024 * int(status.partition("VmHWM:")[2].split()[0])
    # Checked after the clock stopped.
    kinds = {}
    places = {(west, south): kind for west, south, kind in json.loads(world.read_text())["places"]}
    wrong = 0
    for (west, north), content in zip(patches, read, strict=True):
        row, column = (north - SIZE * 10) // 10_240 * 10_240, (west - 500_000) // 10_240
        codes = np.frombuffer(content, np.int8).reshape(64, SIZE, SIZE)[:, ::-1]
        edge = 500_000 + column * 10_240
        kind = places[edge, row]
        if kind not in kinds:
            kinds[kind] = real_like(kind)
        left, bottom = int((west - edge) / 10), int((north - SIZE * 10 - row) / 10)
        here = kinds[kind][:, bottom : bottom + SIZE, left : left + SIZE]
        wrong += not np.array_equal(codes[:, :, : here.shape[2]], here)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "wrong": wrong, "memory": peak}))


def ask(url: str, what: str) -> dict[str, int]:
    """A number from the server."""
    with urllib.request.urlopen(f"{url}/_{what}") as answer:  # noqa: S310 - loopback
        return dict(json.load(answer))


def measure(name: str, url: str, world: Path, cache: Path) -> dict[str, float] | None:
    """One way, in a process of its own."""
    ask(url, "forget")
    command = [sys.executable, __file__, "--way", name, "--url", url, "--world", str(world)]
    env = {**os.environ, "HFAEF_CACHE": str(cache / name), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        print(f"{name:10} not run: {done.stderr.strip().splitlines()[-1][:120]}")
        return None
    return {**json.loads(done.stdout), **ask(url, "counts")}


def needed(folder: Path, patches: list[Patch]) -> tuple[int, int, int, float]:
    """Distinct chunks, their bytes, the fewest requests, and seconds that zstd alone takes."""
    from hfaef.sources.chunks import Chunk, plan_runs
    from hfaef.sources.tiff import read_header

    chunks: dict[str, set[Chunk]] = {}
    for patch in patches:
        path, west, south = tile_url(str(folder), patch)
        blob = Path(path).read_bytes()[: 1 << 17] if path not in chunks else b""
        if path not in chunks:
            size = Path(path).stat().st_size
            head = read_header(lambda start, count, blob=blob: blob[start : start + count], size)
            chunks[path] = set()
            HEADS[path] = head
        level = HEADS[path].levels[0]
        row = int((patch[1] - SIZE * 10 - south) // 10_240)
        first = int((patch[0] - west) // 10_240)
        last = int((patch[0] + SIZE * 10 - 1 - west) // 10_240)
        for column in {first, last}:
            for band in range(64):
                start, count = level.starts[band, row, column], level.counts[band, row, column]
                chunks[path].add(Chunk(int(start), int(count), (0, row, column), band))
    flat = [(path, chunk) for path, found in chunks.items() for chunk in found]

    def decode(item: tuple[str, bytes]) -> None:
        pa.Codec("zstd").decompress(item[1], 1 << 20, asbytes=False)

    some = []
    for path, chunk in flat[: 64 * 16]:
        with Path(path).open("rb") as file:
            file.seek(chunk.start)
            some.append((path, file.read(chunk.count)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decode, some[:64]))
        started = time.perf_counter()
        list(pool.map(decode, some))
        seconds = (time.perf_counter() - started) * len(flat) / len(some)
    fewest = sum(len(plan_runs(found)) for found in chunks.values())
    return len(flat), sum(chunk.count for _, chunk in flat), fewest, seconds


HEADS: dict[str, Any] = {}


def compare(title: str, folder: Path, world: Path, ways: list[str], options: Any) -> None:
    """All ways side by side on the same patches."""
    patches = [tuple(patch) for patch in json.loads(world.read_text())["patches"]]
    count, size, fewest, alone = needed(folder, patches)
    print(f"\n{title}: {len(patches)} patches, {count:,} chunks, {size / 1e6:,.0f} MB needed,")
    print(f"zstd alone takes {alone:.2f} s on all cores; order {options.order}")
    server = subprocess.Popen(
        [sys.executable, "-m", "servers.files", str(folder), "--latency", str(options.latency)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    )
    if server.stdout is None or server.stdin is None:
        raise SystemExit("no server")
    try:
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as cache:
            results = {name: measure(name, url, world, Path(cache)) for name in ways}
    finally:
        server.stdin.close()
        server.wait()
    print(
        f"{'way':10} {'seconds':>8} {'CPU':>7} {'MB':>9} {'of needed':>9} {'requests':>8} ", end=""
    )
    print(f"{'at once':>7} {'peak MB':>8} {'wrong':>5}")
    for name, result in results.items():
        if result:
            print(
                f"{name:10} {result['seconds']:8.2f} {result['cpu']:7.2f} "
                f"{result['sent'] / 1e6:9,.0f} {result['sent'] / size:9.3f} "
                f"{result['requests']:8,} {result['peak']:7} {result['memory'] / 1e6:8,.0f} "
                f"{result['wrong']:5}"
            )
    mine = results["ours"]
    if mine is None:
        return
    for name, result in results.items():
        if result and name != "ours":
            print(
                f"{name} / ours: {result['sent'] / mine['sent']:.1f} times the bytes, "
                f"{result['seconds'] / mine['seconds']:.1f} times the time"
            )
    print(f"chunks a request: {count / fewest:.1f} planned, {count / mine['requests']:.1f} seen")
    print(f"zstd alone / ours: {alone / mine['seconds']:.2f} of the time, network and all")


def main() -> None:
    """Write the worlds, run the ways, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--patches", type=int, default=500)
    parser.add_argument("--blocks", type=int, default=50)
    parser.add_argument("--order", default="bands", choices=["bands", "blocks"])
    parser.add_argument("--latency", type=float, default=0.03)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--way")
    parser.add_argument("--url")
    parser.add_argument("--world", type=Path)
    options = parser.parse_args()
    if options.way:
        run_way(options.way, options.url, options.world)
        return
    ways = options.ways.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = write_world(folder, options.blocks, options.order)
        for title, patches in (
            ("clustered", scatter(places, options.patches)),
            ("scattered", scatter(places[::2], len(places[::2]))),
        ):
            world = folder / f"{title}.json"
            world.write_text(json.dumps({"patches": patches, "places": places}))
            compare(title, folder, world, ways, options)


if __name__ == "__main__":
    main()
