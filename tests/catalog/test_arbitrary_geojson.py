"""Whatever a GeoJSON holds comes back as written, or is refused with the file, in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.core.names import clean
from support.arbitrary import JSON, SCALARS, few, read, written
from support.refusals import used_or_refused

POSITIONS = st.lists(st.floats() | st.integers() | SCALARS, min_size=1, max_size=4)
SHAPES = (
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                [
                    "Point",
                    "LineString",
                    "Polygon",
                    "MultiPoint",
                    "MultiPolygon",
                    "point",
                    "Feature",
                    "GeometryCollection",
                    "LinearRing",
                    "Curve",
                ]
            )
            | JSON,
            "coordinates": st.recursive(
                POSITIONS, lambda inner: st.lists(inner, max_size=4), max_leaves=6
            )
            | JSON,
        },
        optional={"geometries": JSON, "crs": JSON},
    )
    | JSON
    | st.just({"type": "Point", "coordinates": [11.5, 48.1]})
)
FEATURES = (
    st.fixed_dictionaries(
        {
            "properties": st.fixed_dictionaries({"id": JSON, "label": JSON}) | JSON,
            "geometry": SHAPES,
        },
        optional={"id": JSON, "type": JSON},
    )
    | JSON
)


def scalar(value: object) -> bool:
    return type(value) in (str, int)


@few
@given(
    st.lists(FEATURES, max_size=3) | JSON,
    st.just({}) | st.fixed_dictionaries({"crs": JSON | st.fixed_dictionaries({"type": JSON})}),
    st.booleans(),
    st.sampled_from(["class", "number"]),
)
def test_any_values_of_a_geojson(
    tmp_path: Path, features: object, more: dict[str, object], skip: bool, target: str
) -> None:
    path = tmp_path / "points.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    found = used_or_refused(lambda: read(path, skip_bad=skip, target=target), "points.geojson")
    if found is None:
        return
    expected = []
    for feature in features:
        row = feature.get("properties") or {}
        expected.append((row.get("id", feature.get("id")), row["label"]))
    assert all(scalar(identity) for identity, _ in expected)
    if target == "class":
        assert all(scalar(label) for _, label in expected)
        expected = [(clean(str(identity)), clean(str(label))) for identity, label in expected]
        assert written(found) == sorted(expected)


@few
@given(
    st.text(max_size=20) | JSON.map(json.dumps) | st.just("[" * 3000) | st.just('{"a":' * 3000),
    st.booleans(),
)
def test_any_text_of_a_geojson(tmp_path: Path, text: str, inside: bool) -> None:
    path = tmp_path / "points.geojson"
    path.write_text(
        f'{{"type":"FeatureCollection","features":{text}}}' if inside else text, "utf-8"
    )
    used_or_refused(lambda: read(path), "points.geojson")


@pytest.mark.parametrize("depth", [30, 150, 300, 600, 900, 950, 980, 990, 995])
@pytest.mark.parametrize("key", ["label", "id", "lon", "geometry", "collection"])
def test_geojson_of_any_depth(tmp_path: Path, depth: int, key: str) -> None:
    deep = "[" * depth + "]" * depth
    shape = '{"type": "Point", "coordinates": [11.5, 48.1]}'
    if key == "geometry":
        shape = f'{{"type": "Polygon", "coordinates": {deep}}}'
    if key == "collection":
        opened = '{"type": "GeometryCollection", "geometries": [' * (depth // 2)
        shape = f"{opened}{shape}{']}' * (depth // 2)}"
    row = {"id": '"a"', "label": '"x"'} | ({key: deep} if key in ("label", "id", "lon") else {})
    properties = ", ".join(f'"{name}": {value}' for name, value in row.items())
    path = tmp_path / "points.geojson"
    path.write_text(
        f'{{"features": [{{"geometry": {shape}, "properties": {{{properties}}}}}]}}', "utf-8"
    )
    found = used_or_refused(lambda: read(path), "points.geojson")
    assert found is None or written(found) == [("a", "x")]
