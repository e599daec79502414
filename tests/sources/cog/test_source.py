from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from conftest import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfaef.core.aef import BLOCK, TILE, Tile
from hfaef.core.grid import WGS84, Grid, project
from hfaef.core.quantize import NODATA
from hfaef.errors import InputError, PermanentError
from hfaef.recipe.model import Cog
from hfaef.sources import open_source
from hfaef.sources.base import Source
from hfaef.sources.cog.index import read_index
from hfaef.sources.demo.field import Field
from hfaef.sources.demo.tiles import write_store

YEAR = 2018
FIELD = Field(seed=11)

EAST = 500_000 + 81_920 * 2
"""Easting of a border of tiles."""

NORTH = 81_920 * 65
"""Northing of another."""

GRIDS = {
    "inside a tile": Grid("EPSG:32632", (9.97, 0, 600_003.3, 0, -10.04, 5_300_001.7), 40, 30),
    "on the lattice": Grid("EPSG:32632", (10, 0, 600_000, 0, -10, 5_300_000), 40, 30),
    "across internal tiles": Grid(
        "EPSG:32632", (10.01, 0, EAST - 20 * BLOCK - 150.2, 0, -10, NORTH - 10_240 + 99), 40, 30
    ),
    "across tiles": Grid("EPSG:32632", (10.02, 0, EAST - 150.3, 0, -9.98, 5_300_777.1), 40, 30),
    "across four tiles": Grid("EPSG:32632", (9.99, 0, EAST - 99.3, 0, -10.05, NORTH + 203), 40, 30),
    "in the other zone's CRS": Grid("EPSG:32633", (10, 0, 51_003.1, 0, -10, 5_330_001), 30, 30),
    "rotated": Grid("EPSG:32632", (8.1, 5.9, 600_100.1, 5.9, -8.1, 5_300_100.1), 30, 30),
    "in degrees": Grid(WGS84, (0.0001, 0, 10.5000123, 0, -0.0001, 47.9000321), 40, 30),
    "in another projection": Grid("EPSG:3035", (10, 0, 4_441_003, 0, -10, 2_770_002), 30, 30),
    "in the south": Grid("EPSG:32732", (10.03, 0, 600_003.3, 0, -9.97, 9_000_001.7), 30, 30),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("store")
    write_store(root, FIELD, {YEAR: GRIDS.values()})
    return World(root, FIELD, YEAR)


@pytest.fixture(scope="module")
def source(world: World) -> Source:
    return open_source(Cog(kind="cog", root=str(world.root)))


def southern(grid: Grid) -> np.ndarray:
    """Codes of a grid in zone 32S, whose tiles count from ten million metres north."""
    x, y = grid.centres()
    middle = (np.floor(x / 10) * 10 + 5, np.floor(y / 10) * 10 + 5)
    return FIELD.codes(*project(*middle, grid.crs, WGS84), YEAR)


@pytest.mark.parametrize("name", GRIDS)
def test_every_pixel_is_the_fields_at_its_centre(world: World, source: Source, name: str) -> None:
    grid = GRIDS[name]
    pixels = source.read(grid, YEAR)
    expected = southern(grid) if name == "in the south" else world.expected(grid)
    assert np.array_equal(pixels.codes, expected)


def test_origins_name_the_tiles_that_were_read(source: Source) -> None:
    assert len(source.read(GRIDS["inside a tile"], YEAR).origins) == 1
    assert len(source.read(GRIDS["across tiles"], YEAR).origins) == 2
    assert len(source.read(GRIDS["across four tiles"], YEAR).origins) == 4
    assert source.read(GRIDS["inside a tile"], YEAR).origins[0].startswith("2018/32N/x")


def test_only_pixels_on_the_lattice_are_aefs_own(source: Source) -> None:
    assert not source.read(GRIDS["on the lattice"], YEAR).resampled
    assert source.read(GRIDS["inside a tile"], YEAR).resampled
    assert source.read(GRIDS["in the other zone's CRS"], YEAR).resampled


def test_on_the_lattice_rasterio_reads_the_same(world: World, source: Source) -> None:
    grid = GRIDS["on the lattice"]
    pixels = source.read(grid, YEAR)
    with rasterio.open(world.root / pixels.origins[0]) as tile:
        window = tile.window(*grid_box(grid))
        south_up = tile.read(window=window)
    assert np.array_equal(pixels.codes, south_up[:, ::-1])


def grid_box(grid: Grid) -> tuple[float, float, float, float]:
    """Left, bottom, right and top in crs units, as a tile that counts from the south wants it."""
    a, _, c, _, e, f = grid.transform
    return c, f, c + a * grid.width, f + e * grid.height


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_affine_reads_the_field(world: World, source: Source, data: st.DataObject) -> None:
    inner = GRIDS["inside a tile"]
    a, d = data.draw(st.floats(2, 8)), data.draw(st.floats(-3, 3))
    shift = st.floats(60, 120)
    grid = Grid(
        inner.crs,
        (a, d, inner.transform[2] + data.draw(shift), d, -a, inner.transform[5] - data.draw(shift)),
        12,
        9,
    )
    x, y = grid.centres()
    column, row = inner_place(inner, x, y)
    if min(column.min(), row.min()) < 0 or column.max() >= 30 or row.max() >= 40:
        return
    assert np.array_equal(source.read(grid, YEAR).codes, world.expected(grid))


def inner_place(grid: Grid, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, _, c, _, e, f = grid.transform
    return (x - c) / a, (y - f) / e


def test_pixels_beyond_the_data_are_nodata_in_all_bands(source: Source) -> None:
    inside = GRIDS["on the lattice"]
    a, b, c, d, e, f = inside.transform
    pixels = source.read(Grid(inside.crs, (a, b, c - 200, d, e, f), 40, 30), YEAR)
    valid = (pixels.codes != NODATA).all(axis=0)
    assert 0 < valid.mean() < 1
    assert (pixels.codes[:, ~valid] == NODATA).all()


@pytest.mark.parametrize(
    ("grid", "year", "reason"),
    [
        (Grid("EPSG:32640", (10, 0, 500_000, 0, -10, 1_000_000), 8, 8), YEAR, "outside every tile"),
        (
            GRIDS["inside a tile"],
            2024,
            "outside every tile of 2024: there is no tile of 2024, the patch at lon 1",
        ),
        (
            Grid("EPSG:32632", (10, 0, 640_000, 0, -10, 5_300_000), 8, 8),
            YEAR,
            "no data there in 2018",
        ),
    ],
)
def test_a_patch_without_a_pixel_says_why(
    source: Source, grid: Grid, year: int, reason: str
) -> None:
    with pytest.raises(PermanentError, match=reason):
        source.read(grid, year)


def test_real_codes_come_back_from_a_north_up_tile(shared: Path, tmp_path: Path) -> None:
    original = shared / "aef/wisconsin_2024_utm16n_64band.tif"
    folder = tmp_path / "2024/16N"
    folder.mkdir(parents=True)
    shutil.copy(original, folder / "xwisconsin-0000000000-0000000000.tiff")
    with rasterio.open(original) as dataset:
        codes, affine, crs = dataset.read(), dataset.transform, "EPSG:32616"
    whole = Grid(crs, tuple(affine)[:6], *codes.shape[1:])
    row = dict(
        zip(("wgs84_west", "wgs84_south", "wgs84_east", "wgs84_north"), whole.bounds(), strict=True)
    )
    row |= {
        "year": 2024,
        "crs": crs,
        "path": "s3://x/2024/16N/xwisconsin-0000000000-0000000000.tiff",
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "aef_index.parquet")
    pixels = open_source(Cog(kind="cog", root=str(tmp_path))).read(whole, 2024)
    assert np.array_equal(pixels.codes, codes)
    assert not pixels.resampled


def small_code(band: int) -> int:
    """Of the small tile's pixels, from band 1 on; they are unit vectors."""
    return 45 if band % 3 else -45


def one_tile_store(root: Path, **changes: object) -> Cog:
    """A store of one small tile that differs from AEF's in some way."""
    tile = Tile("EPSG:32632", 1, 64)
    grid = Grid(tile.crs, (10, 0, tile.west, 0, 10, tile.south), 64, 64)
    settings: dict[str, object] = {
        "driver": "GTiff",
        "width": 64,
        "height": 64,
        "count": 64,
        "dtype": "int8",
        "nodata": NODATA,
        "crs": tile.crs,
        "transform": rasterio.Affine(*grid.transform),
        **changes,
    }
    path = root / "2018/32N/xtile-0-0.tiff"
    path.parent.mkdir(parents=True)
    with rasterio.open(path, "w", **settings) as dataset:
        for band in range(1, dataset.count + 1):
            dataset.write(np.full((64, 64), small_code(band), settings["dtype"]), band)
    row = dict(
        zip(("wgs84_west", "wgs84_south", "wgs84_east", "wgs84_north"), grid.bounds(), strict=True)
    )
    row |= {"year": 2018, "crs": tile.crs, "path": "2018/32N/xtile-0-0.tiff"}
    pq.write_table(pa.Table.from_pylist([row]), root / "aef_index.parquet")
    return Cog(kind="cog", root=str(root))


SMALL = Grid("EPSG:32632", (10, 0, 581_920 + 100, 0, -10, 64 * 81_920 + 400), 16, 16)


def test_the_small_tile_is_fine_as_it_is(tmp_path: Path) -> None:
    codes = open_source(one_tile_store(tmp_path)).read(SMALL, 2018).codes
    assert codes[:, 0, 0].tolist() == [small_code(band) for band in range(1, 65)]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"count": 63}, "63 bands"),
        ({"dtype": "int16"}, "int16"),
        ({"nodata": 0}, "nodata 0"),
        ({"transform": rasterio.Affine(10, 1, 581_920, 1, 10, 64 * 81_920)}, "upright"),
    ],
)
def test_a_tile_that_is_not_aefs_is_named(tmp_path: Path, changes, word: str) -> None:
    source = open_source(one_tile_store(tmp_path, **changes))
    with pytest.raises(PermanentError, match=word) as caught:
        source.read(SMALL, 2018)
    assert "2018/32N/xtile-0-0.tiff" in str(caught.value)


