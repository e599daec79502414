"""AEF's cloud-optimised GeoTIFFs as a source: each patch pixel is looked up, never warped.

A pixel's centre goes from the patch's CRS to the tile's, and the tile's pixel that holds it is
its value. That is nearest neighbour for any pair of grids, across tile borders and UTM zones,
and for tiles stored from south to north as AEF's are. A patch on the lattice of AEF's overviews
(20 m, 40 m, ...) is looked up in the overview: its pixels are means of unit length.

Where tiles are is not known here: in a folder (`folder`), or behind a web address (`served`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hfaef.core.grid import Grid, canonical_crs, project
from hfaef.core.quantize import BANDS, NODATA
from hfaef.errors import PermanentError
from hfaef.recipe.model import Cog
from hfaef.sources.base import Pixels
from hfaef.sources.cog.index import Entry, TileIndex
from hfaef.sources.cog.open_index import find_index
from hfaef.sources.cog.tile_store import Tiles, candidates, locate


class CogSource:
    """Tiles of a store, found by its index."""

    def __init__(self, tiles: Tiles, index: TileIndex) -> None:
        self.max_requests = tiles.max_requests
        self._tiles = tiles
        self._index = index
        self._near: dict[tuple[Grid, int], list[Entry]] = {}
        """Tiles that may hold a patch that is expected. Found by one thread, as what knows about
        CRSs is made anew in each thread that asks it, which takes as long as reading a patch."""

    def expect(self, places: Iterable[tuple[Grid, int]]) -> None:
        """Be told what will be read, in any order, so that what patches share is read once."""
        for grid, year in places:
            try:
                entries = self._near[grid, year] = candidates(self._index, grid, year)
            except PermanentError:
                continue  # it will be told when it is read
            self._tiles.expect(grid, year, entries)

    def read(self, grid: Grid, year: int) -> Pixels:
        """The embedding on this grid.

        Where several tiles hold a pixel, those in the grid's own CRS come first, then the one
        whose name is last in the alphabet; the first with data there counts.

        Raises:
            PermanentError: if no tile has data there, or a tile is missing or is not AEF's.
            SourceError: of another kind, if a server did not give a tile.
        """
        overview = grid.overview()
        centres = {grid.crs: grid.mesh()}
        codes = np.full((BANDS, grid.height, grid.width), NODATA, dtype=np.int8)
        origins: list[str] = []
        resampled = not (overview or grid.on_lattice())
        covered = False
        for entry in self._near.get((grid, year)) or candidates(self._index, grid, year):
            empty = codes[0] == NODATA
            if not empty.any():
                break
            with self._tiles.open(entry, overview) as tile:
                crs = canonical_crs(tile.crs)
                if crs not in centres:
                    centres[crs] = project(*centres[grid.crs], grid.crs, crs)
                rows, columns, inside = locate(tile, *centres[crs])
                wanted = inside & empty
                covered |= bool(inside.any())
                if not wanted.any():
                    continue
                values = tile.look_up(grid, year, rows, columns, wanted)
                if wanted.all():
                    codes[:] = values.reshape(codes.shape)  # a mask takes a hundred times as long
                else:
                    codes[:, wanted] = values
            if (codes[0] != NODATA)[wanted].any():
                origins.append(_origin(entry, tile.version, overview))
                resampled |= crs != grid.crs
        if not origins:
            reason = f"no data there in {year}" if covered else f"outside every tile of {year}"
            raise PermanentError(reason)
        cost = self._tiles.finish(grid, year)
        self._near.pop((grid, year), None)
        try:
            return Pixels(codes, tuple(origins), resampled, cost.chunks, cost.received)
        except ValueError as error:
            raise PermanentError(f"{' and '.join(origins)}: {error}") from error

    def close(self) -> None:
        """Let go of files and connections."""
        self._tiles.close()


def open_cog(section: Cog) -> CogSource:
    """The source that a recipe's section names.

    Raises:
        InputError: if there is no such folder or index.
        SourceError: if a server does not give the index.
    """
    if "://" in section.root:
        from hfaef.sources.cog.remote.store import open_served

        tiles, index = open_served(section)
        return CogSource(tiles, index)
    from hfaef.sources.cog.local import FolderTiles

    root = Path(section.root)
    return CogSource(FolderTiles(root), find_index(root, section.index))


def _origin(entry: Entry, version: str, overview: int) -> str:
    """What a row says of a tile: its path, the version of the file, the overview if it was one."""
    told = version.removeprefix("W/").strip('"')
    level = f" overview {10 * 2**overview} m" if overview else ""
    return f"{entry.path}{'@' if told else ''}{told}{level}"
