// Facets: the ways in which rows fall into named categories (label, split, year, correct or not,
// ranges of a number). One facet gives the colours at a time, each can filter.

import { rangesOf } from "./ranges.js";
import { targetTitle } from "./words.js";

const SPLITS = ["train", "validation", "val", "test"];

/**
 * @typedef {object} Facet
 * @property {string} key its name in the fragment
 * @property {string} title
 * @property {"names" | "ordered" | "verdict"} kind how its colours are chosen
 * @property {string[]} names of the categories
 * @property {number} rest index of the category "none of these", -1 where every row has one
 * @property {Int32Array} of the category of each row (of several, the rarest)
 * @property {(Int32Array | null)[]} [sets] all categories of each row, where there are several
 */

/** The facets that hold whatever scheme is chosen, then those of one scheme. */
export function facetsOf(points, scheme) {
  const { meta } = points;
  const facets = [];
  if (meta.target === "number") {
    facets.push(ranges("number", targetTitle(meta), points.number, "no number"));
  } else if (meta.target === "class") {
    const names = [...meta.labelNames];
    facets.push(withRest({ key: "label", title: targetTitle(meta), kind: "names", names }, points.label, "no label"));
  } else {
    facets.push(labelSets(points), labelCounts(points));
  }
  if (meta.schemes.length) {
    facets.push(splitFacet(points.splits[scheme], meta.schemes[scheme].folds));
    const verdict = verdictFacet(points, scheme);
    if (verdict) facets.push(verdict);
  }
  facets.push(yearFacet(points.year));
  return facets;
}

/** Ranges of the cosine with the selected row. */
export function similarityFacet(cosines) {
  return ranges("similarity", "Similarity to the selected patch", cosines, "no vector");
}

/** Ranges of numbers; rows without one are a category of their own. */
function ranges(key, title, values, none) {
  const { names, of } = rangesOf(values);
  return withRest({ key, title, kind: "ordered", names }, of, none);
}

/** Gives rows of category -1 a last category. */
function withRest(facet, of, none) {
  if (!of.includes(-1)) return { ...facet, of, rest: -1 };
  const rest = facet.names.length;
  return { ...facet, names: [...facet.names, none], of: of.map((c) => (c < 0 ? rest : c)), rest };
}

function labelSets({ labels, meta }) {
  const counts = new Int32Array(meta.labelNames.length);
  for (const set of labels) set?.forEach((label) => counts[label]++);
  const rarest = (set) => set.reduce((a, b) => (counts[b] < counts[a] ? b : a));
  const of = Int32Array.from(labels, (set) => (set?.length ? rarest(set) : -1));
  const facet = { key: "label", title: targetTitle(meta), kind: "names", names: [...meta.labelNames] };
  return { ...withRest(facet, of, "no label"), sets: labels };
}

function labelCounts({ labels }) {
  const of = Int32Array.from(labels, (set) => set?.length ?? 0);
  const present = [...new Set(of)].sort((a, b) => a - b);
  const at = new Map(present.map((count, index) => [count, index]));
  return {
    key: "count",
    title: "Number of labels",
    kind: "ordered",
    names: present.map(String),
    of: of.map((count) => at.get(count)),
    rest: -1,
  };
}

function splitFacet(splits, folds) {
  const rank = (name) => (SPLITS.indexOf(name) + 1 || SPLITS.length + 1);
  const names = [...new Set(splits)].filter(Boolean);
  names.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b, "en", { numeric: true }));
  const at = new Map(names.map((name, index) => [name, index]));
  const of = Int32Array.from(splits, (name) => at.get(name) ?? -1);
  return withRest({ key: "split", title: folds ? "Fold" : "Split", kind: "names", names }, of, "unassigned");
}

function yearFacet(years) {
  const present = [...new Set(years)].sort((a, b) => a - b);
  const at = new Map(present.map((year, index) => [year, index]));
  const of = years.map((year) => at.get(year));
  return { key: "year", title: "Year", kind: "ordered", names: present.map(String), of, rest: -1 };
}

/** Correct or not; for numbers, how far the prediction is off. */
function verdictFacet(points, scheme) {
  const predicted = points.predicted[scheme];
  if (!predicted) return null;
  if (points.number) {
    const errors = predicted.map((value, row) => Math.abs(value - points.number[row]));
    return ranges("error", "Error of the prediction", errors, "not predicted");
  }
  const of = new Int32Array(points.n);
  for (let row = 0; row < points.n; row++) of[row] = verdict(points, predicted, row);
  const facet = { key: "wrong", title: "Prediction", kind: "verdict", names: ["correct", "misclassified"] };
  return withRest(facet, of, "not predicted");
}

function verdict({ label, labels }, predicted, row) {
  if (label) return predicted[row] < 0 || label[row] < 0 ? -1 : Number(predicted[row] !== label[row]);
  const [have, want] = [predicted[row], labels[row]];
  if (!have || !want) return -1;
  return Number(have.length !== want.length || !want.every((one) => have.includes(one)));
}