def test_a_pixel_with_nodata_in_some_bands_is_refused(tmp_path: Path) -> None:
    section = one_tile_store(tmp_path)
    with rasterio.open(tmp_path / "2018/32N/xtile-0-0.tiff", "r+") as dataset:
        dataset.write(np.full((64, 64), NODATA, "int8"), 5)
    with pytest.raises(PermanentError, match="some of its bands"):
        open_source(section).read(SMALL, 2018)


def test_a_tile_that_is_cut_off_is_named(tmp_path: Path) -> None:
    section = one_tile_store(tmp_path)
    path = tmp_path / "2018/32N/xtile-0-0.tiff"
    path.write_bytes(path.read_bytes()[:-100_000])
    with pytest.raises(PermanentError, match="xtile-0-0"):
        open_source(section).read(SMALL, 2018)


def test_a_vrt_in_the_place_of_a_tile_is_not_followed(tmp_path: Path) -> None:
    section = one_tile_store(tmp_path)
    path = tmp_path / "2018/32N/xtile-0-0.tiff"
    other = path.rename(path.with_name("xother-0-0.tiff"))
    bands = "".join(
        f"<VRTRasterBand dataType='Int8' band='{band}'><SimpleSource><SourceFilename>{other}"
        f"</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in range(1, 65)
    )
    path.write_text(f"<VRTDataset rasterXSize='64' rasterYSize='64'>{bands}</VRTDataset>")
    with pytest.raises(PermanentError, match="cannot read the tile"):
        open_source(section).read(SMALL, 2018)


