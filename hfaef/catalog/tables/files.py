"""Files that hold tables: CSV, Parquet, GeoJSON, GeoPackage, FlatGeobuf and Shapefile, as `Rows`.

Nothing is guessed: cells of a CSV are texts, values of the others have the file's own types, and
a file that is not whole, or says the same thing twice, is refused.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.catalog.tables.cells import read_cells
from hfaef.catalog.tables.columns import Rows, column_hint
from hfaef.catalog.tables.geometry import crs_of, native_geometry, read_shapes
from hfaef.core.grid import WGS84
from hfaef.core.names import clean, printable
from hfaef.errors import CatalogError

_VECTOR_FILES = {
    ".gpkg": ("GPKG", b"SQLite format 3\0"),
    ".fgb": ("FlatGeobuf", b"fgb"),
    ".shp": ("ESRI Shapefile", b"\0\0\x27\x0a"),
}
"""GDAL's driver, and the bytes that its files begin with."""

_GDAL_OPTIONS = {"OGR_SQLITE_PRAGMA": "trusted_schema=0", "SHAPE_RESTORE_SHX": "NO"}
"""A GeoPackage's views may call functions that reach out:
https://www.sqlite.org/pragma.html#pragma_trusted_schema"""

_SURROGATE = re.compile("[\udc80-\udcff]")
_UNKNOWN_CRS = "the CRS of its geometries is unknown"


def read_rows(path: Path, needed: Sequence[str]) -> Rows:
    """The table of a file.

    Args:
        path: of the file; its extension says what it is.
        needed: columns that it must have, and by which a CSV's separator is told.

    Raises:
        CatalogError: naming the file, and the row or column that is wrong.
    """
    with _readable(path):
        if not path.is_file():
            what = "is no file" if path.exists() else "is not there"
            raise CatalogError(
                f"there is no table {path}: it {what}", "mend its path in the recipe"
            )
        match path.suffix.lower():
            case ".csv" | ".tsv":
                rows = _read_csv(path, needed)
            case ".parquet" | ".geoparquet":
                rows = _read_parquet(path)
            case ".geojson" | ".json":
                rows = _read_geojson(path)
            case suffix if suffix in _VECTOR_FILES:
                rows = _read_vector_file(path, *_VECTOR_FILES[suffix])
            case _:
                raise CatalogError(
                    f"{path} is no .csv, .parquet, .geojson, {', '.join(_VECTOR_FILES)}",
                    "mend its path in the recipe",
                )
    if not rows.count:
        raise CatalogError(f"{path} holds no patch: it has no row", "fill it")
    for name in needed:
        if name not in rows.names:
            places = () if rows.shapes else ("lon", "lat")
            hint = column_hint(rows.names, (*needed, *places))
            raise CatalogError(f"{path} has no column {name!r}", hint)
    return rows


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise what the readers of formats raise as CatalogError."""
    try:
        yield
    except (
        *(pa.ArrowException, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
        *(OSError, RuntimeError),  # RuntimeError: pyogrio's, and JSON that is nested too deep
    ) as error:
        reason = printable(" ".join(str(error).split()))[:300]
        raise CatalogError(f"cannot read the table {path}: {reason}", "mend it") from error


def _require_once(path: Path, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise CatalogError(f"{path} has the column {name!r} twice", "rename or remove one")


def _text(path: Path) -> str:
    """A file's text; bytes that are not UTF-8 are in it as lone surrogates."""
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise CatalogError(f"{path} is UTF-16, not UTF-8", "save it as UTF-8")
    return content.decode("utf-8-sig", "surrogateescape")


def _not_utf8(path: Path, where: str, name: str) -> CatalogError:
    return CatalogError(
        f"{path} is not UTF-8: {where}, column {printable(name)!r}", "save it as UTF-8"
    )


def _read_csv(path: Path, needed: Sequence[str]) -> Rows:
    text = _text(path)
    read = read_cells(path, text, needed)
    cells, lines = read.rows, read.lines
    header = [clean(name) or f"column {number}" for number, name in enumerate(cells[0], 1)]
    if _SURROGATE.search(text):
        for row, values in enumerate(cells):
            for name, value in zip(header, values, strict=True):
                if _SURROGATE.search(value):
                    where = f"row {row} (line {lines[row]})" if row else "its header"
                    raise _not_utf8(path, where, name)
    _require_once(path, header)
    columns = dict(zip(header, zip(*cells[1:], strict=True), strict=False))
    shapes = None
    if "geometry" in columns:
        shapes = read_shapes([value.strip() for value in columns.pop("geometry")], WGS84)
    return Rows(
        path=path,
        names=tuple(name for name in header if name != "geometry" or shapes is None),
        count=len(cells) - 1,
        column=columns.__getitem__,
        shapes=shapes,
        lines=lines[1:],
        notes=read.notes,
    )


