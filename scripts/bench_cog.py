"""The COGs: this project's source beside the ways people read them, on one loopback server.

    uv run python scripts/bench_cog.py [--patches 500] [--blocks 50] [--sample 60]

All ways meet the same server, in a process of its own, that answers after 30 ms; each runs in a
process of its own, too, so that peak memory is its own. The tiles have the published layout and
compress like real ones. Patches come in the order of a catalog, which knows nothing of tiles.

windows     each patch by itself: rasterio's WarpedVRT on the patch's grid, 8 threads
xarray      virtualizarr and dask, as aef-loader does it (where virtual-tiff is installed:
            `uv run --with virtualizarr --with virtual-tiff ...`)
ours        hfaef's source

The first two may be measured on the first patches of the catalog only, as they take each patch by
itself: `--sample`. Beside them, what the source does without the network is set against zstd alone,
on the same chunks in memory.
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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from cog_world import SIZE, YEAR, Patch, grid_of, real_like, scatter, tile_url, write_world

if TYPE_CHECKING:
    from hfaef.sources.chunks import Chunk
    from hfaef.sources.remote import Found

ROOT = Path(__file__).parents[1]


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
    """hfaef's source, told and asked as a build does it."""
    from hfaef.recipe import Cog
    from hfaef.sources import open_source

    source = open_source(Cog(kind="cog", root=url))
    grids = in_units(patches)
    source.expect([(grid, YEAR) for grid in grids])  # type: ignore[attr-defined]
    with ThreadPoolExecutor(source.max_requests) as pool:
        codes = pool.map(lambda grid: source.read(grid, YEAR).codes.tobytes(), grids)
        read = dict(zip(grids, codes, strict=True))
    source.close()
    return [read[grid_of(patch)] for patch in patches]


def in_units(patches: list[Patch]) -> list[Any]:
    """Grids in the order in which a build reads them."""
    from hfaef.sources.blocks import block_of

    return sorted(map(grid_of, patches), key=block_of)


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


def run_way(name: str, url: str, world: Path, sample: int) -> None:
    """Run one way in this process, on so many patches, and print what it took."""
    # Imports are no part of what is measured.
    for module in IMPORTS[name]:
        importlib.import_module(module)
    patches = [tuple(patch) for patch in json.loads(world.read_text())["patches"]][:sample]
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
    told = {"seconds": seconds, "cpu": cpu, "wrong": wrong, "memory": peak, "patches": len(read)}
    print(json.dumps(told))


def ask(url: str, what: str) -> dict[str, int]:
    """A number from the server."""
    with urllib.request.urlopen(f"{url}/_{what}") as answer:  # noqa: S310 - loopback
        return dict(json.load(answer))