def test_a_tile_that_only_the_index_knows_is_named(tmp_path: Path) -> None:
    section = one_tile_store(tmp_path)
    (tmp_path / "2018/32N/xtile-0-0.tiff").unlink()
    with pytest.raises(
        PermanentError, match=r"xtile-0-0\.tiff, which the index names, is not there"
    ):
        open_source(section).read(SMALL, 2018)


@pytest.mark.parametrize(
    "path",
    [
        *("../../etc/passwd", "2018/32N/../../x.tiff", "2018/32N/x.vrt", "", None, "x.tiff"),
        *("../2018/32N/x.tiff", "a/../2018/32N/x.tiff", "/../2018/32N/x.tiff"),
        *("2018/32N/../x.tiff", "2018/../32N/x.tiff", "2018/32N/..tiff", "2018/32N/./x.tiff"),
        *("..\\2018/32N/x.tiff", "C:\\a/2018/32N/x.tiff", "2018\\32N\\x.tiff"),
        *("2018/32N/x\\..\\y.tiff", "\0/2018/32N/x.tiff", "2018/32N/x\0.tiff"),
        *("2018/32N/x.tiff\0", "2018/32N/x.tiff\n", "s3://b/..//2018/32N/x.tiff"),
        *("2018/32N/http://evil/x.tiff", "file:///etc/passwd", "2018/32N//etc/x.tiff"),
        *("2018/32N/%2e%2e/x.tiff", "2018/32N/x.tiff?a=b", "2018/32N/" + "x" * 300 + ".tiff"),
    ],
)
def test_an_index_that_names_a_file_outside_the_store_is_refused(tmp_path: Path, path) -> None:
    one_tile_store(tmp_path)
    content = pq.read_table(tmp_path / "aef_index.parquet").to_pylist()
    content[0]["path"] = path
    pq.write_table(pa.Table.from_pylist(content), tmp_path / "aef_index.parquet")
    with pytest.raises(InputError, match=r"YEAR/ZONE/NAME\.tiff"):
        read_index(tmp_path / "aef_index.parquet")