def _read_geojson(path: Path) -> Rows:
    text = _text(path)
    content = json.loads(text, object_pairs_hook=_object)
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list):
        raise TypeError("it is no FeatureCollection")
    rows = []
    both = 0
    for number, feature in enumerate(features, 1):
        if not isinstance(feature, dict) or not isinstance(feature.get("properties") or {}, dict):
            raise TypeError(f"row {number} is no Feature")
        row = feature.get("properties") or {}
        for name, value in row.items() if _SURROGATE.search(text) else ():
            if _SURROGATE.search(f"{name}{value}"):
                raise _not_utf8(path, f"row {number}", name)
        if feature.get("id") is not None:
            both += "id" in row
            row = {"id": feature["id"], **row}
        rows.append(row)
    notes = (
        [f"features whose own `id` is not used, but the property `id`: {both:,}"] if both else []
    )
    return Rows(
        path=path,
        names=tuple(dict.fromkeys(name for row in rows for name in row)),
        count=len(rows),
        column=lambda name: [row.get(name) for row in rows],
        shapes=read_shapes([feature.get("geometry") for feature in features], _named_crs(content)),
        notes=tuple(notes),
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError if it names a key twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"an object has the key {twice!r} twice")
    return found


def _named_crs(collection: dict[str, Any]) -> str:
    """The CRS that GeoJSON named before RFC 7946.

    https://geojson.org/geojson-spec.html#named-crs
    """
    if "crs" not in collection:
        return WGS84
    match collection["crs"]:
        case {"type": "name", "properties": {"name": str(name)}}:
            return crs_of(name)
        case {"type": "EPSG", "properties": {"code": code}}:
            return crs_of(f"EPSG:{code}")
    raise ValueError(f"{_UNKNOWN_CRS} (its `crs` names none)")


def _read_parquet(path: Path) -> Rows:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        names = schema.names
        count = file.metadata.num_rows
        _require_once(path, names)
        geometry = _geometry_column(file)

    def column(name: str) -> list[Any]:
        # Of the file alone: `read_table` takes names of folders for columns.
        with _readable(path), pq.ParquetFile(path) as file:
            return _values(path, name, file.read(columns=[name]).column(name))

    shapes = None
    if geometry is not None:
        name, encoding, crs = geometry
        names.remove(name)
        values = column(name)
        if encoding not in ("wkb", "wkt"):
            values = [native_geometry(encoding, value) for value in values]
        shapes = read_shapes(values, crs)
    types = {field.name: field.type for field in schema}
    return Rows(path, tuple(names), count, column, shapes, types=types)


def _values(path: Path, name: str, column: pa.ChunkedArray) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (ValueError, LookupError, ArithmeticError, pa.ArrowException) as error:
        for number, value in enumerate(column, 1):
            try:
                value.as_py()
            except UnicodeDecodeError:
                raise _not_utf8(path, f"row {number}", name) from error
            except (ValueError, LookupError, ArithmeticError, pa.ArrowException):
                what = f"row {number} has a {printable(name)} of {value.type} that no text can be"
                raise CatalogError(f"{path}: {what}", f"write {name!r} as text") from error
        raise


def _geometry_column(file: pq.ParquetFile) -> tuple[str, str, str] | None:
    """Name, encoding and CRS of a file's geometries, by whatever metadata it has.

    https://geoparquet.org/releases/v1.1.0/, https://geoarrow.org/extension-types,
    https://github.com/apache/parquet-format/blob/master/Geospatial.md
    """
    schema = file.schema_arrow
    geo = json.loads((schema.metadata or {}).get(b"geo", b"{}"))
    if geo:
        name = geo.get("primary_column", "geometry")
        if name not in schema.names or name not in geo.get("columns", {}):
            raise ValueError(f"its metadata name the geometry column {name!r}, which it lacks")
        about = geo["columns"][name]
        return name, _encoding(about.get("encoding", "WKB")), _stated_crs(about)
    found = {}
    for number in range(len(file.schema)):
        leaf = file.schema.column(number)
        kind = json.loads(leaf.logical_type.to_json())
        if kind.get("Type") in ("Geometry", "Geography"):
            found[leaf.path] = "wkb", _logical_crs(kind.get("crs"), schema.metadata or {})
    for field in schema:
        about = field.metadata or {}
        kind = about.get(b"ARROW:extension:name", b"").decode()
        if kind.startswith("geoarrow.") and field.name not in found:
            stated = json.loads(about.get(b"ARROW:extension:metadata") or b"{}")
            found[field.name] = _encoding(kind), _stated_crs({"crs": stated.get("crs")})
    if len(found) > 1 and "geometry" not in found:
        raise ValueError(f"it has several columns of geometries: {', '.join(found)}")
    if found:
        name = "geometry" if "geometry" in found else next(iter(found))
        return name, *found[name]
    return ("geometry", "wkb", WGS84) if "geometry" in schema.names else None


