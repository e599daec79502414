// Coordinates: both panes are maps in Web Mercator. The first holds longitude and latitude, the
// second the layout, scaled into a small square in the middle of an empty world so that nothing
// ever comes near the world's edge. Positions are in units of the world (0 to 1, y downwards).

const SQUARE = 1 / 16; // side of the layout's square, in worlds
const MOST_NORTH = 85.0511;

export function mercator(lon, lat) {
  const clipped = Math.max(-MOST_NORTH, Math.min(MOST_NORTH, lat));
  const y = (1 - Math.asinh(Math.tan((clipped * Math.PI) / 180)) / Math.PI) / 2;
  return [(lon + 180) / 360, y];
}

export function lonLat(x, y) {
  return [x * 360 - 180, (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI];
}

/** The map: data coordinates are longitude and latitude, in links (`swapped`) latitude first. */
export const earthPlane = { toWorld: mercator, toData: lonLat, swapped: true };

/** A plane on which the finite points of a layout fill the square. */
export function layoutPlane(xs, ys) {
  const [left, right] = extent(xs);
  const [bottom, top] = extent(ys);
  const size = Math.max(right - left, top - bottom) || 1;
  const [midX, midY] = [(left + right) / 2, (bottom + top) / 2];
  return {
    toWorld: (x, y) => [0.5 + ((x - midX) / size) * SQUARE, 0.5 - ((y - midY) / size) * SQUARE],
    toData: (x, y) => [((x - 0.5) / SQUARE) * size + midX, ((0.5 - y) / SQUARE) * size + midY],
  };
}

/** Positions of all rows on a plane, float64, x and y by turns; NaN where a row has none. */
export function positionsOn(plane, first, second) {
  const out = new Float64Array(first.length * 2);
  for (let row = 0; row < first.length; row++) {
    const [x, y] = plane.toWorld(first[row], second[row]);
    out[2 * row] = x;
    out[2 * row + 1] = y;
  }
  return out;
}

/** [west, north, east, south] of the positions, or null where there are none. */
export function boundsOf(positions) {
  let [west, north, east, south] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let row = 0; 2 * row < positions.length; row++) {
    const [x, y] = [positions[2 * row], positions[2 * row + 1]];
    if (!(Number.isFinite(x) && Number.isFinite(y))) continue;
    if (x < west) west = x;
    if (x > east) east = x;
    if (y < north) north = y;
    if (y > south) south = y;
  }
  return west <= east ? [west, north, east, south] : null;
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 0];
}
