// The pooled vectors: read when the first patch is chosen, compared by cosine.

import { AtlasError } from "../data/errors.js";
import { damaged, openParquet, readColumns } from "../data/parquet.js";
import { normsOf } from "./chunk.js";
import { Decoders } from "./decoders.js";
import { readEqualLists } from "./lists.js";

const AT_ONCE = 6;

/** Vectors of `n` rows, in parts as they were read: `values` float32, row by row, and `norms`. */
export class Vectors {
  constructor(parts, dimensions) {
    this.parts = parts;
    this.dimensions = dimensions;
    this.n = parts.reduce((sum, { norms }) => sum + norms.length, 0);
  }

  /** Cosines of one row with all rows, float64; NaN with a vector of zeros. */
  cosines(row) {
    const { dimensions, n } = this;
    const { query, norm } = this.#row(row);
    const out = new Float64Array(n);
    let i = 0;
    for (const { values, norms } of this.parts) {
      for (let own = 0, at = 0; own < norms.length; own++) {
        let sum = 0;
        for (let k = 0; k < dimensions; k++) sum += values[at++] * query[k];
        out[i++] = sum / (norms[own] * norm);
      }
    }
    return out;
  }

  #row(row) {
    const part = this.parts.find(({ norms }) => row < norms.length || ((row -= norms.length), false));
    return { query: part.values.slice(row * this.dimensions, (row + 1) * this.dimensions), norm: part.norms[row] };
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
  const decoders = new Decoders();
  try {
    const parts = new Array(files.length);
    let [dimensions, done] = [null, 0];
    await inParallel(files, AT_ONCE, async (file, number) => {
      if (!file.rows) return;
      const read = await readFile(source, file, column, decoders);
      dimensions ??= read.dimensions;
      if (read.dimensions !== dimensions) {
        throw new AtlasError(`${file.path} has vectors of another length than the files before it.`);
      }
      parts[number] = read.parts;
      done += file.rows;
      progress?.(done, n);
    });
    return new Vectors(parts.flat(), dimensions);
  } finally {
    decoders.end();
  }
}

async function readFile(source, { path, rows, bytes }, column, decoders) {
  const file = { byteLength: bytes, slice: (a, b = bytes) => source.part(path, a, b) };
  const parquet = await openParquet(file, path);
  if (parquet.rows !== rows) {
    throw new AtlasError(`${path} has ${parquet.rows} rows, the points say ${rows}.`);
  }
  return readVectorColumn(parquet, column, (chunk, form) => decoders.decode(chunk, form));
}

/**
 * A column of vectors in parts, one after the other: `values` float32, row after row, and `norms`
 * float64, a row each; and their `dimensions`. Throws where the vectors are not all of one length.
 *
 * @param {(bytes: ArrayBuffer, form: object) => Promise<object | null>} decode as `decodeChunk` does
 */
async function readVectorColumn(parquet, column, decode) {
  const fast = await damaged(parquet.path, () => readEqualLists(parquet, column, decode));
  if (fast) return fast;
  const lists = (await readColumns(parquet, [column]))[column];
  const dimensions = lists[0]?.length;
  if (!dimensions) throw new AtlasError(`${parquet.path} has no vectors in the column ${column}.`);
  const values = new Float32Array(lists.length * dimensions);
  lists.forEach((list, row) => {
    if (list?.length !== dimensions) {
      throw new AtlasError(`${parquet.path} has a vector that is not ${dimensions} long (row ${row}).`);
    }
    values.set(list, row * dimensions);
  });
  return { parts: [{ values, norms: normsOf(values, dimensions) }], dimensions };
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
