// The state of a view, all that a link must carry to show a colleague the same: as an object, and
// as the address's fragment.

const PICKS = ["label", "number", "count", "split", "wrong", "error", "years", "similarity"];
const VERDICTS = new Map([["1", "misclassified"], ["0", "correct"], ["none", "not predicted"]]);
const PANES = ["map", "space"];

/** The state of a page just opened. */
export function initialState({ meta }, layout) {
  return {
    color: meta.target === "number" ? "number" : "label",
    scheme: meta.schemes.length ? telling(meta.schemes) : 0, // index into meta.schemes
    layout,
    selected: -1, // row, or -1
    pinned: -1,
    picks: {}, // facet's key -> names of the categories kept; empty: all
    valid: 0, // least valid fraction
    q: "", // part of an id or of a label's name
    boxes: { map: null, space: null }, // [west, south, east, north] | [x0, y0, x1, y1]
    page: 0, // of the legend
    views: { map: null, space: null }, // [zoom, lat, lon] | [zoom, x, y]; null: all rows in sight
  };
}

/** The first scheme in which a prediction is wrong, else the first. */
function telling(schemes) {
  return Math.max(0, schemes.findIndex(({ measured }) => measured.some(({ misclassified }) => misclassified > 0)));
}

/**
 * The fragment, without `#`, that `readFragment` turns into the same state.
 * @param {"light" | "dark" | null} theme if chosen by hand; `Theme` reads it
 */
export function writeFragment(state, points, initial, theme) {
  const out = new URLSearchParams();
  if (state.selected >= 0) {
    out.set("id", points.id[state.selected]);
    out.set("year", points.year[state.selected]);
  }
  if (state.pinned >= 0) out.set("pin", `${points.id[state.pinned]}@${points.year[state.pinned]}`);
  if (state.color !== initial.color) out.set("color", state.color);
  if (state.scheme !== initial.scheme) out.set("scheme", points.meta.schemes[state.scheme].name);
  if (state.layout !== initial.layout) out.set("layout", state.layout);
  for (const key of PICKS) {
    for (const name of state.picks[key === "years" ? "year" : key] ?? []) {
      out.append(key, key === "wrong" ? verdictKey(name) : name);
    }
  }
  if (state.valid > 0) out.set("valid", state.valid);
  if (state.q) out.set("q", state.q);
  if (state.page) out.set("page", state.page + 1);
  if (theme) out.set("theme", theme);
  for (const pane of PANES) {
    if (state.views[pane]) out.set(pane, state.views[pane].map(short).join("/"));
    if (state.boxes[pane]) out.set(`${pane}box`, state.boxes[pane].map(short).join(","));
  }
  return out.toString().replaceAll("%2F", "/").replaceAll("%2C", ",").replaceAll("%40", "@");
}

/**
 * The state that a fragment tells of, and in words what it names that the release does not have,
 * which is left out.
 * @param {(scheme: number) => Facet[]} facets but for the similarity to a patch
 * @returns {{state: object, missing: string[]}}
 */
export function readFragment(fragment, points, initial, layouts, facets) {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const state = { ...initial, picks: {}, boxes: { map: null, space: null }, views: { map: null, space: null } };
  const missing = [];
  if (given.has("id")) {
    const [id, year] = [given.get("id"), given.get("year")];
    state.selected = findRow(points, id, year);
    if (state.selected < 0) missing.push(`the patch ${id}${year ? ` of ${year}` : ""}`);
  }
  const pin = /^(.*)@(-?\d+)$/.exec(given.get("pin") ?? "");
  if (pin) state.pinned = findRow(points, pin[1], pin[2]);
  if (given.has("pin") && state.pinned < 0) missing.push(`the pinned patch ${given.get("pin")}`);
  const scheme = points.meta.schemes.findIndex(({ name }) => name === given.get("scheme"));
  if (scheme >= 0) state.scheme = scheme;
  else if (given.has("scheme")) missing.push(`the split scheme ${given.get("scheme")}`);
  const color = given.get("color");
  const known = new Map(facets(state.scheme).map(({ key, names }) => [key, names]));
  if (color && (known.has(color) || color === "similarity")) state.color = color;
  else if (color) missing.push(`the colour ${color}`);
  if (layouts.includes(given.get("layout"))) state.layout = given.get("layout");
  else if (given.has("layout")) missing.push(`the layout ${given.get("layout")}`);
  for (const key of PICKS) {
    const names = given.getAll(key).map((name) => (key === "wrong" ? VERDICTS.get(name) : name));
    const facet = key === "years" ? "year" : key;
    const there = key === "similarity" ? names : names.filter((name) => known.get(facet)?.includes(name));
    if (there.length) state.picks[facet] = there;
    const lost = given.getAll(key).filter((_, i) => !there.includes(names[i]));
    missing.push(...lost.map((name) => `${facet} ${name}`));
  }
  const valid = Number(given.get("valid"));
  if (valid > 0 && valid <= 1) state.valid = valid;
  state.q = given.get("q") ?? "";
  const page = Number(given.get("page"));
  if (Number.isInteger(page) && page > 1) state.page = page - 1;
  for (const pane of PANES) {
    state.views[pane] = numbers(given.get(pane), "/", 3);
    state.boxes[pane] = numbers(given.get(`${pane}box`), ",", 4);
  }
  return { state, missing };
}

/** The row of a patch in a year (in any year where none is given), or -1. */
export function findRow({ id, year }, wanted, wantedYear) {
  const any = wantedYear === null || wantedYear === undefined || wantedYear === "";
  return id.findIndex((one, row) => one === wanted && (any || year[row] === Number(wantedYear)));
}

function verdictKey(name) {
  return [...VERDICTS.keys()].find((key) => VERDICTS.get(key) === name);
}

function numbers(text, separator, many) {
  const values = text?.split(separator).map(Number) ?? [];
  return values.length === many && values.every(Number.isFinite) ? values : null;
}

function short(value) {
  return Number(value.toFixed(5));
}
