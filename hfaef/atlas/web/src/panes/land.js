// The land below the map's points: a coarse outline that comes with the script, and a finer one
// with borders, `land.json`, loaded when the points are there. Both are written by the build.

import coarse from "coarse-land";

const COLOURS = {
  light: { sea: "#eaeff3", land: "#fbfbf9", line: "#c3ccd4" },
  dark: { sea: "#10161c", land: "#1c252d", line: "#3a4854" },
};

/** MapLibre's style of the map. */
export function earthStyle(theme) {
  const { sea, land, line } = COLOURS[theme];
  return {
    version: 8,
    sources: {
      land: { type: "geojson", data: polygons(coarse) },
      borders: { type: "geojson", data: lines({ borders: [], digits: 0 }) },
    },
    layers: [
      { id: "sea", type: "background", paint: { "background-color": sea } },
      { id: "land", type: "fill", source: "land", paint: { "fill-color": land, "fill-antialias": true } },
      { id: "coast", type: "line", source: "land", paint: { "line-color": line, "line-width": 0.7 } },
      {
        id: "borders",
        type: "line",
        source: "borders",
        paint: { "line-color": line, "line-width": 0.8, "line-dasharray": [3, 2] },
      },
    ],
  };
}

/** MapLibre's style of the layout's pane. */
export function emptyStyle(theme) {
  const background = { "background-color": COLOURS[theme].land };
  return { version: 8, sources: {}, layers: [{ id: "sea", type: "background", paint: background }] };
}

export function paintLand(map, theme) {
  const { sea, land, line } = COLOURS[theme];
  const earth = Boolean(map.getLayer("land"));
  map.setPaintProperty("sea", "background-color", earth ? sea : land);
  if (!earth) return;
  map.setPaintProperty("land", "fill-color", land);
  map.setPaintProperty("coast", "line-color", line);
  map.setPaintProperty("borders", "line-color", line);
}

/** Replaces the coarse land. The page does without it where it cannot be loaded. */
export async function refineLand(map) {
  const response = await fetch("land.json");
  if (!response.ok) return;
  const fine = await response.json();
  map.getSource("land").setData(polygons(fine));
  map.getSource("borders").setData(lines(fine));
}

/** Rings are whole numbers, each the difference to the one before, in units of 10^-digits degrees. */
function decode(ring, digits) {
  const unit = 10 ** -digits;
  const out = [];
  for (let i = 0, x = 0, y = 0; i < ring.length; i += 2) {
    x += ring[i];
    y += ring[i + 1];
    out.push([x * unit, y * unit]);
  }
  return out;
}

function polygons({ land, digits }) {
  const coordinates = land.map((polygon) => polygon.map((ring) => decode(ring, digits)));
  return { type: "Feature", properties: {}, geometry: { type: "MultiPolygon", coordinates } };
}

function lines({ borders, digits }) {
  const coordinates = borders.map((line) => decode(line, digits));
  return { type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates } };
}
