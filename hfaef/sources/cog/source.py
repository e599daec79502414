"""AEF's cloud-optimised GeoTIFFs as a source: each patch pixel is sampled, never warped.

A pixel's centre goes from the patch's CRS to the tile's, and the tile's pixel that holds it is
its value. That is nearest neighbour for any pair of grids, across tile borders and UTM zones,
and for tiles stored from south to north as AEF's are. A patch on the lattice of AEF's overviews
(20 m, 40 m, ...) is sampled from the overview: its pixels are means of unit length.

Where the tiles are, `TileStore` hides: in a folder (`local`) or behind HTTP (`remote`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hfaef.core.aef import LATTICE, on_lattice, overview_level
from hfaef.core.grid import Grid, canonical_crs, project
from hfaef.core.quantize import BANDS, NODATA
from hfaef.errors import NoDataError, PermanentError
from hfaef.recipe.model import Cog
from hfaef.sources.answers import WrongAnswers
from hfaef.sources.base import NotUnitError, Pixels
from hfaef.sources.cog.index import Entry, TileIndex
from hfaef.sources.cog.open_index import find_index
from hfaef.sources.cog.tile_store import PatchKey, TileStore, candidates, locate


class CogSource:
    """Tiles of a store, found by its index."""

    def __init__(self, tiles: TileStore, index: TileIndex) -> None:
        self.max_requests = self.max_reads = tiles.max_requests
        self._tiles = tiles
        self._index = index
        self._wrong = WrongAnswers()
        self._candidates: dict[PatchKey, list[Entry]] = {}
        """Of announced patches. Found in one thread, as pyproj makes its context anew in each
        thread, which takes as long as reading a patch."""

    @property
    def years(self) -> tuple[int, ...]:
        """Years that the index has tiles of."""
        return tuple(self._index.years)

    def prefetch(self, patches: Iterable[PatchKey]) -> None:
        """Find the tiles of each patch, and announce it to the store."""
        for grid, year in patches:
            try:
                entries = self._candidates[grid, year] = candidates(self._index, grid, year)
            except PermanentError:
                continue  # raised again when it is read
            self._tiles.prefetch((grid, year), entries)

    def read(self, grid: Grid, year: int) -> Pixels:
        """The embedding on this grid, requests counted in chunks.

        Where several tiles hold a pixel, those in the grid's own CRS come first, then the one
        whose name is last in the alphabet; the first with data there counts.

        Raises:
            NoDataError: if no tile has data there.
            Transient: if pixels are no unit vectors, the first times; they are read anew then.
            PermanentError: if a tile is missing or is not AEF's.
            SourceError: of another kind, if a server did not give a tile.
        """
        patch = grid, year
        overview = overview_level(grid)
        centres = {grid.crs: grid.mesh()}
        codes = np.full((BANDS, grid.height, grid.width), NODATA, dtype=np.int8)
        origins: list[str] = []
        resampled = not (overview or on_lattice(grid))
        covered = False
        for entry in self._candidates.get(patch) or candidates(self._index, grid, year):
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
                values = tile.sample(patch, rows, columns, wanted)
                if wanted.all():
                    codes[:] = values.reshape(codes.shape)  # a mask takes a hundred times as long
                else:
                    codes[:, wanted] = values
            if (codes[0] != NODATA)[wanted].any():
                origins.append(_origin(entry, tile.version, overview))
                resampled |= crs != grid.crs
        if not origins:
            raise self._nothing(grid, year, covered=covered)
        traffic = self._tiles.finish(patch)
        self._candidates.pop(patch, None)
        try:
            return Pixels(codes, tuple(origins), resampled, traffic.chunks, traffic.received)
        except NotUnitError as error:
            self.drop_cache()
            message = f"{' and '.join(origins)}: {error}"
            raise self._wrong.record(grid, year, message) from error
        except ValueError as error:
            raise PermanentError(f"{' and '.join(origins)}: {error}") from error

    def _nothing(self, grid: Grid, year: int, *, covered: bool) -> NoDataError:
        if covered:
            return NoDataError(f"no data there in {year}")
        where = self._index.where(grid, year)
        return NoDataError(f"outside every tile of {year}: {where}")

    def drop_cache(self) -> None:
        """Headers and blocks of tiles; not the index."""
        self._tiles.drop_cache()

    def close(self) -> None:
        """Close the store."""
        self._tiles.close()


def open_cog(section: Cog) -> CogSource:
    """The source that a recipe's section names.

    Raises:
        InputError: if there is no such folder or index.
        SourceError: if a server does not give the index.
    """
    if "://" in section.root:
        from hfaef.sources.cog.remote.store import open_remote

        return CogSource(*open_remote(section))
    from hfaef.sources.cog.local import LocalTileStore

    root = Path(section.root)
    return CogSource(LocalTileStore(root), find_index(root, section.index))


def _origin(entry: Entry, version: str, overview: int) -> str:
    """A tile as a row names it: its path, the file's version, the overview if it was one."""
    version = version.removeprefix("W/").strip('"')
    level = f" overview {round(LATTICE * 2**overview)} m" if overview else ""
    return f"{entry.path}{'@' if version else ''}{version}{level}"
