// The land of Natural Earth (package world-atlas) in the form that the page reads: polygons cut at
// the antimeridian, coordinates as whole numbers, each the difference to the one before.

import { createRequire } from "node:module";

import { geoArea, geoBounds, geoCentroid, geoEquirectangular } from "d3-geo";
import { geoProject } from "d3-geo-projection";
import { feature, mesh } from "topojson-client";

const BEND = 0.012; // degrees

const require = createRequire(import.meta.url);

/** Outlines alone, to 0.1 degrees: with the script, for the first sight. */
export function coarseLand() {
  const { land, digits } = encoded(require("world-atlas/land-110m.json"), 1);
  return { land, digits };
}

/** Outlines and borders, to 0.01 degrees, without bends of less than 0.012 degrees; and names. */
export function fineLand() {
  const { land, digits } = encoded(require("world-atlas/land-50m.json"), 2, BEND);
  const countries = require("world-atlas/countries-50m.json");
  const inner = mesh(countries, countries.objects.countries, (a, b) => a !== b);
  const borders = inner.coordinates.map((line) => deltas(simpler(line, BEND), digits));
  return { land, borders, names: namesOf(feature(countries, countries.objects.countries)), digits };
}

/** [name, lon, lat, width] of each country's largest part, in degrees; large countries first. */
function namesOf({ features }) {
  const found = features.map(({ geometry, properties: { name } }) => {
    const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
    const parts = polygons.map((coordinates) => ({ type: "Polygon", coordinates }));
    const [largest] = parts.sort((a, b) => geoArea(b) - geoArea(a));
    const [[west], [east]] = geoBounds(largest);
    const place = [...geoCentroid(largest), (east - west + 360) % 360].map((value) => Number(value.toFixed(1)));
    return { area: geoArea(largest), named: [name, ...place] };
  });
  return found.sort((a, b) => b.area - a.area).map(({ named }) => named);
}

function encoded(topology, digits, bend = 0) {
  const cut = geoProject(feature(topology, topology.objects.land), plate());
  const land = cut.features
    .flatMap(({ geometry }) => (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates))
    .map((polygon) => polygon.map((ring) => deltas(simpler(ring.map(([x, y]) => [x, -y]), bend), digits)))
    .map((polygon) => polygon.filter((ring) => ring.length >= 8))
    .filter((polygon) => polygon.length);
  return { land, digits };
}

/** Degrees in, degrees out (y downwards), cut where a polygon crosses the antimeridian. */
function plate() {
  return geoEquirectangular().scale(180 / Math.PI).translate([0, 0]).precision(0);
}

function deltas(line, digits) {
  const unit = 10 ** digits;
  const out = [];
  let [lastX, lastY] = [0, 0];
  for (const [x, y] of line) {
    const [wholeX, wholeY] = [Math.round(x * unit), Math.round(y * unit)];
    if (out.length && wholeX === lastX && wholeY === lastY) continue;
    out.push(wholeX - lastX, wholeY - lastY);
    [lastX, lastY] = [wholeX, wholeY];
  }
  return out;
}

/** The line without points that lie closer than `bend` to it (Douglas and Peucker). */
function simpler(line, bend) {
  if (!bend || line.length < 3) return line;
  const kept = new Uint8Array(line.length);
  kept[0] = kept[line.length - 1] = 1;
  const spans = [[0, line.length - 1]];
  while (spans.length) {
    const [from, to] = spans.pop();
    let [furthest, at] = [bend, -1];
    for (let i = from + 1; i < to; i++) {
      const far = distance(line[i], line[from], line[to]);
      if (far > furthest) [furthest, at] = [far, i];
    }
    if (at < 0) continue;
    kept[at] = 1;
    spans.push([from, at], [at, to]);
  }
  return line.filter((_, i) => kept[i]);
}

/** From a point to a segment. */
function distance([x, y], [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  const part = length ? Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / length)) : 0;
  return Math.hypot(x - x0 - part * dx, y - y0 - part * dy);
}
