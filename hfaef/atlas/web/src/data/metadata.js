// The JSON that `atlas/points.parquet` carries under `hfaef.atlas`: checked before it is believed.

import { AtlasError } from "./errors.js";

const PATH = "atlas/points.parquet";
const TARGETS = ["class", "classes", "number"];
const RENEW = "Write it again with `hfaef atlas`, of the version of hfaef that made this page.";

/**
 * @param {string | undefined} text
 * @param {Set<string>} columns names of the file's columns
 */
export function checkMetadata(text, columns) {
  const meta = parse(text, PATH);
  if (!TARGETS.includes(meta.target)) throw wrong(`has the target ${JSON.stringify(meta.target)}`);
  const names = list(meta, "label_names", meta.target === "number");
  names.forEach((name) => need(typeof name === "string", "label_names holds what is no string"));
  const schemes = list(meta, "schemes", true).map((scheme) => checkScheme(scheme, columns));
  const label = { class: "label", classes: "labels", number: "number" }[meta.target];
  for (const name of ["id", "year", "valid_fraction", "lon", "lat", "x", "y", label]) {
    need(columns.has(name), `the column ${name} is not there`);
  }
  return {
    target: meta.target,
    labelColumn: label,
    labelNames: names,
    schemes,
    rows: meta.rows, // a hash that layouts made later name
    layout: typeof meta.layout === "string" ? meta.layout : "pca",
    vectors: checkVectors(meta.vectors),
    shards: list(meta, "shards", true).map((shard) => checkFile(shard, "shards")),
    observed: columns.has("observed_year"),
    missing: Number.isSafeInteger(meta.missing) && meta.missing > 0 ? meta.missing : 0,
    attribution: typeof meta.attribution === "string" ? meta.attribution : "",
  };
}

/** Checks the metadata of a layout's own file: it must be of these points' rows. */
export function checkLayout(text, name, meta, path) {
  const { layout, rows } = parse(text, path);
  if (layout !== name) throw wrong(`holds the layout ${JSON.stringify(layout)}`, path);
  if (rows === meta.rows) return;
  throw new AtlasError(`${path} was made of other rows.`, `Make it again with \`hfaef atlas --layout ${name}\`.`);
}

function parse(text, path) {
  if (text === undefined) throw wrong("has no `hfaef.atlas` metadata", path);
  let meta;
  try {
    meta = JSON.parse(text);
  } catch {
    throw wrong("has `hfaef.atlas` metadata that is no JSON", path);
  }
  if (meta === null || typeof meta !== "object") throw wrong("has `hfaef.atlas` metadata that is no object", path);
  if (meta.format !== 1) throw wrong(`has format ${JSON.stringify(meta.format)}; this page reads format 1`, path);
  return meta;
}

function checkScheme(scheme, columns) {
  need(scheme !== null && typeof scheme === "object", "schemes holds what is no object");
  need(typeof scheme.name === "string", "a scheme has no name");
  need(columns.has(scheme.split), `the column of the scheme ${scheme.name} is not there`);
  const predicted = scheme.predicted ?? null;
  need(predicted === null || columns.has(predicted), `the predictions of ${scheme.name} are not there`);
  const measured = Array.isArray(scheme.measured) ? scheme.measured : [];
  return {
    name: scheme.name,
    split: scheme.split,
    folds: scheme.folds === true,
    predicted,
    measured: measured.filter((one) => one !== null && typeof one === "object"),
  };
}

function checkVectors(vectors) {
  if (vectors === null || vectors === undefined) return null;
  need(typeof vectors.column === "string", "vectors.column is no string");
  const files = list(vectors, "files").map((file) => {
    need(Number.isSafeInteger(file?.rows) && file.rows >= 0, "a file of vectors has no count of rows");
    return { ...checkFile(file, "vectors.files"), rows: file.rows };
  });
  return { column: vectors.column, files };
}

/** A path inside the release: nothing that leads out of it. */
function checkFile(file, key) {
  const path = file?.path;
  need(typeof path === "string" && path !== "", `${key} holds a file without a path`);
  const parts = path.split("/");
  need(!parts.some((part) => ["", ".", ".."].includes(part)), `${key} names ${path}, no path in the release`);
  need(Number.isSafeInteger(file.bytes) && file.bytes > 0, `${key} gives ${path} no length`);
  return { path, bytes: file.bytes };
}

function list(object, key, optional = false) {
  const value = object[key];
  if (optional && (value === undefined || value === null)) return [];
  need(Array.isArray(value), `${key} is no list`);
  return value;
}

function need(holds, words) {
  if (!holds) throw wrong(`has metadata that do not fit: ${words}`);
}

function wrong(words, path = PATH) {
  return new AtlasError(`${path} ${words}.`, RENEW);
}