def _encoding(name: str) -> str:
    kind = str(name).lower().removeprefix("geoarrow.")
    if not re.fullmatch("wkb|wkt|(multi)?(point|linestring|polygon)", kind):
        raise ValueError(f"its geometries are encoded as {name!r}; write them as WKB")
    return kind


def _stated_crs(about: dict[str, Any]) -> str:
    """The CRS of a column's metadata: lon/lat without a word, unknown if it is null."""
    if "crs" not in about:
        return WGS84
    if about["crs"] is None:
        raise ValueError(f"{_UNKNOWN_CRS} (`crs` is null)")
    return crs_of(about["crs"])


def _logical_crs(stated: str | None, metadata: dict[bytes, bytes]) -> str:
    """The CRS of Parquet's own type of geometries."""
    if not stated:
        return WGS84
    if stated.startswith("projjson:"):
        return crs_of(metadata[stated.removeprefix("projjson:").encode()].decode())
    return crs_of(stated.replace("srid:", "EPSG:", 1))


def _read_vector_file(path: Path, driver: str, magic: bytes) -> Rows:
    import pyogrio

    with path.open("rb") as file:
        # GDAL chooses its driver by content, and some drivers follow what a file names.
        if file.read(len(magic)) != magic:
            raise ValueError(f"it is no {driver}")
    place = str(path.resolve())
    with _careful_gdal() as said:
        layers = [str(name) for name, kind in pyogrio.list_layers(place) if kind is not None]
        if len(layers) != 1:
            raise ValueError(f"it has {len(layers)} layers of geometries ({', '.join(layers)})")
        if pyogrio.read_info(place, layer=layers[0])["driver"] != driver:
            raise ValueError(f"it is no {driver}")
        about, table = pyogrio.read_arrow(place, layer=layers[0], return_fids=True)
        outlines = table.column(about["geometry_name"] or "wkb_geometry")
        if driver == "FlatGeobuf":
            # Its driver writes no whole Arrow arrays where a row has no geometry.
            outlines = pa.array(pyogrio.raw.read(place, layer=layers[0], columns=[])[2])
    table = table.drop_columns(about["geometry_name"] or "wkb_geometry")
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):  # that is named with its row below
            raise
    words = dict.fromkeys(str(one.message).replace(place, path.name) for one in said)
    # Its own numbers of features are no column, unless they are called so.
    unused = {about["fid_column"]} - {"id"}
    names = [name for name in table.column_names if name not in unused]
    _require_once(path, names)
    if about["crs"] is None or "Undefined" in about["crs"][:30]:
        raise ValueError(_UNKNOWN_CRS)
    coded = any(path.with_suffix(suffix).is_file() for suffix in (".cpg", ".CPG"))

    def column(name: str) -> list[Any]:
        with _readable(path):
            values = _values(path, name, table.column(name))
            if (
                path.suffix.lower() == ".shp"
                and not coded
                and not all(str(value).isascii() for value in values)
            ):
                raise ValueError(
                    f"nothing says how the letters of {name!r} are encoded; write the encoding "
                    f"into {path.with_suffix('.cpg').name}"
                )
            return values

    shapes = read_shapes(_values(path, "geometry", outlines), crs_of(about["crs"]))
    notes = tuple(f"GDAL says: {printable(word)}" for word in words)
    types = {field.name: field.type for field in table.schema}
    return Rows(path, tuple(names), len(table), column, shapes, notes=notes, types=types)


@contextmanager
def _careful_gdal() -> Iterator[list[warnings.WarningMessage]]:
    """GDAL without what a file may make it do; gives the list of what it warns of."""
    import pyogrio

    before = {name: pyogrio.get_gdal_config_option(name) for name in _GDAL_OPTIONS}
    pyogrio.set_gdal_config_options(_GDAL_OPTIONS)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            yield said
    finally:
        pyogrio.set_gdal_config_options(before)
