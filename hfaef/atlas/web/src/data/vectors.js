// The pooled vectors: read when the first patch is chosen, compared by cosine.

import { AtlasError } from "./errors.js";
import { openParquet, readVectorColumn } from "./parquet.js";

const AT_ONCE = 6;

/** Vectors of all rows: `values` float32 (n x dimensions, row by row), `norms` float64. */
export class Vectors {
  constructor(n, dimensions) {
    this.n = n;
    this.dimensions = dimensions;
    this.values = new Float32Array(n * dimensions);
    this.norms = new Float64Array(n);
  }

  /** Vectors of the rows from `start` on. */
  put(start, values) {
    const { dimensions, norms } = this;
    this.values.set(values, start * dimensions);
    for (let at = 0, row = start; at < values.length; row++) {
      let squares = 0;
      for (const end = at + dimensions; at < end; at++) squares += values[at] * values[at];
      norms[row] = Math.sqrt(squares);
    }
  }

  /** Cosines of one row with all rows, float64; NaN with a vector of zeros. */
  cosines(row) {
    const { values, norms, dimensions, n } = this;
    const query = values.slice(row * dimensions, (row + 1) * dimensions);
    const out = new Float64Array(n);
    for (let i = 0, at = 0; i < n; i++) {
      let sum = 0;
      for (let k = 0; k < dimensions; k++) sum += values[at++] * query[k];
      out[i] = sum / (norms[i] * norms[row]);
    }
    return out;
  }
}

/**
 * The `count` rows most like one, by cosine; ties by row number. The row itself is left out; other
 * years of the same patch are rows like any other.
 * @returns {{row: number, cosine: number}[]}
 */
export function nearest(cosines, row, count) {
  const best = [];
  for (let i = 0; i < cosines.length; i++) {
    const cosine = cosines[i];
    if (i === row || !(cosine > (best.length < count ? -Infinity : best[count - 1].cosine))) continue;
    let at = best.length;
    while (at > 0 && best[at - 1].cosine < cosine) at--;
    best.splice(at, 0, { row: i, cosine });
    if (best.length > count) best.pop();
  }
  return best;
}

/**
 * Reads the vectors of all rows.
 * @param {(done: number, total: number) => void} [progress] in rows
 */
export async function readVectors(source, { meta, n }, progress) {
  if (!meta.vectors) {
    throw new AtlasError("The release has no pooled vectors, so neighbours cannot be found.");
  }
  const { files, column } = meta.vectors;
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  if (rows !== n) {
    throw new AtlasError(
      `The pooled vectors have ${rows} rows, the points have ${n}.`,
      "Write the points again with `hfaef atlas`.",
    );
  }
  const starts = [];
  files.reduce((start, file) => (starts.push(start), start + file.rows), 0);
  let vectors = null;
  let done = 0;
  await inParallel(files, AT_ONCE, async (file, number) => {
    if (!file.rows) return;
    const read = await readFile(source, file, column);
    vectors ??= new Vectors(n, read.dimensions);
    if (read.dimensions !== vectors.dimensions) {
      throw new AtlasError(`${file.path} has vectors of another length than the files before it.`);
    }
    vectors.put(starts[number], read.values);
    done += file.rows;
    progress?.(done, n);
  });
  return vectors;
}

async function readFile(source, { path, rows, bytes }, column) {
  const file = { byteLength: bytes, slice: (a, b = bytes) => source.part(path, a, b) };
  const parquet = await openParquet(file, path);
  if (parquet.rows !== rows) {
    throw new AtlasError(`${path} has ${parquet.rows} rows, the points say ${rows}.`);
  }
  return readVectorColumn(parquet, column);
}

async function inParallel(items, width, action) {
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const number = next++;
      await action(items[number], number);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
}
