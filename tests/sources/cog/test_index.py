from __future__ import annotations

import datetime as dt
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import World
from hypothesis import given
from hypothesis import strategies as st

from hfaef.core.grid import Grid
from hfaef.errors import InputError, PermanentError, Transient
from hfaef.recipe.model import Cog
from hfaef.sources import open_source
from hfaef.sources.cog.http import Remote
from hfaef.sources.cog.index import NAME, TileIndex, read_index
from hfaef.sources.cog.open_index import download
from hfaef.sources.demo.field import Field
from hfaef.sources.demo.tiles import write_store
from servers.files import Fault, FileServer

GRID = Grid("EPSG:32632", (10, 0, 600_000, 0, -10, 5_300_000), 20, 16)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("indexed")
    write_store(root, Field(2), {2018: [GRID]})
    return World(root, Field(2), 2018)


def made(boxes: list[tuple[float, float, float, float]]) -> TileIndex:
    paths = [f"2018/1N/x{number}.tiff" for number in range(len(boxes))]
    crs = ["EPSG:32601"] * len(boxes)
    return TileIndex(pa.array(paths), [2018] * len(boxes), crs, np.array(boxes))


def names(index: TileIndex, *bounds: float) -> list[str]:
    return [entry.name for entry in index.near(2018, bounds)]


class TestPlaces:
    @pytest.mark.parametrize(
        "box",
        [
            (179.5, 10, -179.5, 11),  # west of the antimeridian to east of it
            (179.5, 10, 180.5, 11),
            (-180.5, 10, -179.5, 11),
            (-179.5, 10, 179.5, 11),  # smallest and largest longitude of its corners
        ],
    )
    def test_a_tile_across_the_antimeridian_is_found_from_both_sides(
        self, box: tuple[float, float, float, float]
    ) -> None:
        index = made([box, (10, 10, 11, 11)])
        assert names(index, 179.8, 10.2, 179.9, 10.3) == ["x0.tiff"]
        assert names(index, -179.9, 10.2, -179.8, 10.3) == ["x0.tiff"]
        assert names(index, 10.2, 10.2, 10.3, 10.3) == ["x1.tiff"]
        assert names(index, 0, 10.2, 1, 10.3) == []

    @given(st.lists(st.tuples(st.floats(-170, 170), st.floats(-80, 80)), min_size=1, max_size=30))
    def test_a_tree_finds_what_a_look_at_all_finds(
        self, corners: list[tuple[float, float]]
    ) -> None:
        boxes = [(x, y, x + 1.5, y + 0.8) for x, y in corners]
        west, south, east, north = corners[0][0] + 0.3, corners[0][1] + 0.1, 60.0, 40.0
        east, north = max(east, west), max(north, south)
        meets = [
            f"x{number}.tiff"
            for number, box in enumerate(boxes)
            if box[0] <= east + 0.001
            and box[2] >= west - 0.001
            and box[1] <= north + 0.001
            and box[3] >= south - 0.001
        ]
        assert sorted(names(made(boxes), west, south, east, north)) == sorted(meets)

    def test_a_year_has_its_own_tiles(self) -> None:
        paths = pa.array([f"{year}/1N/x{year}.tiff" for year in (2018, 2019)])
        box = np.array([(10.0, 10, 11, 11)] * 2)
        index = TileIndex(paths, [2018, 2019], ["EPSG:32601"] * 2, box)
        for year in (2018, 2019):
            (entry,) = index.near(year, (10.2, 10.2, 10.3, 10.3))
            assert entry.path == f"{year}/1N/x{year}.tiff"
        assert index.near(2020, (10.2, 10.2, 10.3, 10.3)) == []

    def test_a_patch_round_a_pole_or_across_the_antimeridian_is_refused_in_words(
        self, world: World
    ) -> None:
        source = open_source(Cog(kind="cog", root=str(world.root)))
        pole = Grid("EPSG:3031", (10, 0, -200, 0, -10, 200), 40, 40)
        across = Grid("EPSG:32601", (10, 0, 165_700, 0, -10, 10_000), 64, 64)
        for grid in (pole, across):
            with pytest.raises(PermanentError, match="antimeridian"):
                source.read(grid, 2018)

    def test_27_000_places_are_looked_up_among_20_000_tiles(self) -> None:
        chance = np.random.default_rng(0)
        corners = chance.uniform((-179, -79), (178, 82), (20_000, 2))
        index = made([(x, y, x + 0.9, y + 0.8) for x, y in corners.tolist()])
        started = time.perf_counter()
        for x, y in chance.uniform((-170, -70), (170, 70), (2_700, 2)).tolist():
            index.near(2018, (x, y, x + 0.01, y + 0.01))
        # A bound that only a scan of all boxes in Python would break.
        assert time.perf_counter() - started < 10


