// Lists of one length, a column of vectors: its pages are turned into one Float32Array. hyparquet
// makes an array of every list, which takes most of a second for 27,000 vectors; its decoders of
// headers and levels are used here by their files, as its index does not export them.

import { parquetHeader } from "../../node_modules/hyparquet/src/column.js";
import { decompressPage } from "../../node_modules/hyparquet/src/datapage.js";
import { readRleBitPackedHybrid } from "../../node_modules/hyparquet/src/encoding.js";

const SIZE = 4; // bytes of a float32

/**
 * The values of a column of lists, row after row, or null where the column is not of the form that
 * releases have: list<float32>, no nulls, all of one length, pages of version 1, plain or
 * byte-stream-split.
 *
 * @param {object} parquet as `openParquet` gives it
 * @returns {Promise<{values: Float32Array, dimensions: number} | null>}
 */
export async function readEqualLists({ file, metadata, rows }, column, compressors) {
  const levels = levelsOf(metadata.schema, column);
  const chunks = metadata.row_groups.map((group) => group.columns.filter(({ meta_data: leaf }) => leaf.path_in_schema[0] === column));
  if (!levels || !rows || chunks.some((leaves) => leaves.length !== 1 || leaves[0].meta_data.type !== "FLOAT")) return null;
  const leaves = chunks.map(([leaf]) => leaf.meta_data);
  const total = leaves.reduce((sum, leaf) => sum + Number(leaf.num_values), 0);
  const dimensions = total / rows;
  if (!Number.isInteger(dimensions) || dimensions < 1) return null;
  const values = new Float32Array(total);
  const buffers = await Promise.all(leaves.map((leaf) => file.slice(...extent(leaf))));
  let at = 0;
  for (const [number, leaf] of leaves.entries()) {
    const reader = { view: new DataView(buffers[number]), offset: 0 };
    for (const end = at + Number(leaf.num_values); at < end; ) {
      const read = readPage(reader, leaf, levels, dimensions, values, at, compressors);
      if (!read) return null;
      at += read;
    }
  }
  return { values, dimensions };
}

/** Puts a page's values at a place of `values`; how many they are, 0 for a page of another form. */
function readPage(reader, leaf, levels, dimensions, values, at, compressors) {
  const header = parquetHeader(reader);
  const page = header.data_page_header;
  if (header.type !== "DATA_PAGE" || !["PLAIN", "BYTE_STREAM_SPLIT"].includes(page.encoding)) return 0;
  const packed = new Uint8Array(reader.view.buffer, reader.offset, header.compressed_page_size);
  reader.offset += header.compressed_page_size;
  const bytes = decompressPage(packed, header.uncompressed_page_size, leaf.codec, compressors);
  const inner = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
  const many = page.num_values;
  const repeated = new Uint8Array(many);
  readRleBitPackedHybrid(inner, 1, repeated);
  for (let i = 0, next = at % dimensions; i < many; i++) {
    if (repeated[i] !== (next === 0 ? 0 : 1)) return 0;
    if (++next === dimensions) next = 0;
  }
  if (levels > 0) {
    const defined = new Uint8Array(many);
    readRleBitPackedHybrid(inner, 32 - Math.clz32(levels), defined);
    if (!defined.every((level) => level === levels)) return 0;
  }
  const start = inner.offset;
  if (start + many * SIZE > bytes.length || at + many > values.length) return 0;
  const out = new Uint8Array(values.buffer, at * SIZE, many * SIZE);
  if (page.encoding === "PLAIN") out.set(bytes.subarray(start, start + many * SIZE));
  else for (let byte = 0; byte < SIZE; byte++) unsplit(bytes, start + byte * many, out, byte, many);
  return many;
}

function unsplit(bytes, start, out, byte, many) {
  for (let i = 0, to = byte; i < many; i++, to += SIZE) out[to] = bytes[start + i];
}

/** The definition level of a value that is there, or null where the column is no list of values. */
function levelsOf(schema, column) {
  const from = schema.findIndex(({ name }, index) => index > 0 && name === column);
  const path = schema.slice(from, from + 3);
  if (from < 0 || path.length < 3 || path[2].num_children) return null;
  if (path[0].num_children !== 1 || path[1].num_children !== 1 || path[1].repetition_type !== "REPEATED") return null;
  return path.filter(({ repetition_type: type }) => type !== "REQUIRED").length;
}

function extent(leaf) {
  const start = Number(leaf.dictionary_page_offset ?? leaf.data_page_offset);
  return [start, start + Number(leaf.total_compressed_size)];
}
