"""How else the tiles can be read: what `benchmarks/cog.py` sets beside the source. None is depended on.

Each way gets the address of the server and patches, and gives for each its codes, int8 (64, y, x),
north-up, as bytes. `FETCHES` do no more than bring the bytes that hfaef's source asks for, by the
same requests: they compare the transports alone.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from cog_world import SIZE, YEAR, Patch, blocks_under, grid_of, needed, sort_by_block, tile_of

THREADS = 8
"""Patches at once, where each is read by itself."""

BLOCKS = 7
"""Internal tiles at once, where a library reads them whole, by 10 requests at once for each."""


def windows(url: str, patches: list[Patch]) -> list[bytes]:
    """Each patch by itself: rasterio's WarpedVRT on the patch's grid."""
    import rasterio
    from rasterio.vrt import WarpedVRT

    def read(patch: Patch) -> bytes:
        path, _, _ = tile_of(patch)
        with (
            rasterio.Env(
                GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR",
                GDAL_HTTP_MERGE_CONSECUTIVE_RANGES="YES",
            ),
            rasterio.open(f"{url}/{path}") as tile,
            WarpedVRT(
                tile,
                crs="EPSG:32632",
                transform=rasterio.Affine(10, 0, patch[0], 0, -10, patch[1]),
                width=SIZE,
                height=SIZE,
            ) as warped,
        ):
            return bytes(warped.read().astype(np.int8).tobytes())

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(read, patches))


def xarray(url: str, patches: list[Patch]) -> list[bytes]:
    """Virtual Zarr over each tile, a dask chunk for an internal tile of all bands.

    As aef-loader 0.3.1 opens tiles (``open_tiles_by_zone``), which wants Python 3.12 itself.
    """
    import xarray as xr
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import HTTPStore
    from virtual_tiff import VirtualTIFF

    store = HTTPStore(url, client_options={"allow_http": True})
    registry = ObjectStoreRegistry({url: store})
    opened: dict[str, Any] = {}
    for path in {tile_of(patch)[0] for patch in patches}:
        data = xr.open_zarr(
            VirtualTIFF(ifd=0)(f"{url}/{path}", registry=registry),
            zarr_format=3,
            consolidated=False,
            chunks={"band": -1, "y": 1024, "x": 1024},
            mask_and_scale=False,
        )
        opened[path] = next(iter(data.data_vars.values()))

    def read(patch: Patch) -> bytes:
        path, west, south = tile_of(patch)
        left, top = round((patch[0] - west) / 10), round((patch[1] - south) / 10)
        part = opened[path][:, top - SIZE : top, left : left + SIZE]
        return np.asarray(part.compute())[:, ::-1].astype(np.int8).tobytes()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(read, patches))


def geotiff(url: str, patches: list[Patch]) -> list[bytes]:
    """Each internal tile once, whole: async-geotiff over obstore, all patches cut from it."""
    from async_geotiff import GeoTIFF
    from obstore.store import HTTPStore

    store = HTTPStore(url, client_options={"allow_http": True})
    codes = np.empty((len(patches), 64, SIZE, SIZE), np.int8)
    needs: defaultdict[tuple[str, int, int], list[int]] = defaultdict(list)
    for number, patch in enumerate(patches):
        for place in blocks_under(patch):
            needs[place].append(number)

    async def run() -> None:
        paths = sorted({path for path, _, _ in needs})
        tiles = await asyncio.gather(*(GeoTIFF.open(path, store=store) for path in paths))
        opened = dict(zip(paths, tiles, strict=True))
        few = asyncio.Semaphore(BLOCKS)

        async def read(place: tuple[str, int, int]) -> None:
            path, row, column = place
            async with few:
                block = (await opened[path].fetch_tile(column, row)).array.data
                for number in needs[place]:
                    _, west, south = tile_of(patches[number])
                    left = round((patches[number][0] - west) / 10) - column * 1024
                    top = round((patches[number][1] - south) / 10) - row * 1024
                    first, last = max(0, left), min(1024, left + SIZE)
                    part = block[:, top - SIZE : top, first:last][:, ::-1]
                    codes[number, :, :, first - left : last - left] = part

        await asyncio.gather(*(read(place) for place in sorted(needs)))

    asyncio.run(run())
    return [each.tobytes() for each in codes]


def ours(url: str, patches: list[Patch]) -> list[bytes]:
    """hfaef's source, as a build reads it."""
    from hfaef.recipe.model import Cog
    from hfaef.sources import open_source

    source = open_source(Cog(kind="cog", root=url))
    grids = sort_by_block(patches)
    source.prefetch([(grid, YEAR) for grid in grids])  # type: ignore[attr-defined]
    with ThreadPoolExecutor(source.max_requests) as pool:
        codes = pool.map(lambda grid: source.read(grid, YEAR).codes.tobytes(), grids)
        read = dict(zip(grids, codes, strict=True))
    source.close()
    return [read[grid_of(patch)] for patch in patches]


def by_urllib3(url: str, patches: list[Patch], folder: Path) -> None:
    """The requests of hfaef's source, by its own transport."""
    from hfaef.sources.cog.http import CONNECTIONS, ObjectMeta, Remote
    from hfaef.sources.cog.remote.blocks import plan_runs

    remote = Remote(url)

    def fetch(path: str, start: int, count: int, found: ObjectMeta) -> None:
        with remote.stream_range(path, start, count, found) as body:
            while count:
                count -= len(body.read_exactly(min(count, 1 << 20)))

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        waits = []
        for path, chunks in needed(folder, patches).items():
            _, found = remote.read_range(path, 0, 1)
            waits += [pool.submit(fetch, path, r.start, r.count, found) for r in plan_runs(chunks)]
        for wait in waits:
            wait.result()


def by_obstore(url: str, patches: list[Patch], folder: Path) -> None:
    """The same, by obstore.

    It would not do for what a server is trusted with: it follows a redirect to any host, no option
    forbids it, and ranges cannot be asked for on condition of an ETag but one by one.
    """
    from obstore import get_range_async
    from obstore.store import HTTPStore

    from hfaef.sources.cog.http import CONNECTIONS
    from hfaef.sources.cog.remote.blocks import plan_runs

    async def run() -> None:
        store = HTTPStore(url, client_options={"allow_http": True})
        few = asyncio.Semaphore(CONNECTIONS)

        async def fetch(path: str, start: int, count: int) -> None:
            async with few:
                await get_range_async(store, path, start=start, length=count)

        await asyncio.gather(
            *(
                fetch(path, run.start, run.count)
                for path, chunks in needed(folder, patches).items()
                for run in plan_runs(chunks)
            )
        )

    asyncio.run(run())


WAYS: dict[str, Callable[[str, list[Patch]], list[bytes]]] = {
    "windows": windows,
    "xarray": xarray,
    "geotiff": geotiff,
    "ours": ours,
}

FETCHES: dict[str, Callable[[str, list[Patch], Path], None]] = {
    "urllib3": by_urllib3,
    "obstore": by_obstore,
}

IMPORTS = {
    "windows": ["rasterio.vrt"],
    "xarray": ["xarray", "virtual_tiff", "dask.array", "obspec_utils.registry"],
    "geotiff": ["async_geotiff", "obstore.store"],
    "ours": ["hfaef.sources.cog.remote.store", "hfaef.sources.cog.source"],
    "urllib3": ["hfaef.sources.cog.remote.store", "urllib3"],
    "obstore": ["hfaef.sources.cog.remote.store", "obstore.store"],
}
"""Imported before the clock runs."""
