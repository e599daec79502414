// Which rows are shown. Each facet has one bit of a row's `fails`: a row is shown where none is
// set, and counts in a legend where no bit but that facet's own is.

const COMMON = 1; // valid fraction, search and boxes; facets take the bits above

/**
 * @param {object} points
 * @param {import("./facets.js").Facet[]} facets at most seven
 * @param {object} state
 * @param {((row: number) => boolean)[]} boxes tests whether a row is in each box drawn
 * @returns {{fails: Uint8Array, shown: number}}
 */
export function applyFilters(points, facets, state, boxes) {
  const fails = new Uint8Array(points.n);
  let shown = 0;
  const found = search(points, state.q);
  const tests = facets.map((facet) => accepts(facet, state.picks[facet.key]));
  for (let row = 0; row < points.n; row++) {
    let bits = 0;
    if (state.valid > 0 && !(points.valid[row] >= state.valid)) bits = COMMON;
    else if (found && !found(row)) bits = COMMON;
    else if (!boxes.every((inside) => inside(row))) bits = COMMON;
    for (let f = 0; f < tests.length; f++) {
      if (tests[f] && !tests[f](row)) bits |= 2 << f;
    }
    fails[row] = bits;
    if (!bits) shown++;
  }
  return { fails, shown };
}

/** A test whether a row has the words in its id or in the name of a label; null without words. */
function search({ id, label, labels, meta }, words) {
  const wanted = words.trim().toLowerCase();
  if (!wanted) return null;
  const named = meta.labelNames.map((name) => name.toLowerCase().includes(wanted));
  const hasName = (row) => (label ? named[label[row]] : labels?.[row]?.some((one) => named[one]));
  return (row) => id[row].toLowerCase().includes(wanted) || hasName(row);
}

/**
 * The row that a search means, or -1: the shown one of that very id, else the shown one whose id
 * has the words, else one whose label has them. Of several the one whose id comes first, numbers in
 * ids by their value; of several years the earliest.
 */
export function firstFound({ id, year }, fails, words) {
  const wanted = words.trim().toLowerCase();
  const { compare } = new Intl.Collator("en", { numeric: true });
  const rank = (row) => {
    const own = id[row].toLowerCase();
    if (own === wanted) return 0;
    return own.includes(wanted) ? 1 : 2;
  };
  let best = -1;
  for (let row = 0; row < fails.length; row++) {
    if (fails[row]) continue;
    if (best < 0 || (rank(row) - rank(best) || compare(id[row], id[best]) || year[row] - year[best]) < 0) best = row;
  }
  return best;
}

/** Rows of each category of a facet that pass all filters but the facet's own. */
export function countFacet(facets, index, fails) {
  const { names, of, sets, rest } = facets[index];
  const counts = new Int32Array(names.length);
  const others = ~(2 << index) & 0xff;
  for (let row = 0; row < fails.length; row++) {
    if (fails[row] & others) continue;
    const set = sets?.[row];
    if (!sets) counts[of[row]]++;
    else if (set?.length) for (const category of set) counts[category]++;
    else counts[rest]++;
  }
  return counts;
}

/** A test of rows, or null where nothing of the facet is picked. */
function accepts({ names, of, sets, rest }, picks) {
  if (!picks?.length) return null;
  const picked = names.map((name) => picks.includes(name));
  if (!sets) return (row) => picked[of[row]];
  return (row) => (sets[row]?.length ? sets[row].some((one) => picked[one]) : picked[rest]);
}