@pytest.mark.parametrize("before", ["/", "/etc/", "s3://bucket/v1/", "https://evil:1/", "file:///"])
def test_what_stands_before_the_year_is_cut_off_so_all_stays_in_the_store(
    tmp_path: Path, before: str
) -> None:
    section = one_tile_store(tmp_path)
    content = pq.read_table(tmp_path / "aef_index.parquet").to_pylist()
    content[0]["path"] = before + content[0]["path"]
    pq.write_table(pa.Table.from_pylist(content), tmp_path / "aef_index.parquet")
    (entry,) = read_index(tmp_path / "aef_index.parquet").of_year(2018)[0]
    assert entry.path == "2018/32N/xtile-0-0.tiff"
    assert open_source(section).read(SMALL, 2018).origins == (entry.path,)


def test_an_index_without_a_column_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["x"]}), tmp_path / "aef_index.parquet")
    with pytest.raises(InputError, match="year"):
        read_index(tmp_path / "aef_index.parquet")


@pytest.mark.parametrize("content", [None, b"", b"no parquet at all"])
def test_an_index_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "aef_index.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"aef_index\.parquet"):
        open_source(Cog(kind="cog", root=str(tmp_path)))


def test_tiles_have_the_published_format(world: World) -> None:
    path = min(world.root.glob("2018/32N/*.tiff"))
    header = path.read_bytes()[:4]
    with rasterio.open(path) as tile:
        assert (tile.count, tile.width, tile.height) == (64, TILE, TILE)
        assert set(tile.dtypes) == {"int8"}
        assert tile.nodata == NODATA
        assert set(tile.block_shapes) == {(BLOCK, BLOCK)}
        assert tile.compression == rasterio.enums.Compression.zstd
        assert tile.interleaving == rasterio.enums.Interleaving.band
        assert (tile.transform.a, tile.transform.e) == (10, 10)
    assert header == b"II\x2b\x00"  # BigTIFF, little-endian
    tags = tag_numbers(path)
    assert 34264 in tags  # ModelTransformationTag
    assert 33550 not in tags  # ModelPixelScaleTag
    assert path.stat().st_size < 40_000_000


def tag_numbers(path: Path) -> set[int]:
    """Tags of a BigTIFF's first directory."""
    content = path.read_bytes()
    start = int.from_bytes(content[8:16], "little")
    count = int.from_bytes(content[start : start + 8], "little")
    places = (start + 8 + 20 * number for number in range(count))
    return {int.from_bytes(content[place : place + 2], "little") for place in places}
