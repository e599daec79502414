// The table of points: one row a patch and year, as typed arrays where they can be.

import { AtlasError } from "./errors.js";
import { checkLayout, checkMetadata } from "./metadata.js";
import { columnNames, keyValue, openParquet, readColumns } from "./parquet.js";

export const PATH = "atlas/points.parquet";
const OLDER = "Run `hfaef atlas` on the release: it writes the points where they are missing.";

/**
 * Reads and checks the points.
 *
 * @returns {Promise<{meta, n, patches, id, year, observed, valid, lon, lat, x, y, label, labels, number, splits,
 *   predicted, preview}>} meta as `checkMetadata` gives it; n rows of so many patches; id strings; year int32, observed
 *   the year of the embedding, where the release has none of the patch's own; valid,
 *   lon, lat, x, y float64, NaN where there is none; label int32 (-1: none) | labels, an array of
 *   int32 arrays or null | number float64 (NaN: none); splits and predicted: by scheme, predicted as
 *   the label's kind or null; preview: shard int32 (-1: none), offset and length float64
 */
export async function readPoints(source, progress) {
  let bytes;
  try {
    bytes = await source.whole(PATH, progress);
  } catch (error) {
    if (error.name === "MissingError") throw new AtlasError(`The release has no ${PATH}.`, OLDER);
    throw error;
  }
  const parquet = await openParquet(bytes, PATH);
  const names = columnNames(parquet);
  const n = parquet.rows;
  if (n === 0) throw new AtlasError(`${PATH} has no rows.`, "There is nothing to show.");
  const meta = checkMetadata(keyValue(parquet, "hfaef.atlas"), names);
  const wanted = ["id", "year", "valid_fraction", "lon", "lat", "x", "y", meta.labelColumn];
  const previews = ["preview_shard", "preview_offset", "preview_length"];
  if (previews.every((name) => names.has(name))) wanted.push(...previews);
  if (meta.observed) wanted.push("observed_year");
  for (const scheme of meta.schemes) {
    wanted.push(scheme.split);
    if (scheme.predicted) wanted.push(scheme.predicted);
  }
  const columns = await readColumns(parquet, [...new Set(wanted)]);
  const many = meta.labelNames.length;
  const target = (column) => {
    if (meta.target === "class") return classes(column, many);
    return meta.target === "number" ? floats(column) : classLists(column, many);
  };
  const labelled = target(columns[meta.labelColumn]);
  const id = columns.id.map((one) => String(one ?? ""));
  return {
    meta,
    n,
    patches: new Set(id).size,
    id,
    year: Int32Array.from(columns.year, Number),
    observed: Int32Array.from(columns.observed_year ?? columns.year, Number),
    valid: floats(columns.valid_fraction),
    lon: floats(columns.lon),
    lat: floats(columns.lat),
    x: floats(columns.x),
    y: floats(columns.y),
    label: meta.target === "class" ? labelled : null,
    labels: meta.target === "classes" ? labelled : null,
    number: meta.target === "number" ? labelled : null,
    splits: meta.schemes.map((scheme) => columns[scheme.split].map((name) => name ?? "")),
    predicted: meta.schemes.map((s) => (s.predicted ? target(columns[s.predicted]) : null)),
    preview: previewsOf(columns, meta.shards, n),
  };
}

/** The layout of `atlas/NAME.parquet`: x and y in the order of the points. */
export async function readLayout(source, name, { meta, n }) {
  const path = `atlas/${name}.parquet`;
  const parquet = await openParquet(await source.whole(path), path);
  if (parquet.rows !== n) {
    throw new AtlasError(
      `${path} has ${parquet.rows} rows, the points have ${n}.`,
      `The layout belongs to other rows: make it again with \`hfaef atlas --layout ${name}\`.`,
    );
  }
  checkLayout(keyValue(parquet, "hfaef.atlas"), name, meta, path);
  const { x, y } = await readColumns(parquet, ["x", "y"]);
  return { x: floats(x), y: floats(y) };
}

function floats(column) {
  return Float64Array.from(column, (value) => (value === null || value === undefined ? NaN : Number(value)));
}

function classes(column, many) {
  return Int32Array.from(column, (value) => {
    if (value === null || value === undefined) return -1;
    const index = Number(value);
    if (!(Number.isInteger(index) && index >= -1 && index < many)) {
      throw new AtlasError(`${PATH} has the label ${value}, but ${many} names of labels.`);
    }
    return index;
  });
}

function classLists(column, many) {
  return column.map((value) => (value ? classes(value, many).filter((index) => index >= 0) : null));
}

/** Where each preview lies; those that would not lie in their shard are refused by name. */
function previewsOf(columns, shards, n) {
  const shard = new Int32Array(n).fill(-1);
  const offset = new Float64Array(n);
  const length = new Float64Array(n);
  if (!columns.preview_shard) return { shard, offset, length };
  for (let i = 0; i < n; i++) {
    const number = Number(columns.preview_shard[i] ?? -1);
    if (number < 0) continue;
    const from = Number(columns.preview_offset[i]);
    const bytes = Number(columns.preview_length[i]);
    if (!(number < shards.length && from >= 0 && bytes > 0 && from + bytes <= shards[number].bytes)) {
      throw new AtlasError(
        `${PATH} says that the preview of ${columns.id[i]} lies outside its shard.`,
        "One of them is damaged or of another release: `hfaef check` says which files are whole.",
      );
    }
    shard[i] = number;
    offset[i] = from;
    length[i] = bytes;
  }
  return { shard, offset, length };
}
