"""Files of GIS programs: GeoPackage, FlatGeobuf and Shapefile."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import geopandas
import pyogrio
import pytest
import shapely

from hfaef.errors import CatalogError
from support.tables import POINT, WAYS_OUT, grid_of, read, read_shape, square


@pytest.fixture
def frame() -> geopandas.GeoDataFrame:
    shapes = [POINT, shapely.Point(11.6, 48.2)]
    columns = {"id": ["001", "b"], "label": ["Forest", "Water"], "country": ["DE", "AT"]}
    return geopandas.GeoDataFrame(columns, geometry=shapes, crs=4326)


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "shp"])
def test_files_of_gis_programs_are_read(
    tmp_path: Path, frame: geopandas.GeoDataFrame, suffix: str
) -> None:
    frame.to_file(tmp_path / f"a.{suffix}")
    found = read(tmp_path / f"a.{suffix}")
    grids = {patch.id: patch.grid for patch in found.patches}
    assert set(grids) == {"001", "b"}
    assert found.label_names == ("Forest", "Water")
    assert grids["001"] == grid_of(read_shape(tmp_path, POINT))
    assert found.notes == (f"columns not used: country; {WAYS_OUT}",)


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "shp"])
def test_files_of_gis_programs_without_crs_are_refused(
    tmp_path: Path, frame: geopandas.GeoDataFrame, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    frame.to_file(path)
    frame = frame.set_crs(None, allow_override=True)
    for old in tmp_path.iterdir():
        old.unlink()
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        frame.to_file(path)
    with pytest.raises(CatalogError, match="CRS of its geometries is unknown"):
        read(path)


def test_an_undefined_crs_of_a_geopackage_is_refused(
    tmp_path: Path, frame: geopandas.GeoDataFrame
) -> None:
    frame.to_file(tmp_path / "a.gpkg")
    with sqlite3.connect(tmp_path / "a.gpkg") as file:
        file.execute("UPDATE gpkg_geometry_columns SET srs_id = 0")
        file.execute("UPDATE gpkg_contents SET srs_id = 0")
    file.close()
    with pytest.raises(CatalogError, match="CRS of its geometries is unknown"):
        read(tmp_path / "a.gpkg")


def test_a_geopackage_of_several_layers_is_refused_naming_them(
    tmp_path: Path, frame: geopandas.GeoDataFrame
) -> None:
    for layer in ("one", "two"):
        frame.to_file(tmp_path / "a.gpkg", layer=layer)
    with pytest.raises(CatalogError, match=r"2 layers of geometries \(one, two\)"):
        read(tmp_path / "a.gpkg")


def test_a_geopackages_key_may_be_the_id(tmp_path: Path, frame: geopandas.GeoDataFrame) -> None:
    frame.drop(columns="id").to_file(tmp_path / "a.gpkg", layer_options={"FID": "id"})
    assert [patch.id for patch in read(tmp_path / "a.gpkg").patches] == ["1", "2"]


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "shp"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>/etc/passwd</SrcDataSource>",
        b'{"type": "FeatureCollection", "features": []}',
        b"SQLite format 3\0" + bytes(100),
        b"fgb\x03fgb\x00" + bytes(100),
    ],
)
def test_what_is_no_such_file_is_refused_whatever_else_it_is(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(content)
    with pytest.raises(CatalogError, match=rf"cannot read the table .*a\.{suffix}"):
        read(tmp_path / f"a.{suffix}")


def test_a_shapefile_without_encoding_is_read_as_far_as_nothing_is_guessed(
    tmp_path: Path, frame: geopandas.GeoDataFrame
) -> None:
    frame["label"] = ["Wäldchen", "Water"]
    frame.to_file(tmp_path / "a.shp")
    assert read(tmp_path / "a.shp").label_names == ("Water", "Wäldchen")
    (tmp_path / "a.cpg").unlink()
    with pytest.raises(CatalogError, match=r"letters of 'label' are encoded; write .* into a\.cpg"):
        read(tmp_path / "a.shp")


def test_what_gdal_warns_of_is_told_without_a_path_of_the_machine(
    tmp_path: Path, frame: geopandas.GeoDataFrame
) -> None:
    frame.to_file(tmp_path / "a.gpkg")
    content = (tmp_path / "a.gpkg").read_bytes()
    (tmp_path / "a.gpkg").write_bytes(content[:68] + bytes(4) + content[72:])
    (note,) = read(tmp_path / "a.gpkg").notes[:1]
    assert note == "GDAL says: GPKG: bad application_id=0x00000000 on 'a.gpkg'"


def test_a_shapefile_without_its_index_is_refused(
    tmp_path: Path, frame: geopandas.GeoDataFrame
) -> None:
    frame.to_file(tmp_path / "a.shp")
    (tmp_path / "a.shx").unlink()
    with pytest.raises(CatalogError, match=r"a\.shx"):
        read(tmp_path / "a.shp")
    assert pyogrio.get_gdal_config_option("OGR_SQLITE_PRAGMA") is None


# --- Geometries of each kind


SUFFIXES = ["gpkg", "fgb", "shp", "parquet"]


def write(path: Path, *shapes: shapely.Geometry | None, **columns: list[object]) -> Path:
    count = len(shapes)
    names = {"id": [f"p{number}" for number in range(count)], "label": ["x"] * count, **columns}
    frame = geopandas.GeoDataFrame(names, geometry=list(shapes), crs=4326)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:  # an index of FlatGeobuf sorts the rows, and takes none without a geometry
        frame.to_file(path, **({"SPATIAL_INDEX": "NO"} if path.suffix == ".fgb" else {}))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_row_without_a_geometry_is_named_or_skipped(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", POINT, None, shapely.Point(11.6, 48.2))
    with pytest.raises(CatalogError, match=rf"a\.{suffix}: row 2: patch p1 has no geometry"):
        read(path)
    found = read(path, skip_bad=True)
    assert [patch.id for patch in found.patches] == ["p0", "p2"]
    assert [(gone.id, gone.reason) for gone in found.unreadable] == [("p1", "has no geometry")]


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "parquet"])
def test_kinds_of_geometries_may_be_mixed(tmp_path: Path, suffix: str) -> None:
    area = square("EPSG:32632", 600_000, 5_360_000, 200)
    both = shapely.GeometryCollection([area, shapely.Point(area.centroid)])
    many = shapely.MultiPolygon([area, square("EPSG:32632", 600_400, 5_360_000, 200)])
    found = read(write(tmp_path / f"a.{suffix}", POINT, area, both, many), size=32)
    grids = [patch.grid for patch in found.patches]
    assert [(grid.height, grid.width) for grid in grids] == [(32, 32), (20, 20), (20, 20), (20, 60)]
    assert {grid.transform[2] for grid in grids[1:]} == {600_000}
    assert {grid.transform[5] for grid in grids[1:]} == {5_360_200}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("place", "word"),
    [
        ((191.5, 48.1), "longitudes go from -180 to 180"),
        ((11.5, 88.0), "lies at lon 11.5, lat 88, and embeddings are there from lat -80 to 84"),
        ((179.9999, 10.0), "crosses the antimeridian"),
        ((-179.9999, -10.0), "crosses the antimeridian"),
    ],
)
def test_places_that_no_zone_has_are_named_in_every_file(
    tmp_path: Path, suffix: str, place: tuple[float, float], word: str
) -> None:
    with pytest.raises(CatalogError, match=f"row 2: patch p1 .*{word}"):
        read(write(tmp_path / f"a.{suffix}", POINT, shapely.Point(place)))


@pytest.mark.parametrize(("lon", "zone"), [(179.9, "EPSG:32660"), (-179.9, "EPSG:32601")])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_places_on_either_side_of_the_antimeridian_have_their_own_zone(
    tmp_path: Path, suffix: str, lon: float, zone: str
) -> None:
    found = read(write(tmp_path / f"a.{suffix}", shapely.Point(lon, 10.0)))
    assert grid_of(found).crs == zone
    west, _, east, _ = grid_of(found).bounds()
    assert (west + east) / 2 == pytest.approx(lon, abs=1e-4)


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "shp"])
def test_heights_in_files_of_gis_programs_are_not_used_and_told(
    tmp_path: Path, suffix: str
) -> None:
    found = read(write(tmp_path / f"a.{suffix}", shapely.Point(11.5, 48.1, 500)))
    assert grid_of(found) == grid_of(read_shape(tmp_path, POINT))
    assert found.notes == ("not used: heights of the geometries",)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_coordinates_in_columns_of_a_file_with_geometries_are_told(
    tmp_path: Path, suffix: str
) -> None:
    found = read(write(tmp_path / f"a.{suffix}", POINT, lon=["1"], lat=["2"]))
    assert grid_of(found) == grid_of(read_shape(tmp_path, POINT))
    assert found.notes == (f"columns not used: lon, lat; {WAYS_OUT}",)


@pytest.mark.parametrize(
    "wkt",
    [
        "CURVEPOLYGON (CIRCULARSTRING (11 48, 11.001 48.001, 11.002 48, 11.001 47.999, 11 48))",
        "CIRCULARSTRING (11 48, 11.001 48.001, 11.002 48)",
        "MULTISURFACE (CURVEPOLYGON ((11 48, 11.001 48.001, 11.002 48, 11 48)))",
    ],
)
def test_curves_are_refused_with_their_row(tmp_path: Path, wkt: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'id,label,geometry\na,x,POINT (11 48)\nb,x,"{wkt}"\n')
    with pytest.raises(CatalogError, match=r"row 2 \(line 3\): patch b has a geometry that cannot"):
        read(path)