class TestColumns:
    def rows(self, world: World) -> list[dict[str, object]]:
        return pq.read_table(world.root / NAME).to_pylist()

    def test_only_what_is_needed_is_read(self, world: World, tmp_path: Path) -> None:
        whole = pq.read_table(world.root / NAME)
        path = tmp_path / NAME
        pq.write_table(whole, path)
        group = pq.ParquetFile(path).metadata.row_group(0)
        places = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
        content = bytearray(path.read_bytes())
        for name in ("geom", "fid", "utm_zone", "utm_west"):
            first = places[name].dictionary_page_offset or places[name].data_page_offset
            content[first : first + places[name].total_compressed_size] = bytes(
                places[name].total_compressed_size
            )
        path.write_bytes(content)
        with pytest.raises(OSError, match=r"."):
            pq.read_table(path)
        assert len(read_index(path)) == len(whole)

    def test_the_names_that_stac_geoparquet_gives_are_known(
        self, world: World, tmp_path: Path
    ) -> None:
        rows = [
            {
                "id": str(row["fid"]),
                "datetime": dt.datetime(2018, 1, 1, tzinfo=dt.UTC),
                "proj:epsg": int(str(row["crs"]).partition(":")[2]),
                "assets": {"data": {"href": row["path"], "type": "image/tiff"}},
                "bbox": {
                    "xmin": row["wgs84_west"],
                    "ymin": row["wgs84_south"],
                    "xmax": row["wgs84_east"],
                    "ymax": row["wgs84_north"],
                },
            }
            for row in self.rows(world)
        ]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / NAME)
        one, two = read_index(world.root / NAME), read_index(tmp_path / NAME)
        assert one.near(2018, GRID.bounds()) == two.near(2018, GRID.bounds()) != []

    @pytest.mark.parametrize(
        "prefix",
        [
            "s3://us-west-2.opendata.source.coop/tge-labs/aef/v1/annual/",
            "gs://alphaearth_foundations/satellite_embedding/v1/annual/",
            "https://data.source.coop/tge-labs/aef/v1/annual/",
            "",
        ],
    )
    def test_paths_of_any_host_count_from_the_year_folder(
        self, world: World, tmp_path: Path, prefix: str
    ) -> None:
        rows = self.rows(world)
        for row in rows:
            row["path"] = prefix + str(row["path"]).partition("/annual/")[2]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / NAME)
        (entry,) = read_index(tmp_path / NAME).near(2018, GRID.bounds())
        assert entry.path.startswith("2018/32N/x")

    def test_a_folder_needs_no_index(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "2018").symlink_to(world.root / "2018")
        with_index = open_source(Cog(kind="cog", root=str(world.root))).read(GRID, 2018)
        without = open_source(Cog(kind="cog", root=str(tmp_path))).read(GRID, 2018)
        assert np.array_equal(with_index.codes, without.codes)


class TestDownload:
    def test_the_same_index_is_downloaded_once(self, world: World) -> None:
        with FileServer(world.root) as server:
            remote = Remote(server.url)
            one = download(remote, NAME)
            sent = server.sent
            assert download(remote, NAME) == one
            assert server.sent == sent
            assert one.read_bytes() == (world.root / NAME).read_bytes()

    def test_an_index_that_changed_is_downloaded_anew(self, world: World, tmp_path: Path) -> None:
        shutil.copy(world.root / NAME, tmp_path / NAME)
        with FileServer(tmp_path) as server:
            remote = Remote(server.url)
            whole = read_index(download(remote, NAME))
            table = pq.read_table(tmp_path / NAME)
            pq.write_table(pa.concat_tables([table, table]), tmp_path / NAME)
            assert len(read_index(download(remote, NAME))) == 2 * len(whole)

    @pytest.mark.parametrize("size", [str(1 << 40), "-5", "many"])
    def test_a_file_of_a_size_that_no_index_has_is_not_fetched(
        self, world: World, size: str
    ) -> None:
        wrong = Fault(headers={"Content-Length": size})
        with (
            FileServer(world.root, fail=lambda _: wrong) as server,
            pytest.raises(InputError, match="bytes, which is no index"),
        ):
            download(Remote(server.url), NAME)

    def test_a_damaged_copy_is_downloaded_anew(self, world: World) -> None:
        with FileServer(world.root) as server:
            remote = Remote(server.url)
            path = download(remote, NAME)
            path.write_bytes(path.read_bytes()[:-1] + b"?")
            assert download(remote, NAME).read_bytes() == (world.root / NAME).read_bytes()

    def test_half_an_index_is_never_left(self, world: World) -> None:
        with FileServer(world.root, fail=lambda _: Fault(cut=1000)) as server:
            remote = Remote(server.url)
            with pytest.raises(Transient):
                download(remote, NAME)
            server.fail = lambda _: None
            assert download(remote, NAME).read_bytes() == (world.root / NAME).read_bytes()

    def test_without_the_server_the_copy_serves(self, world: World) -> None:
        with FileServer(world.root) as server:
            remote = Remote(server.url)
            path = download(remote, NAME)
            server.fail = lambda _: Fault(500)
            assert download(remote, NAME) == path

    def test_a_server_without_an_index_is_named(self, tmp_path: Path) -> None:
        with (
            FileServer(tmp_path) as server,
            pytest.raises(InputError, match="there is no index") as caught,
        ):
            open_source(Cog(kind="cog", root=server.url))
        assert "source.index" in caught.value.hint

    def test_a_mirror_may_use_another_ones_index(self, world: World, tmp_path: Path) -> None:
        shutil.copytree(world.root / "2018", tmp_path / "2018")
        with FileServer(tmp_path) as mirror, FileServer(world.root) as other:
            section = Cog(kind="cog", root=mirror.url, index=f"{other.url}/{NAME}")
            source = open_source(section)
            assert source.read(GRID, 2018).origins
            assert {request.path for request in other.requests} == {f"/{NAME}"}
            source.close()
