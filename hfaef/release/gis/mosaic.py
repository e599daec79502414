"""VRTs over an export: all its GeoTIFFs of a year and CRS as one picture.

A VRT is XML that names the files and where their pixels lie, relative to itself. It is written
here, from the release's own grids: https://gdal.org/en/stable/drivers/raster/vrt.html

A mosaic has one grid of pixels. Patches that do not lie on it are seen up to a pixel beside their
place, so it is to look at; what is measured is measured in the GeoTIFFs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from hfaef.core.progress import progress
from hfaef.core.quantize import BAND_NAMES, STORED_NODATA


@dataclass(frozen=True)
class Tile:
    """A GeoTIFF of an export."""

    path: str
    """From the export's folder on."""
    year: int
    crs: str
    transform: tuple[float, ...]
    """Affine a b c d e f, north-up."""
    height: int
    width: int
    """Pixels."""


@dataclass(frozen=True)
class _Canvas:
    """The pixels of a mosaic."""

    west: float
    north: float
    across: float
    down: float
    """Sides of a pixel: the smallest of all tiles."""
    width: int
    height: int


def write_mosaics(folder: Path, tiles: Sequence[Tile], *, values: bool) -> list[Path]:
    """Write a VRT for each year and CRS of an export; gives their paths.

    Args:
        folder: of the export.
        tiles: its GeoTIFFs; where two overlap, the later one is seen.
        values: whether they hold values, float32 with NaN, or codes, uint8 with 255.

    Raises:
        OSError: if they cannot be written.
    """
    groups: dict[tuple[int, str], list[Tile]] = defaultdict(list)
    for tile in tiles:
        groups[tile.year, tile.crs].append(tile)
    years = {year for year, _ in groups}
    systems = sorted({crs for _, crs in groups})
    paths = []
    with progress("mosaic", len(tiles)) as advance:
        for (year, crs), group in groups.items():
            parts = ["mosaic"]
            parts += [str(year)] if len(years) > 1 else []
            if len(systems) > 1:
                plain = re.fullmatch("[A-Za-z]+:[0-9]+", crs)
                parts.append(crs.replace(":", "-") if plain else f"crs-{systems.index(crs) + 1}")
            path = folder / f"{'-'.join(parts)}.vrt"
            with path.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in _lines(group, values=values))
            for tile in group:
                advance(tile.path)
            paths.append(path)
    return paths


def _lines(tiles: Sequence[Tile], *, values: bool) -> Iterator[str]:
    """The XML of a mosaic."""
    canvas = _canvas(tiles)
    kind, nodata = ("Float32", "nan") if values else ("Byte", str(STORED_NODATA))
    yield f'<VRTDataset rasterXSize="{canvas.width}" rasterYSize="{canvas.height}">'
    yield f"<SRS>{escape(tiles[0].crs)}</SRS>"
    numbers = (canvas.west, canvas.across, 0.0, canvas.north, 0.0, -canvas.down)
    yield f"<GeoTransform>{', '.join(map(repr, numbers))}</GeoTransform>"
    sources = [_source(tile, canvas, kind) for tile in tiles]
    for number, name in enumerate(BAND_NAMES, 1):
        yield f'<VRTRasterBand dataType="{kind}" band="{number}">'
        yield f"<Description>{name}</Description><NoDataValue>{nodata}</NoDataValue>"
        for path, place in sources:
            # A complex source, as a simple one would cover others with its nodata.
            yield (
                f"<ComplexSource>{path}<SourceBand>{number}</SourceBand>{place}"
                f"<NODATA>{nodata}</NODATA></ComplexSource>"
            )
        yield "</VRTRasterBand>"
    yield "</VRTDataset>"


def _canvas(tiles: Sequence[Tile]) -> _Canvas:
    across = min(abs(tile.transform[0]) for tile in tiles)
    down = min(abs(tile.transform[4]) for tile in tiles)
    west = min(tile.transform[2] for tile in tiles)
    north = max(tile.transform[5] for tile in tiles)
    east = max(tile.transform[2] + tile.width * tile.transform[0] for tile in tiles)
    south = min(tile.transform[5] + tile.height * tile.transform[4] for tile in tiles)
    # Rounding must not add a pixel that no tile fills.
    width = -int(-((east - west) / across - 1e-6) // 1)
    height = -int(-((north - south) / down - 1e-6) // 1)
    return _Canvas(west, north, across, down, max(width, 1), max(height, 1))


def _source(tile: Tile, canvas: _Canvas, kind: str) -> tuple[str, str]:
    """Elements of a source: its file, and its place in the mosaic."""
    a, _, c, _, e, f = tile.transform
    left, top = (c - canvas.west) / canvas.across, (canvas.north - f) / canvas.down
    wide, tall = tile.width * a / canvas.across, tile.height * -e / canvas.down
    left, top, wide, tall = (_whole(number) for number in (left, top, wide, tall))
    path = f'<SourceFilename relativeToVRT="1">{escape(tile.path)}</SourceFilename>'
    place = (
        f'<SourceProperties RasterXSize="{tile.width}" RasterYSize="{tile.height}" '
        f'DataType="{kind}"/>'
        f'<SrcRect xOff="0" yOff="0" xSize="{tile.width}" ySize="{tile.height}"/>'
        f'<DstRect xOff="{left!r}" yOff="{top!r}" xSize="{wide!r}" ySize="{tall!r}"/>'
    )
    return path, place


def _whole(number: float) -> float:
    """A number of pixels without the noise of a division."""
    return float(round(number)) if abs(number - round(number)) < 1e-6 else number