def measure(name: str, *words: str, cache: Path) -> dict[str, float] | None:
    """One way, in a process of its own."""
    command = [sys.executable, __file__, "--way", name, *words]
    env = {**os.environ, "HFAEF_CACHE": str(cache / name), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        print(f"{name:10} not run: {done.stderr.strip().splitlines()[-1][:120]}")
        return None
    return dict(json.loads(done.stdout))


def needed(folder: Path, patches: list[Patch]) -> dict[str, set[Chunk]]:
    """Distinct chunks by their file, its path from the folder on."""
    from hfaef.sources.chunks import Chunk
    from hfaef.sources.tiff import Level, read_header

    chunks: dict[str, set[Chunk]] = {}
    levels: dict[str, Level] = {}
    for patch in patches:
        path, west, south = tile_url(".", patch)
        if path not in levels:
            with (folder / path).open("rb") as file:
                head = file.read(1 << 17)
            size = (folder / path).stat().st_size
            header = read_header(lambda start, count, head=head: head[start : start + count], size)
            levels[path], chunks[path] = header.levels[0], set()
        row = int((patch[1] - SIZE * 10 - south) // 10_240)
        first = int((patch[0] - west) // 10_240)
        last = int((patch[0] + SIZE * 10 - 1 - west) // 10_240)
        for column in {first, last}:
            for band in range(64):
                start = int(levels[path].starts[band, row, column])
                count = int(levels[path].counts[band, row, column])
                chunks[path].add(Chunk(start, count, (0, row, column), band))
    return chunks


class Memory:
    """As `Remote`, of chunks that are in memory: what is left to do is ours, not the network's."""

    base = "memory"

    def __init__(self, folder: Path, chunks: dict[str, set[Chunk]]) -> None:
        self._folder = folder
        self.held: dict[tuple[str, int], bytes] = {}
        for path, found in chunks.items():
            with (folder / path).open("rb") as file:
                for chunk in found:
                    file.seek(chunk.start)
                    self.held[path.removeprefix("./"), chunk.start] = file.read(chunk.count)

    def part(self, path: str, start: int, count: int) -> tuple[bytes, Found]:
        """A header, from the disk."""
        from hfaef.sources.remote import Found

        with (self._folder / path).open("rb") as file:
            file.seek(start)
            return file.read(count), Found("", (self._folder / path).stat().st_size)

    @contextmanager
    def stream(self, path: str, start: int, _count: int, _found: Found) -> Iterator[Held]:
        """Chunks, one after another."""
        yield Held(self.held, path, start)

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Held:
    """As `Body`, of chunks that are in memory."""

    held: dict[tuple[str, int], bytes]
    path: str
    place: int

    def take(self, count: int) -> bytes:
        """The next chunk; there is nothing between them."""
        self.place += count
        return self.held[self.path, self.place - count] if count else b""


def decode(folder: Path, patches: list[Patch]) -> None:
    """Print seconds of zstd alone, of decoding and cutting, and of looking up the rest."""
    from hfaef.sources.blocks import blocks_of
    from hfaef.sources.cog import CogSource
    from hfaef.sources.index import NAME, read_index
    from hfaef.sources.served import ServedTiles

    memory = Memory(folder, needed(folder, patches))
    index = read_index(folder / NAME)
    codec = pa.Codec("zstd")

    def alone() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda c: codec.decompress(c, 1 << 20, asbytes=False).size, contents))

    contents = list(memory.held.values())
    grids = in_units(patches)
    # Those that bring a block, for which all chunks are decoded and cut for all patches.
    first: list[Any] = []
    seen: set[Any] = set()
    for grid in grids:
        if new := set(blocks_of([grid])) - seen:
            first.append(grid)
            seen |= new
    rest = [grid for grid in grids if grid not in set(first)]
    alone()
    taken = {"alone": 0.0, "decode": 0.0, "look up": 0.0}
    for _ in range(2):
        started = time.perf_counter()
        alone()
        taken["alone"] += time.perf_counter() - started
        source = CogSource(ServedTiles(memory), index)  # type: ignore[arg-type]
        source.expect([(grid, YEAR) for grid in grids])
        with ThreadPoolExecutor(source.max_requests) as pool:
            for name, some in (("decode", first), ("look up", rest)):
                started = time.perf_counter()
                list(pool.map(lambda grid, source=source: source.read(grid, YEAR), some))
                taken[name] += time.perf_counter() - started
        source.close()
    print(json.dumps({**taken, "bytes": 2 * len(contents) << 20}))


def compare(title: str, folder: Path, world: Path, ways: list[str], options: Any) -> None:
    """All ways side by side on the same patches."""
    from hfaef.sources.chunks import plan_runs

    patches = [tuple(patch) for patch in json.loads(world.read_text())["patches"]]
    chunks = needed(folder, patches)
    count = sum(map(len, chunks.values()))
    size = sum(chunk.count for found in chunks.values() for chunk in found)
    fewest = sum(len(plan_runs(found)) for found in chunks.values())
    print(f"\n{title}: {len(patches)} patches, {count:,} chunks, {size / 1e6:,.0f} MB needed")
    results = {}
    with serve(folder, options.latency) as url, tempfile.TemporaryDirectory() as cache:
        for name in ways:
            sample = len(patches) if name == "ours" else min(options.sample, len(patches))
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
            f"{result['memory'] / 1e6:7,.0f} {result['wrong']:5}"
        )
    mine = results["ours"]
    print(f"bytes fetched / needed: {mine['sent'] / size:.4f}, target <= 1.02")
    print(
        f"chunks a request: {count / mine['requests']:.1f} with the index and headers; "
        f"{count / fewest:.1f} is the most where chunks lie side by side"
    )
    for name, result in results.items():
        if name != "ours":
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
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--way")
    parser.add_argument("--url")
    parser.add_argument("--world", type=Path)
    options = parser.parse_args()
    if options.way == "decode":
        patches = [tuple(patch) for patch in json.loads(options.world.read_text())["patches"]]
        decode(options.world.parent, patches)
        return
    if options.way:
        run_way(options.way, options.url, options.world, options.sample)
        return
    ways = options.ways.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = write_world(folder, options.blocks, options.order)
        for title, patches in (
            ("scattered", scatter(places[::2], len(places[::2]))),
            ("clustered", scatter(places, options.patches)),
        ):
            world = folder / f"{title}.json"
            world.write_text(json.dumps({"patches": patches, "places": places}))
            compare(title, folder, world, ways, options)
        taken = measure("decode", "--world", str(world), cache=folder / "cache")
    if taken:
        print(
            f"decode and cut: {taken['bytes'] / taken['decode'] / 1e6:,.0f} MB/s of pixels; zstd "
            f"alone: {taken['bytes'] / taken['alone'] / 1e6:,.0f} MB/s; ratio "
            f"{taken['alone'] / taken['decode']:.2f}, target >= 0.70; with the look-up of "
            f"the other patches {taken['alone'] / (taken['decode'] + taken['look up']):.2f}"
        )


if __name__ == "__main__":
    main()
