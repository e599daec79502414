// Decompression as hyparquet calls it: zstd by fzstd.

import { decompress } from "fzstd";

const LARGEST_PAGE = 1 << 30;

export const compressors = {
  ZSTD: (input, outputLength) => {
    if (outputLength > LARGEST_PAGE) throw new Error("a page of over 1 GiB");
    return decompress(input, new Uint8Array(outputLength));
  },
};
