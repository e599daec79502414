// Ranges of numbers with round edges, for legends of what is not a category.

const WANTED = 8;
const CROWDED = 0.6; // of the rows in one range: then the edges are quantiles

/**
 * @param {ArrayLike<number>} values NaN where there is none
 * @returns {{names: string[], of: Int32Array, edges: number[]}} of: the range of each value, -1: none
 */
export function rangesOf(values) {
  const finite = Float64Array.from(values).filter(Number.isFinite).sort();
  if (!finite.length) return { names: [], of: new Int32Array(values.length).fill(-1), edges: [] };
  let edges = even(finite[0], finite[finite.length - 1]);
  let of = place(values, edges);
  if (crowded(of, edges.length - 1, finite.length)) {
    const quantiles = byQuantile(finite);
    if (quantiles.length > 2) {
      edges = quantiles;
      of = place(values, edges);
    }
  }
  const text = formatter(edges);
  const names = edges.slice(1).map((high, i) => `${text(edges[i])} – ${text(high)}`);
  return { names: edges.length === 2 && edges[0] === edges[1] ? [text(edges[0])] : names, of, edges };
}

function even(low, high) {
  if (low === high) return [low, high];
  const step = round((high - low) / WANTED);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** The next 1, 2 or 5 times a power of ten. */
function round(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].find((times) => times * power >= step * 0.999) * power;
}

function byQuantile(sorted) {
  const last = sorted.length - 1;
  const at = (part) => sorted[Math.round(part * last)];
  const inner = Array.from({ length: WANTED - 1 }, (_, i) => Number(at((i + 1) / WANTED).toPrecision(3)));
  const kept = inner.filter((edge) => edge > sorted[0] && edge < sorted[last]);
  return [...new Set([sorted[0], ...kept, sorted[last]])].sort((a, b) => a - b);
}

function place(values, edges) {
  const last = edges.length - 2;
  return Int32Array.from(values, (value) => {
    if (!Number.isFinite(value)) return -1;
    let range = 0;
    while (range < last && value >= edges[range + 1]) range++;
    return range;
  });
}

function crowded(of, many, rows) {
  const counts = new Int32Array(many);
  for (const range of of) if (range >= 0) counts[range]++;
  return many > 2 && Math.max(...counts) > CROWDED * rows;
}

/** As many decimals as tell the edges apart. */
function formatter(edges) {
  const gaps = edges.slice(1).map((edge, i) => edge - edges[i]).filter((gap) => gap > 0);
  const decimals = gaps.length ? Math.max(0, Math.ceil(-Math.log10(Math.min(...gaps)) - 1e-9)) : 3;
  const options = { maximumFractionDigits: Math.min(decimals, 8), minimumFractionDigits: 0 };
  return (value) => value.toLocaleString("en", options).replace(/^-/, "−");
}
