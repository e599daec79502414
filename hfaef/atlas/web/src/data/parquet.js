// Parquet in the browser: columns of a file as arrays, by hyparquet.

import { parquetMetadataAsync, parquetRead } from "hyparquet";

import { AtlasError } from "./errors.js";
import { compressors } from "./zstd.js";

/**
 * A file in memory or read piecemeal, with its metadata.
 * @param {{byteLength: number, slice: (a: number, b?: number) => any}} file
 * @param {string} path for messages
 * @param {number} [tail] bytes to read first from the file's end
 */
export async function openParquet(file, path, tail = 1 << 14) {
  const metadata = await damaged(path, () =>
    parquetMetadataAsync(file, { initialFetchSize: Math.min(tail, file.byteLength) }),
  );
  return { file, path, metadata, rows: Number(metadata.num_rows) };
}

/** The value of a key of the file's own metadata, or undefined. */
export function keyValue({ metadata }, key) {
  return metadata.key_value_metadata?.find((pair) => pair.key === key)?.value;
}

/** Names of the top-level columns. */
export function columnNames({ metadata }) {
  const names = new Set();
  for (const group of metadata.row_groups) {
    for (const column of group.columns) names.add(column.meta_data.path_in_schema[0]);
  }
  return names;
}

/**
 * Columns by name, each an array with one entry a row.
 * @param {string[]} columns
 */
export async function readColumns({ file, path, metadata, rows }, columns) {
  const out = {};
  await damaged(path, () => {
    for (const name of columns) out[name] = new Array(rows);
    return parquetRead({
      file,
      metadata,
      columns,
      compressors,
      utf8: true,
      onChunk: ({ columnName, columnData, rowStart }) => {
        const column = out[columnName];
        for (let i = 0; i < columnData.length; i++) column[rowStart + i] = columnData[i];
      },
    });
  });
  return out;
}

/** Does something with a file; what fails is told as damage of it. */
export async function damaged(path, action) {
  try {
    return await action();
  } catch (error) {
    if (error instanceof AtlasError) throw error;
    throw new AtlasError(
      `${path} cannot be read as Parquet (${error.message}).`,
      "The file is damaged: `hfaef check` says which files are whole.",
    );
  }
}
