// One column chunk of lists of one length: its pages are turned into one Float32Array. hyparquet
// makes an array of every list, which takes most of a second for 27,000 vectors; its decoders of
// headers and compression are used here by their files, as its index does not export them.

import { parquetHeader } from "../../node_modules/hyparquet/src/column.js";
import { decompressPage } from "../../node_modules/hyparquet/src/datapage.js";
import { compressors } from "../data/zstd.js";

const SIZE = 4; // bytes of a float32

/**
 * The vectors of a chunk, or null where its pages are not of the form that releases have: no nulls,
 * all lists of one length, pages of version 1, plain or byte-stream-split.
 *
 * @param {ArrayBuffer} bytes of the chunk
 * @param {{count: number, codec: string, levels: number, dimensions: number}} form count: values in
 *   the chunk; levels: the definition level of a value that is there
 * @returns {{values: Float32Array, norms: Float64Array} | null}
 */
export function decodeChunk(bytes, { count, codec, levels, dimensions }) {
  const reader = { view: new DataView(bytes), offset: 0 };
  const values = new Float32Array(count);
  for (let at = 0; at < count; ) {
    const header = parquetHeader(reader);
    const page = header.data_page_header;
    if (header.type !== "DATA_PAGE" || !["PLAIN", "BYTE_STREAM_SPLIT"].includes(page.encoding)) return null;
    const many = page.num_values;
    if (many < 1 || at + many > count) return null;
    const packed = new Uint8Array(bytes, reader.offset, header.compressed_page_size);
    reader.offset += header.compressed_page_size;
    const inner = decompressPage(packed, header.uncompressed_page_size, codec, compressors);
    const start = valuesStart(inner, many, at % dimensions, levels, dimensions);
    if (start < 0 || start + many * SIZE > inner.length) return null;
    put(inner.subarray(start, start + many * SIZE), page.encoding, values.subarray(at, at + many));
    at += many;
  }
  return { values, norms: normsOf(values, dimensions) };
}

/** Lengths of vectors that lie one after the other, float64. */
export function normsOf(values, dimensions) {
  const norms = new Float64Array(values.length / dimensions);
  for (let at = 0, row = 0; at < values.length; row++) {
    let squares = 0;
    for (const end = at + dimensions; at < end; at++) squares += values[at] * values[at];
    norms[row] = Math.sqrt(squares);
  }
  return norms;
}

/** Where a page's values start, after its levels; -1 where these are not those of equal lists. */
function valuesStart(page, many, phase, levels, dimensions) {
  const first = (at) => ((at + phase) % dimensions === 0 ? 0 : 1);
  const next = (at) => at + (first(at) === 0 ? 1 : dimensions - ((at + phase) % dimensions));
  const start = levelsEnd(page, 0, many, 1, first, next);
  if (start < 0 || levels === 0) return start;
  return levelsEnd(page, start, many, 32 - Math.clz32(levels), () => levels, () => many);
}

/**
 * The end of a page's levels (their length, then runs and packed groups of eight), or -1 where one
 * is not as expected: `level(at)`, which stays so until `next(at)`.
 */
function levelsEnd(page, start, many, width, level, next) {
  if (start + 4 > page.length) return -1;
  let at = 0;
  let from = start + 4;
  const end = from + new DataView(page.buffer, page.byteOffset).getUint32(start, true);
  while (at < many) {
    let head = 0;
    for (let shift = 0, byte = 0x80; byte & 0x80; shift += 7) head |= ((byte = page[from++]) & 0x7f) << shift;
    if (from >= end || end > page.length) return -1;
    if (head & 1) {
      const groups = head >>> 1;
      for (let i = 0; i < groups * 8 && at < many; i++, at++) {
        if (packed(page, from * 8 + i * width, width) !== level(at)) return -1;
      }
      from += groups * width;
    } else {
      const stop = Math.min(many, at + (head >>> 1));
      if (stop === at) return -1;
      for (; at < stop; at = next(at)) if (level(at) !== page[from]) return -1;
      at = stop;
      from++;
    }
  }
  return end;
}

/** The number of a few bits from a bit on, the lowest first. */
function packed(page, bit, width) {
  return ((page[bit >> 3] | (page[(bit >> 3) + 1] << 8)) >> (bit & 7)) & ((1 << width) - 1);
}

function put(bytes, encoding, values) {
  if (encoding === "PLAIN") {
    new Uint8Array(values.buffer, values.byteOffset, bytes.length).set(bytes);
    return;
  }
  const many = values.length;
  const bits = new Uint32Array(values.buffer, values.byteOffset, many);
  const [a, b, c, d] = [0, 1, 2, 3].map((byte) => bytes.subarray(byte * many, (byte + 1) * many));
  for (let i = 0; i < many; i++) bits[i] = a[i] | (b[i] << 8) | (c[i] << 16) | (d[i] << 24);
}
