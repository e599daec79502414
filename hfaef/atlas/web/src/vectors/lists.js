// Lists of one length, a column of vectors: read chunk by chunk, each decoded while others are
// fetched.

/**
 * The vectors of a column, or null where it is not of the form that releases have (see
 * `decodeChunk`): list<float32>, each row group with vectors of one length.
 *
 * @param {object} parquet as `openParquet` gives it
 * @param {(bytes: ArrayBuffer, form: object) => Promise<object | null>} decode as `decodeChunk` does
 * @returns {Promise<{parts: {values: Float32Array, norms: Float64Array}[], dimensions: number} | null>}
 */
export async function readEqualLists({ file, metadata, rows }, column, decode) {
  const levels = levelsOf(metadata.schema, column);
  const chunks = metadata.row_groups.map((group) => group.columns.filter(({ meta_data: leaf }) => leaf.path_in_schema[0] === column));
  if (!levels || !rows || chunks.some((leaves) => leaves.length !== 1 || leaves[0].meta_data.type !== "FLOAT")) return null;
  const leaves = chunks.map(([leaf]) => leaf.meta_data);
  const dimensions = leaves.reduce((sum, leaf) => sum + Number(leaf.num_values), 0) / rows;
  const isWhole = (leaf, group) => Number(leaf.num_values) === Number(group.num_rows) * dimensions;
  if (!Number.isInteger(dimensions) || dimensions < 1 || !leaves.every((leaf, number) => isWhole(leaf, metadata.row_groups[number]))) return null;
  const parts = await Promise.all(
    leaves.map(async (leaf) => {
      const bytes = await file.slice(...extent(leaf));
      return decode(bytes, { count: Number(leaf.num_values), codec: leaf.codec, levels, dimensions });
    }),
  );
  return parts.includes(null) ? null : { parts, dimensions };
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
